/** Small files under names that anybody knows, in folders that may be somebody else's. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

const { O_RDONLY, O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * The flags that such a file is written with: new, or in place of what it held. Through a link that somebody planted
 * root would overwrite what that person may not; a pipe without a reader would be waited for.
 */
export const REPLACE_OWN = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK;

/** As much as is read of such a file, in bytes: what is longer is none of ours. */
const MAX_OWN_BYTES = 4 * 1024 * 1024;

/**
 * Reads such a file. What is longer than 4 MiB, and a pipe or a device in its place, read as empty, instead of for
 * ever and past every signal.
 *
 * @throws the system's error
 */
export function readOwn(path: string): string {
  const file = openSync(path, O_RDONLY | O_NONBLOCK);
  try {
    const found = fstatSync(file);
    const isOurs = found.isDirectory() || (found.isFile() && found.size <= MAX_OWN_BYTES);
    return isOurs ? readFileSync(file, 'utf8') : '';
  } finally {
    closeSync(file);
  }
}
