/**
 * An open directory: names act inside it, whatever meanwhile happens to the path it was opened by.
 *
 * On Linux it holds an `O_PATH` descriptor and speaks of its entries as `/proc/self/fd/<n>/<name>`, so that swapping
 * a parent for a symbolic link changes nothing. Elsewhere, and where /proc is not mounted, paths are checked with
 * `lstat` right before use, which is as good as those systems allow.
 */
import { closeSync, constants, lstatSync, mkdirSync, openSync } from 'node:fs';

const O_PATH = 0x200000;
const OPEN_FLAGS = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** A path for Node's calls: text where it is plain ASCII, bytes otherwise. */
export type RawPath = string | Buffer;

let descriptorPaths: boolean | undefined;

/** Whether directories can be pinned by descriptor here: Linux with /proc. */
export function canPinDirectories(): boolean {
  if (descriptorPaths !== undefined) return descriptorPaths;
  if (process.platform !== 'linux') {
    descriptorPaths = false;
    return false;
  }
  let fd: number | undefined;
  try {
    fd = openSync('/', OPEN_FLAGS);
    const here = lstatSync(`/proc/self/fd/${fd}/.`);
    const root = lstatSync('/');
    descriptorPaths = here.ino === root.ino && here.dev === root.dev;
  } catch {
    descriptorPaths = false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
  return descriptorPaths;
}

/** Bytes as latin1 to what Node's calls take. */
export function rawPath(bytes: string): RawPath {
  for (let at = 0; at < bytes.length; at++) if (bytes.charCodeAt(at) > 127) return Buffer.from(bytes, 'latin1');
  return bytes;
}

/** A name as a directory entry: not empty, no slash, no NUL, not `.` or `..`. */
export function isEntryName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0');
}

/** An open directory. Names are bytes as latin1 and must be entry names: see `isEntryName`. Close it. */
export class Directory {
  readonly #fd: number | undefined;
  readonly #prefix: string;
  readonly #owned: boolean;

  private constructor(fd: number | undefined, prefix: string, owned: boolean) {
    this.#fd = fd;
    this.#prefix = prefix;
    this.#owned = owned;
  }

  /** Opens a directory by path; a symbolic link as its last component is refused (`ELOOP` or `ENOTDIR`). */
  static open(path: string): Directory {
    return Directory.#open(Buffer.from(path).toString('latin1'));
  }

  /** A directory by what `handle` gave, in this thread or another one of this process. It is not closed from here. */
  static fromHandle(handle: number | string): Directory {
    return typeof handle === 'number'
      ? new Directory(handle, `/proc/self/fd/${handle}/`, false)
      : new Directory(undefined, handle, false);
  }

  static #open(path: string): Directory {
    if (canPinDirectories()) {
      const fd = openSync(rawPath(path), OPEN_FLAGS);
      return new Directory(fd, `/proc/self/fd/${fd}/`, true);
    }
    if (!lstatSync(rawPath(path)).isDirectory()) {
      const error: NodeJS.ErrnoException = new Error(`ENOTDIR: not a directory, '${path}'`);
      error.code = 'ENOTDIR';
      throw error;
    }
    return new Directory(undefined, `${path}/`, true);
  }

  /** What names this directory for `fromHandle` as long as this object is open. */
  get handle(): number | string {
    return this.#fd ?? this.#prefix;
  }

  /** The path by which calls that follow links reach this directory itself. */
  get self(): RawPath {
    return this.#fd === undefined ? rawPath(`${this.#prefix}.`) : `/proc/self/fd/${this.#fd}`;
  }

  /** The path of an entry. */
  at(name: string): RawPath {
    if (!isEntryName(name)) throw new TypeError(`${JSON.stringify(name)} is not the name of a directory entry`);
    return rawPath(this.#prefix + name);
  }

  /** Opens a directory in this one; a symbolic link is refused (`ENOTDIR` or `ELOOP`). */
  child(name: string): Directory {
    if (!isEntryName(name)) throw new TypeError(`${JSON.stringify(name)} is not the name of a directory entry`);
    return Directory.#open(this.#prefix + name);
  }

  /** Opens a directory in this one, made with `mode` where there was none. */
  ensureChild(name: string, mode: number): Directory {
    try {
      mkdirSync(this.at(name), mode);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    return this.child(name);
  }

  /** Closes it; what was opened through it stays open. */
  close(): void {
    if (this.#owned && this.#fd !== undefined) closeSync(this.#fd);
  }
}
