/** Rules 32, 34, 35, 36: entries over entries, missing folders, writes through links, names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNode } from '../../src/rootfs/find-node.js';
import { dir, file, link, merged, outline, symlink, whiteout } from '../support/layer-tars.js';
import { member, pax } from '../support/raw-tar.js';

const rejected = { code: 'ERR_LAYER_INVALID' };

test('a directory over a directory keeps the content and takes the attributes', async (t) => {
  const tree = await merged(t, {}, [dir('d/'), file('d/x', 'x')], [dir('d/', { mode: '0002711\0', uid: '0000017\0' })]);
  assert.deepEqual(outline(tree), ['d/ 2711', 'd/x 0+1']);
  assert.equal(findNode(tree, 'd')?.inode.uid, 15);
  assert.equal(findNode(tree, 'd')?.layer, 1);
});

test('anything else replaces: a file, a link, a device over a directory and the other way round', async (t) => {
  const lower = [dir('d/'), file('d/x', 'x'), file('f', 'f'), symlink('l', 'd')];
  assert.deepEqual(outline(await merged(t, {}, lower, [file('d', 'now')])), ['d 1+3', 'f 0+1', 'l -> d']);
  assert.deepEqual(outline(await merged(t, {}, lower, [dir('f'), dir('l')])), ['d/', 'd/x 0+1', 'f/', 'l/']);
  const nodes = [member({ name: 'd', type: '6' }), member({ name: 'f', type: '4', devmajor: '0000010\0' })];
  const tree = await merged(t, {}, lower, nodes);
  assert.deepEqual(outline(tree), ['d fifo', 'f block', 'l -> d']);
  assert.equal(findNode(tree, 'f')?.inode.rdevMajor, 8);
});

test('a file in the middle of a path gives way to a directory', async (t) => {
  assert.deepEqual(outline(await merged(t, {}, [file('a', '1')], [file('a/b/c', '2')])), [
    'a/ (made)',
    'a/b/ (made)',
    'a/b/c 1+1',
  ]);
});

test('the last of two equal names wins', async (t) => {
  assert.deepEqual(outline(await merged(t, {}, [file('a', '1'), file('./a', '22'), file('/a', '333')])), ['a 0+3']);
  assert.deepEqual(outline(await merged(t, {}, [dir('a'), file('a/x'), file('a', 'f')])), ['a 0+1']);
});

test('folders without an entry, the root too, are 0755, root:root, from the epoch', async (t) => {
  const tree = await merged(t, {}, [file('a/b/c', 'x', { uid: '0000007\0', mtime: '00000000777\0' })]);
  for (const path of ['', 'a', 'a/b']) {
    const node = findNode(tree, path);
    assert.equal(node?.inode.mode, 0o755);
    assert.equal(node?.inode.uid, 0);
    assert.deepEqual(node?.inode.mtime, { seconds: 0, nanoseconds: 0 });
    assert.equal(node?.layer, -1);
  }
});

test('a folder of a lower layer keeps its attributes when an upper layer only writes into it', async (t) => {
  const tree = await merged(t, {}, [dir('a/', { mode: '0001777\0' })], [file('a/b', 'x')]);
  assert.deepEqual(outline(tree), ['a/ 1777', 'a/b 1+1']);
});

test("a write through a lower layer's link lands where it leads, inside the root", async (t) => {
  const lower = [dir('usr/'), dir('usr/lib'), symlink('lib', 'usr/lib'), symlink('out', '/../../../usr')];
  const tree = await merged(t, {}, lower, [file('lib/foo', '1'), file('out/bar', '22'), dir('lib/sub/')]);
  assert.deepEqual(outline(tree), [
    'lib -> usr/lib',
    'out -> /../../../usr',
    'usr/',
    'usr/bar 1+2',
    'usr/lib/',
    'usr/lib/foo 1+1',
    'usr/lib/sub/',
  ]);
});

test('a write through a dangling link makes the missing folders inside the root', async (t) => {
  const tree = await merged(t, {}, [dir('var/'), symlink('var/run', '../run/state')], [file('var/run/pid', '1')]);
  assert.deepEqual(outline(tree), [
    'run/ (made)',
    'run/state/ (made)',
    'run/state/pid 1+1',
    'var/',
    'var/run -> ../run/state',
  ]);
});

test('a write through a link to a file puts a directory in the place of the file', async (t) => {
  const tree = await merged(t, {}, [file('f', '1'), symlink('l', 'f')], [file('l/x', '2')]);
  assert.deepEqual(outline(tree), ['f/ (made)', 'f/x 1+1', 'l -> f']);
});

test('an entry may change what the folder of its neighbours means', async (t) => {
  const own = await merged(t, {}, [dir('a'), symlink('a/l', '.'), file('a/l/l', 'x'), file('a/l/m', 'y')]);
  assert.deepEqual(outline(own), ['a/', 'a/l/ (made)', 'a/l/m 0+1']);
  const other = await merged(t, {}, [
    dir('etc/deep'),
    symlink('q', 'nope/..'),
    file('q/one', '1'),
    symlink('q/nope', 'etc/deep'),
    file('q/two', '22'),
  ]);
  assert.deepEqual(outline(other), [
    'etc/ (made)',
    'etc/deep/',
    'etc/two 0+2',
    'nope -> etc/deep',
    'one 0+1',
    'q -> nope/..',
  ]);
});

test('a loop of links is refused', async (t) => {
  for (const layer of [[file('a/x')], [whiteout('a/x')], [link('y', 'a/x')]]) {
    await assert.rejects(merged(t, {}, [symlink('a', 'b'), symlink('b', 'a')], layer), rejected);
  }
});

test('names: slashes and dots are stripped, ".." is refused', async (t) => {
  assert.deepEqual(outline(await merged(t, {}, [dir('.//a/./'), file('///a//b', 'x'), dir('a/c/.')])), [
    'a/',
    'a/b 0+1',
    'a/c/',
  ]);
  for (const name of ['..', '../x', 'a/../b', '/..', 'a/..', './../x']) {
    await assert.rejects(merged(t, {}, [file(name)]), rejected, name);
  }
  assert.deepEqual(outline(await merged(t, {}, [file('..x'), file('y..')])), ['..x 0+0', 'y.. 0+0']);
});

test('"./" sets the attributes of the root; the root stays a directory', async (t) => {
  for (const name of ['./', '.', '/', '', '././/']) {
    const tree = await merged(t, {}, [dir(name, { mode: '0000700\0', uid: '0000001\0' })]);
    assert.equal(tree.root.inode.mode, 0o700);
    assert.equal(tree.root.inode.uid, 1);
    assert.equal(tree.root.layer, 0);
    assert.equal(tree.entries, 0);
    for (const entry of [file(name), symlink(name, 'x'), link(name, 'x'), member({ name, type: '6' })]) {
      await assert.rejects(merged(t, {}, [file('x'), entry]), rejected);
    }
  }
});

test('nothing follows a link at the end of a name', async (t) => {
  const tree = await merged(t, {}, [symlink('l', '/etc/passwd'), file('etc/passwd', 'root')], [file('l', 'x')]);
  assert.deepEqual(outline(tree), ['etc/ (made)', 'etc/passwd 0+4', 'l 1+1']);
});

test('owners and device numbers that Linux does not have are refused', async (t) => {
  await assert.rejects(merged(t, {}, [pax([['uid', '4294967295']]), file('x')]), rejected);
  await assert.rejects(merged(t, {}, [pax([['gid', '4294967296']]), file('x')]), rejected);
  const tree = await merged(t, {}, [pax([['uid', '4294967294']]), file('x')]);
  assert.equal(findNode(tree, 'x')?.inode.uid, 4294967294);
  await assert.rejects(merged(t, {}, [member({ name: 'd', type: '3', devmajor: '0010000\0' })]), rejected);
});

test('types no root file system holds are refused; a volume label is no entry', async (t) => {
  await assert.rejects(merged(t, {}, [member({ name: 'x', type: 'D' })]), rejected);
  assert.deepEqual(outline(await merged(t, {}, [member({ name: 'label', type: 'V' }), file('a')])), ['a 0+0']);
});

test('counts: names, inodes and bytes of what survives', async (t) => {
  const tree = await merged(t, {}, [file('a', '333'), link('b', 'a'), dir('d'), file('d/x', '1')], [file('d', '22')]);
  assert.deepEqual([tree.entries, tree.inodes, tree.dataBytes, tree.layers], [3, 2, 5, 2]);
});
