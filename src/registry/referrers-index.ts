/**
 * The list of referrers under a tag, for registries that do not keep it themselves: read and written as it is, with
 * whatever others put into it.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
 */
import { createHash } from 'node:crypto';
import { RootfsError } from '../errors.js';
import { digestOf } from '../io/digest-of.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isDigest } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';
import { parseJsonObject } from '../spec/parse-json.js';

/** Where the list is kept. */
export interface ReferrersPlace {
  /** What messages call it: `registry/repository`. */
  readonly name: string;
  read(tag: string): Promise<Buffer | undefined>;
  write(index: Descriptor, bytes: Buffer, tag: string): Promise<void>;
}

/** The list: an image index whose other fields and odd entries are kept. */
export interface ReferrersIndex {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly manifests: readonly unknown[];
}

/** The tag under which referrers are kept where the registry has no API for them: `sha256-<hex>`. */
export function referrersTag(digest: Digest): string {
  const [algorithm = '', encoded = ''] = digest.split(':', 2);
  return `${algorithm.slice(0, 32)}-${encoded.slice(0, 64)}`;
}

/**
 * Whether a manifest stands under the tag of its own referrers: registries that read `sha256-<hex>` as the digest
 * `sha256:<hex>` (GitLab's) give the subject in the list's place.
 */
export function isSubjectItself(bytes: Uint8Array, tag: string): boolean {
  const [algorithm = '', encoded] = tag.split('-', 2);
  if (algorithm !== 'sha256' && algorithm !== 'sha512') return false;
  return createHash(algorithm).update(bytes).digest('hex').slice(0, 64) === encoded;
}

/** The digest that a manifest names as its subject, or `undefined`. */
export function subjectOf(bytes: Uint8Array): Digest | undefined {
  const digest = (parseJsonObject(bytes)?.['subject'] as { digest?: unknown } | null | undefined)?.digest;
  return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
}

/**
 * Reads the list under a tag; `undefined` where there is no such tag.
 *
 * @throws RootfsError `ERR_MANIFEST_INVALID` where the tag holds anything but an image index; what `place` throws
 */
export async function readReferrersIndex(place: ReferrersPlace, tag: string): Promise<ReferrersIndex | undefined> {
  const bytes = await place.read(tag);
  if (bytes === undefined) return undefined;
  if (isSubjectItself(bytes, tag)) {
    throw new RootfsError(
      'ERR_MANIFEST_INVALID',
      `${place.name}:${tag}: expected an image index, the list of referrers, found the manifest that they refer to; the registry takes the tag for a digest and can list no referrers`,
      { detail: { name: place.name, tag } },
    );
  }
  const fields = parseJsonObject(bytes);
  const { mediaType = MediaType.ociIndex, manifests } = fields ?? {};
  const list = manifests === null ? [] : manifests;
  if (fields !== undefined && mediaType === MediaType.ociIndex && Array.isArray(list)) {
    return { fields, manifests: list };
  }
  throw new RootfsError(
    'ERR_MANIFEST_INVALID',
    `${place.name}:${tag}: expected an image index, the list of referrers, found something else; it is left as it is, delete that tag if nobody needs it`,
    { detail: { name: place.name, tag } },
  );
}

/** Writes the list under a tag. @throws what `place` throws */
export async function writeReferrersIndex(place: ReferrersPlace, tag: string, index: ReferrersIndex): Promise<void> {
  const { fields, manifests } = index;
  const bytes = Buffer.from(JSON.stringify({ ...fields, schemaVersion: 2, mediaType: MediaType.ociIndex, manifests }));
  await place.write({ mediaType: MediaType.ociIndex, digest: digestOf(bytes), size: bytes.length }, bytes, tag);
}

/** Whether an entry of the list is this manifest. */
export function isEntryOf(entry: unknown, digest: Digest): boolean {
  return (entry as { digest?: unknown } | null)?.digest === digest;
}
