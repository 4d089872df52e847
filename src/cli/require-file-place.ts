/** Looking at a path that is to be a file before anything is fetched for it. */
import { statSync } from 'node:fs';
import { RootfsError, systemErrorCode, wrapSystemError } from '../index.js';

/**
 * Refuses a path where no file can be made: a folder lies there, or something above it is none. Whoever makes the file
 * looks again: this is no promise.
 *
 * @param option How the path was named, for messages: `--output`.
 * @param folderIs `place` where a folder is the place of a file that gets a name of its own.
 * @throws RootfsError `ERR_OPTION_INVALID`; `ERR_PERMISSION`, `ERR_FILESYSTEM` where nobody can look
 */
export function requireFilePlace(option: string, path: string, folderIs: 'refused' | 'place' = 'refused'): void {
  let isFolder = false;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOTDIR') {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `${option} ${path}: something above it is no folder; name another file`,
        { cause: error, detail: { path } },
      );
    }
    if (code !== 'ENOENT') throw wrapSystemError(error, path);
  }
  if (!isFolder || folderIs === 'place') return;
  throw new RootfsError('ERR_OPTION_INVALID', `${option} ${path}: a folder; name a file`, { detail: { path } });
}
