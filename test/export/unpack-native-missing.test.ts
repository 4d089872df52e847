import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeOverlay } from '../../src/export/overlay.js';
import { unpack } from '../../src/export/unpack.js';
import { loadNative } from '../../src/io/native.js';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { runTestsAs } from '../support/as-user.js';
import { handTree } from '../support/hand-tree.js';
import { writeLayers } from '../support/layers.js';
import { listTree } from '../support/list-tree.js';
import { tempDir } from '../support/temp-dir.js';

const root = process.geteuid?.() === 0;
const bare = loadNative() === undefined;
const missing = root && bare ? false : 'needs root, and no native calls: run below';

test('all of this without native calls', { skip: root && !bare ? false : 'needs root and koffi' }, () => {
  const run = runTestsAs('self', [new URL(import.meta.url)], { ROOTFS_NATIVE: '0' });
  assert.equal(run.status, 0, run.output);
  assert.equal(run.pass, 4, run.output);
});

test('without root, too', { skip: root && !bare ? false : 'needs root and koffi' }, () => {
  const run = runTestsAs('user', [new URL(import.meta.url)], { ROOTFS_NATIVE: '0' });
  assert.equal(run.status, 0, run.output);
  assert.equal(run.pass, 1, run.output);
});

test('without root, what is recorded is not lost: only the times of what is there', {
  skip: !root && bare ? false : 'needs an ordinary user, and no native calls: run above',
}, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'dev/null', type: 'char', rdev: [1, 3], nanoseconds: 7 },
    { path: 'pipe', type: 'fifo', xattrs: { 'trusted.a': 'b' } },
    { path: 'a', content: 'a', xattrs: { 'user.a': 'b' } },
    { path: 'b', content: 'b', nanoseconds: 5 },
  ]);
  const result = await unpack(tree, layers, join(folder, 'root'));
  assert.deepEqual(result.losses, [{ what: 'times', entries: 1, example: 'b' }]);
  assert.deepEqual([...result.absent].sort(), ['dev/null', 'pipe']);
  const recorded = readFileSync(result.ownershipFile ?? '', 'utf8');
  assert.match(recorded, /^\{"path":"a","xattrs":\{"user.a":"Yg=="\}\}$/m);
  assert.match(recorded, /^\{"path":"dev\/null",.*"absent":"char","major":1,"minor":3,"mtime":\[\d+,7\]\}$/m);
  assert.match(recorded, /^\{"path":"pipe",.*"xattrs":\{"trusted.a":"Yg=="\}\}$/m);
});

test('as root, what would be lost is named and nothing is written', { skip: missing }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'dev/null', type: 'char', rdev: [1, 3] },
    { path: 'pipe', type: 'fifo' },
    { path: 'a', content: 'a', xattrs: { 'user.a': 'b' } },
    { path: 'b', content: 'b', nanoseconds: 5 },
    { path: 'c', content: 'c' },
  ]);
  await assert.rejects(
    unpack(tree, layers, join(folder, 'root')),
    (error: Error & { code?: string; detail?: object }) => {
      assert.equal(error.code, 'ERR_WOULD_LOSE');
      assert.match(
        error.message,
        /ROOTFS_NATIVE=0.*devices of 1 .*dev\/null.*fifos of 1 .*xattrs of 1 .*times of 1 .*koffi.*--allow-loss/,
      );
      return true;
    },
  );
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
  const result = await unpack(tree, layers, join(folder, 'root'), { allowLoss: true });
  assert.deepEqual(result.losses.map(({ what, entries }) => [what, entries]).sort(), [
    ['devices', 1],
    ['fifos', 1],
    ['times', 1],
    ['xattrs', 1],
  ]);
  assert.deepEqual(readdirSync(join(folder, 'root')).sort(), ['a', 'b', 'c', 'dev']);
});

test('as root, a tree that loses nothing needs no native calls', { skip: missing }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'bin', type: 'directory', mode: 0o555, uid: 2, gid: 3, seconds: 17 },
    { path: 'bin/su', content: 'su', mode: 0o6755, uid: 4, gid: 5, seconds: 18 },
    { path: 'bin/x', linkTo: 'bin/su' },
    { path: 'bin/l', target: 'su', uid: 6, gid: 7, seconds: 19 },
  ]);
  await unpack(tree, layers, join(folder, 'root'));
  const found = listTree(join(folder, 'root'), { content: false });
  const facts = ({ mode, uid, gid, mtime }: NonNullable<(typeof found)[string]>): unknown[] => [mode, uid, gid, mtime];
  assert.deepEqual(facts(found['bin'] as never), [0o555, 2, 3, '17000000000']);
  assert.deepEqual(facts(found['bin/su'] as never), [0o6755, 4, 5, '18000000000']);
  assert.deepEqual(facts(found['bin/l'] as never), [0o777, 6, 7, '19000000000']);
  assert.equal(found['bin/x']?.linkOf, 'bin/su');
});

test('links to devices and FIFOs that are lost are lost too, each as what it is', { skip: missing }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'null', type: 'char', rdev: [1, 3] },
    { path: 'z/also', linkTo: 'null' },
    { path: 'pipe', type: 'fifo' },
    { path: 'z/pipe', linkTo: 'pipe' },
  ]);
  const result = await unpack(tree, layers, join(folder, 'root'), { allowLoss: true });
  assert.deepEqual(
    result.losses.map(({ what, entries }) => [what, entries]),
    [
      ['devices', 2],
      ['fifos', 2],
    ],
  );
  assert.equal(lstatSync(join(folder, 'root', 'z')).nlink, 2);
});

test('an overlay whose removed names cannot be marked is refused, whatever losses are allowed', {
  skip: missing,
}, async (t) => {
  const folder = tempDir(t);
  const base = new LayerBuilder().file('gone', 'secret').file('dir/low', 'low');
  const tops = [new LayerBuilder().whiteout('gone'), new LayerBuilder().dir('dir').opaque('dir')];
  for (const [index, top] of tops.entries()) {
    mkdirSync(join(folder, String(index)));
    const layers = writeLayers(join(folder, String(index)), base, top);
    for (const whiteouts of ['device', 'xattr'] as const) {
      const dst = join(folder, 'overlay');
      await assert.rejects(writeOverlay(layers, dst, { whiteouts, allowLoss: true }), {
        code: 'ERR_NATIVE_MISSING',
        message: /marking removed names.*ROOTFS_NATIVE=0.*install the optional dependency koffi/,
      });
      assert.equal(existsSync(dst), false);
    }
  }
  const { layers } = await writeOverlay(writeLayers(folder, base), join(folder, 'plain'));
  assert.equal(layers.length, 1, 'what removes nothing needs no marks');
});
