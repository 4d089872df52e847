/** Paths as callers give them. */
import { resolve } from 'node:path';
import { RootfsError } from '../errors.js';

/**
 * Makes a path absolute. An empty one is refused: it would be the working folder, which nobody means that way (a
 * variable that is not set).
 *
 * @param option What messages call it: the name of the parameter or option.
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function absolutePath(path: string, option: string): string {
  const given: unknown = path;
  if (typeof given === 'string' && given !== '' && !given.includes('\0')) return resolve(given);
  const found = typeof given === 'string' ? JSON.stringify(given) : String(given);
  throw new RootfsError('ERR_OPTION_INVALID', `${option}: ${found} is no path; name a file or a folder`, {
    detail: { option, value: found },
  });
}
