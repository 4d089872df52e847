/** Layers built in code, as files, and the tree they merge to. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LayerTar, mergeLayers } from '../../src/rootfs/merge.js';
import type { MergedTree } from '../../src/rootfs/tree.js';
import type { LayerBuilder } from '../../src/testing/layer-builder.js';

/** Writes the tars of layers, base first, as files of `folder`. */
export function writeLayers(folder: string, ...builders: readonly LayerBuilder[]): LayerTar[] {
  return builders.map((builder, index) => {
    const path = join(folder, `layer-${index}.tar`);
    const tar = builder.tar();
    writeFileSync(path, tar);
    return { path, tarBytes: tar.length };
  });
}

/** Writes layers and merges them. */
export async function mergeBuilt(
  folder: string,
  ...builders: readonly LayerBuilder[]
): Promise<{ readonly tree: MergedTree; readonly layers: LayerTar[] }> {
  const layers = writeLayers(folder, ...builders);
  return { tree: await mergeLayers(layers), layers };
}
