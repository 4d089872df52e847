/**
 * Artifact manifests: a form that the specification has given up, which registries and indexes still hold.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0-rc2/artifact.md
 */
import * as v from 'valibot';
import { type Descriptor, layerSchema } from './descriptor.js';
import { MAX_LAYERS } from './image-manifest.js';
import {
  artifactType,
  checkDocument,
  checkLength,
  type DocumentKind,
  jsonObject,
  type ParseOptions,
  readJsonObject,
  stringMap,
} from './json-document.js';
import { MediaType } from './media-types.js';

/** What an artifact manifest names. It is no image, and is copied as it is: only `blobs` must be right for that. */
export interface ArtifactManifest {
  readonly mediaType: string;
  readonly artifactType?: string | undefined;
  readonly blobs?: readonly Descriptor[] | undefined;
  /** What it refers to; some clients wrote nothing but the digest. */
  readonly subject?: Pick<Descriptor, 'digest'> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

const KIND: DocumentKind = { name: 'artifact manifest', code: 'ERR_MANIFEST_INVALID', lists: ['blobs'] };

const schema = v.pipe(
  jsonObject,
  v.looseObject({
    mediaType: v.literal(MediaType.ociArtifact),
    artifactType: v.fallback(artifactType, undefined),
    blobs: v.optional(v.array(layerSchema)),
    subject: v.fallback(v.optional(v.looseObject({ digest: v.string() })), undefined),
    annotations: v.fallback(v.optional(stringMap), undefined),
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
