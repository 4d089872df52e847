/** Compresses layer tars for tests: gzip and zstd, in one piece or several, sound or damaged on purpose. */
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { zstdFrame, zstdSkippableFrame } from './zstd-frame.js';

/** How a layer's tar becomes its blob. */
export interface CompressionOptions {
  readonly algorithm: 'none' | 'gzip' | 'zstd';
  /** gzip level, 0 to 9. Default 6. */
  readonly level?: number | undefined;
  /** Stored gzip blocks written by hand: the same bytes on every Node version. zstd is always written by hand. */
  readonly stored?: boolean | undefined;
  /** The tar is cut into this many gzip members or zstd frames. Default 1. */
  readonly members?: number | undefined;
  /** So many zero bytes after the last gzip member. */
  readonly padding?: number | undefined;
  /** A skippable zstd frame of so many bytes stands first. */
  readonly skippableBytes?: number | undefined;
  /** gzip: CRC32 of the (last) member; zstd: the frames' checksum. Default: right for gzip, none for zstd. */
  readonly checksum?: 'none' | 'right' | 'wrong' | undefined;
  /** Log2 of the window that zstd frames ask for. */
  readonly windowLog?: number | undefined;
  /** The blob ends so many bytes early. */
  readonly cut?: number | undefined;
}

/** A compression by name, or in full. */
export type Compression = CompressionOptions['algorithm'] | CompressionOptions;

function deflateStored(content: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < content.length; at += 65_535) {
    const block = content.subarray(at, at + 65_535);
    const head = Buffer.alloc(5);
    head[0] = at + 65_535 >= content.length ? 1 : 0;
    head.writeUInt16LE(block.length, 1);
    head.writeUInt16LE(~block.length & 0xffff, 3);
    parts.push(head, block);
  }
  return Buffer.concat(parts);
}

function gzipMember(content: Buffer, options: CompressionOptions): Buffer {
  if (options.stored !== true && options.checksum !== 'wrong') return gzipSync(content, { level: options.level ?? 6 });
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(content), 0);
  trailer.writeUInt32LE(content.length % 2 ** 32, 4);
  if (options.checksum === 'wrong') trailer[0] = (trailer[0] ?? 0) ^ 1;
  return Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]),
    options.stored === true ? deflateStored(content) : deflateRawSync(content, { level: options.level ?? 6 }),
    trailer,
  ]);
}

function pieces(content: Buffer, count: number): Buffer[] {
  const size = Math.ceil(content.length / count);
  return Array.from({ length: count }, (_, index) => content.subarray(index * size, (index + 1) * size));
}

/** Compresses `tar`. With `stored`, or zstd, the result is the same on every Node version. */
export function compress(tar: Buffer, compression: Compression): Buffer {
  const options = typeof compression === 'string' ? { algorithm: compression } : compression;
  const parts = pieces(tar, options.members ?? 1);
  let blob: Buffer;
  if (options.algorithm === 'gzip') {
    const last = parts.length - 1;
    const member = (part: Buffer, index: number): Buffer =>
      gzipMember(part, index === last ? options : { ...options, checksum: 'right' });
    blob = Buffer.concat([...parts.map(member), Buffer.alloc(options.padding ?? 0)]);
  } else if (options.algorithm === 'zstd') {
    const skip = options.skippableBytes === undefined ? [] : [zstdSkippableFrame(Buffer.alloc(options.skippableBytes))];
    blob = Buffer.concat([...skip, ...parts.map((part) => zstdFrame(part, options))]);
  } else {
    blob = tar;
  }
  return options.cut === undefined ? blob : blob.subarray(0, Math.max(0, blob.length - options.cut));
}
