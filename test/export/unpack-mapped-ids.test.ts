/** Ids that stand inside of extended attributes, where those of the image are others on this machine. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { IdMap } from '../../src/export/id-map.js';
import { unpack } from '../../src/export/unpack.js';
import { handTree } from '../support/hand-tree.js';
import { listTree } from '../support/list-tree.js';
import { NO_MOUNT, smallDisk } from '../support/small-disk.js';
import { tempDir } from '../support/temp-dir.js';

const asRoot = process.getuid?.() === 0 ? false : 'needs root: owners';
/** u::rwx u:1000:rwx g::rwx m::rwx o::---, as the kernel takes it. */
const ACL = '0200000001000700ffffffff02000700e803000004000700ffffffff10000700ffffffff20000000ffffffff';

test('ids in ACLs and capabilities are mapped as owners are', { skip: asRoot }, async (t) => {
  const disk = smallDisk(t, 'size=1m');
  if (disk === undefined) return t.skip(NO_MOUNT);
  const folder = tempDir(t);
  const [access, inherited] = ['system.posix_acl_access', 'system.posix_acl_default'];
  // g:5:rwx besides; in the attribute ids are four bytes, the least one first
  const groups = ACL.replace('10000700', '0800070005000000$&');
  const capability = (version: string, root = ''): string => `010000${version}00040000${'00'.repeat(12)}${root}`;
  const set = (xattrs: Record<string, string>): Record<string, Buffer> =>
    Object.fromEntries(Object.entries(xattrs).map(([name, hex]) => [name, Buffer.from(hex, 'hex')]));
  const { tree, layers } = handTree(folder, [
    { path: 'd', type: 'directory', mode: 0o770, xattrs: set({ [inherited]: groups }) },
    { path: 'f', content: 'f', mode: 0o770, xattrs: set({ [access]: groups }) },
    { path: 'of root', content: 'f', xattrs: set({ 'security.capability': capability('02') }) },
    { path: 'of user', content: 'f', xattrs: set({ 'security.capability': capability('03', 'e8030000') }) },
  ]);
  const map = (hostId: number, size = 65_536): readonly IdMap[] => [{ containerId: 0, hostId, size }];
  const shown = (dst: string): unknown[] => Object.values(listTree(dst)).map(({ xattrs }) => xattrs);
  const mapped = groups.replace('e8030000', '888a0100').replace('05000000', '450d0300');
  await unpack(tree, layers, join(disk, 'mapped'), { uidMap: map(100_000), gidMap: map(200_000) });
  assert.deepEqual(shown(join(disk, 'mapped')), [
    undefined,
    { [inherited]: mapped },
    { [access]: mapped },
    { 'security.capability': capability('02') },
    { 'security.capability': capability('03', '888a0100') },
  ]);
  await unpack(tree, layers, join(disk, 'own'), { uidMap: map(100_000), sameOwner: false });
  assert.deepEqual(shown(join(disk, 'own'))[2], { [access]: groups });
  await assert.rejects(unpack(tree, layers, join(disk, 'b'), { uidMap: map(100_000, 1000) }), {
    code: 'ERR_OPTION_INVALID',
    message: /^uid 1000 of system.posix_acl_default of "d" lies outside the uidMap; widen it \(--uid-map\)/,
  });
});
