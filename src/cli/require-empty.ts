/** Looking at the folder to be made before anything is fetched for it. */
import { lstat, opendir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../index.js';
import { requireWritable } from './require-file-place.js';

/**
 * Refuses a destination that could not be taken later, so that nobody waits for a download first. What makes it looks
 * again: this is no promise.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` (something else than an empty folder or nothing; no parent folder);
 * `ERR_PERMISSION`, `ERR_FILESYSTEM` where nobody can look or write
 */
export async function requireEmpty(option: string, path: string): Promise<void> {
  const refuse = (found: string): never => {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${option} ${path}: expected an empty folder or nothing, found ${found}`,
    );
  };
  try {
    const folder = await opendir(path);
    const entry = await folder.read();
    await folder.close();
    if (entry !== null) refuse('one that is not empty; name another folder');
  } catch (error) {
    if (error instanceof RootfsError) throw error;
    const code = systemErrorCode(error);
    if (code === 'ENOTDIR') refuse('something that is no folder; name another folder');
    if (code !== 'ENOENT') throw wrapSystemError(error, `${option} ${path}`, 'choose another place');
    // A link that leads nowhere.
    if ((await lstat(path).catch(() => undefined)) !== undefined)
      refuse('something that is no folder; name another folder');
    const parent = dirname(path);
    if ((await stat(parent).catch(() => undefined)) === undefined)
      refuse(`no folder ${parent} to make it in; make that first`);
    requireWritable(option, path);
  }
}
