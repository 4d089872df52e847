/** Manifest or index: what a document says it is must be what it is (CVE-2021-41190). Pure. */
import { RootfsError } from '../errors.js';
import { findOtherCase } from './field-case.js';
import type { JsonObject, ParseOptions } from './json-document.js';
import { bareMediaType, isIndexType, isManifestType, isSchema1Type, MediaType } from './media-types.js';
import { shortText } from './short-text.js';

/** Options of the readers of manifests and indexes. */
export interface ParseManifestOptions extends ParseOptions {
  /**
   * What the document was announced as: a descriptor's `mediaType` or a Content-Type, parameters ignored. Types that
   * name no manifest (`application/json`) announce nothing.
   */
  readonly mediaType?: string | undefined;
  /** What the document can only be by the place it was found in; decides where it does not tell its kind itself. */
  readonly place?: 'index' | undefined;
}

const OTHER_MANIFESTS: ReadonlyMap<string, string> = new Map([
  [MediaType.ociArtifact, 'an OCI artifact'],
  ['application/vnd.cncf.oras.artifact.manifest.v1+json', 'an ORAS artifact'],
]);

/**
 * Says which of the two a document is, by what it was announced as, what it says of itself, and what it holds; the
 * three must agree.
 *
 * @throws RootfsError `ERR_MANIFEST_INVALID` (they disagree, or it is neither), `ERR_SCHEMA1_UNSUPPORTED`,
 *   `ERR_NOT_AN_IMAGE` (a manifest of another kind)
 */
export function documentKind(document: JsonObject, options: ParseManifestOptions = {}): 'manifest' | 'index' {
  const { subject = 'the manifest' } = options;
  const own = document['mediaType'] === '' ? undefined : document['mediaType'];
  const told = typeof own === 'string' ? shortText(own) : undefined;
  const announced = bareMediaType(options.mediaType ?? '');
  const holds = (...fields: string[]): boolean => fields.some((field) => document[field] !== undefined);
  const refuse = (problem: string): RootfsError =>
    new RootfsError('ERR_MANIFEST_INVALID', `${subject}: ${problem}; ask who publishes it`, {
      detail: { subject, mediaType: told, announced },
    });

  if (own !== undefined && typeof own !== 'string') throw refuse('the mediaType of the document is not a string');
  const other = findOtherCase(document);
  if (other !== undefined) {
    const { found, known } = other;
    throw refuse(
      `the document has a field ${JSON.stringify(found)}, which some clients read as ${known} and others do not`,
    );
  }
  const image = holds('config', 'layers');
  const index = holds('manifests');
  if (image && index) throw refuse('the document is a manifest and an index at once, which no client may guess at');
  if (holds('fsLayers') && (image || index)) {
    throw refuse('the document is of schema 1 and of schema 2 at once, which no client may guess at');
  }
  const isKnown = (type: string): boolean => isManifestType(type) || isIndexType(type) || isSchema1Type(type);
  if (own !== undefined && isKnown(announced) && own !== announced) {
    throw refuse(`the document says that it is ${told}, but it was announced as ${announced}`);
  }
  const type = own ?? (isKnown(announced) ? announced : '');
  // Documents of today's form that only say 1 are no schema 1: which number they should say is told further on.
  const oldNumber = document['schemaVersion'] === 1 && !image && !index && options.place === undefined;
  if (isSchema1Type(type) || oldNumber || holds('fsLayers')) {
    throw new RootfsError(
      'ERR_SCHEMA1_UNSUPPORTED',
      `${subject}: a Docker schema 1 manifest, deprecated since 2017 and not read here; rebuild or re-push the image with a current tool`,
      { detail: { subject } },
    );
  }
  if (type !== '' && !isKnown(type)) {
    throw new RootfsError(
      'ERR_NOT_AN_IMAGE',
      `${subject}: not an image but ${OTHER_MANIFESTS.get(type) ?? `a document of type ${told}`}; only images have a root file system`,
      { detail: { subject, mediaType: told } },
    );
  }
  if (isManifestType(type) && index) throw refuse(`the document holds an index, but it is announced as ${type}`);
  if (isIndexType(type) && image) throw refuse(`the document holds a manifest, but it is announced as ${type}`);
  if (isManifestType(type) || image) return 'manifest';
  if (isIndexType(type) || index || options.place === 'index') return 'index';
  throw refuse('the document is neither an image manifest nor an index');
}
