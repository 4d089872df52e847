/** Unpack against other extractors, and where it may only write in place. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { flattenFile } from '../../src/export/flatten-file.js';
import { unpack } from '../../src/export/unpack.js';
import { createWritableCopy } from '../../src/export/writable-copy.js';
import { loadNative, MountFlag, nativeMissing } from '../../src/io/native.js';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { busyboxLayers } from '../support/busybox.js';
import { mergeBuilt } from '../support/layers.js';
import { listTree } from '../support/list-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const native = loadNative();
const root = native === undefined ? nativeMissing() : process.geteuid?.() === 0 ? false : 'needs root';

function rich(): LayerBuilder[] {
  const [base, top] = busyboxLayers();
  const more = new LayerBuilder()
    .device('dev/null', 'char', 1, 3, { mode: 0o666 })
    .fifo('run/pipe', { uid: 3, mtime: 1_600_000_000_123_456_789n })
    .file('bin/ping', 'ping', { mode: 0o4755, xattrs: { 'user.note': 'a\nb', 'user.empty': '' } })
    .symlink('lib', 'usr/lib', { uid: 7, gid: 8, mtime: 5 })
    .sparse('sparse', { size: 3_000_000, extents: [{ offset: 1_000_000, content: 'middle' }] })
    .dir('old', { mode: 0o1777, mtime: -5 })
    .file(Buffer.from('caf\xe9', 'latin1'), 'bytes');
  return [base, top, more];
}

test('GNU tar makes the same of the flattened tar', { skip: root || needs('tar') }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, ...rich());
  await unpack(tree, layers, join(folder, 'ours'));
  const { path } = await flattenFile(tree, layers, join(folder, 'flat.tar'));
  mkdirSync(join(folder, 'theirs'));
  const how = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '--delay-directory-restore'];
  execFileSync('tar', ['-C', join(folder, 'theirs'), '-xpf', path, ...how]);
  assert.deepEqual(listTree(join(folder, 'ours')), listTree(join(folder, 'theirs')));
});

test('a flattened tar that finds no room is an error that says so, and leaves nothing', { skip: root }, async (t) => {
  const folder = tempDir(t);
  const dst = join(folder, 'mount');
  mkdirSync(dst);
  native?.mount('none', dst, 'tmpfs', 0, 'size=16m,mode=0755');
  try {
    const layer = new LayerBuilder()
      .file('large', Buffer.alloc(9 * 1024 * 1024))
      .file('larger', Buffer.alloc(9 * 1024 * 1024));
    const { tree, layers } = await mergeBuilt(folder, layer);
    await assert.rejects(flattenFile(tree, layers, join(dst, 'flat.tar')), {
      code: 'ERR_NO_SPACE',
      message: /^[^:]*mount\/flat\.tar: ENOSPC/,
    });
    assert.deepEqual(readdirSync(dst), []);
  } finally {
    native?.unmount(dst, true);
  }
});

test('a mount point is filled in place, and emptied on failure', { skip: root }, async (t) => {
  const folder = tempDir(t);
  const dst = join(folder, 'mount');
  mkdirSync(dst);
  native?.mount('none', dst, 'tmpfs', 0, 'size=64m,mode=0755');
  try {
    const { dev } = lstatSync(dst);
    const huge = new LayerBuilder().file('a/b', 'x').file('big', Buffer.alloc(70 * 1024 * 1024));
    const bad = await mergeBuilt(folder, huge);
    await assert.rejects(unpack(bad.tree, bad.layers, dst), { code: 'ERR_NO_SPACE' });
    assert.deepEqual(readdirSync(dst), []);
    const good = await mergeBuilt(folder, ...rich());
    await unpack(good.tree, good.layers, dst);
    assert.equal(lstatSync(dst).dev, dev);
    assert.ok(readdirSync(dst).includes('bin'));
    const beside = readdirSync(folder).filter((name) => !name.startsWith('layer-'));
    assert.deepEqual(beside, ['mount']);
  } finally {
    native?.unmount(dst);
  }
});

test('a bind mount of the same file system is a mount point too', { skip: root }, async (t) => {
  const folder = tempDir(t);
  const [source, dst] = [join(folder, 'source'), join(folder, 'a mount\tpoint')];
  mkdirSync(source);
  mkdirSync(dst);
  native?.mount(source, dst, 'none', MountFlag.bind, '');
  try {
    const { tree, layers } = await mergeBuilt(folder, new LayerBuilder().file('a', 'x'));
    await unpack(tree, layers, dst);
  } finally {
    native?.unmount(dst);
  }
  assert.deepEqual(readdirSync(source), ['a']);
});

test('a writable copy of an unpacked image runs', { skip: root || needs('bwrap') }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, ...busyboxLayers());
  await unpack(tree, layers, join(folder, 'root'));
  const copy = createWritableCopy(join(folder, 'root'), join(folder, 'run'));
  try {
    const shell = ['--bind', copy.merged, '/', '/bin/sh', '-c', 'echo changed > /etc/motd; cat /etc/motd'];
    assert.equal(execFileSync('bwrap', ['--unshare-all', ...shell], { encoding: 'utf8' }), 'changed\n');
  } finally {
    copy.unmount();
  }
  assert.deepEqual(readdirSync(join(copy.upper, 'etc')), ['motd']);
});

test('the working directory is filled in place: who stands in it stays in it', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, new LayerBuilder().file('a', 'x'));
  mkdirSync(join(folder, 'here'));
  const { ino } = lstatSync(join(folder, 'here'));
  const before = process.cwd();
  process.chdir(join(folder, 'here'));
  try {
    await unpack(tree, layers, '.');
    assert.deepEqual(readdirSync('.'), ['a']);
  } finally {
    process.chdir(before);
  }
  assert.equal(lstatSync(join(folder, 'here')).ino, ino);
});
