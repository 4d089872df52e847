/** Rule 33: hard links. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNode } from '../../src/rootfs/find-node.js';
import { dir, file, link, merged, outline, symlink, whiteout } from '../support/layer-tars.js';
import { member } from '../support/raw-tar.js';

const rejected = { code: 'ERR_LAYER_INVALID' };

test('names of one file share an inode, within a layer and across layers', async (t) => {
  const tree = await merged(t, {}, [file('a', '1'), link('b', 'a')], [link('c', '/b'), link('d', './c')]);
  assert.deepEqual(outline(tree), ['a 0+1', 'b = a', 'c = a', 'd = a']);
  assert.equal(findNode(tree, 'a')?.inode.links, 4);
});

test("the layer's own earlier entry comes before the lower tree's", async (t) => {
  const lower = [file('a', 'old')];
  assert.deepEqual(outline(await merged(t, {}, lower, [file('a', '1'), link('b', 'a')])), ['a 1+1', 'b = a']);
  assert.deepEqual(outline(await merged(t, {}, lower, [link('b', 'a'), file('a', '1')])), ['a 1+1', 'b 1+3']);
});

test('a link before its target waits for it, along chains too', async (t) => {
  const layer = [link('a', 'b'), link('b', 'c'), link('c', 'd/e'), dir('d'), file('d/e', '12')];
  assert.deepEqual(outline(await merged(t, {}, layer)), ['a 0+2', 'b = a', 'c = a', 'd/', 'd/e = a']);
});

test('a later entry takes the place of a link that waited', async (t) => {
  assert.deepEqual(outline(await merged(t, {}, [link('a', 'z'), file('a', '1'), file('z', '22')])), ['a 0+1', 'z 0+2']);
  assert.deepEqual(outline(await merged(t, {}, [link('a', 'z'), file('a/b', '1'), file('z', '22')])), [
    'a/ (made)',
    'a/b 0+1',
    'z 0+2',
  ]);
});

test('a link to nothing, to a directory, to the root, to one another: refused', async (t) => {
  for (const layer of [
    [link('a', 'nothing')],
    [dir('d'), link('a', 'd')],
    [link('a', '/')],
    [link('a', '')],
    [link('a', 'b'), link('b', 'a')],
    [link('a', 'a')],
    [link('a', 'b'), dir('b')],
  ]) {
    await assert.rejects(merged(t, {}, layer), rejected);
  }
  await assert.rejects(merged(t, {}, [file('a', '1')], [whiteout('a'), link('b', 'a')]), rejected);
});

test('a link may lead to a symbolic link, which is not followed', async (t) => {
  const tree = await merged(t, {}, [symlink('s', 'nowhere'), link('h', 's')]);
  assert.deepEqual(outline(tree), ['h -> nowhere', 's = h']);
});

test('a link may lead to a device and a FIFO', async (t) => {
  const tree = await merged(t, {}, [member({ name: 'p', type: '6' }), link('q', 'p')]);
  assert.deepEqual(outline(tree), ['p fifo', 'q = p']);
});

test('".." in a target stays inside the root, links on its way are followed', async (t) => {
  const lower = [dir('usr'), file('usr/x', 'x'), symlink('lib', '/../usr'), file('y', 'yy')];
  const tree = await merged(t, {}, lower, [link('a', '../../../y'), link('b', 'lib/x')]);
  assert.deepEqual(outline(tree), ['a 1+2', 'b 1+1', 'lib -> /../usr', 'usr/', 'usr/x = b', 'y = a']);
});

test("a link's own owner, mode and times mean nothing", async (t) => {
  const odd = member({
    name: 'b',
    type: '1',
    linkname: 'a',
    mode: '0004777\0',
    uid: '0000011\0',
    mtime: '00000000001\0',
  });
  const tree = await merged(t, {}, [file('a', '1'), odd]);
  assert.equal(findNode(tree, 'b')?.inode.mode, 0o644);
  assert.equal(findNode(tree, 'b')?.inode.uid, 0);
});

test('replacing one name leaves the others as they were', async (t) => {
  const lower = [file('a', '1'), link('b', 'a'), link('c', 'a')];
  assert.deepEqual(outline(await merged(t, {}, lower, [file('a', 'new')])), ['a 1+3', 'b 0+1', 'c = b']);
  assert.deepEqual(outline(await merged(t, {}, lower, [whiteout('a')])), ['b 0+1', 'c = b']);
  const tree = await merged(t, {}, lower, [whiteout('a'), file('c', '22')]);
  assert.deepEqual(outline(tree), ['b 0+1', 'c 1+2']);
  assert.equal(findNode(tree, 'b')?.inode.links, 1);
});

test('a link of a file to itself changes nothing', async (t) => {
  assert.deepEqual(outline(await merged(t, {}, [file('a', '1')], [link('a', './a')])), ['a 0+1']);
});
