/** Looking at a path that is to be a file before anything is fetched for it. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../index.js';

/**
 * Refuses an `--output` where no file can be made: a folder lies there or is named by a slash at the end, something
 * above it is none or is missing, or its folder may not be written. Whoever makes the file looks again: this is no
 * promise.
 *
 * @param folderIs `place` where a folder is the place of a file that gets a name of its own.
 * @throws RootfsError `ERR_OPTION_INVALID`; `ERR_NOT_FOUND`: the folder to make it in; `ERR_PERMISSION`, `ERR_FILESYSTEM`
 * where nobody can look or write
 */
export function requireFilePlace(path: string, folderIs: 'refused' | 'place' = 'refused'): void {
  let isFolder = false;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOTDIR') {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `--output ${path}: something above it is no folder; name another file`,
        { cause: error, detail: { path } },
      );
    }
    if (code !== 'ENOENT') throw wrapSystemError(error, path);
    isFolder = folderIs === 'refused' && path.endsWith('/');
    if (!isFolder) requireWritable('--output', path);
  }
  if (!isFolder || folderIs === 'place') return;
  throw new RootfsError('ERR_OPTION_INVALID', `--output ${path}: a folder; name a file`, { detail: { path } });
}

/** Whether the system's answer is no last word: it is about users, and leaves out what capabilities allow others than root. */
function mayMore(): boolean {
  try {
    return process.getuid?.() !== 0 && !/^CapEff:\s*0+$/m.test(readFileSync('/proc/self/status', 'latin1'));
  } catch {
    return false;
  }
}

/** The folder that a new file or folder at `path`, which `option` named, is made in. @throws as `requireFilePlace` */
export function requireWritable(option: string, path: string): void {
  const parent = dirname(path);
  try {
    accessSync(parent, constants.W_OK | constants.X_OK);
  } catch (error) {
    if (systemErrorCode(error) === 'EACCES' && mayMore()) return;
    if (systemErrorCode(error) !== 'ENOENT') {
      throw wrapSystemError(error, `${option} ${path}`, 'ask for access, or choose another place');
    }
    throw new RootfsError(
      'ERR_NOT_FOUND',
      `${option} ${path}: there is no folder ${parent} to make it in; make that first`,
      { cause: error, detail: { path } },
    );
  }
}
