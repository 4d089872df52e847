/** From an image to open layers: what is in the store is opened, what is missing is extracted. */

import { type Lease, takeLease } from '../content/lease.js';
import type { Image } from '../image/image.js';
import { requireImage } from '../image/require-image.js';
import { absolutePath } from '../io/absolute-path.js';
import { extractLayers } from '../layer/extract-layers.js';
import type { ExtractOptions } from '../layer/extract-options.js';
import type { LayerHandle } from '../layer/layer.js';
import type { LayerSource } from '../layer/layer-input.js';
import { closeLayers } from '../layer/open-layer.js';
import type { RootFS } from './rootfs.js';

/**
 * Opens the layers of an image, base first, in the store `dst`, which must exist.
 *
 * Layers that are there are opened; what is missing is fetched from `source`, verified and extracted. The handles are
 * read-only and at position 0 either way. Until `close`, a lease keeps the files from being pruned. When it fails,
 * nothing stays open.
 *
 * @throws RootfsError as `extractLayers`; what the source throws; the signal's reason
 */
export async function openRootFS(
  source: LayerSource,
  image: Image,
  dst: string,
  options: ExtractOptions = {},
): Promise<RootFS> {
  absolutePath(dst, 'dst');
  requireImage(image);
  const digests = image.layers.flatMap(({ diffId }) => diffId ?? []);
  const { signal, onProgress } = options;
  const lease = await takeLease(dst, { purpose: 'root file system', digests, signal, onProgress });
  let layers: readonly LayerHandle[] = [];
  try {
    layers = await extractLayers(source, image.layers, dst, options);
    if (layers.some(({ diffId }) => !digests.includes(diffId))) await lease.add(layers.map(({ diffId }) => diffId));
    return new OpenRootFS(image, layers, lease);
  } catch (error) {
    await closeLayers(layers);
    await lease.release();
    throw error;
  }
}

class OpenRootFS implements RootFS {
  readonly image: Image;
  readonly layers: readonly LayerHandle[];

  readonly #lease: Lease;

  constructor(image: Image, layers: readonly LayerHandle[], lease: Lease) {
    this.image = image;
    this.layers = layers;
    this.#lease = lease;
  }

  async close(): Promise<void> {
    const closed = await Promise.allSettled(this.layers.map((layer) => layer.close()));
    await this.#lease.release();
    for (const result of closed) if (result.status === 'rejected') throw result.reason;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
