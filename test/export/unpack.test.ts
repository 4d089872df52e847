import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { IdMap } from '../../src/export/id-map.js';
import { skippedXattr, warnOfSkipped } from '../../src/export/skipped-xattr.js';
import { unpack } from '../../src/export/unpack.js';
import { loadNative } from '../../src/io/native.js';
import { handTree } from '../support/hand-tree.js';
import { listTree } from '../support/list-tree.js';
import { NO_MOUNT, smallDisk } from '../support/small-disk.js';
import { tempDir } from '../support/temp-dir.js';

const isRoot = process.geteuid?.() === 0;
const asRoot = isRoot && loadNative() !== undefined ? false : 'needs root and koffi';

test('as root: owners, modes, devices, links, times and attributes are as the tree says', {
  skip: asRoot,
}, async (t) => {
  const folder = tempDir(t);
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
  const { tree, layers } = handTree(folder, [
    { path: '', type: 'directory', mode: 0o711, seconds: 5, nanoseconds: 7 },
    { path: 'bin', type: 'directory', mode: 0o555, seconds: 1_600_000_000, nanoseconds: 123_456_789 },
    { path: 'bin/su', content: 'su', mode: 0o4755, uid: 0, gid: 12, seconds: 1_600_000_001, nanoseconds: 1 },
    { path: 'bin/ping', content: 'ping', mode: 0o755, xattrs: { 'security.capability': capability } },
    { path: 'bin/sg', content: 'sg', mode: 0o2755, uid: 7, gid: 8 },
    { path: 'old', content: 'old', seconds: -86_400, nanoseconds: 250_000_000 },
    { path: 'dev/null', type: 'char', rdev: [1, 3], mode: 0o666, seconds: 3, nanoseconds: 4 },
    { path: 'dev/sda', type: 'block', rdev: [8, 0], mode: 0o660, gid: 6 },
    { path: 'dev/far', type: 'block', rdev: [259, 70_000], mode: 0o600 },
    { path: 'run/pipe', type: 'fifo', mode: 0o622, uid: 3 },
    { path: 'lib', target: '/usr/lib', uid: 9, gid: 10, seconds: 1_500_000_000, nanoseconds: 999_999_999 },
    { path: 'a', content: 'linked', uid: 1000, gid: 1001, xattrs: { 'user.note': 'one\ntwo\0' } },
    { path: 'z/b', linkTo: 'a' },
    { path: 'z/l', linkTo: 'lib' },
    { path: 'tmp', type: 'directory', mode: 0o1777 },
    { path: 'caf\xe9\xff', content: 'bytes' },
    {
      path: 'sparse',
      sparse: {
        size: 1_000_000,
        runs: [
          { at: 0, data: 'head' },
          { at: 500_000, data: 'mid' },
        ],
      },
    },
    { path: 'none', content: '', mode: 0 },
  ]);
  const dst = join(folder, 'root');
  const result = await unpack(tree, layers, dst);
  assert.equal(result.entries, tree.entries);
  assert.equal(result.ownershipFile, undefined);
  assert.deepEqual(result.losses, []);
  const found = listTree(dst);
  assert.deepEqual(found['.'], { type: 'directory', mode: 0o711, uid: 0, gid: 0, mtime: '5000000007' });
  assert.deepEqual(found['bin'], { type: 'directory', mode: 0o555, uid: 0, gid: 0, mtime: '1600000000123456789' });
  assert.equal(found['bin/su']?.mode, 0o4755);
  assert.equal(found['bin/su']?.gid, 12);
  assert.equal(found['bin/su']?.mtime, '1600000001000000001');
  assert.equal(found['bin/sg']?.mode, 0o2755);
  assert.deepEqual(found['bin/ping']?.xattrs, { 'security.capability': capability.toString('hex') });
  assert.equal(found['old']?.mtime, '-86399750000000');
  assert.deepEqual(
    [found['dev/null']?.rdev, found['dev/null']?.mode, found['dev/null']?.mtime],
    [String(lstatSync('/dev/null').rdev), 0o666, '3000000004'],
  );
  assert.deepEqual(
    [found['dev/sda']?.type, found['dev/sda']?.rdev, found['dev/sda']?.gid],
    ['block', String(8 << 8), 6],
  );
  assert.equal(found['dev/far']?.rdev, String((259 << 8) | (70_000 & 0xff) | ((70_000 & ~0xff) << 12)));
  assert.deepEqual([found['run/pipe']?.type, found['run/pipe']?.mode, found['run/pipe']?.uid], ['fifo', 0o622, 3]);
  assert.deepEqual(found['lib'], {
    type: 'symlink',
    mode: 0o777,
    uid: 9,
    gid: 10,
    mtime: '1500000000999999999',
    target: '/usr/lib',
  });
  assert.equal(found['z/b']?.linkOf, 'a');
  assert.equal(found['z/l']?.linkOf, 'lib');
  assert.deepEqual(found['a']?.xattrs, { 'user.note': Buffer.from('one\ntwo\0').toString('hex') });
  assert.equal(found['tmp']?.mode, 0o1777);
  assert.equal(found['caf\xe9\xff']?.size, 5);
  assert.equal(found['none']?.mode, 0);
  const sparse = readFileSync(join(dst, 'sparse'));
  assert.equal(sparse.length, 1_000_000);
  assert.equal(sparse.subarray(0, 4).toString(), 'head');
  assert.equal(sparse.subarray(500_000, 500_003).toString(), 'mid');
  assert.ok(lstatSync(join(dst, 'sparse')).blocks * 512 < 100_000);
  assert.deepEqual(readdirSync(folder).sort(), ['layer.tar', 'root']);
});

/** u::rwx u:1000:rwx g::rwx m::rwx o::---, as the kernel takes it. */
const ACL = Buffer.from(
  '0200000001000700ffffffff02000700e803000004000700ffffffff10000700ffffffff20000000ffffffff',
  'hex',
);

/** Makes a directory that hands down its group and, where the file system has ACLs, a default ACL. */
function handsDown(path: string): void {
  mkdirSync(path);
  chownSync(path, 0, 1234);
  chmodSync(path, 0o2775);
  try {
    loadNative()?.setXattr(path, Buffer.from('system.posix_acl_default'), ACL);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTSUP') throw error;
  }
}

test('what a directory hands down, group and default ACL, does not come into the tree', { skip: asRoot }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'd/file', content: 'f', mode: 0o666 },
    { path: 'd/link', target: 'file' },
    { path: 'own', type: 'directory', gid: 7, mode: 0o2755 },
    { path: 'own/file', content: 'g' },
  ]);
  const bad = handTree(tempDir(t), [{ path: `z/${'n'.repeat(256)}`, content: 'z' }]);
  const expected = {
    '.': '755 0',
    d: '755 0',
    'd/file': '666 0',
    'd/link': '777 0',
    own: '2755 7',
    'own/file': '644 0',
  };
  const shown = (dst: string): Record<string, string> =>
    Object.fromEntries(
      Object.entries(listTree(dst)).map(([path, { mode, gid, xattrs }]) => [
        path,
        `${mode.toString(8)} ${gid}${Object.keys(xattrs ?? {}).join()}`,
      ]),
    );
  handsDown(join(folder, 'parent'));
  await unpack(tree, layers, join(folder, 'parent', 'root'));
  assert.deepEqual(shown(join(folder, 'parent', 'root')), expected);

  const here = join(folder, 'here');
  handsDown(here);
  const before = shown(here);
  const outside = process.cwd();
  process.chdir(here);
  try {
    await assert.rejects(unpack(bad.tree, bad.layers, '.'), { code: 'ERR_FILESYSTEM' });
    assert.deepEqual(shown(here), before, 'a run that failed gives it back as it was');
    await unpack(tree, layers, '.');
  } finally {
    process.chdir(outside);
  }
  assert.deepEqual(shown(here), expected);
});

test('an ACL whose mask is another than the group of the mode leaves the mode as it is', {
  skip: asRoot,
}, async (t) => {
  const disk = smallDisk(t, 'size=1m');
  if (disk === undefined) return t.skip(NO_MOUNT);
  const folder = tempDir(t);
  const xattrs = { 'system.posix_acl_access': ACL };
  const { tree, layers } = handTree(folder, [
    { path: 'd', type: 'directory', mode: 0o2700, xattrs },
    { path: 'f', content: 'f', mode: 0o4600, xattrs },
    { path: 'plain', content: 'f', mode: 0o644, xattrs },
    { path: 'pipe', type: 'fifo', mode: 0o640, xattrs },
  ]);
  const dst = join(disk, 'root');
  await unpack(tree, layers, dst);
  const found = Object.entries(listTree(dst)).map(([path, { mode }]) => [path, mode.toString(8)]);
  assert.deepEqual(Object.fromEntries(found), { '.': '755', d: '2700', f: '4600', plain: '644', pipe: '640' });
});

test('a destination that holds something is refused, and stays as it was', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'a' }]);
  const dst = join(folder, 'root');
  mkdirSync(dst);
  writeFileSync(join(dst, 'mine'), 'x');
  await assert.rejects(unpack(tree, layers, dst), { code: 'ERR_OPTION_INVALID', message: /not empty/ });
  assert.deepEqual(readdirSync(dst), ['mine']);
  await assert.rejects(unpack(tree, layers, join(folder, 'layer.tar')), { code: 'ERR_OPTION_INVALID' });
  await assert.rejects(unpack(tree, layers, join(folder, 'no', 'where')), { code: 'ERR_OPTION_INVALID' });
});

test('an empty directory is replaced; a link to one stands for it', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'a' }]);
  mkdirSync(join(folder, 'real'));
  symlinkSync('real', join(folder, 'link'));
  const result = await unpack(tree, layers, join(folder, 'link'));
  assert.equal(result.path, join(folder, 'real'));
  assert.equal(readFileSync(join(folder, 'real', 'a'), 'utf8'), 'a');
  assert.ok(lstatSync(join(folder, 'link')).isSymbolicLink());
});

test('a run that fails leaves nothing', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'deep/er', content: 'a' },
    { path: 'b', content: 'b' },
    { path: `long/${'n'.repeat(300)}`, content: 'c' },
  ]);
  await assert.rejects(unpack(tree, layers, join(folder, 'root')), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'ERR_FILESYSTEM');
    assert.match(error.message, /ENAMETOOLONG/);
    return true;
  });
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
});

test('an abort leaves nothing and throws the reason', async (t) => {
  const folder = tempDir(t);
  const entries = Array.from({ length: 3000 }, (_, index) => ({
    path: `d${index % 7}/f${index}`,
    content: `${index}`,
  }));
  const { tree, layers } = handTree(folder, entries);
  const controller = new AbortController();
  const reason = new Error('enough');
  await assert.rejects(
    unpack(tree, layers, join(folder, 'root'), {
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    }),
    reason,
  );
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
});

test('include and exclude choose paths; hard links follow the first name that is wanted', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'usr', type: 'directory', mode: 0o751 },
    { path: 'usr/bin/a', content: 'a' },
    { path: 'usr/bin/b', linkTo: 'usr/bin/a' },
    { path: 'usr/share/doc/x', content: 'x' },
    { path: 'etc/passwd', content: 'p' },
  ]);
  const dst = join(folder, 'root');
  const result = await unpack(tree, layers, dst, { include: ['usr/**'], exclude: ['usr/bin/a', '**/doc'] });
  assert.deepEqual(Object.keys(listTree(dst)).sort(), ['.', 'usr', 'usr/bin', 'usr/bin/b', 'usr/share']);
  assert.equal(result.entries, 4);
  assert.equal(lstatSync(join(dst, 'usr')).mode & 0o7777, isRoot ? 0o751 : 0o751);
  assert.equal(readFileSync(join(dst, 'usr/bin/b'), 'utf8'), 'a');
});

test('limits are kept, names that are no names refused, before anything is written', async (t) => {
  const folder = tempDir(t);
  const dst = join(folder, 'root');
  const { tree, layers } = handTree(folder, [{ path: 'a/b/c/d', content: 'abc' }]);
  for (const limits of [{ maxEntries: 3 }, { maxDepth: 2 }, { maxPathBytes: 6 }, { maxDataBytes: 2 }]) {
    await assert.rejects(unpack(tree, layers, dst, { limits }), { code: 'ERR_LIMIT_EXCEEDED' });
  }
  await assert.rejects(unpack(tree, layers, dst, { limits: { maxDepth: -1 } }), { code: 'ERR_OPTION_INVALID' });
  for (const name of ['..', '.']) {
    const odd = handTree(folder, [{ path: `x/${name}`, content: 'abc' }]);
    await assert.rejects(unpack(odd.tree, odd.layers, dst), { code: 'ERR_LAYER_INVALID' });
  }
  assert.equal(existsSync(dst), false);
  const result = await unpack(tree, layers, dst, {
    limits: { maxEntries: 4, maxDepth: 3, maxPathBytes: 7, maxDataBytes: 3 },
  });
  assert.equal(result.entries, 4);
});

test('ids are mapped; an id outside the maps is refused', { skip: asRoot }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'a', uid: 1000, gid: 5 }]);
  const map = [{ containerId: 0, hostId: 100_000, size: 65_536 }];
  const dst = join(folder, 'root');
  await unpack(tree, layers, dst, { uidMap: map, gidMap: map });
  const found = listTree(dst);
  assert.deepEqual([found['a']?.uid, found['a']?.gid, found['.']?.uid], [101_000, 100_005, 100_000]);
  const small = [{ containerId: 0, hostId: 100_000, size: 10 }];
  await assert.rejects(unpack(tree, layers, join(folder, 'b'), { uidMap: small }), { code: 'ERR_OPTION_INVALID' });
});

test('what is no id map is told by its place', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'a' }]);
  const good = { containerId: 0, hostId: 0, size: 1 };
  for (const [wrong, found] of [
    [null, 'null'],
    ['0:1000:1', 'string'],
  ]) {
    const uidMap = [good, wrong] as IdMap[];
    const message = `uidMap[1]: expected an id map, found ${found}; parseIdMap makes one of text`;
    await assert.rejects(unpack(tree, layers, join(folder, 'b'), { uidMap }), { code: 'ERR_OPTION_INVALID', message });
  }
});

test('attributes of the machine, of overlayfs and of other systems are never written, and said', {
  skip: asRoot,
}, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'a', content: 'a', xattrs: { 'security.selinux': 'x', 'user.kept': 'y' } },
    { path: 'd', type: 'directory', xattrs: { 'trusted.overlay.opaque': 'y', 'user.overlay.opaque': 'y' } },
    { path: 'm', content: 'm', xattrs: { 'com.apple.quarantine': 'x', 'com.apple.provenance': 'x', bare: 'x' } },
    { path: 'n', content: 'n', xattrs: { 'system.nfs4_acl': 'x', 'trusted.kept': 'y' } },
    { path: 'l', target: 'a', xattrs: { 'user.lost': 'x' } },
    { path: 'p', type: 'fifo', xattrs: { 'user.lost': 'x', 'trusted.kept': 'y' } },
    { path: 'q', content: 'q', xattrs: { 'SCHILY.acl.access': 'user::rw-', 'SCHILY.acl.default': 'user::rw-' } },
    {
      path: 'r',
      content: 'r',
      xattrs: { 'user.': 'x', [`user.${'n'.repeat(251)}`]: 'x', [`user.${'n'.repeat(250)}`]: 'y' },
    },
    { path: 's', content: 's', xattrs: { 'system.posix_acl_default': ACL } },
    { path: 't', target: 'a', xattrs: { 'system.posix_acl_access': ACL } },
  ]);
  const said: string[] = [];
  const result = await unpack(tree, layers, join(folder, 'root'), {
    onProgress: (event) => event.type === 'warning:raised' && said.push(event.message),
  });
  const found = listTree(join(folder, 'root'));
  assert.deepEqual(found['a']?.xattrs, { 'user.kept': Buffer.from('y').toString('hex') });
  assert.equal(found['d']?.xattrs, undefined);
  for (const path of ['m', 'l', 'q', 's', 't']) assert.equal(found[path]?.xattrs, undefined, path);
  assert.deepEqual(Object.keys(found['r']?.xattrs ?? {}), [`user.${'n'.repeat(250)}`]);
  // file systems without ACLs refuse them: asked by name alone
  assert.equal(skippedXattr('system.posix_acl_default', 'directory'), undefined);
  assert.equal(skippedXattr('system.posix_acl_access', 'fifo'), undefined);
  for (const path of ['n', 'p']) assert.deepEqual(Object.keys(found[path]?.xattrs ?? {}), ['trusted.kept'], path);
  assert.deepEqual(result.skippedXattrs, {
    'security.selinux': 1,
    'trusted.overlay.*': 1,
    'user.overlay.*': 1,
    'com.*': 1,
    bare: 1,
    'system.nfs4_acl': 1,
    'user.* (symlink)': 1,
    'user.* (fifo)': 1,
    'SCHILY.acl.access': 1,
    'SCHILY.acl.default': 1,
    'user.': 1,
    [`user.${'n'.repeat(35)}... (256 bytes)`]: 1,
    'system.posix_acl_default (file)': 1,
    'system.posix_acl_access (symlink)': 1,
  });
  assert.equal(said.length, 14);
});

test('of very many names of attributes that are never written a few are said, and how many there are', () => {
  const said: string[] = [];
  const onProgress = (event: { readonly type: string; readonly message?: string }): void => {
    if (event.type === 'warning:raised') said.push(event.message ?? '');
  };
  warnOfSkipped(Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`n${at}`, 1])), { onProgress });
  assert.equal(said.length, 21);
  assert.equal(said.at(-1), 'extended attributes of 4980 other names are never written either');
});

test('a layer tar that is missing or cut is found out', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'abcdef' }]);
  const dst = join(folder, 'root');
  const [layer = { path: '', tarBytes: 0 }] = layers;
  await assert.rejects(unpack(tree, [{ ...layer, path: join(folder, 'no') }], dst), { code: 'ERR_NOT_FOUND' });
  await assert.rejects(unpack(tree, [{ ...layer, tarBytes: 514 }], dst), { code: 'ERR_LAYER_INVALID' });
  await assert.rejects(unpack(tree, [{ ...layer, tarBytes: 9999 }], dst), { code: 'ERR_LAYER_INVALID' });
  await assert.rejects(unpack(tree, [], dst), { code: 'ERR_LAYER_INVALID' });
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
});
