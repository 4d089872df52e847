/** Image manifests. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md */
import * as v from 'valibot';
import { RootfsError } from '../errors.js';
import { type Descriptor, descriptorSchema, layerSchema } from './descriptor.js';
import { documentKind, type ParseManifestOptions } from './document-kind.js';
import {
  artifactType,
  checkDocument,
  checkLength,
  type DocumentKind,
  type JsonObject,
  jsonObject,
  optionalMediaType,
  readJsonObject,
  stringMap,
} from './json-document.js';

/** An image manifest, OCI's or Docker's schema 2. Fields that the specification does not name are kept as they came. */
export interface ImageManifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string | undefined;
  readonly artifactType?: string | undefined;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** The most layers that a manifest may have. Docker stops at 127, overlayfs at 500. */
export const MAX_LAYERS = 1000;

/** What a manifest is to the document reader; Go writes an image without layers as `layers: null`. */
export const MANIFEST_KIND: DocumentKind = {
  name: 'image manifest',
  code: 'ERR_MANIFEST_INVALID',
  lists: ['layers', 'manifests'],
};

const schema = v.pipe(
  jsonObject,
  v.looseObject({
    schemaVersion: v.literal(2),
    mediaType: optionalMediaType,
    artifactType,
    config: descriptorSchema,
    layers: v.array(layerSchema),
    subject: v.optional(descriptorSchema),
    annotations: v.optional(stringMap),
  }),
);

/**
 * Reads an image manifest. Whether it is one of an image, or of something else that registries keep in the same
 * form, is `describeArtifact`'s to say.
 *
 * @throws RootfsError `ERR_MANIFEST_INVALID`, `ERR_LIMIT_EXCEEDED` (bytes, depth, `MAX_LAYERS`),
 *   `ERR_SCHEMA1_UNSUPPORTED`, `ERR_NOT_AN_IMAGE`
 */
export function parseManifest(bytes: Uint8Array, options: ParseManifestOptions = {}): ImageManifest {
  const document = readJsonObject(bytes, MANIFEST_KIND, options);
  if (documentKind(document, options) === 'manifest') return checkManifest(document, options.subject);
  const subject = options.subject ?? MANIFEST_KIND.name;
  throw new RootfsError(
    'ERR_MANIFEST_INVALID',
    `${subject}: an index, where an image manifest was expected; ask who publishes it`,
    {
      detail: { subject },
    },
  );
}

/** Checks a document that `documentKind` found to be a manifest. @throws RootfsError as `parseManifest` */
export function checkManifest(document: JsonObject, subject: string = MANIFEST_KIND.name): ImageManifest {
  if (Array.isArray(document['layers'])) checkLength(document['layers'], 'layers', MAX_LAYERS, subject);
  return checkDocument(schema, document, MANIFEST_KIND, subject);
}
