/**
 * Where a root file system is written: beside its destination and moved in place at the end, or, where that cannot
 * be, in place and emptied on failure.
 */
import { accessSync, constants, lstatSync, mkdirSync, readdirSync, realpathSync, renameSync, rmdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { Directory } from '../io/directory.js';
import { readMountTable } from '../io/mount-table.js';
import { emptyDirectory, removeEntry } from '../io/remove-tree.js';
import { disinherit } from './disinherit.js';
import { sweepLeftovers, workingName } from './working-name.js';

/** A place to write a tree to. It ends with a `commit` that succeeds, or with `discard`. */
export interface Destination {
  /** The absolute path that the tree has after `commit`. */
  readonly path: string;
  /** The path it has now. For what takes paths; `root` is what stays right if somebody moves things. */
  readonly workingPath: string;
  /** The directory to write in, open. */
  readonly root: Directory;
  /** Whether it is written where it stays, so that a failure is seen there until it is cleaned up. */
  readonly inPlace: boolean;
  /**
   * Moves the tree to its path.
   *
   * @param also What belongs to it and lies elsewhere, done once the tree is there. Where it throws, the tree has left
   *   its path again, and `discard` removes it.
   * @throws RootfsError `ERR_BUSY` (somebody else put something there meanwhile); what `also` throws
   */
  commit(also?: () => void): void;
  /** Removes all that was written. A destination that was there before is there again, empty. */
  discard(): void;
}

/**
 * Opens a destination: absent, or an empty directory. A symbolic link to one stands for what it points at. Mount
 * points, the working directory, and directories whose parent may not be written, are written in place. What runs that
 * were killed left beside it is removed.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` (not empty, not a directory, no parent), `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export function openDestination(dst: string): Destination {
  const { path, exists } = settle(absolutePath(dst, 'dst'));
  try {
    return exists && mustStay(path) ? openInPlace(path) : openBeside(path, exists);
  } catch (error) {
    // Where a file system takes no folders at all, as /proc, that is all it says.
    throw wrapSystemError(error, path, systemErrorCode(error) === 'ENOENT' ? 'choose another place' : undefined);
  }
}

/** Discards what was written. The failure before it is what callers must hear: what stayed is a clause in its message. */
export function discardAfter(error: unknown, destination: Destination): void {
  try {
    destination.discard();
  } catch (cause) {
    if (error instanceof Error) error.message += ` (and cleaning up failed: ${(cause as Error).message})`;
  }
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw wrapSystemError(error, path);
  }
}

function settle(given: string): { readonly path: string; readonly exists: boolean } {
  if (!isThere(given)) {
    try {
      return { path: join(realpathSync(dirname(given)), basename(given)), exists: false };
    } catch (error) {
      throw new RootfsError('ERR_OPTION_INVALID', `${given}: its parent directory is not there; make it first`, {
        cause: error,
        detail: { path: given },
      });
    }
  }
  let entries: string[] | undefined;
  let path = given;
  try {
    path = realpathSync(given);
    entries = readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTDIR' && (error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw wrapSystemError(error, given);
    }
  }
  if (entries?.length === 0) return { path, exists: true };
  const found = entries === undefined ? 'found something that is no directory' : 'found one that is not empty';
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `${given}: expected an empty directory or nothing, ${found}; choose another path`,
    {
      detail: { path: given },
    },
  );
}

/** What cannot be replaced, or should not: whoever works in the working directory would be left in a removed one. */
function mustStay(path: string): boolean {
  return isMountPoint(path) || !mayWrite(dirname(path)) || path === workingDirectory();
}

function workingDirectory(): string | undefined {
  try {
    return realpathSync(process.cwd());
  } catch {
    return undefined;
  }
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isMountPoint(path: string): boolean {
  if (lstatSync(path).dev !== lstatSync(dirname(path)).dev) return true;
  return readMountTable().some(({ mountpoint }) => mountpoint === path);
}

function openInPlace(path: string): Destination {
  const root = Directory.open(path);
  return {
    path,
    workingPath: path,
    root,
    inPlace: true,
    commit: (also) => {
      also?.();
      root.close();
    },
    discard: () => {
      try {
        emptyDirectory(root);
      } finally {
        root.close();
      }
    },
  };
}

/** A new directory that cannot be opened, as where too many files are open, is not left. */
function openNew(parent: Directory, name: string): Directory {
  try {
    return parent.child(name);
  } catch (error) {
    rmdirSync(parent.at(name));
    throw error;
  }
}

function openBeside(path: string, exists: boolean): Destination {
  const { mode } = exists ? lstatSync(path) : { mode: 0 };
  const parent = Directory.open(dirname(path));
  const name = Buffer.from(basename(path)).toString('latin1');
  const working = workingName(name);
  let root: Directory;
  sweepLeftovers(parent);
  try {
    mkdirSync(parent.at(working), 0o700);
    root = openNew(parent, working);
  } catch (error) {
    parent.close();
    throw error;
  }
  disinherit(root);
  const close = (): void => {
    root.close();
    parent.close();
  };
  return {
    path,
    workingPath: join(dirname(path), Buffer.from(working, 'latin1').toString()),
    root,
    inPlace: false,
    commit: (also) => {
      try {
        // An empty directory is replaced in one step; one that has been filled meanwhile is refused.
        renameSync(parent.at(working), parent.at(name));
      } catch (error) {
        throw takenMeanwhile(error, path);
      }
      try {
        also?.();
      } catch (error) {
        renameSync(parent.at(name), parent.at(working));
        if (exists) mkdirSync(parent.at(name), mode & 0o7777);
        throw error;
      }
      close();
    },
    discard: () => {
      try {
        emptyDirectory(root);
        removeEntry(parent, working);
      } finally {
        close();
      }
    },
  };
}

/** Of two that write to one path, one is first. */
function takenMeanwhile(error: unknown, path: string): RootfsError {
  const errno = systemErrorCode(error) ?? '';
  if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errno)) return wrapSystemError(error, path);
  const found = errno === 'ENOTDIR' ? 'something that is no directory' : 'one that somebody else has filled meanwhile';
  return new RootfsError(
    'ERR_BUSY',
    `${path}: expected an empty directory or nothing, found ${found}; use what is there, or choose another path`,
    { cause: error, detail: { path, errno } },
  );
}
