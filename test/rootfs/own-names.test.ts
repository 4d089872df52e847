/** Hard links of a layer that lead below something that the layer itself has put over a lower directory. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { readLayerChanges } from '../../src/rootfs/layer-changes.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { dir, file, layerTars, link, outline, symlink } from '../support/layer-tars.js';

const base = [dir('d/'), file('d/f', '5byte'), dir('e/'), file('e/f', '7 bytes')];

/** The line of `x` in the merged tree and in the layer alone; these say the same, or what refuses the layer. */
async function linked(t: TestContext, ...layer: readonly Buffer[]): Promise<string> {
  const tars = layerTars(t, base, layer);
  const lineOf = (lines: readonly string[]): string =>
    (lines.find((line) => line.startsWith('x ')) ?? '').replace(/= (\S+)/, (_, first: string) =>
      String(lines.find((line) => line.startsWith(`${first} `))?.slice(first.length + 1)),
    );
  const sizeOf = (line: string): string => line.replace(/^.*\+/, '');
  const whole = await mergeLayers(tars).then(
    (tree) => sizeOf(lineOf(outline(tree))),
    (error: Error & { code: string }) => error.code,
  );
  let alone = '';
  try {
    for await (const { tree } of readLayerChanges(tars)) alone = sizeOf(lineOf(outline(tree)));
  } catch (error) {
    alone = (error as { code: string }).code;
  }
  assert.equal(alone, whole);
  return whole;
}

test('layers one by one: below what the layer has put over a directory, a hard link finds nothing of it', async (t) => {
  assert.equal(await linked(t, link('x', 'd/f'), file('d', 'now')), '5', 'it stands before');
  assert.equal(await linked(t, file('d', 'now'), link('x', 'd/f')), 'ERR_LAYER_INVALID');
  assert.equal(await linked(t, link('d', 'e/f'), link('x', 'd/f')), 'ERR_LAYER_INVALID');
  assert.equal(await linked(t, file('d', 'now'), link('x', 'd/f'), dir('d'), file('d/f', 'own')), '3');
  assert.equal(await linked(t, file('d', 'now'), dir('d'), link('x', 'd/f'), file('d/f', 'own')), '3');
  assert.equal(await linked(t, file('d', 'now'), file('d/n', ''), link('x', 'd/f'), file('d/f', 'own')), '3');
});

test('layers one by one: a hard link goes through a symbolic link of its own layer', async (t) => {
  for (const target of ['e', '/e', '../e', 'e/.']) {
    assert.equal(await linked(t, symlink('d', target), link('x', 'd/f')), '7', target);
  }
  assert.equal(await linked(t, symlink('d', 'e'), file('e/f', 'own'), link('x', 'd/f')), '3');
  assert.equal(await linked(t, symlink('d', 'e'), file('d/f', 'own'), link('x', 'e/f')), '3');
  assert.equal(await linked(t, symlink('d', 'e'), link('x', 'd/f'), file('e/f', 'own')), '7');
  assert.equal(await linked(t, symlink('d', 'new'), file('new/f', 'own'), link('x', 'd/f')), '3');
  assert.equal(await linked(t, symlink('d', 'd'), link('x', 'd/f')), 'ERR_LAYER_INVALID');
});

test('layers one by one: a hard link to a lower directory is refused, whatever takes its place later', async (t) => {
  for (const later of [[], [file('d', 'now')], [dir('d')], [symlink('d', 'e')]]) {
    assert.equal(await linked(t, link('x', 'd'), ...later), 'ERR_LAYER_INVALID');
  }
  assert.equal(await linked(t, file('d', 'now'), link('x', 'd')), '3');
});
