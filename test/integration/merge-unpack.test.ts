/**
 * What `unpack` writes is what the merged tree says: random images, as root, every path and field, no exceptions.
 * ROOTFS_IMAGES sets how many.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { unpack } from '../../src/export/unpack.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { randomImage } from '../../src/testing/random-image.js';
import { differences, type FlatTree, flatMerged } from '../support/flat-tree.js';
import { writeTars } from '../support/layers.js';
import { realTrees } from '../support/real-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const images = Number(process.env['ROOTFS_IMAGES'] ?? 200);
const skip = process.getuid?.() === 0 ? needs('python3') : 'needs root: owners and devices are compared';

test(`${images} random images: the folder is the tree`, { skip }, async (t) => {
  const folder = tempDir(t, 'unpack');
  for (let from = 1; from <= images; from += 50) {
    const seeds = Array.from({ length: Math.min(50, images - from + 1) }, (_, index) => from + index);
    const trees: FlatTree[] = [];
    for (const seed of seeds) {
      const tars = writeTars(
        join(folder, `tars-${seed}`),
        randomImage(seed, { compression: 'none' }).layers.map(({ tar }) => tar),
      );
      const tree = await mergeLayers(tars);
      await unpack(tree, tars, join(folder, String(seed)));
      trees.push(flatMerged(tree, tars));
    }
    for (const [index, real] of realTrees(seeds.map((seed) => join(folder, String(seed)))).entries()) {
      assert.deepEqual(differences(trees[index] as FlatTree, real), [], `seed ${seeds[index]}`);
    }
    for (const seed of seeds) {
      for (const name of [String(seed), `tars-${seed}`]) rmSync(join(folder, name), { recursive: true });
    }
  }
});
