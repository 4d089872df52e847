/** A bound for what is transferred: the limit of what comes out of a layer is one of what goes in, too. */
import { RootfsError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';

/** Frames around what cannot be compressed, and small layers of any kind: so much more than the content, in bytes. */
const FRAMES_BYTES = 64 * 1024;

/**
 * Refuses a layer whose blob is promised to be larger than the largest layer that is taken: frames that hold nothing
 * would fill a disk, and count nowhere else.
 *
 * @throws RootfsError `ERR_LIMIT_EXCEEDED`
 */
export function requirePossibleSize({ digest, size }: Descriptor, maxLayerSize: number): void {
  // What is no size is told by whoever reads the descriptor.
  if (!(size > maxLayerSize + maxLayerSize / 100 + FRAMES_BYTES)) return;
  throw new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${digest}: the blob is promised to have ${size} bytes, more than a layer of at most ${maxLayerSize} uncompressed bytes compresses to; raise maxLayerSize (--max-layer-size) if you trust the image`,
    { detail: { digest, size, maxLayerSize } },
  );
}
