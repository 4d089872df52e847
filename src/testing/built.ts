/** What the builders give: documents and blobs with their digests, ready for a registry or a layout. */
import { createHash } from 'node:crypto';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest, DigestAlgorithm } from '../spec/digest.js';

/** Content that was built: an image, an index, or anything else that a descriptor can name. */
export interface Built {
  /** Names the manifest or index. */
  readonly descriptor: Descriptor;
  /** All content by digest: manifests, indexes, configs and layers, of everything below too. */
  readonly blobs: ReadonlyMap<Digest, Buffer>;
  /** Which of `blobs` are manifests or indexes, with their media types. */
  readonly documents: ReadonlyMap<Digest, string>;
}

/** The digest of `bytes`; sha256 unless told. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** A descriptor of `bytes`. */
export function describe(mediaType: string, bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Descriptor {
  return { mediaType, digest: digestOf(bytes, algorithm), size: bytes.length };
}

/** Bytes of one's own as a manifest: an artifact, a schema 1 manifest, or something broken. `blobs` go with it. */
export function document(
  mediaType: string,
  content: Uint8Array | string | object,
  blobs: readonly Uint8Array[] = [],
): Built {
  const bytes =
    content instanceof Uint8Array
      ? Buffer.from(content)
      : Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
  const descriptor = describe(mediaType, bytes);
  const all = new Map<Digest, Buffer>(blobs.map((blob) => [digestOf(blob), Buffer.from(blob)]));
  all.set(descriptor.digest, bytes);
  return { descriptor, blobs: all, documents: new Map([[descriptor.digest, mediaType]]) };
}
