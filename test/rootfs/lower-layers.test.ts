/** What lies at a path in the layers below one: the topmost first, and each directory looked for once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LayerChanges, readLayerChanges } from '../../src/rootfs/layer-changes.js';
import { LowerLayers } from '../../src/rootfs/lower-layers.js';
import { nodePath } from '../../src/rootfs/tree.js';
import { dir, file, layerTars, opaque, whiteout } from '../support/layer-tars.js';

test('a path that many share is looked for in every layer once', async (t) => {
  const layers = layerTars(
    t,
    [file('a/b/c/x'), file('gone/x')],
    [dir('a/b'), opaque('a/b'), file('a/b/c/y'), file('one')],
    [file('a/b/c/z'), whiteout('gone')],
  );
  const below: LayerChanges[] = [];
  for await (const changes of readLayerChanges(layers)) below.unshift(changes);
  const lower = new LowerLayers(below);
  const shown = (path: string): string => {
    const { directories, other } = lower.find(path.split('/'));
    const places = directories.map(
      ({ changes, node }) => `${2 - below.indexOf(changes as LayerChanges)}:${nodePath(node)}`,
    );
    return [...places, ...(other === undefined ? [] : [`no directory: ${nodePath(other)}`])].join(' ');
  };
  assert.equal(shown('a'), '2:a 1:a 0:a');
  assert.equal(shown('a/b/c'), '2:a/b/c 1:a/b/c');
  assert.equal(shown('gone'), '');
  assert.equal(shown('nowhere/b'), '');
  assert.equal(shown('one/more'), 'no directory: one');
  assert.equal(lower.find(['a', 'b', 'c']).directories, lower.find(['a', 'b', 'c']).directories);
});
