/** A manifest or an index by itself: an image's, an artifact's, whatever the name points at. */
import type { CallOptions, ReadOnlyTarget } from '../content/content.js';
import { throwIfAborted } from '../io/abort.js';
import { checkByteLimit, MAX_DOCUMENT_BYTES } from '../io/limit.js';
import type { ImageIndex } from '../spec/image-index.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import { DocumentReader } from './document-reader.js';
import type { ImageDocument } from './image.js';
import { imageFailure } from './image-failure.js';
import { imageName } from './image-name.js';
import { requireSource } from './require-source.js';

/** A manifest or an index: what it says, its descriptor and its verified bytes. */
export type FetchedManifest =
  | ({ readonly kind: 'manifest' } & ImageDocument<ImageManifest>)
  | ({ readonly kind: 'index' } & ImageDocument<ImageIndex>);

/** Options of `fetchManifest`. */
export interface FetchManifestOptions extends CallOptions {
  /** The most bytes it may have; 4 MiB when absent. */
  readonly maxManifestBytes?: number | undefined;
}

/**
 * Fetches what a reference points at, verified, with its bytes as they are; nothing below it is read.
 *
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_MANIFEST_INVALID`, `ERR_SCHEMA1_UNSUPPORTED`, `ERR_NOT_AN_IMAGE` (a
 *   document of another kind), `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_LIMIT_EXCEEDED`, `ERR_OPTION_INVALID`,
 *   `ERR_REFERENCE_INVALID`, what the source throws; or the signal's own reason
 */
export async function fetchManifest(
  source: ReadOnlyTarget,
  reference: string,
  options: FetchManifestOptions = {},
): Promise<FetchedManifest> {
  requireSource(source, reference);
  const { signal, onProgress } = options;
  const maxBytes = checkByteLimit('maxManifestBytes', options.maxManifestBytes ?? MAX_DOCUMENT_BYTES);
  throwIfAborted(signal);
  try {
    return await new DocumentReader(source, reference, { signal, onProgress, maxBytes }).target();
  } catch (error) {
    throw imageFailure(error, imageName(source, reference), signal);
  }
}
