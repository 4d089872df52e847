/** Removing what a failed run wrote, without ever leaving the directory that was asked for. */
import { chmodSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import type { Directory } from './directory.js';

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
  const path = parent.at(name);
  let refused: unknown;
  try {
    unlinkSync(path);
    return;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return;
    // Linux says EISDIR for a directory, POSIX and macOS say EPERM.
    if (code !== 'EISDIR' && code !== 'EPERM') throw error;
    refused = error;
  }
  let directory: Directory;
  try {
    directory = parent.child(name);
  } catch {
    throw refused;
  }
  try {
    for (let tries = 1; ; tries++) {
      emptyOpened(directory);
      try {
        rmdirSync(path);
        return;
      } catch (error) {
        // Somebody put something in meanwhile; whoever does so without end wins.
        if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY' || tries === MAX_TRIES) throw error;
      }
    }
  } finally {
    directory.close();
  }
}

function emptyOpened(directory: Directory): void {
  try {
    emptyDirectory(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    // On Linux this is the magic link to the directory that is already open: following it is right.
    chmodSync(directory.self, 0o700);
    emptyDirectory(directory);
  }
}
