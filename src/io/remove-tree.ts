/** Removing what a failed run wrote, without ever leaving the directory that was asked for. */
import { chmodSync, readdirSync, realpathSync, rmdirSync, unlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { Directory } from './directory.js';

const MAX_TRIES = 20;

/**
 * Removes everything in a directory, not the directory itself. Symbolic links are removed, never followed, also where
 * another process swaps directories for them meanwhile. Directories without write permission are opened up first.
 *
 * @throws the system's error when something stays: the first one, after the rest was tried.
 */
export function emptyDirectory(directory: Directory): void {
  let first: unknown;
  for (const bytes of readdirSync(directory.self, { encoding: 'buffer' })) {
    try {
      removeEntry(directory, bytes.toString('latin1'));
    } catch (error) {
      first ??= error;
    }
  }
  if (first !== undefined) throw first;
}

/**
 * Removes one entry of a directory and everything below it, as `emptyDirectory` does. What is not there is success.
 *
 * @throws the system's error when something stays.
 */
export function removeEntry(parent: Directory, name: string): void {
  let changed: unknown;
  // Somebody may put something in meanwhile, or something else in its place; whoever does so without end wins.
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const refused = unlink(parent, name);
    if (refused === undefined) return;
    changed = removeDirectory(parent, name, refused);
    if (changed === undefined) return;
  }
  throw changed;
}

/**
 * Removes what has a path and everything below it, as `emptyDirectory` does. What is not there is success. Node's own
 * `rm` goes by paths all the way down, and whoever may write there can lead it elsewhere: into what others own, where
 * root cleans up in `/tmp`.
 *
 * @throws the system's error when something stays.
 */
export function removeTree(path: string): void {
  let parent: Directory;
  try {
    parent = Directory.open(realpathSync(dirname(path)));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  try {
    removeEntry(parent, Buffer.from(basename(path)).toString('latin1'));
  } finally {
    parent.close();
  }
}

/** The same for what costs space and nothing else where it stays: nobody is told why. @returns whether it is gone */
export function removeWhatCanBe(path: string): boolean {
  try {
    removeTree(path);
    return true;
  } catch {
    return false;
  }
}

/** Removes what is no directory. Returns the system's refusal where it is one. */
function unlink(parent: Directory, name: string): unknown {
  try {
    unlinkSync(parent.at(name));
    return undefined;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return undefined;
    // Linux says EISDIR for a directory, POSIX and macOS say EPERM.
    if (code === 'EISDIR' || code === 'EPERM') return error;
    throw error;
  }
}

/** Removes a directory. Returns the system's error where somebody changed it meanwhile. */
function removeDirectory(parent: Directory, name: string, refused: unknown): unknown {
  let directory: Directory;
  try {
    directory = parent.child(name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return refused;
    throw refused;
  }
  try {
    emptyOpened(directory);
    try {
      rmdirSync(parent.at(name));
      return undefined;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ENOTEMPTY'].includes(codeOf(error) ?? '')) return error;
      throw error;
    }
  } finally {
    directory.close();
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function emptyOpened(directory: Directory): void {
  try {
    emptyDirectory(directory);
  } catch (error) {
    if (codeOf(error) !== 'EACCES') throw error;
    // On Linux this is the magic link to the directory that is already open: following it is right.
    chmodSync(directory.self, 0o700);
    emptyDirectory(directory);
  }
}
