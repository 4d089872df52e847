/** Looking at a path that is to be a folder before anything is fetched for it. */
import { lstat, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RootfsError, systemErrorCode } from '../index.js';

/**
 * Refuses a path where no folder can be: a file or a dangling link lies there, or above it. Nothing there is as well.
 * Whoever makes the folder looks again: this is no promise.
 *
 * @param option How the folder was named, for messages: `--dst`. One that nobody named is no option that is wrong.
 * @param advice What to do then.
 * @throws RootfsError `ERR_OPTION_INVALID`; `ERR_FILESYSTEM` where `option` is none
 */
export async function requireNoFile(option: string, path: string, advice = 'name another folder'): Promise<void> {
  if (!(await isFileAt(path))) return;
  throw new RootfsError(
    option.startsWith('--') ? 'ERR_OPTION_INVALID' : 'ERR_FILESYSTEM',
    `${option} ${path}: expected a folder, found something else there; ${advice}`,
    { detail: { path } },
  );
}

/** Whether the innermost thing that is there is no folder. What cannot be looked at is not judged. */
async function isFileAt(path: string): Promise<boolean> {
  for (let at = path; ; at = dirname(at)) {
    try {
      return !(await stat(at)).isDirectory();
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'ENOTDIR') return true;
      if (code !== 'ENOENT') return false;
    }
    // A link to nowhere; a folder that stands there now was made by somebody else meanwhile.
    const found = await lstat(at).catch(() => undefined);
    if (found !== undefined) return !found.isDirectory();
    if (at === dirname(at)) return false;
  }
}
