/** Blocks: what tar archives are made of. */

/** Bytes of a tar block: headers are one, data is padded to whole ones. */
export const BLOCK = 512;

/** Rounds a number of bytes up to whole blocks. */
export function paddedBytes(bytes: number): number {
  return Math.ceil(bytes / BLOCK) * BLOCK;
}
