/** A file that appears under its name when it is complete, and not before. */
import { closeSync, fsyncSync, lstatSync, openSync, renameSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { removeWhatCanBe } from '../io/remove-tree.js';
import { workingPath } from './working-name.js';

/** The file while it is written: by its descriptor, or by its name for now. */
export interface UnfinishedFile {
  readonly fd: number;
  readonly path: string;
}

/**
 * Refuses to replace what is no regular file: a device, a folder, a link.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export function requireReplaceable(path: string): void {
  let there: Stats | undefined;
  try {
    there = lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw wrapSystemError(error, path);
  }
  if (there === undefined || there.isFile()) return;
  throw new RootfsError('ERR_OPTION_INVALID', `${path}: expected a new name or a regular file; choose another name`);
}

/**
 * Writes under a temporary name beside `path`, brings it to disk and renames it; a failure leaves nothing.
 *
 * @param write Gets an empty file, open for reading and writing; it is closed afterwards.
 * @throws RootfsError `ERR_NOT_FOUND` (the folder); what `write` throws; the system's error
 */
export async function intoPlace<T>(path: string, write: (file: UnfinishedFile) => Promise<T>): Promise<T> {
  const temporary = temporaryPath(path);
  const fd = openSync(temporary, 'wx+');
  try {
    const result = await writeAndSync(temporary, fd, write);
    renameSync(temporary, path);
    return result;
  } catch (error) {
    removeWhatCanBe(temporary);
    throw error;
  }
}

function temporaryPath(path: string): string {
  try {
    return workingPath(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new RootfsError('ERR_NOT_FOUND', `${dirname(path)}: no such folder; make it first`, { cause: error });
  }
}

async function writeAndSync<T>(path: string, fd: number, write: (file: UnfinishedFile) => Promise<T>): Promise<T> {
  try {
    const result = await write({ fd, path });
    // A tool may have put another file under the name.
    const written = openSync(path, 'r');
    try {
      fsyncSync(written);
    } finally {
      closeSync(written);
    }
    return result;
  } finally {
    closeSync(fd);
  }
}
