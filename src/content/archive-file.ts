/**
 * An image archive as a file that can be read at any place: in place where it is one, else copied into a temporary
 * file first (standard input, a pipe, an archive that is compressed as a whole).
 */
import { closeSync, constants, open as openCallback, openSync, writeSync } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import type { Inflater } from '../codec/inflater.js';
import { openInflater } from '../codec/open-inflater.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { abortStream, eachUntilAborted, throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { closedBy } from '../io/close-after.js';
import { discardOnError } from '../io/discard.js';
import { checkByteLimit } from '../io/limit.js';
import { requireBytes } from '../io/verify.js';
import { MediaType } from '../spec/media-types.js';
import { makeWorkingFolder } from './output-place.js';

/** The most bytes that an archive may have after it was copied or decompressed: 256 GiB. */
export const MAX_ARCHIVE_BYTES = 256 * 1024 ** 3;
/** How many times its own length a compressed archive may give, once 1 GiB came out. */
export const MAX_ARCHIVE_RATIO = 1000;

/** Options of everything that opens an archive. */
export interface ArchiveOptions {
  readonly signal?: AbortSignal | undefined;
  /** What `-` stands for; the process's standard input when absent. */
  readonly stdin?: AsyncIterable<Uint8Array> | undefined;
  /** The most bytes of an archive that must be copied first; 256 GiB when absent. */
  readonly maxArchiveBytes?: number | undefined;
  /** Where such a copy is made: the system's temporary folder (`TMPDIR`) when absent. */
  readonly temporaryFolder?: string | undefined;
}

/** An uncompressed archive in a regular file. */
export interface ArchiveFile {
  /** What errors name: the path as it was given. */
  readonly name: string;
  readonly path: string;
  /** Removes the copy, where one was made; a second call does nothing. */
  close(): Promise<void>;
}

/**
 * Opens an archive: a path, through links if it is one, or `-`.
 *
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_ARCHIVE_INVALID` (a folder, compressed in a way that is not read, or no archive at all),
 *   `ERR_DECOMPRESS`, `ERR_LIMIT_EXCEEDED`, `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; the abort's reason
 */
export async function openArchiveFile(
  file: string,
  options: ArchiveOptions = {},
): Promise<ArchiveFile & AsyncDisposable> {
  checkByteLimit('maxArchiveBytes', options.maxArchiveBytes ?? MAX_ARCHIVE_BYTES);
  throwIfAborted(options.signal);
  if (file === '-') {
    const name = 'standard input';
    if (options.stdin === undefined && process.stdin.isTTY) {
      throw new RootfsError('ERR_ARCHIVE_INVALID', `${name}: a terminal, not an archive; pipe one into it`);
    }
    return spoolArchive(options.stdin ?? process.stdin, name, options).catch((error: unknown) => {
      throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, name);
    });
  }
  const path = absolutePath(file, 'file');
  const found = await stat(path).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, file);
    throw new RootfsError('ERR_NOT_FOUND', `${file}: there is no such archive; check the path`, {
      cause: error,
      detail: { path },
    });
  });
  if (found.isDirectory()) {
    throw new RootfsError('ERR_ARCHIVE_INVALID', `${file}: a folder, not an archive; try oci:${file} or dir:${file}`, {
      detail: { path },
    });
  }
  try {
    if (found.isFIFO()) return await spoolArchive(await openPipe(path, options.signal), file, options);
    // The link that was named is followed here, once (Nix and Bazel name archives by links): no later opening follows one.
    const real = await realpath(path);
    const handle = await open(real, 'r');
    if (found.isFile()) {
      const head = await firstBytes(handle);
      if (!isCompressed(head)) {
        await handle.close();
        refuseUnreadable(head, file);
        return { name: file, path: real, ...closedBy(async () => {}) };
      }
    }
    return await spoolArchive(handle.createReadStream({ highWaterMark: CHUNK_BYTES }), file, options);
  } catch (error) {
    throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, file);
  }
}

/**
 * A pipe is read as a socket is: there, a read that waits for the other end can be given up. The opening cannot: a thread
 * waits for a writer in the system, and the process cannot end before it. After an abort this is that writer.
 */
async function openPipe(path: string, signal: AbortSignal | undefined): Promise<Readable> {
  let writer: number | undefined;
  const endWaiting = (): void => {
    try {
      writer = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    } catch {
      // Somebody else's pipe, to be read only: it is waited for.
    }
  };
  throwIfAborted(signal);
  signal?.addEventListener('abort', endWaiting, { once: true });
  let fd: number;
  try {
    fd = await openDescriptor(path, 'r');
  } finally {
    signal?.removeEventListener('abort', endWaiting);
    if (writer !== undefined) closeSync(writer);
  }
  if (signal?.aborted === true) {
    closeSync(fd);
    throw signal.reason;
  }
  const { Socket } = await import('node:net');
  return new Socket({ fd, readable: true, writable: false });
}

/**
 * Copies an archive into a temporary file, decompressed. The source is ended whatever happens. The copy is gone when
 * the process ends, at the latest; one that was killed leaves it to the next that makes a working folder there.
 *
 * @throws RootfsError as `openArchiveFile`; what the source throws, as it is
 */
export async function spoolArchive(
  source: AsyncIterable<Uint8Array>,
  name: string,
  options: ArchiveOptions = {},
): Promise<ArchiveFile & AsyncDisposable> {
  return discardOnError(source, async () => {
    const parent = absolutePath(options.temporaryFolder ?? tmpdir(), 'temporaryFolder');
    const folder = await makeWorkingFolder(parent, 'set TMPDIR to a folder that can be written');
    // A source that is silent would not notice an abort by itself.
    const heard =
      source instanceof Readable ? abortStream(source, options.signal) : eachUntilAborted(source, options.signal);
    const path = join(folder.path, 'archive.tar');
    try {
      await inflateTo(path, parent, heard, name, options);
    } catch (error) {
      await folder.remove();
      throwIfAborted(options.signal);
      throw error;
    }
    return { name, path, ...closedBy(() => folder.remove()) };
  });
}

const openDescriptor = promisify(openCallback);
const CHUNK_BYTES = 256 * 1024;
const MAGIC_BYTES = 16;

async function inflateTo(
  path: string,
  parent: string,
  source: AsyncIterable<Uint8Array>,
  name: string,
  options: ArchiveOptions,
): Promise<void> {
  const onDisk = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw wrapSystemError(error, `${name}: its copy in ${parent}`, 'set TMPDIR to a folder with more space');
    }
  };
  const fd = onDisk(() => openSync(path, 'wx', 0o600));
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const output = {
    space: () => buffer,
    filled: (length: number) => {
      for (let at = 0; at < length; ) at += onDisk(() => writeSync(fd, buffer, at, length - at));
    },
  };
  const limits = { maxBytes: options.maxArchiveBytes ?? MAX_ARCHIVE_BYTES, maxRatio: MAX_ARCHIVE_RATIO };
  const start = async (prefix: Uint8Array): Promise<Inflater> => {
    refuseUnreadable(prefix, name);
    return openInflater({ subject: name, mediaType: MediaType.ociLayer, prefix, output, ...limits });
  };
  let inflater: Inflater | undefined;
  try {
    let head = Buffer.alloc(0);
    for await (const chunk of source) {
      throwIfAborted(options.signal);
      requireBytes(chunk, name);
      if (inflater !== undefined) {
        inflater.push(chunk);
        continue;
      }
      head = Buffer.concat([head, chunk]);
      if (head.length < MAGIC_BYTES) continue;
      inflater = await start(head.subarray(0, MAGIC_BYTES));
      inflater.push(head);
    }
    if (inflater === undefined) {
      inflater = await start(head);
      inflater.push(head);
    }
    inflater.finish();
  } catch (error) {
    throw damagedArchive(name, error);
  } finally {
    inflater?.close();
    closeSync(fd);
  }
}

/** A damaged stream in the words of an archive: whoever has it can make another. Any other error comes back as it is. */
export function damagedArchive(name: string, cause: unknown): unknown {
  if (!(cause instanceof RootfsError) || cause.code !== 'ERR_DECOMPRESS') return cause;
  const { compression, reason } = cause.detail;
  return new RootfsError(
    'ERR_DECOMPRESS',
    `${name}: the ${String(compression)} stream is damaged (${String(reason)}); save it again`,
    { cause, detail: cause.detail },
  );
}

const compressedWith = (program: string): string =>
  `compressed with ${program}, which is not read (gzip and zstd are); decompress it first, as in ${program} -dc FILE piped into docker-archive:- or oci-archive:-`;

/** What else comes in an archive's place, by its first bytes, and what to do. No image archive starts like these. */
const REFUSED: readonly (readonly [magic: string, what: string])[] = [
  ['fd377a585a00', compressedWith('xz')],
  ['425a68', compressedWith('bzip2')],
  ['04224d18', compressedWith('lz4')],
  ['504b0304', 'a zip file, which is not read; unpack it, and name the archive inside'],
  ['fffe', "text in UTF-16: PowerShell's > has changed the bytes; save the image again with -o"],
];

/** gzip and zstd are undone here; a skippable frame may stand first in zstd. */
function isCompressed(head: Buffer): boolean {
  return /^(?:1f8b|28b52ffd|5[0-9a-f]2a4d18)/.test(head.toString('hex'));
}

function refuseUnreadable(head: Uint8Array, name: string): void {
  const hex = Buffer.from(head).toString('hex');
  const what = REFUSED.find(([magic]) => hex.startsWith(magic))?.[1];
  if (what !== undefined) {
    throw new RootfsError('ERR_ARCHIVE_INVALID', `${name}: ${what}`, { detail: { archive: name } });
  }
}

async function firstBytes(handle: FileHandle): Promise<Buffer> {
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    await handle.close().catch(() => {});
    throw error;
  }
}
