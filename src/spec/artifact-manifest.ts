/**
 * Artifact manifests: a form that the specification has given up, which registries and indexes still hold.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0-rc2/artifact.md
 */
import * as v from 'valibot';
import { type Descriptor, descriptorSchema } from './descriptor.js';
import { MAX_LAYERS } from './image-manifest.js';
import {
  checkDocument,
  checkLength,
  type DocumentKind,
  jsonObject,
  type ParseOptions,
  readJsonObject,
} from './json-document.js';
import { MediaType } from './media-types.js';

/** What an artifact manifest names. Nothing else of it is read: it is no image, and is copied as it is. */
export interface ArtifactManifest {
  readonly mediaType: string;
  readonly blobs?: readonly Descriptor[] | undefined;
}

const KIND: DocumentKind = { name: 'artifact manifest', code: 'ERR_MANIFEST_INVALID', lists: ['blobs'] };

const schema = v.pipe(
  jsonObject,
  v.looseObject({
    mediaType: v.literal(MediaType.ociArtifact),
    blobs: v.optional(v.array(descriptorSchema)),
    // What other clients would read as an image or an index.
    layers: v.optional(v.never()),
    manifests: v.optional(v.never()),
  }),
);

/**
 * Reads an artifact manifest.
 *
 * @throws RootfsError `ERR_MANIFEST_INVALID`, `ERR_LIMIT_EXCEEDED` (bytes, depth, more blobs than an image has layers)
 */
export function parseArtifactManifest(bytes: Uint8Array, options: ParseOptions = {}): ArtifactManifest {
  const document = readJsonObject(bytes, KIND, options);
  if (Array.isArray(document['blobs'])) {
    checkLength(document['blobs'], 'blobs', MAX_LAYERS, options.subject ?? KIND.name);
  }
  return checkDocument(schema, document, KIND, options.subject);
}
