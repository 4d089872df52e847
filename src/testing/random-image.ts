/**
 * Random images that weight the corners of layer application, with the tree that each must become.
 *
 * Every image is legal: it can be applied, and what comes out is not a matter of opinion. Names of directories have
 * ranks (`d0` to `d7`), and a link points to higher ranks only, so that links never loop. Whiteouts are told apart
 * from entries at the start of each layer, since they act on the lower layers alone, wherever they stand.
 */

import type { Corner } from './corner.js';
import { ExpectedTree } from './expected-tree.js';
import { type BuiltImage, image } from './image-builder.js';
import { RandomLayer } from './random-layer.js';
import { SeededRandom } from './seeded-random.js';

/** Options of `randomImage`. */
export interface RandomImageOptions {
  /** Largest number of layers. Default 5. */
  readonly layers?: number | undefined;
  /** Largest number of entries in a layer. Default 30. */
  readonly entries?: number | undefined;
  /** The only compression of the layers. Default: gzip, zstd and none in turn, at random. */
  readonly compression?: 'gzip' | 'zstd' | 'none' | undefined;
  /** Corners to leave out, where the other side of a comparison sees them differently. */
  readonly without?: readonly Corner[] | undefined;
}

/** A random image, and what it must become. */
export interface RandomImage extends BuiltImage {
  readonly seed: number;
  readonly expected: ExpectedTree;
}

/** Builds the image of a seed: the same bytes and digests on every machine and Node version. */
export function randomImage(seed: number, options: RandomImageOptions = {}): RandomImage {
  const random = new SeededRandom(seed);
  const without = new Set<Corner>(options.without ?? []);
  const expected = new ExpectedTree();
  const builder = image();
  const layers = 1 + random.int(options.layers ?? 5);
  for (let at = 0; at < layers; at += 1) {
    const empty = !without.has('empty-layers') && random.chance(8);
    const layer = new RandomLayer(random, expected, without);
    const tar = layer.write(empty ? 0 : 1 + random.int(options.entries ?? 30), at > 0);
    const drawn = random.pick(['gzip', 'gzip', 'none', 'zstd'] as const);
    const algorithm = options.compression ?? drawn;
    builder.layer(tar, { compression: { algorithm, stored: true, members: 1 + random.int(2) } });
  }
  return { ...builder.build(), seed, expected };
}
