/** Reads the headers of an uncompressed tar that lies in a file: data is skipped, not read. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { RootfsError, wrapSystemError } from '../errors.js';
import type { TarEntry } from './tar-entry.js';
import { tarInvalid } from './tar-invalid.js';
import { type GivenLimits, type TarLimits, tarLimits } from './tar-limits.js';
import { TarParser } from './tar-parser.js';

const SMALLEST_WINDOW = 4 * 1024;
const FIRST_WINDOW = 64 * 1024;
const LARGEST_WINDOW = 256 * 1024;
/** Bytes read for the sake of one header, data between headers included, above which windows become smaller. */
const BYTES_PER_HEADER = 4 * 1024;

/** What `readTarFile` takes besides the file: the limits of `TarLimits`, each optional. */
export interface ReadTarFileOptions extends GivenLimits<keyof TarLimits> {
  /** Bytes of the archive; default: the file's size. A file that is shorter is refused as cut. */
  readonly tarBytes?: number | undefined;
}

/**
 * Reads the members of an uncompressed tar, in order, synchronously: in a worker, or wherever nobody waits.
 *
 * Headers are read in windows with positional reads (the file's position is not moved), data that a window does not
 * happen to hold is never read. Nothing after the end mark is looked at. A missing end mark is accepted, a file that
 * ends inside a header or a body is not. The generator closes what it opened when it ends, is left or throws; an open
 * descriptor stays open.
 *
 * @param file A path, or an open file descriptor.
 * @throws RootfsError `ERR_TAR_INVALID` (`detail.offset` says where), `ERR_LIMIT_EXCEEDED`, `ERR_OPTION_INVALID`,
 *   `ERR_FILESYSTEM`, `ERR_PERMISSION`
 */
export function* readTarFile(file: string | number, options: ReadTarFileOptions = {}): Generator<TarEntry, void, void> {
  for (const entry of readTarSteps(file, options)) if (entry !== undefined) yield entry;
}

/**
 * Reads as `readTarFile` does, and stops after each header that completes no member too: there may be very many of
 * them, or dear ones, before the next member, and whoever has others waiting must be able to let them go on.
 *
 * @returns a member, or `undefined` after another header
 * @throws RootfsError as `readTarFile`
 */
export function* readTarSteps(
  file: string | number,
  options: ReadTarFileOptions = {},
): Generator<TarEntry | undefined, void, void> {
  const parser = new TarParser(tarLimits(options));
  const { tarBytes } = options;
  if (tarBytes !== undefined && (!Number.isSafeInteger(tarBytes) || tarBytes < 0)) {
    throw new RootfsError('ERR_OPTION_INVALID', `tarBytes: expected a whole number of at least 0, found ${tarBytes}`);
  }
  const subject = typeof file === 'string' ? file : `file descriptor ${file}`;
  const fd = typeof file === 'string' ? guarded(subject, () => openSync(file, 'r')) : file;
  try {
    const { size } = guarded(subject, () => fstatSync(fd));
    const total = tarBytes ?? size;
    if (size < total) throw cutShort(size, total, subject);
    const window = new HeaderWindow(fd, total, subject);
    while (!parser.done) {
      const { wantOffset, wantBytes } = parser;
      if (wantOffset + wantBytes > total) {
        parser.end(total, wantOffset === 0 ? window.bytes.subarray(window.find(0, total), total) : undefined);
        return;
      }
      const start = window.find(wantOffset, wantBytes);
      const entry = parser.give(window.bytes, start);
      if (entry !== undefined && entry.dataOffset + entry.dataBytes > total) parser.end(total);
      yield entry;
    }
  } finally {
    if (typeof file === 'string') closeSync(fd);
  }
}

/** The part of the file that is in memory: small files, large windows, their data is read along; large files, small. */
class HeaderWindow {
  bytes = Buffer.allocUnsafeSlow(FIRST_WINDOW);
  readonly #fd: number;
  readonly #total: number;
  readonly #subject: string;
  #start = 0;
  #end = 0;
  #ahead = FIRST_WINDOW;
  #served = 0;

  constructor(fd: number, total: number, subject: string) {
    this.#fd = fd;
    this.#total = total;
    this.#subject = subject;
  }

  /** Brings so many bytes at an offset into memory; returns where in `bytes` they begin. */
  find(offset: number, length: number): number {
    if (offset + length > this.#end) this.#read(offset, length);
    this.#served += 1;
    return offset - this.#start;
  }

  #read(offset: number, wanted: number): void {
    const many = this.#served * BYTES_PER_HEADER >= this.#ahead;
    this.#ahead = many ? Math.min(this.#ahead * 2, LARGEST_WINDOW) : Math.max(this.#ahead / 2, SMALLEST_WINDOW);
    this.#served = 0;
    const length = Math.min(Math.max(this.#ahead, wanted), this.#total - offset);
    if (length > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(length);
    this.#start = offset;
    this.#end = offset + readAll(this.#fd, this.bytes, length, offset, this.#subject);
    if (this.#end < offset + wanted) throw cutShort(this.#end, this.#total, this.#subject);
  }
}

function cutShort(found: number, expected: number, subject: string): RootfsError {
  return tarInvalid(found, `${subject}: expected ${expected} bytes, found the file's end`, { expected });
}

function readAll(fd: number, into: Buffer, length: number, position: number, subject: string): number {
  let done = 0;
  while (done < length) {
    const from = done;
    const count = guarded(subject, () => readSync(fd, into, from, length - from, position + from));
    if (count === 0) break;
    done += count;
  }
  return done;
}

function guarded<T>(subject: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw wrapSystemError(error, subject);
  }
}
