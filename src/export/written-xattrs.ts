/** Which extended attributes of a tree an unpack writes, as its plan has them: once for all files that share theirs. */
import type { Inode, InodeType } from '../rootfs/tree.js';
import { mapId, outsideMaps } from './id-map.js';
import { isVoidAcl, withIds } from './kernel-xattr.js';
import { ROOTLESS_XATTR } from './ownership-file.js';
import { skippedXattr } from './skipped-xattr.js';
import type { UnpackOptions } from './unpack-options.js';
import type { Xattr } from './unpack-plan.js';

/** The attributes of an inode. */
export interface SortedXattrs {
  readonly kept: readonly Xattr[];
  /** What is never written, by name or prefix. */
  readonly never: ReadonlySet<string>;
}

const NONE: SortedXattrs = { kept: [], never: new Set() };

/**
 * Sorts attributes. Inodes with one map of them and one type get one list: those of a global header may be on every file
 * of a layer, and with a text for each of these, few kilobytes of an image would take more memory than a machine has.
 */
export class WrittenXattrs {
  readonly #rootless: boolean;
  readonly #maps: Pick<UnpackOptions, 'uidMap' | 'gidMap'>;
  readonly #known = new Map<ReadonlyMap<string, Buffer>, Map<InodeType, SortedXattrs>>();

  /** @param rootless Owners go to an attribute of our own: of a file that belongs to root a layer could say somebody else. */
  constructor(rootless: boolean, { uidMap, gidMap, sameOwner }: UnpackOptions) {
    this.#rootless = rootless;
    this.#maps = sameOwner === false ? {} : { uidMap, gidMap };
  }

  /**
   * @param shown The path of the inode, for the message.
   * @throws RootfsError `ERR_OPTION_INVALID` for an attribute that names an id outside the maps
   */
  of({ xattrs, type }: Inode, shown: () => string): SortedXattrs {
    if (xattrs === undefined) return NONE;
    const known = this.#known.get(xattrs) ?? new Map<InodeType, SortedXattrs>();
    const sorted = known.get(type) ?? this.#sort(xattrs, type, shown);
    known.set(type, sorted);
    this.#known.set(xattrs, known);
    return sorted;
  }

  #sort(xattrs: ReadonlyMap<string, Buffer>, type: InodeType, shown: () => string): SortedXattrs {
    const kept: Xattr[] = [];
    const never = new Set<string>();
    for (const [name, value] of xattrs) {
      const ours = this.#rootless && name === ROOTLESS_XATTR;
      const skipped = ours ? name : skippedXattr(name, type);
      if (skipped !== undefined) never.add(skipped);
      else if (!isVoidAcl(name, value)) kept.push([name, this.#mapped(name, value, shown).toString('latin1')]);
    }
    return { kept, never };
  }

  /** With the ids that owners get: whom an ACL lets in is who the image means, and not who has that number here. */
  #mapped(name: string, value: Buffer, shown: () => string): Buffer {
    const { uidMap, gidMap } = this.#maps;
    return withIds(name, value, (kind, id) => {
      const outside = mapId(kind === 'uid' ? uidMap : gidMap, id);
      if (outside === undefined) throw outsideMaps(kind, id, `${name} of ${shown()}`);
      return outside;
    });
  }
}
