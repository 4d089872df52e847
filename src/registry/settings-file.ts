/** Reading small files that the user or the machine keeps for us: bounded, and absent is an answer. */
import { closeSync, constants, openSync, readlinkSync, readSync, statSync } from 'node:fs';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { delay } from '../io/abort.js';

/** The largest settings, credentials or certificate file that is read: 4 MiB. */
export const MAX_SETTINGS_BYTES = 4 * 1024 * 1024;

/** How much of one is read by one call, in bytes: nearly all are shorter. */
const PIECE_BYTES = 64 * 1024;

/** Between two looks at a pipe that brings nothing yet, in milliseconds. */
const POLL_MS = 20;

/** The right variable of an environment; set but empty counts as unset. */
export function environmentValue(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : value;
}

/**
 * Reads a file as UTF-8 text, without a byte order mark.
 *
 * @returns `undefined` when there is no such file, or when it lies behind a folder that this user may not search
 * (a home that belongs to somebody else). A file that is there and cannot be read is an error.
 * @throws RootfsError `ERR_PERMISSION`, `ERR_FILESYSTEM`, `ERR_LIMIT_EXCEEDED` (over `MAX_SETTINGS_BYTES`)
 */
export async function readOptionalFile(path: string): Promise<string | undefined> {
  try {
    return await readBounded(path);
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    if (errno === 'EACCES' && isHidden(path)) return undefined;
    throw wrapSystemError(
      error,
      path,
      errno === 'EISDIR' ? 'a file is expected here' : 'make it readable or remove it',
    );
  }
}

/**
 * Reads a file that somebody named: as `readOptionalFile`, but absent is an error too.
 *
 * @param subject What names the file, for the message: an option, a key of another file.
 * @throws RootfsError `ERR_NOT_FOUND` and the codes of `readOptionalFile`
 */
export async function readNamedFile(path: string, subject: string): Promise<string> {
  const text = await readOptionalFile(path);
  if (text !== undefined) return text;
  throw new RootfsError('ERR_NOT_FOUND', `${path}: no such file, but ${subject} names it; correct the path`, {
    detail: { path },
  });
}

/** What came through pipes without a name, by their numbers: it can be read once, and each side of a copy asks for it. */
const piped = new Map<string, Promise<string>>();

/**
 * Reads a file as `readOptionalFile` does, with the system's own errors. In this thread: another one would be told of it
 * later than these few bytes are read, and would hang in a pipe that nobody writes to, where it hears of no abort and not
 * even `process.exit` ends it.
 *
 * @throws the system's errors; RootfsError `ERR_LIMIT_EXCEEDED`
 */
export async function readBounded(path: string): Promise<string> {
  const found = statSync(path);
  const fd = openSync(path, found.isFile() ? constants.O_RDONLY : constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (found.isFile()) return await readAll(path, (buffer) => readSync(fd, buffer));
    const pipe = found.isFIFO() ? namelessPipe(fd) : undefined;
    if (pipe === undefined) return await readAll(path, reader(fd, !found.isFIFO()));
    const known = piped.get(pipe) ?? readAll(path, reader(fd, true));
    piped.set(pipe, known);
    return await known;
  } finally {
    closeSync(fd);
  }
}

async function readAll(path: string, read: (buffer: Buffer) => number | Promise<number>): Promise<string> {
  const pieces: Buffer[] = [];
  const piece = (): Buffer => Buffer.allocUnsafe(PIECE_BYTES);
  for (let buffer = piece(); take(path, pieces, buffer, await read(buffer)); buffer = piece());
  return Buffer.concat(pieces)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
}

/**
 * Reads what a pipe or a terminal brings, and waits for it.
 *
 * @param mayEnd Whether no bytes are the end: of a pipe with a name only after somebody wrote; one without, as a shell
 *   makes it for `<(…)`, had its writer from the start.
 */
function reader(fd: number, mayEnd: boolean): (buffer: Buffer) => Promise<number> {
  let isBegun = mayEnd;
  return async (buffer) => {
    for (; ; await delay(POLL_MS, undefined)) {
      try {
        const count = readSync(fd, buffer);
        if (count === 0 && !isBegun) continue;
        isBegun = true;
        return count;
      } catch (error) {
        if (systemErrorCode(error) !== 'EAGAIN') throw error;
        isBegun = true;
      }
    }
  };
}

/** What the system calls a pipe that has no name among files. */
function namelessPipe(fd: number): string | undefined {
  try {
    const target = readlinkSync(`/proc/self/fd/${fd}`);
    return target.startsWith('pipe:') ? target : undefined;
  } catch {
    return undefined;
  }
}

/** Adds what was read. @returns whether there may be more @throws RootfsError `ERR_LIMIT_EXCEEDED` */
function take(path: string, pieces: Buffer[], buffer: Buffer, count: number): boolean {
  pieces.push(buffer.subarray(0, count));
  if (pieces.reduce((sum, { byteLength }) => sum + byteLength, 0) <= MAX_SETTINGS_BYTES) return count > 0;
  throw new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${path}: larger than ${MAX_SETTINGS_BYTES} bytes, which no settings file is; is this the right file?`,
    { detail: { path, maxBytes: MAX_SETTINGS_BYTES } },
  );
}

function isHidden(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return systemErrorCode(error) === 'EACCES';
  }
}
