/** What the workers are told and what they answer. Plain values and shared memory: all of it crosses threads. */
import type { Digest, DigestAlgorithm } from '../spec/digest.js';

/** Where a worker reads the compressed bytes from. */
export type LayerInput =
  /** Bytes that are all here. */
  | { readonly kind: 'memory'; readonly bytes: Uint8Array }
  /**
   * A file opened by the main thread, which closes it; it may still grow, as the layer's control says. With `path`, it
   * is somebody else's, and failures to read it are told by that.
   */
  | { readonly kind: 'file'; readonly fd: number; readonly offset: number; readonly path?: string };

/** What all tasks of one layer have in common. */
export interface LayerWork {
  readonly digest: Digest;
  /** Length of the compressed blob in bytes, as promised. */
  readonly size: number;
  readonly mediaType: string;
  readonly input: LayerInput;
  /** Memory of the layer's `LayerControl`. */
  readonly control: SharedArrayBuffer;
  readonly algorithm: DigestAlgorithm;
  /** The temporary that takes the tar: opened by the main thread, which closes it. */
  readonly tarFd: number;
  readonly maxBytes: number;
  readonly maxRatio: number;
}

/**
 * The whole of a layer, or one half of it: `inflate` fills the ring, `write` empties it, hashes both sides and writes.
 */
export type LayerTask =
  | ({ readonly kind: 'whole' } & LayerWork)
  | ({ readonly kind: 'inflate'; readonly ring: SharedArrayBuffer } & LayerWork)
  | ({ readonly kind: 'write'; readonly ring: SharedArrayBuffer } & LayerWork);

/** What came out. The compressed side was verified; whether `diffId` is the promised one is for the caller to say. */
export interface LayerOutcome {
  readonly diffId: Digest;
  readonly tarBytes: number;
}
