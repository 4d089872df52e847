/** What leaves the `index.json` of a layout with images. */
import { isDeepStrictEqual } from 'node:util';
import { RootfsError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { parseIndex } from '../spec/image-index.js';
import type { LayoutIndex } from './layout-index.js';

/** The entries that are left, and what those named that are not. */
export interface Removal {
  readonly left: readonly Descriptor[];
  readonly gone: readonly Digest[];
}

/** Takes what is called so out of the entries of a layout. @throws RootfsError `ERR_NOT_FOUND`, `ERR_REFERENCE_INVALID` */
export function removeNamed(index: LayoutIndex, reference: string): Removal {
  // Elsewhere no name means the only image: here it would mean all there are.
  if (reference === '') {
    throw new RootfsError(
      'ERR_REFERENCE_INVALID',
      '"": no name to take away; give a tag, or @0 for an entry by its place',
      {
        detail: { reference },
      },
    );
  }
  const going = new Set(index.named(reference));
  if (going.size === 0) throw index.notFound(reference);
  return {
    left: index.value.manifests.filter((entry) => !going.has(entry)),
    gone: [...new Set([...going].map((entry) => entry.digest))],
  };
}

/**
 * Takes images out of the entries of a layout.
 *
 * @param made The indexes of those digests that are none of the layout's blobs but made of several entries: these go,
 *   and whatever else is called otherwise stays.
 * @throws RootfsError `ERR_MANIFEST_INVALID` for a `made` that is no index
 */
export function removeImages(
  entries: readonly Descriptor[],
  digests: ReadonlySet<Digest>,
  made: readonly Uint8Array[],
): Removal {
  // By digest: an index may have twenty thousand entries, and each would be compared with each.
  const members = new Map<Digest, Descriptor[]>();
  for (const bytes of made) {
    for (const member of parseIndex(bytes, { place: 'index', maxBytes: bytes.byteLength }).manifests) {
      const same = members.get(member.digest);
      if (same === undefined) members.set(member.digest, [member]);
      else same.push(member);
    }
  }
  const goes = (entry: Descriptor): boolean =>
    digests.has(entry.digest) || members.get(entry.digest)?.some((one) => isDeepStrictEqual(one, entry)) === true;
  return {
    left: entries.filter((entry) => !goes(entry)),
    gone: [...new Set(entries.filter(goes).map((entry) => entry.digest))],
  };
}
