/** Random images for tools that read an OCI layout, and what the engine makes of them. */
import { RootfsError } from '../../src/errors.js';
import { type LayerTar, mergeLayers } from '../../src/rootfs/merge.js';
import { image, writeLayout } from '../../src/testing/testing.js';
import { type FlatTree, flatMerged } from './flat-tree.js';
import type { RandomLayer } from './random-layers.js';

/** What the engine makes of an image: its tree, or why it was refused. */
export type Outcome = { readonly tree: FlatTree } | { readonly refusal: string };

/** Writes an OCI layout with one image named `latest`, uncompressed layers. */
export async function writeImage(folder: string, layers: readonly RandomLayer[]): Promise<void> {
  let builder = image().compression('none');
  for (const { tar } of layers) builder = builder.layer(tar);
  await writeLayout(folder, { latest: builder.build() });
}

/** Merges layers; an error that is no coded refusal of a layer is thrown. */
export async function engineOutcome(tars: readonly LayerTar[]): Promise<Outcome> {
  try {
    return { tree: flatMerged(await mergeLayers(tars), tars) };
  } catch (error) {
    if (error instanceof RootfsError && error.code === 'ERR_LAYER_INVALID') return { refusal: error.message };
    throw error;
  }
}
