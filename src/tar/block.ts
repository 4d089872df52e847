/** Blocks: what tar archives are made of. */

/** Bytes of a tar block: headers are one, data is padded to whole ones. */
export const BLOCK = 512;

/** Rounds a number of bytes up to whole blocks. */
export function paddedBytes(bytes: number): number {
  return Math.ceil(bytes / BLOCK) * BLOCK;
}

const ZEROS = Buffer.alloc(2 * BLOCK);

/** By their length: a view costs more than looking it up, and each file has one. */
const PADDINGS: readonly Buffer[] = Array.from({ length: BLOCK }, (_, bytes) => ZEROS.subarray(0, bytes));

/** The zeros that follow data of so many bytes: 0 to 511 of them. A view of shared memory; do not write to it. */
export function padding(dataBytes: number): Buffer {
  return PADDINGS[paddedBytes(dataBytes) - dataBytes] as Buffer;
}

/** The two zero blocks that end an archive. A view of shared memory; do not write to it. */
export function endOfArchive(): Buffer {
  return ZEROS.subarray();
}
