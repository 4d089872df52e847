/** What is in the caches. */
import { listLeases } from '../content/lease.js';
import type { LeaseInfo } from '../content/lease-info.js';
import type { Digest } from '../spec/digest.js';
import {
  type CachePlaces,
  cachePlaces,
  isOneFolder,
  openImageBlobs,
  openImageLayout,
  openLayerBlobs,
} from './cache-places.js';
import { readImages } from './cached-images.js';
import { type KeptForm, keptForms } from './kept-forms.js';

/** One image of the image cache. */
export interface CachedImage {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Full references; empty for an image that was fetched by its digest. */
  readonly names: readonly string[];
  /** Bytes of all content that belongs to it and is here; images may share some of it. */
  readonly bytes: number;
  /** How many blobs belong to it and are not here: layers that nobody asked for, other platforms. */
  readonly missingBlobs: number;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
}

/** One extracted layer. */
export interface CachedLayer {
  readonly diffId: Digest;
  readonly tarBytes: number;
  readonly path: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly usedAt: number;
}

/** What is in the caches, and who uses it. */
export interface CacheListing {
  readonly imagesFolder: string;
  readonly layersFolder: string;
  readonly images: readonly CachedImage[];
  readonly layers: readonly CachedLayer[];
  /** Bytes of all blobs of the image cache, each once, those that no image names included. */
  readonly imageBytes: number;
  readonly layerBytes: number;
  /** Root file systems kept beside the layers. They are not pruned: who uses one takes no lease. */
  readonly forms: readonly KeptForm[];
  readonly formBytes: number;
  readonly leases: readonly LeaseInfo[];
}

/** Lists the caches, what was used last first. What is not there is empty. @throws RootfsError */
export async function listCache(places: CachePlaces = {}): Promise<CacheListing> {
  const folders = cachePlaces(places);
  const images: CachedImage[] = [];
  let imageBytes = 0;
  const imageBlobs = await openImageBlobs(folders.images);
  if (imageBlobs !== undefined) {
    for await (const { size } of imageBlobs.walk()) imageBytes += size;
    for (const found of await readImages(folders.images, await openImageLayout(folders.images))) {
      const { digest, mediaType, names, usedAt, present, missing } = found;
      const bytes = [...present.values()].reduce((sum, size) => sum + size, 0);
      images.push({ digest, mediaType, names, bytes, missingBlobs: missing.size, usedAt });
    }
  }
  const layers: CachedLayer[] = [];
  const layerBlobs = await openLayerBlobs(folders.layers);
  if (layerBlobs !== undefined) {
    for await (const { digest, size, createdAt } of layerBlobs.walk()) {
      const usedAt = (await layerBlobs.blobs.lastUsed(digest)) ?? createdAt;
      layers.push({ diffId: digest, tarBytes: size, path: layerBlobs.blobs.path(digest), createdAt, usedAt });
    }
  }
  const forms = await keptForms(folders.layers);
  const isOne = imageBlobs !== undefined && layerBlobs !== undefined && (await isOneFolder(imageBlobs, layerBlobs));
  return {
    imagesFolder: folders.images,
    layersFolder: folders.layers,
    images: images.sort((a, b) => b.usedAt - a.usedAt),
    layers: layers.sort((a, b) => b.usedAt - a.usedAt),
    imageBytes,
    layerBytes: layers.reduce((sum, { tarBytes }) => sum + tarBytes, 0),
    forms,
    formBytes: forms.reduce((sum, { bytes }) => sum + bytes, 0),
    leases: [
      ...(imageBlobs === undefined ? [] : await listLeases(folders.images)),
      ...(layerBlobs === undefined || isOne ? [] : await listLeases(folders.layers)),
    ],
  };
}
