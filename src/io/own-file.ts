/** Small files under names that anybody knows, in folders that may be somebody else's. */
import { closeSync, constants, openSync, readFileSync } from 'node:fs';

const { O_RDONLY, O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * The flags that such a file is written with: new, or in place of what it held. Through a link that somebody planted
 * root would overwrite what that person may not; a pipe without a reader would be waited for.
 */
export const REPLACE_OWN = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK;

/** Reads such a file. A pipe in its place reads as empty, instead of for ever and past every signal. @throws the system's error */
export function readOwn(path: string): string {
  const file = openSync(path, O_RDONLY | O_NONBLOCK);
  try {
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}
