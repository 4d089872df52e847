/** Finding and walking: links inside the root, byte order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNode } from '../../src/rootfs/find-node.js';
import { nodePath } from '../../src/rootfs/tree.js';
import { walkTree } from '../../src/rootfs/walk-tree.js';
import { dir, file, merged, symlink } from '../support/layer-tars.js';

const layer = [
  dir('usr/'),
  dir('usr/bin'),
  file('usr/bin/sh', 'x'),
  symlink('bin', 'usr/bin'),
  symlink('usr/bin/ash', 'sh'),
  symlink('abs', '/../usr/bin/ash'),
  symlink('dead', 'nowhere'),
  symlink('loop', 'loop'),
];

test('a path is found as lstat, as stat, and literally', async (t) => {
  const tree = await merged(t, {}, layer);
  const found = (path: string, links?: 'all' | 'parents' | 'none'): string | undefined => {
    const node = findNode(tree, path, { links });
    return node === undefined ? undefined : `/${nodePath(node)}`;
  };
  assert.equal(found('bin/ash'), '/usr/bin/ash');
  assert.equal(found('/bin/ash', 'all'), '/usr/bin/sh');
  assert.equal(found('bin/ash', 'none'), undefined);
  assert.equal(found('bin', 'none'), '/bin');
  assert.equal(found('bin'), '/bin');
  assert.equal(found('bin/'), '/bin');
  assert.equal(found('bin', 'all'), '/usr/bin');
  assert.equal(found('abs', 'all'), '/usr/bin/sh');
  assert.equal(found('bin/..', 'parents'), '/usr');
  assert.equal(found('usr/../../..//./usr/bin/../bin/sh', 'none'), '/usr/bin/sh');
  for (const path of ['', '/', '.', '..', '/../..']) {
    for (const links of ['all', 'parents', 'none'] as const) assert.equal(found(path, links), '/');
  }
  for (const path of ['dead', 'loop']) {
    assert.equal(found(path), `/${path}`);
    assert.equal(found(path, 'all'), undefined);
    assert.equal(found(`${path}/x`), undefined);
  }
  for (const links of ['all', 'parents', 'none'] as const) {
    assert.equal(found('usr/bin/sh/x', links), undefined);
    assert.equal(found('missing/x', links), undefined);
    assert.equal(found('__proto__', links), undefined);
  }
});

test('a walk goes by the bytes of the names, directories before what they hold', async (t) => {
  const names = ['b', 'a/z', 'a/y/x', 'a-b', 'a.c', '\xff', 'Z', 'a0'];
  const tree = await merged(
    t,
    {},
    names.map((name) => file(name)),
  );
  const walked = [...walkTree(tree)];
  assert.deepEqual(
    walked.map(({ path }) => path),
    ['', 'Z', 'a', 'a/y', 'a/y/x', 'a/z', 'a-b', 'a.c', 'a0', 'b', '\xff'],
  );
  for (const { path, node } of walked) assert.equal(nodePath(node), path);
});
