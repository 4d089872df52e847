/**
 * What a layer is before and after it was extracted. The verbs stand in files of their own.
 *
 * This room turns one blob into one uncompressed tar in a store. It knows content and compression; it must not know
 * registries, images, tar entries or other layers' meaning.
 */
import type { FileHandle } from 'node:fs/promises';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';

/** An extracted layer, open for reading. */
export interface LayerHandle extends AsyncDisposable {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  /** Absolute path of the uncompressed tar, `<dst>/sha256/<hex>`. */
  readonly path: string;
  /** Length of the uncompressed tar in bytes. */
  readonly tarBytes: number;
  /** Open read-only, position 0; the same for a fresh and for a cached layer. Closed by `close`. */
  readonly file: FileHandle;
  /** Closes the file; a second call does nothing. */
  close(): Promise<void>;
}
