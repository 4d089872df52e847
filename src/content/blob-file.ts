/**
 * Reading a blob that is (part of) a local file: guarded opening, exact ranges, hashing.
 *
 * Steps that only touch names and records are synchronous, here and in the files that use this one: each takes
 * microseconds, the way through another thread many times that. So is reading a small document. Reading, writing and
 * syncing more bytes is not.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, lstatSync, openSync, read, readSync, type Stats, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { makeFolders } from '../io/make-folders.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest, DigestAlgorithm } from '../spec/digest.js';
import type { BlobLocation, ByteRange } from './content.js';
import { syncFolder } from './folder-sync.js';

/** An open regular file. Whoever got it closes it. */
export interface OpenFile {
  readonly file: FileHandle;
  readonly stat: Stats;
}

/** The same as a descriptor. Whoever got it closes it. */
export interface OpenDescriptor {
  readonly fd: number;
  readonly stat: Stats;
}

/** What is read in this thread, in bytes: it takes no longer than to open the file. */
export const AT_ONCE_BYTES = 64 * 1024;

/** No link in the last component, and no waiting for the other end of a pipe. */
const READ_REGULAR = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Opens a regular file for reading; a symbolic link in its last component is not followed, a pipe or device is not
 * opened. `undefined` where the name does not exist.
 *
 * @throws RootfsError `ERR_LAYOUT_INVALID` where the name is anything but a regular file; `ERR_PERMISSION`,
 *   `ERR_FILESYSTEM`
 */
export async function openRegularFile(path: string): Promise<OpenFile | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, READ_REGULAR);
  } catch (error) {
    return whyNotOpen(path, error);
  }
  try {
    const stat = await file.stat();
    if (stat.isFile()) return { file, stat };
  } catch (error) {
    await file.close().catch(() => {});
    throw wrapSystemError(error, path);
  }
  await file.close();
  throw notRegular(path);
}

/** The same in this thread, for a file of which little is wanted. @throws RootfsError as `openRegularFile` */
export function openRegular(path: string): OpenDescriptor | undefined {
  let fd: number;
  try {
    fd = openSync(path, READ_REGULAR);
  } catch (error) {
    return whyNotOpen(path, error);
  }
  try {
    const stat = fstatSync(fd);
    if (stat.isFile()) return { fd, stat };
  } catch (error) {
    closeSync(fd);
    throw wrapSystemError(error, path);
  }
  closeSync(fd);
  throw notRegular(path);
}

/** The length of a regular file that can be read; `undefined` where there is none. @throws RootfsError as `openRegularFile` */
export function readableBytes(path: string): number | undefined {
  const opened = openRegular(path);
  if (opened === undefined) return undefined;
  closeSync(opened.fd);
  return opened.stat.size;
}

/** Reads up to `AT_ONCE_BYTES` of an open file in this thread; fewer where the file ends. @throws the system's own */
export function readNow(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

/** Reads at a place of an open file, in another thread. @returns how many bytes came; 0 at the end @throws the system's own */
export function readAt(fd: number, into: Uint8Array, length: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, into, 0, length, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

/** What stands under a name, which may be a link; `undefined` for nothing. @throws RootfsError `ERR_PERMISSION`, `ERR_FILESYSTEM` */
export function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw wrapSystemError(error, path);
  }
}

function whyNotOpen(path: string, error: unknown): undefined {
  if (isAbsent(error)) return undefined;
  const errno = systemErrorCode(error);
  if (errno === 'ELOOP' || errno === 'EMLINK' || errno === 'ENXIO') throw notRegular(path, error);
  throw wrapSystemError(error, path);
}

function notRegular(path: string, cause?: unknown): RootfsError {
  return new RootfsError(
    'ERR_LAYOUT_INVALID',
    `${path}: not a regular file; nothing is read here through a link, from a pipe or from a device; copy the folder with its links followed (cp -rL), and read the copy`,
    { cause, detail: { path } },
  );
}

/** Checks a blob's size, and a range against it. @throws RootfsError `ERR_OPTION_INVALID` (no size), `ERR_RANGE_INVALID` */
export function resolveRange(
  range: ByteRange | undefined,
  target: Pick<Descriptor, 'digest' | 'size'>,
): { readonly start: number; readonly end: number } | undefined {
  if (!Number.isSafeInteger(target.size) || target.size < 0) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${target.digest}: ${String(target.size)} is not a size; expected a whole number of bytes, 0 or more`,
      { detail: { digest: target.digest, size: String(target.size) } },
    );
  }
  if (range === undefined) return undefined;
  const { start, end = target.size } = (range as ByteRange | null) ?? { start: Number.NaN };
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= target.size) {
    return { start, end };
  }
  throw new RootfsError(
    'ERR_RANGE_INVALID',
    `${target.digest}: bytes ${start} to ${end} do not lie in its ${target.size} bytes; ask for a range inside`,
    { detail: { digest: target.digest, start, end, size: target.size } },
  );
}

/** Hashes `size` bytes of an open file from `offset`; the file's position is left alone. Throws the abort's reason. */
export async function hashFile(
  file: FileHandle,
  algorithm: DigestAlgorithm,
  place: Pick<BlobLocation, 'offset' | 'size'>,
  signal?: AbortSignal,
): Promise<Digest> {
  const hash = createHash(algorithm);
  const buffer = Buffer.allocUnsafe(Math.min(1024 * 1024, Math.max(1, place.size)));
  for (let done = 0; done < place.size; ) {
    throwIfAborted(signal);
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, place.size - done), place.offset + done);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    done += bytesRead;
  }
  return `${algorithm}:${hash.digest('hex')}`;
}

/** Whether a system error says that a name does not exist. */
export function isAbsent(error: unknown): boolean {
  const errno = systemErrorCode(error);
  return errno === 'ENOENT' || errno === 'ENOTDIR';
}

/** The error of a blob that is not where it should be. @param place The folder or file that was searched. */
export function absentBlob(digest: Digest, place: string): RootfsError {
  return new RootfsError('ERR_NOT_FOUND', `${digest}: no such blob in ${place}; copy it there first`, {
    detail: { digest, place },
  });
}

/** An archive that was there when it was opened, and is not now: removed, or closed where it was a copy. */
export function goneArchive(place: string): RootfsError {
  return new RootfsError('ERR_NOT_FOUND', `${place}: the archive is not there any more; open it again`, {
    detail: { place },
  });
}

/** Makes a folder and those above it; with `sync`, the names of the new ones are on disk. */
export async function makeFolder(path: string, sync: boolean): Promise<void> {
  const made: string[] = [];
  makeFolders(path, { made: (folder) => made.push(folder) });
  if (sync) for (const folder of made.reverse()) await syncFolder(dirname(folder));
}

/**
 * Checks that a folder is there.
 *
 * @param advice What to do where something else is there.
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_FILESYSTEM`, `ERR_PERMISSION`
 */
export function requireFolder(path: string, advice = 'give a folder'): void {
  let found: Stats;
  try {
    found = statSync(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, path);
    throw new RootfsError('ERR_NOT_FOUND', `${path}: there is no such folder; check the path, or make it first`, {
      cause: error,
      detail: { path },
    });
  }
  if (!found.isDirectory()) {
    throw new RootfsError('ERR_FILESYSTEM', `${path}: not a folder; ${advice}`, { detail: { path } });
  }
}
