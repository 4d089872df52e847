/** What an extraction would take, told before it is begun. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { explainLayers } from '../../src/client/explain-layers.js';
import { BlobDir } from '../../src/content/blob-dir.js';
import { fetchImage, openSource } from '../../src/index.js';
import { extractLayers } from '../../src/layer/extract-layers.js';
import { image, writeLayout } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

test('what an interrupted run left is not fetched again, and not counted', async (t) => {
  const folder = tempDir(t);
  const made = image()
    .compression('none')
    .layer((layer) => layer.file('large', randomBytes(3_000_000)))
    .layer((layer) => layer.file('small', randomBytes(1000)));
  await writeLayout(join(folder, 'layout'), { v1: made.build() });
  const opened = await openSource(`oci:${join(folder, 'layout')}:v1`);
  t.after(() => opened.close());
  const found = await fetchImage(opened.source, opened.reference);
  const [large, small] = found.layers.map(({ descriptor }) => descriptor);
  assert.ok(large !== undefined && small !== undefined);
  const store = join(folder, 'store');
  const all = large.size + small.size;
  assert.equal((await explainLayers(found, store)).bytesToFetch, all);

  mkdirSync(store);
  const dir = await BlobDir.open(store);
  const partial = dir.partialPath(large.digest);
  mkdirSync(dirname(partial));
  const left = async (bytes: number, note?: string): Promise<readonly (number | undefined)[]> => {
    writeFileSync(partial, Buffer.alloc(bytes));
    writeFileSync(`${partial}.gapless`, note ?? `${bytes}\n`);
    const { layers, bytesToFetch } = await explainLayers(found, store);
    return [layers[0]?.partialBytes, bytesToFetch];
  };
  assert.deepEqual(await left(2_000_000), [2_000_000, all - 2_000_000]);
  assert.deepEqual(await left(2_000_000, '500000\n'), [500_000, all - 500_000]);
  assert.deepEqual(await left(large.size), [large.size, small.size]);
  assert.deepEqual(await left(large.size + 1), [undefined, all]);
  // What is small comes into memory, whatever lies there.
  writeFileSync(dir.partialPath(small.digest), Buffer.alloc(100));
  assert.deepEqual(await left(0), [undefined, all]);

  for (const layer of await extractLayers(opened.source, found.layers, store)) await layer.close();
  const { layers, bytesToFetch } = await explainLayers(found, store);
  assert.deepEqual([layers.map(({ present }) => present), bytesToFetch], [[true, true], 0]);
});
