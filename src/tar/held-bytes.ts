/** What a member costs whoever keeps it: the measure of `maxMetadataBytes`. */
import type { TarEntry } from './tar-entry.js';

/** Bytes that holding an extended attribute takes besides its name and value. */
const XATTR_BYTES = 128;
/** What an attribute of a global header counts for each member that has it: held once, but written with each of them. */
const SHARED_XATTR_BYTES = 32;
/** Bytes that holding a run of a sparse file takes. */
const EXTENT_BYTES = 64;

/**
 * Bytes of a member's name, link target, extended attributes and runs, and of what holds them in memory: a layer of a few
 * megabytes can have fifty million attributes of one byte.
 *
 * @param shared Attributes that are held already, those of global headers: each counts a little, since a thousand of them
 *   on a million members are a thousand million to set.
 */
export function heldBytes(
  { name, linkname, xattrs, extents }: Pick<TarEntry, 'name' | 'linkname' | 'xattrs' | 'extents'>,
  shared?: ReadonlyMap<string, Buffer>,
): number {
  let bytes = name.length + linkname.length + (extents?.length ?? 0) * EXTENT_BYTES;
  if (xattrs === undefined) return bytes;
  if (xattrs === shared) return bytes + xattrs.size * SHARED_XATTR_BYTES;
  for (const [key, value] of xattrs) bytes += XATTR_BYTES + key.length + value.length;
  return bytes;
}
