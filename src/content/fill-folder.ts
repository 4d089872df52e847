/** Making a folder of files: a new one, or an empty one that is there and stays what it is. */
import { readdir, realpath, rename, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { removeWhatCanBe } from '../io/remove-tree.js';
import { syncFolder } from './folder-sync.js';
import { inPlaceOf, isUnfinished, makeWorkingFolder, outputPlace, writeBeside } from './output-place.js';

/** How a folder is filled. */
export interface FillFolderOptions {
  /** Its names are on disk before this returns. */
  readonly sync: boolean;
  /** The file that gets its place last: whoever looks for it finds the others. */
  readonly last: string;
}

/**
 * Runs `work` with the path of an empty folder, and brings what it made to `path`: all of it or nothing. A folder that
 * is there must be empty; it keeps its owner and mode, and may be a mount point or somebody's working directory.
 *
 * @param work Makes files and folders in the folder that it is given.
 * @throws RootfsError `ERR_NOT_FOUND` (the folder above it is missing), `ERR_FILESYSTEM` (something is there already),
 *   `ERR_PERMISSION`, `ERR_NO_SPACE`; what `work` throws
 */
export async function fillFolder(
  path: string,
  { sync, last }: FillFolderOptions,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const absolute = absolutePath(path, 'path');
  const found = await stat(absolute).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, path);
  });
  if (found === undefined) {
    const place = await outputPlace(absolute);
    const workAndSync = async (folder: string): Promise<void> => {
      await work(folder);
      if (sync) await syncFolder(folder);
    };
    await writeBeside(place.path, 'folder', sync, workAndSync).catch((error: unknown) => {
      throw isOccupied(error) ? occupied(path, error) : error;
    });
    return;
  }
  if (!found.isDirectory()) throw occupied(path);
  await fillThere(path, await realpath(absolute), { sync, last }, work);
}

async function fillThere(
  path: string,
  folder: string,
  { sync, last }: FillFolderOptions,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const working = await makeWorkingFolder(folder);
  const others = async (): Promise<readonly string[]> =>
    (await readdir(folder)).filter((name) => name !== basename(working.path));
  try {
    const there = await others();
    // What dead processes left is gone by now. Of several that come at once, one at most finds nobody else.
    if (there.length > 0) throw there.every(isUnfinished) ? beingFilled(path) : occupied(path);
    await work(working.path).catch((error: unknown) => {
      throw inPlaceOf(working.path, folder, error);
    });
    // The work may have taken minutes: what somebody put there meanwhile is not ours to replace. Who came later gives up.
    if (!(await others()).every(isUnfinished)) throw occupied(path);
    await bringOut(working.path, folder, last).catch((error: unknown) => {
      throw wrapSystemError(error, path);
    });
    if (sync) await syncFolder(folder);
  } finally {
    await working.remove();
  }
}

/** Gives all that lies in `from` its place in `to`; where that fails, nothing of it stays there. */
async function bringOut(from: string, to: string, last: string): Promise<void> {
  const placed: string[] = [];
  try {
    const names = await readdir(from);
    for (const name of names.sort((a, b) => Number(a === last) - Number(b === last))) {
      await rename(join(from, name), join(to, name));
      placed.push(join(to, name));
    }
  } catch (error) {
    for (const path of placed) removeWhatCanBe(path);
    throw error;
  }
}

function isOccupied(error: unknown): boolean {
  const errno = error instanceof RootfsError ? error.detail['errno'] : systemErrorCode(error);
  return errno === 'ENOTEMPTY' || errno === 'EEXIST' || errno === 'ENOTDIR';
}

function occupied(path: string, cause?: unknown): RootfsError {
  return new RootfsError('ERR_FILESYSTEM', `${path}: something is there already; name a new or an empty folder`, {
    cause,
    detail: { path },
  });
}

function beingFilled(path: string): RootfsError {
  return new RootfsError(
    'ERR_FILESYSTEM',
    `${path}: another process is filling it, and it takes one image; wait for its end, or name another folder`,
    { detail: { path } },
  );
}
