/** Types of inodes as the numbers that systems and images have for them. */
import type { InodeType } from '../rootfs/tree.js';

/** The bits of `st_mode` that tell the type. */
export function typeBits(type: InodeType): number {
  return TYPE_BITS.get(type) as number;
}

// A Map, since the formatter rewrites octal keys of object literals.
const TYPE_BITS: ReadonlyMap<InodeType, number> = new Map([
  ['fifo', 0o010000],
  ['char', 0o020000],
  ['directory', 0o040000],
  ['block', 0o060000],
  ['file', 0o100000],
  ['symlink', 0o120000],
]);
