/** What fetching an image's layers into a store would take: which are there, how much would come, how much room it needs. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobPlaces } from '../content/blob-places.js';
import type { Image } from '../image/image.js';
import { requireImage } from '../image/require-image.js';
import { absolutePath } from '../io/absolute-path.js';
import { keptBytes } from '../layer/spool.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import { layerCompression } from '../spec/media-types.js';

/** One layer of an image, and whether a store has it. */
export interface ExplainedLayer {
  readonly digest: Digest;
  readonly diffId?: Digest | undefined;
  readonly compressedBytes: number;
  /** Whether a file of its name is in the store; its bytes are not looked at. */
  readonly present: boolean;
  /** Length of that file. */
  readonly tarBytes?: number | undefined;
  /** Compressed bytes that a broken or interrupted run left, and the next one goes on from. */
  readonly partialBytes?: number | undefined;
}

/** What an extraction would take. Each layer counts once, however often it stands in the image. */
export interface LayersExplanation {
  readonly layers: readonly ExplainedLayer[];
  /** What earlier runs have left is not fetched again. */
  readonly bytesToFetch: number;
  /** Room for the missing layers' tars, in bytes: an estimate where they are compressed. */
  readonly diskNeeded: number;
}

/** How much longer a tar is than its compressed layer, for the estimate: what images of distributions have. */
const USUAL_RATIO = 3;

/**
 * Compares an image with a store's folder, which need not exist.
 *
 * @throws RootfsError `ERR_DIGEST_UNSUPPORTED`, `ERR_OPTION_INVALID`
 */
export async function explainLayers(image: Image, store: string): Promise<LayersExplanation> {
  requireImage(image);
  const folder = absolutePath(store, 'store');
  const layers: ExplainedLayer[] = [];
  for (const { descriptor, diffId } of image.layers) {
    const { digest, size: compressedBytes } = descriptor;
    const tarBytes = diffId === undefined ? undefined : await fileBytes(folder, diffId);
    const present = tarBytes !== undefined;
    const partialBytes = present ? 0 : leftBytes(folder, digest, compressedBytes);
    layers.push({
      digest,
      diffId,
      compressedBytes,
      present,
      ...(present ? { tarBytes } : {}),
      ...(partialBytes > 0 ? { partialBytes } : {}),
    });
  }
  const missing = new Map<Digest, number>();
  let diskNeeded = 0;
  for (const [at, { digest, compressedBytes, present, partialBytes = 0 }] of layers.entries()) {
    if (present || missing.has(digest)) continue;
    missing.set(digest, compressedBytes - partialBytes);
    const plain = layerCompression(image.layers[at]?.descriptor.mediaType ?? '') === 'none';
    diskNeeded += plain ? compressedBytes : compressedBytes * USUAL_RATIO;
  }
  return { layers, bytesToFetch: [...missing.values()].reduce((sum, size) => sum + size, 0), diskNeeded };
}

function leftBytes(store: string, digest: Digest, compressedBytes: number): number {
  try {
    return keptBytes(new BlobPlaces(store, '').ingest(digest, 'partial'), compressedBytes);
  } catch {
    // Where one may not look, an extraction will say why.
    return 0;
  }
}

async function fileBytes(store: string, diffId: Digest): Promise<number | undefined> {
  const { algorithm, encoded } = requireVerifiable(diffId);
  const found = await lstat(join(store, algorithm, encoded)).catch(() => undefined);
  return found?.isFile() === true ? found.size : undefined;
}
