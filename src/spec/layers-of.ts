/** A manifest's layers with what the config promises of each. Pure. */
import { RootfsError } from '../errors.js';
import type { ImageConfig } from './image-config.js';
import type { ImageLayer } from './image-layer.js';
import type { ImageManifest } from './image-manifest.js';

/**
 * Pairs the layers of a manifest with the diffIDs of its config, base first.
 *
 * @param name What the message of an error starts with.
 * @throws RootfsError `ERR_CONFIG_INVALID` where there are not as many of one as of the other
 */
export function layersOf(
  name: string,
  manifest: Pick<ImageManifest, 'layers'>,
  config: ImageConfig,
): readonly ImageLayer[] {
  const { diff_ids: diffIds } = config.rootfs;
  if (diffIds.length !== manifest.layers.length) {
    throw new RootfsError(
      'ERR_CONFIG_INVALID',
      `${name}: the manifest has ${manifest.layers.length} layers, but the config has ${diffIds.length} diffIDs; ask who publishes it`,
      { detail: { image: name, layers: manifest.layers.length, diffIds: diffIds.length } },
    );
  }
  return manifest.layers.map((descriptor, index) => {
    const diffId = diffIds[index];
    return diffId === undefined ? { descriptor } : { descriptor, diffId };
  });
}
