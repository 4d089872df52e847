/** One layer: blob to tar file in a store. */
import { RootfsError } from '../errors.js';
import type { ImageLayer } from '../spec/image-layer.js';
import { extractLayers } from './extract-layers.js';
import type { ExtractOptions } from './extract-options.js';
import type { LayerHandle } from './layer.js';
import type { LayerSource } from './layer-input.js';

/**
 * Extracts one layer into the store `dst`, which must exist. As `extractLayers` with one layer; the same promises, the
 * same errors. With `layer.diffId` the tar is checked against it and reused when the store has it; without, the tar is
 * named by what comes out.
 *
 * @returns the open handle; the caller closes it.
 */
export async function extractLayer(
  source: LayerSource,
  layer: ImageLayer,
  dst: string,
  options: ExtractOptions = {},
): Promise<LayerHandle> {
  const [handle] = await extractLayers(source, [layer], dst, options);
  if (handle === undefined) throw new RootfsError('ERR_INTERNAL', `${layer.descriptor.digest}: no handle; report this`);
  return handle;
}
