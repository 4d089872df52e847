/**
 * Adds to the list of referrers under a tag, for registries that do not keep it themselves.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
 */
import { delay } from '../io/abort.js';
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

/** How often an entry is written that others take out of the list. */
const WRITES = 4;

/** What passes before it is looked for, in milliseconds: others who read the list before may be about to write it. */
const PAUSE_MS = 150;

/** A manifest and what it refers to. */
interface Referrer {
  readonly subject: Digest;
  readonly target: Descriptor;
  readonly bytes: Uint8Array;
}

/**
 * Adds a manifest to the list of its subject's referrers; one that is listed already changes nothing. The tag has no
 * lock, and another process that writes at the same time may take the entry out: it is looked for after a moment, and
 * added again. One that is slower than that may still take it out.
 *
 * @param inTurn Runs one change of the list at a time.
 * @throws RootfsError `ERR_MANIFEST_INVALID` where the tag holds anything but an image index: that is left as it is
 */
export async function addReferrer(
  referrer: Referrer,
  inTurn: (change: (place: ReferrersPlace) => Promise<boolean>) => Promise<boolean>,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let writes = 0; writes < WRITES; writes += 1) {
    if (writes > 0) await delay(PAUSE_MS * (0.5 + Math.random()), signal);
    if (!(await inTurn((place) => addOnce(place, referrer)))) return;
  }
}

/** @returns Whether it was not listed. */
async function addOnce(place: ReferrersPlace, { subject, target, bytes }: Referrer): Promise<boolean> {
  const tag = referrersTag(subject);
  const { fields, manifests } = (await readReferrersIndex(place, tag)) ?? { fields: {}, manifests: [] };
  if (manifests.some((listed) => isEntryOf(listed, target.digest))) return false;
  const manifest = parseJsonObject(bytes) ?? {};
  const config = manifest['config'] as { mediaType?: unknown } | null | undefined;
  // An empty type says as little as none.
  const types = [manifest['artifactType'], config?.mediaType];
  const artifactType = types.find((type) => typeof type === 'string' && type !== '');
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
  return true;
}
