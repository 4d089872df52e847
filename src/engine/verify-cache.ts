/** Every byte of the caches against the digest it is named by. */
import type { CallOptions } from '../content/content.js';
import { mapConcurrently } from '../io/concurrency.js';
import { type ProgressListener, report } from '../progress.js';
import type { Digest } from '../spec/digest.js';
import {
  type BlobFolder,
  type CachePlaces,
  cachePlaces,
  openImageBlobs,
  openImageLayout,
  openLayerBlobs,
} from './cache-places.js';

/** Files hashed at once. */
const HASHES_AT_ONCE = 4;

/** A blob whose bytes were not what its name says; it was removed. */
export interface DamagedBlob {
  readonly kind: 'image' | 'layer';
  readonly digest: Digest;
  readonly path: string;
}

/** What verifying came to. */
export interface CacheVerification {
  readonly checkedBlobs: number;
  readonly checkedBytes: number;
  readonly damaged: readonly DamagedBlob[];
}

/**
 * Hashes all cached content. What is damaged is removed, so that the next use fetches or extracts it again; a
 * `warning:raised` event tells each. What somebody else removes meanwhile is not counted.
 *
 * @throws RootfsError `ERR_MANIFEST_INVALID`, `ERR_LAYOUT_INVALID` (the cache's list of images is damaged or gone; all
 *   content was checked before that is told), `ERR_PERMISSION`, `ERR_FILESYSTEM`; the signal's reason
 */
export async function verifyCache(places: CachePlaces = {}, options: CallOptions = {}): Promise<CacheVerification> {
  const folders = cachePlaces(places);
  const images = await openImageBlobs(folders.images);
  const image = await verifyFolder('image', images, options);
  const layer = await verifyFolder('layer', await openLayerBlobs(folders.layers), options);
  if (images !== undefined) await openImageLayout(images.root);
  return {
    checkedBlobs: image.checkedBlobs + layer.checkedBlobs,
    checkedBytes: image.checkedBytes + layer.checkedBytes,
    damaged: [...image.damaged, ...layer.damaged],
  };
}

async function verifyFolder(
  kind: DamagedBlob['kind'],
  folder: BlobFolder | undefined,
  options: CallOptions,
): Promise<CacheVerification> {
  if (folder === undefined) return { checkedBlobs: 0, checkedBytes: 0, damaged: [] };
  const all: { readonly digest: Digest; readonly size: number }[] = [];
  for await (const { digest, size } of folder.walk()) all.push({ digest, size });
  const states = await mapConcurrently(all, ({ digest }, signal) => judge(folder, digest, { ...options, signal }), {
    concurrency: HASHES_AT_ONCE,
    signal: options.signal,
  });
  const checked = all.filter((_, at) => states[at] !== 'gone');
  return {
    checkedBlobs: checked.length,
    checkedBytes: checked.reduce((sum, { size }) => sum + size, 0),
    damaged: all
      .filter((_, at) => states[at] === 'damaged')
      .map(({ digest }) => ({ kind, digest, path: folder.blobs.path(digest) })),
  };
}

/** A bad blob is told of; one that somebody pruned or removed meanwhile is not, and was no damage. */
async function judge(
  { blobs }: BlobFolder,
  digest: Digest,
  options: CallOptions,
): Promise<'sound' | 'damaged' | 'gone'> {
  let isBad = false;
  const onProgress: ProgressListener = (event) => {
    isBad ||= event.type === 'warning:raised';
    report(options.onProgress, event);
  };
  const found = await blobs.find(digest, { ...options, onProgress, verify: 'always' });
  if (isBad) return 'damaged';
  return found === undefined ? 'gone' : 'sound';
}
