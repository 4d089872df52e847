/** What a reference may point at: one image's manifest, or an index of several. */
import { documentKind, type ParseManifestOptions } from './document-kind.js';
import { checkIndex, type ImageIndex } from './image-index.js';
import { checkManifest, type ImageManifest, MANIFEST_KIND } from './image-manifest.js';
import { readJsonObject } from './json-document.js';

/** A manifest or an index, checked, and which of the two. */
export type ManifestOrIndex =
  | { readonly kind: 'manifest'; readonly value: ImageManifest }
  | { readonly kind: 'index'; readonly value: ImageIndex };

/**
 * Reads a manifest or an index, whichever it is.
 *
 * @throws RootfsError as `parseManifest` and `parseIndex`
 */
export function parseManifestOrIndex(bytes: Uint8Array, options: ParseManifestOptions = {}): ManifestOrIndex {
  const document = readJsonObject(bytes, MANIFEST_KIND, options);
  return documentKind(document, options) === 'index'
    ? { kind: 'index', value: checkIndex(document, options.subject) }
    : { kind: 'manifest', value: checkManifest(document, options.subject) };
}
