/** Image indexes. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md */
import * as v from 'valibot';
import { RootfsError } from '../errors.js';
import { type Descriptor, descriptorSchema, entrySchema } from './descriptor.js';
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

/** An image index (OCI) or manifest list (Docker). Fields that the specification does not name are kept as they came. */
export interface ImageIndex {
  readonly schemaVersion: 2;
  readonly mediaType?: string | undefined;
  readonly artifactType?: string | undefined;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** The most entries that an index may have: more than fit into 4 MiB with a platform each. */
export const MAX_INDEX_ENTRIES = 20_000;

const KIND: DocumentKind = { name: 'image index', code: 'ERR_MANIFEST_INVALID', lists: ['layers', 'manifests'] };

function indexOf(entry: v.GenericSchema<unknown, unknown>): v.GenericSchema<unknown, unknown> {
  return v.pipe(
    jsonObject,
    v.looseObject({
      schemaVersion: v.literal(2),
      mediaType: optionalMediaType,
      artifactType,
      manifests: v.array(entry),
      subject: v.optional(descriptorSchema),
      annotations: v.optional(stringMap),
    }),
  );
}

const schema = indexOf(descriptorSchema);
const layoutSchema = indexOf(entrySchema);

/**
 * Reads an image index or manifest list; also the `index.json` of an OCI layout, whose entries may say any text as their
 * type.
 *
 * @throws RootfsError `ERR_MANIFEST_INVALID`, `ERR_LIMIT_EXCEEDED` (bytes, depth, `MAX_INDEX_ENTRIES`),
 *   `ERR_SCHEMA1_UNSUPPORTED`, `ERR_NOT_AN_IMAGE`
 */
export function parseIndex(bytes: Uint8Array, options: ParseManifestOptions = {}): ImageIndex {
  const document = readJsonObject(bytes, KIND, options);
  if (documentKind(document, options) === 'index') return checkIndex(document, options.subject, options.place);
  const subject = options.subject ?? KIND.name;
  throw new RootfsError(
    'ERR_MANIFEST_INVALID',
    `${subject}: an image manifest, where an index was expected; ask who publishes it`,
    {
      detail: { subject },
    },
  );
}

/** Checks a document that `documentKind` found to be an index. @throws RootfsError as `parseIndex` */
export function checkIndex(
  document: JsonObject,
  subject: string = KIND.name,
  place?: ParseManifestOptions['place'],
): ImageIndex {
  if (Array.isArray(document['manifests'])) {
    checkLength(document['manifests'], 'manifests', MAX_INDEX_ENTRIES, subject);
  }
  return checkDocument(place === 'index' ? layoutSchema : schema, document, KIND, subject);
}
