/** Names in errors: people know the path they asked for, not the one something has while it is written. */
import type { RootfsError } from '../errors.js';
import type { Destination } from './destination.js';

/** The same error, told of the paths that the finished tree would have had. */
export function withFinalNames(error: RootfsError, { path, workingPath }: Destination): RootfsError {
  if (path !== workingPath) error.message = error.message.replaceAll(workingPath, () => path);
  return error;
}
