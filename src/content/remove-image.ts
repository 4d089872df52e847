/** What leaves the `index.json` of a layout with an image. */
import { isDeepStrictEqual } from 'node:util';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { parseIndex } from '../spec/image-index.js';

/** The entries that are left, and what those named that are not. */
export interface Removal {
  readonly left: readonly Descriptor[];
  readonly gone: readonly Digest[];
}

/**
 * Takes an image out of the entries of a layout.
 *
 * @param made The index of that digest, where it is none of the layout's blobs but made of several entries: these go,
 *   and whatever else is called otherwise stays.
 * @throws RootfsError `ERR_MANIFEST_INVALID` for a `made` that is no index
 */
export function removeImage(entries: readonly Descriptor[], digest: Digest, made: Uint8Array | undefined): Removal {
  const members = made === undefined ? [] : parseIndex(made, { place: 'index', maxBytes: made.byteLength }).manifests;
  const goes = (entry: Descriptor): boolean =>
    entry.digest === digest || members.some((member) => isDeepStrictEqual(member, entry));
  return {
    left: entries.filter((entry) => !goes(entry)),
    gone: [...new Set(entries.filter(goes).map((entry) => entry.digest))],
  };
}
