/** The tree of a file system image, as the kernel shows it, for comparisons. */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { attachLoop } from '../../src/io/loop-device.js';
import { loadNative, MountFlag } from '../../src/io/native.js';
import { type DiskEntry, listTree } from './list-tree.js';

/**
 * Mounts an image on a folder below `folder` and lists it. `lost+found` is ext4's own.
 *
 * @param look Called while it is mounted.
 */
export function kernelTree(
  path: string,
  type: string,
  folder: string,
  look?: (root: string) => void,
): Record<string, DiskEntry> {
  const native = loadNative() ?? assert.fail('koffi');
  const mountpoint = join(folder, 'mounted');
  mkdirSync(mountpoint, { recursive: true });
  const fd = openSync(path, 'r');
  const loop = attachLoop(native, fd);
  try {
    native.mount(loop.path, mountpoint, type, MountFlag.readOnly, type === 'ext4' ? 'noload' : '');
  } finally {
    loop.close();
    closeSync(fd);
  }
  try {
    look?.(mountpoint);
    const { 'lost+found': _, ...tree } = listTree(mountpoint);
    return tree;
  } finally {
    native.unmount(mountpoint);
  }
}

/** Fails with the paths that differ: whole trees would be unreadable. */
export function assertSameTree(
  found: Record<string, DiskEntry>,
  expected: Record<string, DiskEntry>,
  what: string,
): void {
  const paths = [...new Set([...Object.keys(found), ...Object.keys(expected)])];
  const differing = paths.filter((path) => !isDeepStrictEqual(found[path], expected[path]));
  const shown = differing.slice(0, 5).map((path) => ({ path, found: found[path], expected: expected[path] }));
  assert.deepEqual(shown, [], what);
}
