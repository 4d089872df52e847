/** One layer looked into without keeping it: what it unpacks to, and whether that is a tar. */
import { createHash, type Hash } from 'node:crypto';
import type { CallOptions, Fetcher } from '../content/content.js';
import { RootfsError } from '../errors.js';
import type { LayerLimits } from '../layer/extract-options.js';
import { fetchLayer } from '../layer/fetch-layer.js';
import { requireDiffId } from '../layer/layer-failure.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, type DigestAlgorithm, requireVerifiable } from '../spec/digest.js';
import { readTarStream } from '../tar/read-tar-stream.js';

/**
 * Reads a layer once: its bytes against its digest, what they unpack to against each diffID, and that as a tar to its
 * end. Of several things that are wrong the first in this order is told.
 *
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_DECOMPRESS`, `ERR_DIFFID_MISMATCH`,
 *   `ERR_TAR_INVALID`, `ERR_LIMIT_EXCEEDED`, and as `fetchLayer`; the signal's own reason when it was aborted
 */
export async function checkLayer(
  source: Fetcher,
  layer: Descriptor,
  diffIds: ReadonlySet<Digest>,
  options: CallOptions & LayerLimits,
): Promise<void> {
  const hashes = new Map<DigestAlgorithm, Hash>();
  for (const diffId of diffIds) {
    const { algorithm } = requireVerifiable(diffId);
    hashes.set(algorithm, createHash(algorithm));
  }
  const stream = await fetchLayer(source, layer, options);
  const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
  // Not a loop over the stream: leaving that would end the stream, and a broken tar is read on to the end.
  async function* hashed(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      for (const hash of hashes.values()) hash.update(next.value);
      yield next.value;
    }
  }
  try {
    let damage: RootfsError | undefined;
    try {
      for await (const _ of readTarStream(hashed()));
    } catch (error) {
      if (!(error instanceof RootfsError)) throw error;
      if (error.code !== 'ERR_TAR_INVALID') throw ofLayer(error, layer.digest);
      damage = error;
      for await (const _ of hashed());
    }
    const found = new Map([...hashes].map(([algorithm, hash]) => [algorithm, `${algorithm}:${hash.digest('hex')}`]));
    for (const diffId of diffIds) requireDiffId(layer.digest, diffId, found.get(requireVerifiable(diffId).algorithm));
    if (damage !== undefined) throw ofLayer(damage, layer.digest);
  } finally {
    stream.destroy();
  }
}

/** What the reader of a tar says names a place in it, and not whose tar it is. */
function ofLayer(error: RootfsError, digest: Digest): RootfsError {
  if (error.message.includes(digest)) return error;
  return new RootfsError(error.code, `${digest}: ${error.message}`, {
    cause: error,
    detail: { ...error.detail, digest },
  });
}
