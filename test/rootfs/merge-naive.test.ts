/** The merge engine against the naive reading of layer.md, on seeded random images. ROOTFS_IMAGES sets how many. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { differences, type FlatTree, flatMerged, flatNaive } from '../support/flat-tree.js';
import { writeTars } from '../support/layers.js';
import { NaiveRefusal, naiveMerge } from '../support/naive-merge.js';
import { randomLayers } from '../support/random-layers.js';
import { tempDir } from '../support/temp-dir.js';

const images = Number(process.env['ROOTFS_IMAGES'] ?? 2_000);

test(`${images} random images: the engine and the naive reading agree`, async (t) => {
  const folder = tempDir(t, 'naive');
  let refused = 0;
  let entries = 0;
  for (let seed = 1; seed <= images; seed += 1) {
    const layers = randomLayers(seed);
    const tars = writeTars(
      folder,
      layers.map(({ tar }) => tar),
    );
    let naive: FlatTree | undefined;
    try {
      naive = flatNaive(naiveMerge(layers.map((layer) => layer.entries)));
    } catch (error) {
      if (!(error instanceof NaiveRefusal)) throw error;
    }
    try {
      const tree = await mergeLayers(tars);
      assert.ok(naive !== undefined, `seed ${seed}: the naive reading refuses it, the engine does not`);
      assert.deepEqual(differences(flatMerged(tree, tars), naive), [], `seed ${seed}`);
      assert.equal(tree.entries, naive.size - 1, `seed ${seed}: number of names`);
      entries += tree.entries;
    } catch (error) {
      if (!(error instanceof RootfsError)) throw error;
      assert.equal(error.code, 'ERR_LAYER_INVALID', `seed ${seed}`);
      assert.equal(
        naive,
        undefined,
        `seed ${seed}: the engine refuses it, the naive reading does not: ${error.message}`,
      );
      refused += 1;
    }
  }
  t.diagnostic(`${images} images, ${entries} names, ${refused} refused by both`);
  assert.ok(refused < images / 5, 'most random images can be applied');
});
