/**
 * Valid zstd frames without a compressor: raw blocks, and run-length blocks where all of one is one byte.
 *
 * So that images with zstd layers can be built on every Node version, with the same bytes on each.
 *
 * @see https://datatracker.ietf.org/doc/html/rfc8878
 */

const MASK = 0xffff_ffff_ffff_ffffn;
const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;
const MAX_BLOCK_BYTES = 128 * 1024;

function rotate(value: bigint, bits: bigint): bigint {
  return ((value << bits) | (value >> (64n - bits))) & MASK;
}

function round(accumulator: bigint, lane: bigint): bigint {
  return (rotate((accumulator + lane * P2) & MASK, 31n) * P1) & MASK;
}

/** The 64-bit xxHash of `bytes` with seed 0: the low half is the checksum of a zstd frame. Slow; for test data. */
export function xxh64(bytes: Buffer): bigint {
  let at = 0;
  let hash: bigint;
  if (bytes.length >= 32) {
    const lanes: [bigint, bigint, bigint, bigint] = [(P1 + P2) & MASK, P2, 0n, (MASK + 1n - P1) & MASK];
    for (; at + 32 <= bytes.length; at += 32) {
      lanes[0] = round(lanes[0], bytes.readBigUInt64LE(at));
      lanes[1] = round(lanes[1], bytes.readBigUInt64LE(at + 8));
      lanes[2] = round(lanes[2], bytes.readBigUInt64LE(at + 16));
      lanes[3] = round(lanes[3], bytes.readBigUInt64LE(at + 24));
    }
    hash = (rotate(lanes[0], 1n) + rotate(lanes[1], 7n) + rotate(lanes[2], 12n) + rotate(lanes[3], 18n)) & MASK;
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * P1 + P4) & MASK;
  } else {
    hash = P5;
  }
  hash = (hash + BigInt(bytes.length)) & MASK;
  for (; at + 8 <= bytes.length; at += 8) {
    hash = (rotate(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * P1 + P4) & MASK;
  }
  if (at + 4 <= bytes.length) {
    hash = (rotate(hash ^ ((BigInt(bytes.readUInt32LE(at)) * P1) & MASK), 23n) * P2 + P3) & MASK;
    at += 4;
  }
  for (; at < bytes.length; at += 1) {
    hash = (rotate(hash ^ ((BigInt(bytes[at] ?? 0) * P5) & MASK), 11n) * P1) & MASK;
  }
  hash = ((hash ^ (hash >> 33n)) * P2) & MASK;
  hash = ((hash ^ (hash >> 29n)) * P3) & MASK;
  return hash ^ (hash >> 32n);
}

function blockHeader(last: boolean, type: 0 | 1, size: number): Buffer {
  const header = Buffer.alloc(3);
  header.writeUIntLE((size << 3) | (type << 1) | (last ? 1 : 0), 0, 3);
  return header;
}

/** What a frame may carry besides its content. */
export interface ZstdFrameOptions {
  /** The content checksum at the end: absent unless told. */
  readonly checksum?: 'none' | 'right' | 'wrong' | undefined;
  /** Log2 of the window the header asks for, 10 to 41. Default 17: the largest block. */
  readonly windowLog?: number | undefined;
}

/** One zstd frame that holds `content`. */
export function zstdFrame(content: Buffer, options: ZstdFrameOptions = {}): Buffer {
  const checksum = options.checksum ?? 'none';
  const windowLog = options.windowLog ?? 17;
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, checksum === 'none' ? 0 : 4, (windowLog - 10) << 3]);
  const parts: Buffer[] = [head];
  // No block is larger than the window.
  const blockBytes = Math.min(MAX_BLOCK_BYTES, 2 ** windowLog);
  for (let at = 0; at === 0 || at < content.length; at += blockBytes) {
    const block = content.subarray(at, at + blockBytes);
    const last = at + blockBytes >= content.length;
    const first = block[0];
    if (first !== undefined && block.length > 1 && block.every((byte) => byte === first)) {
      parts.push(blockHeader(last, 1, block.length), Buffer.from([first]));
    } else {
      parts.push(blockHeader(last, 0, block.length), block);
    }
  }
  if (checksum !== 'none') {
    const sum = Buffer.alloc(4);
    sum.writeUInt32LE(Number(xxh64(content) & 0xffff_ffffn));
    if (checksum === 'wrong') sum[0] = (sum[0] ?? 0) ^ 1;
    parts.push(sum);
  }
  return Buffer.concat(parts);
}

/** A skippable frame with this content, which every decoder must pass over. */
export function zstdSkippableFrame(content: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x184d2a50, 0);
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content]);
}
