/** Which extended attributes of a tree an unpack writes, as its plan has them: once for all files that share theirs. */
import type { Inode, InodeType } from '../rootfs/tree.js';
import { isVoidAcl } from './kernel-xattr.js';
import { ROOTLESS_XATTR } from './ownership-file.js';
import { skippedXattr } from './skipped-xattr.js';
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
  readonly #known = new Map<ReadonlyMap<string, Buffer>, Map<InodeType, SortedXattrs>>();

  /** @param rootless Owners go to an attribute of our own: of a file that belongs to root a layer could say somebody else. */
  constructor(rootless: boolean) {
    this.#rootless = rootless;
  }

  of({ xattrs, type }: Inode): SortedXattrs {
    if (xattrs === undefined) return NONE;
    const known = this.#known.get(xattrs) ?? new Map<InodeType, SortedXattrs>();
    const sorted = known.get(type) ?? this.#sort(xattrs, type);
    known.set(type, sorted);
    this.#known.set(xattrs, known);
    return sorted;
  }

  #sort(xattrs: ReadonlyMap<string, Buffer>, type: InodeType): SortedXattrs {
    const kept: Xattr[] = [];
    const never = new Set<string>();
    for (const [name, value] of xattrs) {
      const ours = this.#rootless && name === ROOTLESS_XATTR;
      const skipped = ours ? name : skippedXattr(name, type);
      if (skipped !== undefined) never.add(skipped);
      else if (!isVoidAcl(name, value)) kept.push([name, value.toString('latin1')]);
    }
    return { kept, never };
  }
}
