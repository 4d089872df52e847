import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNode } from '../../src/rootfs/find-node.js';
import { type MergeOptions, mergeLayers } from '../../src/rootfs/merge.js';
import type { MergedTree } from '../../src/rootfs/tree.js';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { writeLayers } from '../support/layers.js';
import { tempDir } from '../support/temp-dir.js';

const base = (): LayerBuilder =>
  new LayerBuilder()
    .dir('usr/lib', { mode: 0o711 })
    .file('usr/lib/low', 'l')
    .symlink('lib', 'usr/lib')
    .symlink('dead', 'no');
const top = (): LayerBuilder =>
  new LayerBuilder()
    .dir('lib', { mode: 0o700 })
    .file('lib/high', 'h')
    .whiteout('lib/low')
    .dir('dead')
    .file('dead/x', 'x');

async function merge(t: { after(fn: () => void): void }, options: MergeOptions): Promise<MergedTree> {
  return await mergeLayers(writeLayers(tempDir(t), base(), top()), options);
}

const type = (tree: MergedTree, path: string): string | undefined =>
  findNode(tree, path, { links: 'none' })?.inode.type;

test('a directory over a link to a directory replaces it', async (t) => {
  const tree = await merge(t, {});
  assert.deepEqual(
    [type(tree, 'lib'), type(tree, 'lib/high'), type(tree, 'usr/lib/low')],
    ['directory', 'file', 'file'],
  );
});

test('with keepDirlinks the link stays, and files and whiteouts go through it', async (t) => {
  const tree = await merge(t, { keepDirlinks: true });
  assert.deepEqual([type(tree, 'lib'), type(tree, 'usr/lib/high')], ['symlink', 'file']);
  assert.equal(type(tree, 'usr/lib/low'), undefined);
  assert.equal(findNode(tree, 'usr/lib')?.inode.mode, 0o711);
  assert.deepEqual([type(tree, 'dead'), type(tree, 'dead/x')], ['directory', 'file']);
  await assert.rejects(merge(t, { keepDirlinks: 'yes' as never }), { code: 'ERR_OPTION_INVALID' });
});
