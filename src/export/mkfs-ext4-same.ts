/**
 * What makes two runs over one tree give the same ext4 image: `mke2fs` draws a UUID and a seed for the hashes of names,
 * and writes down when it ran.
 */
import { createHash } from 'node:crypto';
import type { MergedTree } from '../rootfs/tree.js';
import { walkTree } from '../rootfs/walk-tree.js';
import { uuidOf } from './erofs-superblock.js';

/** The clock of the tools of e2fsprogs: one second after the epoch, since they take 0 for no clock. */
export const FIXED_CLOCK: Readonly<Record<string, string>> = { E2FSPROGS_FAKE_TIME: '1' };

/**
 * The UUID of a tree's image, made from names and attributes, not from content: two builds of one image whose files
 * differ in bytes alone, not in size or time, have the same.
 */
export function treeUuid(tree: MergedTree): string {
  const hash = createHash('sha256');
  for (const { path, node } of walkTree(tree)) {
    const { type, mode, uid, gid, size, mtime, linkTarget = '', rdevMajor, rdevMinor } = node.inode;
    const { seconds, nanoseconds } = mtime;
    const facts = [type, mode, uid, gid, size, seconds, nanoseconds, rdevMajor, rdevMinor];
    hash.update(`${path}\0${linkTarget}\0${facts.join(' ')}\0`, 'latin1');
  }
  return uuidOf(hash.digest())
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
