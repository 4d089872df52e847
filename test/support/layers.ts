/** Layers built in code, as files, and the tree they merge to. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LayerTar, mergeLayers } from '../../src/rootfs/merge.js';
import type { MergedTree } from '../../src/rootfs/tree.js';
import type { LayerBuilder } from '../../src/testing/layer-builder.js';

/** Writes layer tars, base first, as files of `folder`, which is made. */
export function writeTars(folder: string, tars: readonly Uint8Array[]): LayerTar[] {
  mkdirSync(folder, { recursive: true });
  return tars.map((tar, index) => {
    const path = join(folder, `layer-${index}.tar`);
    writeFileSync(path, tar);
    return { path, tarBytes: tar.length };
  });
}

/** Writes the tars of layers, base first, as files of `folder`. */
export function writeLayers(folder: string, ...builders: readonly LayerBuilder[]): LayerTar[] {
  return writeTars(
    folder,
    builders.map((builder) => builder.tar()),
  );
}

/** Writes layers and merges them. */
export async function mergeBuilt(
  folder: string,
  ...builders: readonly LayerBuilder[]
): Promise<{ readonly tree: MergedTree; readonly layers: LayerTar[] }> {
  const layers = writeLayers(folder, ...builders);
  return { tree: await mergeLayers(layers), layers };
}
