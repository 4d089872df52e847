/**
 * Keeps the list of referrers under a tag, for registries that do not keep it themselves.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
 */
import { createHash } from 'node:crypto';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isDigest } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';
import { descriptorsOf, referrersTag } from './list-referrers.js';

/** Where the list is kept. */
export interface ReferrersPlace {
  read(tag: string): Promise<Buffer | undefined>;
  write(index: Descriptor, bytes: Buffer, tag: string): Promise<void>;
}

/** The digest that a manifest names as its subject, or `undefined`. */
export function subjectOf(bytes: Uint8Array): Digest | undefined {
  const digest = (parse(bytes)?.['subject'] as { digest?: unknown } | null | undefined)?.digest;
  return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
}

/**
 * Adds a manifest to the list of its subject's referrers; one that is listed already changes nothing. Two writers at
 * once may lose one of two entries: the tag has no lock.
 */
export async function addReferrer(
  place: ReferrersPlace,
  subject: Digest,
  target: Descriptor,
  bytes: Uint8Array,
): Promise<void> {
  const tag = referrersTag(subject);
  const present = parse((await place.read(tag)) ?? Buffer.from('{}')) ?? {};
  const manifests = descriptorsOf(present, { kind: 'referrers', registry: '', repository: '', name: tag });
  if (manifests.some(({ digest }) => digest === target.digest)) return;
  const manifest = parse(bytes) ?? {};
  const config = manifest['config'] as { mediaType?: unknown } | null | undefined;
  const artifactType = [manifest['artifactType'], config?.mediaType].find((type) => typeof type === 'string');
  const entry = {
    mediaType: target.mediaType,
    digest: target.digest,
    size: target.size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(typeof manifest['annotations'] === 'object' && manifest['annotations'] !== null
      ? { annotations: manifest['annotations'] }
      : {}),
  };
  const index = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [...manifests, entry] }),
  );
  const digest: Digest = `sha256:${createHash('sha256').update(index).digest('hex')}`;
  await place.write({ mediaType: MediaType.ociIndex, digest, size: index.length }, index, tag);
}

function parse(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
