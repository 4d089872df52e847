/**
 * Adds to the list of referrers under a tag, for registries that do not keep it themselves.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
 */
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { parseJsonObject } from '../spec/parse-json.js';
import {
  isEntryOf,
  type ReferrersPlace,
  readReferrersIndex,
  referrersTag,
  writeReferrersIndex,
} from './referrers-index.js';

/**
 * Adds a manifest to the list of its subject's referrers; one that is listed already changes nothing. Two processes
 * that write at once may lose one of two entries: the tag has no lock.
 *
 * @throws RootfsError `ERR_MANIFEST_INVALID` where the tag holds anything but an image index: that is left as it is
 */
export async function addReferrer(
  place: ReferrersPlace,
  subject: Digest,
  target: Descriptor,
  bytes: Uint8Array,
): Promise<void> {
  const tag = referrersTag(subject);
  const { fields, manifests } = (await readReferrersIndex(place, tag)) ?? { fields: {}, manifests: [] };
  if (manifests.some((listed) => isEntryOf(listed, target.digest))) return;
  const manifest = parseJsonObject(bytes) ?? {};
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
  await writeReferrersIndex(place, tag, { fields, manifests: [...manifests, entry] });
}
