/** Whether a file system has room left: `ENOSPC` for an extended attribute may mean either of two things. */
import { statfsSync } from 'node:fs';
import type { RawPath } from '../io/directory.js';

/** More than any inode or attribute takes, with what a file system spends on keeping it. */
const ROOM = 1_048_576;

/**
 * Says whether the file system of `path` still has 1 MiB for this user.
 *
 * ext4, btrfs and tmpfs answer `ENOSPC` to an attribute that is too long for them, however empty they are: only this
 * tells it from a full one. Where it cannot be found out, the file system counts as full.
 */
export function hasRoom(path: RawPath): boolean {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize >= ROOM;
  } catch {
    return false;
  }
}
