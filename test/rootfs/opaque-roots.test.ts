/** Layers with an opaque root, one by one: each is a whiteout of what still shows, however many lie below. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readLayerChanges } from '../../src/rootfs/layer-changes.js';
import type { LayerTar } from '../../src/rootfs/merge.js';
import { file, layerTars, link, opaque, whiteout } from '../support/layer-tars.js';

/** What each layer takes away of the root, sorted. */
async function rootWhiteouts(layers: readonly LayerTar[], signal?: AbortSignal): Promise<(readonly string[])[]> {
  const found: (readonly string[])[] = [];
  for await (const { tree, whiteouts } of readLayerChanges(layers, { signal })) {
    found.push([...(whiteouts.get(tree.root) ?? [])].sort());
  }
  return found;
}

test('only what still shows is taken away, and later layers see nothing below', async (t) => {
  const layers = layerTars(
    t,
    [file('a'), file('b'), file('d/x')],
    [whiteout('a'), file('c')],
    [opaque(''), file('d/y')],
    [whiteout('a'), whiteout('b'), whiteout('d/x')],
    [opaque('')],
  );
  assert.deepEqual(await rootWhiteouts(layers), [[], ['a'], ['b', 'c'], [], ['d']]);
  const gone = layerTars(t, [file('a')], [opaque('')], [link('b', 'a')]);
  await assert.rejects(rootWhiteouts(gone), { code: 'ERR_LAYER_INVALID' });
});

test('a hundred of them are soon read', { timeout: 30_000 }, async (t) => {
  const names = Array.from({ length: 1_000 }, (_, index) => index);
  const layers = Array.from({ length: 100 }, (_, layer) => [
    opaque(''),
    ...names.map((name) => file(`${layer}-${name}`)),
  ]);
  const found = await rootWhiteouts(layerTars(t, ...layers), t.signal);
  assert.deepEqual(
    found.map((one) => one.length),
    layers.map((_, layer) => (layer === 0 ? 0 : names.length)),
  );
});
