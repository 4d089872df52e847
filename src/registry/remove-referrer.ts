/**
 * Removes from the list of referrers under a tag, for registries that do not keep it themselves.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#deleting-manifests
 */
import type { Digest } from '../spec/digest.js';
import {
  isEntryOf,
  type ReferrersPlace,
  readReferrersIndex,
  referrersTag,
  writeReferrersIndex,
} from './referrers-index.js';

/**
 * Removes a manifest from the list of its subject's referrers; where it is not listed nothing is written.
 *
 * @throws RootfsError `ERR_MANIFEST_INVALID` where the tag holds anything but an image index: that is left as it is
 */
export async function removeReferrer(place: ReferrersPlace, subject: Digest, digest: Digest): Promise<void> {
  const tag = referrersTag(subject);
  const index = await readReferrersIndex(place, tag);
  const others = index?.manifests.filter((listed) => !isEntryOf(listed, digest));
  if (index === undefined || others === undefined || others.length === index.manifests.length) return;
  await writeReferrersIndex(place, tag, { fields: index.fields, manifests: others });
}
