/**
 * Signals and aborts are heard wherever a small layer makes long work. Each layer is broken at its end, so that an abort
 * that is only heard there comes too late.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ArchiveEntries } from '../../src/content/archive-entries.js';
import { Turns } from '../../src/io/turns.js';
import { readLayerChanges } from '../../src/rootfs/layer-changes.js';
import { type LayerTar, mergeLayers } from '../../src/rootfs/merge.js';
import { LayerApplication } from '../../src/rootfs/merge-apply.js';
import { mergeLimits } from '../../src/rootfs/merge-limits.js';
import { LayerPlan } from '../../src/rootfs/merge-plan.js';
import { MergeTree } from '../../src/rootfs/merge-tree.js';
import { readPlan } from '../../src/rootfs/read-plan.js';
import { file, layerTars, link, whiteout } from '../support/layer-tars.js';
import { header, member, pax } from '../support/raw-tar.js';
import { tempDir } from '../support/temp-dir.js';

/** Aborts when others have their turn, the first time or a later one, and wants to hear of that. */
async function hears(read: (signal: AbortSignal) => Promise<unknown>, turn = 1): Promise<void> {
  const reason = new Error('enough');
  const controller = new AbortController();
  const wait = (left: number): void => {
    setImmediate(() => (left === 1 ? controller.abort(reason) : wait(left - 1)));
  };
  wait(turn);
  await assert.rejects(read(controller.signal), (error) => {
    assert.equal(error, reason);
    return true;
  });
}

async function bothHear(layers: readonly LayerTar[]): Promise<void> {
  await hears((signal) => mergeLayers(layers, { signal }));
  // the first turn of others is before the first layer
  await hears(async (signal) => {
    for await (const { layer } of readLayerChanges(layers, { signal })) assert.ok(layer < layers.length);
  }, 2);
}

/** In how many steps a layer is applied to one below it. */
async function steps(layers: readonly LayerTar[]): Promise<number> {
  const limits = mergeLimits({});
  const tree = new MergeTree(limits, false);
  let last = 0;
  for (const [index, layer] of layers.entries()) {
    const plan = new LayerPlan(index, 0);
    await readPlan(plan, layer, limits, new Turns(undefined));
    const application = new LayerApplication(tree, plan);
    for (last = 1; application.step(); last += 1);
  }
  return last;
}

const broken = header({ name: 'broken', chksum: '0000000\0' });

const manyHeaders = (): Buffer[] => [file('a'), ...Array(60_000).fill(header({ type: 'x' })), broken];

test('among headers that belong to no member', (t) => bothHear(layerTars(t, manyHeaders())));

test('among a few members with very many records', (t) => {
  const records = member({ name: 'x', type: 'x' }, '5 a=\n'.repeat(200_000));
  return bothHear(
    layerTars(t, [
      ...Array(4)
        .fill([records, file('a')])
        .flat(),
      broken,
    ]),
  );
});

test('among global headers', (t) => {
  const attributes = Array.from({ length: 1_000 }, (_, index) => [`SCHILY.xattr.user.${index}`, 'v'] as const);
  const change = pax([['SCHILY.xattr.user.0', 'w']], 'g');
  return bothHear(layerTars(t, [pax(attributes, 'g'), ...Array(30_000).fill(change), broken]));
});

test('a step applies a few entries, whiteouts and links: each may be dear', async (t) => {
  const names = Array.from({ length: 2_000 }, (_, index) => `d/${index}`);
  const files = names.map((name) => file(name));
  const links = names.map((name, index) => link(name, index === 0 ? 'end' : `d/${index - 1}`)).reverse();
  assert.ok((await steps(layerTars(t, files))) > 20);
  assert.ok((await steps(layerTars(t, files, names.map(whiteout)))) > 50, 'found, then removed');
  assert.ok((await steps(layerTars(t, [...links, file('end')]))) > 50, 'put there, then given their targets');
});

test('among the headers of an image archive', async (t) => {
  const path = join(tempDir(t, 'archive'), 'image.tar');
  writeFileSync(path, Buffer.concat(manyHeaders()));
  await hears((signal) => ArchiveEntries.read({ path, name: path, close: async () => {} }, signal));
});

test('between layers, however small they are', async (t) => {
  const layers = layerTars(t, [file('a')], [broken]);
  await bothHear(layers);
});
