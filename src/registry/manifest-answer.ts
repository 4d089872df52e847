/** What an answer from `/manifests/` says about the manifest: its media type, digest and size. */
import { Readable } from 'node:stream';
import { resolveRange } from '../content/blob-file.js';
import type { FetchOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { digestOf } from '../io/digest-of.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isDigest, requireVerifiable } from '../spec/digest.js';
import { bareMediaType, isIndexType, isManifestType, isSchema1Type, MediaType } from '../spec/media-types.js';
import { parseJsonObject } from '../spec/parse-json.js';
import { contentEncoding } from './read-document.js';
import { errorEntries } from './refusal-reason.js';
import type { WireHeaders } from './wire.js';

/** The longest document that may be an error, in bytes: others are not parsed for it. */
const ERROR_BYTES = 64 * 1024;

/** Everything that is understood, and schema 1 only to be refused by name. */
export const MANIFEST_ACCEPT = [
  MediaType.ociIndex,
  MediaType.dockerManifestList,
  MediaType.ociManifest,
  MediaType.dockerManifest,
  `${MediaType.dockerSchema1Signed};q=0.1`,
  `${MediaType.dockerSchema1};q=0.1`,
].join(', ');

/** Whether content of this type lies under `/manifests/`. */
export function isManifestContent(mediaType: string): boolean {
  return (
    isManifestType(mediaType) ||
    isIndexType(mediaType) ||
    isSchema1Type(mediaType) ||
    mediaType === MediaType.ociArtifact
  );
}

/** The media type of a Content-Type header; `undefined` where it names none. */
function contentTypeOf(header: string | undefined): string | undefined {
  return bareMediaType(header ?? '') || undefined;
}

/**
 * The descriptor that a HEAD answer gives, or `undefined` where it leaves something open or contradicts the digest
 * that was asked for: then the bytes have to say.
 */
export function descriptorFromHead(headers: WireHeaders, asked: Digest | undefined): Descriptor | undefined {
  const mediaType = contentTypeOf(headers.get('content-type'));
  const said = headers.get('docker-content-digest');
  const length = headers.get('content-length');
  if (contentEncoding({ headers }) !== undefined) return undefined;
  if (mediaType === undefined || !isManifestContent(mediaType)) return undefined;
  if (length === undefined || !/^\d{1,10}$/.test(length) || Number(length) === 0) return undefined;
  if (Number(length) > MAX_DOCUMENT_BYTES) return undefined;
  if (said !== undefined && (!isDigest(said) || !isKnownAlgorithm(said))) return undefined;
  if (asked !== undefined && said !== undefined && said !== asked) return undefined;
  const digest = asked ?? (said as Digest | undefined);
  return digest === undefined ? undefined : { mediaType, digest, size: Number(length) };
}

/**
 * The descriptor of a manifest by its bytes. The header that names a digest is not believed.
 *
 * @param asked The digest it was asked for by: kept as the name, whatever the bytes are; whoever uses them checks.
 */
export function descriptorFromBytes(
  bytes: Uint8Array,
  contentType: string | undefined,
  asked: Digest | undefined,
): Descriptor {
  const bare = contentTypeOf(contentType);
  const mediaType =
    bare !== undefined && isManifestContent(bare) ? bare : (typeOfDocument(parseJsonObject(bytes)) ?? bare);
  return {
    mediaType: mediaType ?? 'application/octet-stream',
    digest: asked ?? digestOf(bytes),
    size: bytes.length,
  };
}

/** Whether bytes hash to a digest. @throws RootfsError `ERR_DIGEST_UNSUPPORTED`, `ERR_DIGEST_INVALID` */
export function hasDigest(bytes: Uint8Array, digest: Digest): boolean {
  return digestOf(bytes, requireVerifiable(digest).algorithm) === digest;
}

/** Whether an answer calls itself a page. That some registries do for anything they say. */
export function isHtml(contentType: string | undefined): boolean {
  return contentTypeOf(contentType) === 'text/html';
}

/** Whether an answer is a page, and not only called one. */
export function isPage(bytes: Uint8Array, contentType: string | undefined): boolean {
  return isHtml(contentType) && firstSign(bytes) === 0x3c;
}

function firstSign(bytes: Uint8Array): number | undefined {
  return bytes.find((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d);
}

/** The error for a page, an error, or nothing, in a manifest's place; `undefined` for anything else. */
export function noManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  name: string,
  host: string,
): RootfsError | undefined {
  const found = isPage(bytes, contentType) ? 'a web page' : firstSign(bytes) === undefined ? 'nothing' : errorIn(bytes);
  if (found === undefined) return undefined;
  return new RootfsError(
    'ERR_REGISTRY',
    `${name}: ${host} answered with ${found} instead of a manifest; check the host, and whether a portal or proxy is in between`,
    { detail: { host } },
  );
}

/**
 * What to call a registry's error that comes as a success; `undefined` for any other document. Its words stay out: they
 * may quote what was shown.
 */
function errorIn(bytes: Uint8Array): string | undefined {
  if (bytes.length > ERROR_BYTES) return undefined;
  const text = Buffer.from(bytes).toString('utf8');
  const document = text.includes('"errors"') ? parseJsonObject(bytes) : undefined;
  const errors = document === undefined || typeOfDocument(document) !== undefined ? [] : errorEntries(text);
  if (errors.length === 0) return undefined;
  const codes = errors.map(({ code }) => code).filter((code) => /^[A-Z_]{1,40}$/.test(code));
  return `an error (${codes[0] ?? 'UNKNOWN'})`;
}

/** The error for a manifest that is not what its digest promises. */
export function wrongManifest(name: string, host: string, digest: Digest, bytes: Uint8Array): RootfsError {
  const found = digestOf(bytes, requireVerifiable(digest).algorithm);
  return new RootfsError(
    'ERR_DIGEST_MISMATCH',
    `${name}: ${host} served bytes with digest ${found}; the registry's storage or a proxy is damaged, try again later`,
    { detail: { expected: digest, found } },
  );
}

/** The bytes of a manifest, or a range of them. @throws RootfsError `ERR_SIZE_MISMATCH` where they end before the range does */
export function manifestStream(
  bytes: Buffer,
  target: Descriptor,
  range: FetchOptions['range'],
  name: string,
): Readable {
  const { start, end } = resolveRange(range, target) ?? { start: 0, end: target.size + 1 };
  const wanted = bytes.subarray(start, end);
  if (range !== undefined && wanted.length < end - start) {
    throw new RootfsError('ERR_SIZE_MISMATCH', `${name}: ${target.size} bytes were expected, ${bytes.length} came`, {
      detail: { digest: target.digest, expectedBytes: target.size, receivedBytes: bytes.length },
    });
  }
  return Readable.from(wanted.length === 0 ? [] : [wanted], { objectMode: false });
}

/**
 * The error for a manifest whose own `mediaType` is another than its Content-Type says; `undefined` where one of the two
 * is generic, missing or no manifest's (CVE-2021-41190: one document must not be read as two things).
 */
export function mislabelled(bytes: Uint8Array, contentType: string | undefined, name: string): RootfsError | undefined {
  const said = contentTypeOf(contentType);
  if (said === undefined || !isManifestContent(said)) return undefined;
  const document = parseJsonObject(bytes);
  const own = typeOfDocument(document);
  if (own === undefined || said === own || typeof document?.['mediaType'] !== 'string') return undefined;
  return new RootfsError(
    'ERR_MANIFEST_INVALID',
    `${name}: the registry calls it ${said}, the document calls itself ${own}; ask who runs the registry`,
    { detail: { contentType: said, mediaType: own } },
  );
}

/**
 * The error for what stands under a tag at a mirror and is no manifest, mislabelled, or of schema 1, which some mirrors
 * turn manifests into; `undefined` for a manifest.
 */
export function noDocument(
  bytes: Uint8Array,
  contentType: string | undefined,
  name: string,
  host: string,
): RootfsError | undefined {
  const type = typeOfDocument(parseJsonObject(bytes));
  if (type !== undefined && !isSchema1Type(type)) return mislabelled(bytes, contentType, name);
  return new RootfsError(
    type === undefined ? 'ERR_MANIFEST_INVALID' : 'ERR_SCHEMA1_UNSUPPORTED',
    `${name}: ${host} answered with ${type === undefined ? 'something that is no manifest' : 'a schema 1 manifest'}; ask who runs it`,
    { detail: { host } },
  );
}

function isKnownAlgorithm(digest: string): boolean {
  return digest.startsWith('sha256:') || digest.startsWith('sha512:');
}

/** For answers with a generic type: what the document calls itself, else what it looks like. */
function typeOfDocument(document: Record<string, unknown> | undefined): string | undefined {
  if (document === undefined) return undefined;
  const own = document['mediaType'];
  if (typeof own === 'string' && isManifestContent(own)) return own;
  if (document['schemaVersion'] === 1) return MediaType.dockerSchema1Signed;
  if (Array.isArray(document['manifests'])) return MediaType.ociIndex;
  return Array.isArray(document['layers']) ? MediaType.ociManifest : undefined;
}
