import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeErofs } from '../../src/export/erofs.js';
import { isKernelXattr } from '../../src/export/kernel-xattr.js';
import { fitTree, isCommonXattr } from '../../src/export/mkfs-attributes.js';
import { writeExt4 } from '../../src/export/mkfs-ext4.js';
import { unpack } from '../../src/export/unpack.js';
import { WrittenXattrs } from '../../src/export/written-xattrs.js';
import type { Timestamp } from '../../src/rootfs/tree.js';
import { handTree } from '../support/hand-tree.js';
import { listTree } from '../support/list-tree.js';
import { needsErofs, withMounted } from '../support/mounted.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const ACL = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';
const asRoot = process.getuid?.() === 0 ? false : 'needs root: owners';

/** An ACL of entries: tag and permissions, and for named users and groups an id. */
function acl(...entries: readonly (readonly [tag: number, perm: number, id?: number])[]): Buffer {
  const value = Buffer.alloc(4 + 8 * entries.length, 0xff);
  value.writeUInt32LE(2, 0);
  for (const [index, [tag, perm, id = tag === 2 || tag === 8 ? 1000 : 0xffff_ffff]] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + index * 8);
    value.writeUInt16LE(perm, 6 + index * 8);
    value.writeUInt32LE(id, 8 + index * 8);
  }
  return value;
}

test('capabilities and ACLs are what the kernel takes for them, other attributes any bytes', () => {
  const good: readonly (readonly [string, Buffer])[] = [
    ['security.capability', Buffer.from(`01000001${'00'.repeat(8)}`, 'hex')],
    ['security.capability', Buffer.from(`01000002${'00'.repeat(16)}`, 'hex')],
    ['security.capability', Buffer.from(`00000003${'00'.repeat(20)}`, 'hex')],
    [ACL, acl()],
    [ACL, acl([1, 6], [4, 4], [0x20, 4])],
    [ACL, acl([1, 6], [4, 4], [0x10, 4], [0x20, 4])],
    ['system.posix_acl_default', acl([1, 7], [2, 5], [2, 6], [4, 5], [8, 7], [0x10, 7], [0x20, 0])],
    ['user.any', Buffer.from('\x01')],
  ];
  for (const [name, value] of good) assert.ok(isKernelXattr(name, value), `${name} ${value.toString('hex')}`);
  const bad: readonly (readonly [string, Buffer])[] = [
    ['security.capability', Buffer.alloc(0)],
    ['security.capability', Buffer.from('0100', 'hex')],
    ['security.capability', Buffer.from(`01000002${'00'.repeat(20)}`, 'hex')],
    ['security.capability', Buffer.from(`01000004${'00'.repeat(16)}`, 'hex')],
    [ACL, Buffer.alloc(0)],
    [ACL, Buffer.from([1, 0, 0, 0])],
    [ACL, acl([1, 6], [4, 4], [0x20, 4]).subarray(0, 27)],
    [ACL, acl([1, 6], [4, 4])],
    [ACL, acl([4, 4], [1, 6], [0x20, 4])],
    [ACL, acl([1, 6], [2, 6], [4, 4], [0x20, 4])],
    [ACL, acl([1, 8], [4, 4], [0x20, 4])],
    [ACL, acl([1, 6], [4, 4], [0x40, 4], [0x20, 4])],
    [ACL, acl([1, 6], [2, 6, 0xffff_ffff], [4, 4], [0x10, 6], [0x20, 4])],
    [ACL, acl([1, 6], [4, 4], [8, 6, 0xffff_ffff], [0x10, 6], [0x20, 4])],
  ];
  for (const [name, value] of bad) assert.ok(!isKernelXattr(name, value), `${name} ${value.toString('hex')}`);
});

test('no image gets one that would keep its file from being opened or run', async (t) => {
  const folder = tempDir(t);
  for (const [name, value] of [
    [ACL, Buffer.from('garbage')],
    [ACL, acl([1, 6], [2, 6, 0xffff_ffff], [4, 4], [0x10, 6], [0x20, 4])],
    ['security.capability', Buffer.from('garbage')],
  ] as const) {
    const { tree, layers } = handTree(folder, [{ path: 'a', content: 'a', xattrs: { [name]: value } }]);
    const refusal = { code: 'ERR_WOULD_LOSE', message: new RegExp(`^a: .* cannot hold .*"${name}"; allow loss`) };
    await assert.rejects(writeErofs(tree, layers, join(folder, 'image')), refusal);
    const held = {
      name: 'ext4',
      holdsXattr: isCommonXattr,
      time: (time: { seconds: number; nanoseconds: number }) => time,
    };
    assert.throws(() => fitTree(tree, { ...held, allowLoss: false }), refusal);
    assert.deepEqual(readdirSync(folder), ['layer.tar']);
    assert.deepEqual(fitTree(tree, { ...held, allowLoss: true }).losses.list(), [
      { what: 'xattrs', entries: 1, example: 'a' },
    ]);
  }
});

test('an ACL of which the kernel keeps nothing is no loss, and in no form', { skip: asRoot }, async (t) => {
  const folder = tempDir(t);
  const minimal = acl([1, 6], [4, 4], [0x20, 4]);
  const { tree, layers } = handTree(folder, [
    { path: 'empty', content: 'a', xattrs: { [ACL]: acl() } },
    { path: 'minimal', content: 'b', mode: 0o600, xattrs: { [ACL]: minimal } },
    { path: 'folder', type: 'directory', xattrs: { [ACL]: acl(), [DEFAULT]: acl() } },
    { path: 'heir', type: 'directory', xattrs: { [DEFAULT]: minimal } },
  ]);
  const expected = { '.': '755', empty: '644', minimal: '600', folder: '755', heir: `755 ${DEFAULT}` };
  const shown = (place: string): Record<string, string> =>
    Object.fromEntries(
      Object.entries(listTree(place))
        .filter(([path]) => path !== 'lost+found')
        .map(([path, { mode, xattrs = {} }]) => [path, [mode.toString(8), ...Object.keys(xattrs)].join(' ')]),
    );
  await unpack(tree, layers, join(folder, 'root'));
  assert.deepEqual(shown(join(folder, 'root')), expected);
  // The kernel drops it by itself where it can be set; a file system without ACLs would make it a loss.
  const inode = tree.root.children?.get('minimal')?.inode;
  assert.ok(inode);
  assert.ok(inode.xattrs?.has(ACL));
  assert.deepEqual(
    new WrittenXattrs(false, {}).of(inode, () => 'minimal'),
    { kept: [], never: new Set() },
  );
  if (needsErofs() === false) {
    await writeErofs(tree, layers, join(folder, 'erofs'));
    assert.deepEqual(withMounted(join(folder, 'erofs'), [], shown), expected);
  }
  if (needs('mke2fs', 'debugfs') === false) await writeExt4(tree, layers, join(folder, 'ext4'));
  const held = { name: 'squashfs', holdsXattr: () => false, time: (time: Timestamp) => time, allowLoss: true };
  assert.deepEqual(fitTree(tree, held).losses.list(), [{ what: 'xattrs', entries: 1, example: 'heir' }]);
});
