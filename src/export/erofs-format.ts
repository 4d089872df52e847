/**
 * The EROFS on-disk format: numbers and records, each as bytes. Knows no tree and no file.
 *
 * Only what read-only, uncompressed images need is here. All numbers are little-endian.
 *
 * @see https://erofs.docs.kernel.org/en/latest/core_ondisk.html
 * @see https://www.kernel.org/doc/html/v6.18/filesystems/erofs.html
 */
import { crc32c } from './erofs-crc32c.js';

/** The superblock stands here whatever the block size is, in bytes from the start. */
export const SUPERBLOCK_OFFSET = 1024;
/** Length of the superblock in bytes; the device table follows. */
export const SUPERBLOCK_BYTES = 128;
/** Length of an entry of the device table in bytes. */
export const DEVICE_SLOT_BYTES = 128;
/** An inode's number is its place in the metadata area in units of this many bytes. */
export const INODE_SLOT = 32;
/** Length of an inode with small numbers and the common time, in bytes. */
export const COMPACT_INODE_BYTES = 32;
/** Length of an inode that says everything, in bytes. */
export const EXTENDED_INODE_BYTES = 64;
/** Length of what stands before an inode's attributes, in bytes. */
export const XATTR_HEADER_BYTES = 12;
/** Length of the index of a chunk in bytes. */
export const CHUNK_INDEX_BYTES = 8;
/** The longest name, in bytes. */
export const MAX_NAME_BYTES = 255;
/** The start of a chunk that is a hole. */
export const NULL_BLOCK = 0xffffffff;
/** A chunk is at most two to this power blocks long. */
export const MAX_CHUNK_BITS = 31;

const MAGIC = 0xe0f5e1e2;
const COMPAT_CHECKSUM = 0x1;
const COMPAT_MTIME = 0x2;
const INCOMPAT_CHUNKED_FILE = 0x4;
const INCOMPAT_DEVICE_TABLE = 0x8;
const CHUNK_INDEXES = 0x20;

/** How an inode's data is found: in blocks of its own, in blocks and a tail after the inode, or chunk by chunk. */
export const Layout = { plain: 0, inline: 2, chunks: 4 } as const;

/** The file types of directory entries. */
export const FileType = { file: 1, directory: 2, char: 3, block: 4, fifo: 5, symlink: 7 } as const;

/** What a superblock says. Block numbers and counts in blocks of the image. */
export interface Superblock {
  /** The block size as a power of two: 9 to 12. */
  readonly blockBits: number;
  readonly rootNid: number;
  readonly inodes: number;
  /** The time of all compact inodes. */
  readonly epoch: { readonly seconds: number; readonly nanoseconds: number };
  readonly blocks: number;
  /** Where the shared attributes begin. */
  readonly xattrBlock: number;
  readonly uuid: Uint8Array;
  readonly devices: number;
  readonly chunked: boolean;
}

/** Writes a superblock, its checksum still 0. */
export function writeSuperblock(out: Buffer, at: number, block: Superblock): void {
  out.fill(0, at, at + SUPERBLOCK_BYTES);
  out.writeUInt32LE(MAGIC, at);
  out.writeUInt32LE(COMPAT_CHECKSUM | COMPAT_MTIME, at + 8);
  out.writeUInt8(block.blockBits, at + 12);
  out.writeUInt16LE(block.rootNid, at + 14);
  out.writeBigUInt64LE(BigInt(block.inodes), at + 16);
  out.writeBigInt64LE(BigInt(block.epoch.seconds), at + 24);
  out.writeUInt32LE(block.epoch.nanoseconds, at + 32);
  out.writeUInt32LE(block.blocks, at + 36);
  out.writeUInt32LE(block.xattrBlock, at + 44);
  out.set(block.uuid, at + 48);
  const chunked = block.chunked ? INCOMPAT_CHUNKED_FILE : 0;
  const devices = block.devices > 0 ? INCOMPAT_DEVICE_TABLE : 0;
  out.writeUInt32LE(chunked | devices, at + 80);
  out.writeUInt16LE(block.devices, at + 86);
  if (block.devices > 0) {
    out.writeUInt16LE((SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES) / DEVICE_SLOT_BYTES, at + 88);
  }
}

/**
 * Computes the checksum that belongs at offset 4 of the superblock.
 *
 * @param block The bytes from the superblock on: to the end of its block, or of one block where they are smaller.
 */
export function superblockChecksum(block: Uint8Array): number {
  const bytes = Buffer.from(block);
  bytes.writeUInt32LE(0, 4);
  return crc32c(bytes);
}

/** What an image says of itself, as far as finding its devices needs. */
export interface SuperblockFacts {
  readonly blockSize: number;
  /** Length of the image in bytes. */
  readonly imageBytes: number;
  /** The tags of the device table, in order. */
  readonly tags: readonly string[];
}

/**
 * Reads superblock and device table from the first bytes of an image.
 *
 * @returns `undefined` where they are not what `writeErofs` writes: another magic, a wrong checksum, cut short
 */
export function readSuperblock(head: Buffer): SuperblockFacts | undefined {
  const at = SUPERBLOCK_OFFSET;
  if (head.length < at + SUPERBLOCK_BYTES || head.readUInt32LE(at) !== MAGIC) return undefined;
  const bits = head.readUInt8(at + 12);
  if (bits < 9 || bits > 12) return undefined;
  const covered = head.subarray(at, checksummedEnd(1 << bits));
  if (superblockChecksum(covered) !== head.readUInt32LE(at + 4)) return undefined;
  const tags: string[] = [];
  for (let device = 0; device < head.readUInt16LE(at + 86); device += 1) {
    const slot = at + SUPERBLOCK_BYTES + device * DEVICE_SLOT_BYTES;
    if (slot + DEVICE_SLOT_BYTES > head.length) return undefined;
    tags.push(head.toString('latin1', slot, slot + 64).replace(/\0+$/, ''));
  }
  return { blockSize: 1 << bits, imageBytes: head.readUInt32LE(at + 36) * (1 << bits), tags };
}

/** Where the bytes under the superblock's checksum end. */
export function checksummedEnd(blockSize: number): number {
  return blockSize > SUPERBLOCK_OFFSET ? blockSize : SUPERBLOCK_OFFSET + blockSize;
}

/** Writes an entry of the device table. `unifiedBlock`: where the device lies when all are joined to one. */
export function writeDeviceSlot(out: Buffer, at: number, tag: string, blocks: number, unifiedBlock: number): void {
  out.fill(0, at, at + DEVICE_SLOT_BYTES);
  out.write(tag.slice(0, 64), at, 'latin1');
  out.writeUInt32LE(blocks, at + 64);
  out.writeUInt32LE(unifiedBlock, at + 68);
}

/** What an inode record says, besides its mode and place. */
export interface InodeRecord {
  readonly extended: boolean;
  readonly layout: number;
  readonly size: number;
  readonly ino: number;
  readonly links: number;
  readonly inode: {
    readonly uid: number;
    readonly gid: number;
    readonly mtime: { readonly seconds: number; readonly nanoseconds: number };
  };
  /** The count that stands for the length of the inline attributes. */
  readonly xattrs: { readonly count: number } | undefined;
}

/**
 * Writes an inode of 32 or 64 bytes, which must be 0. Every file pays for this: pairs of numbers go as one.
 *
 * @param mode Type and permissions, as `stat` has them.
 * @param place First block, device number or chunk format: what the type asks for.
 */
export function writeInode(out: DataView, at: number, record: InodeRecord, mode: number, place: number): void {
  const { extended, links, size, inode } = record;
  out.setUint32(at, (extended ? 1 : 0) | (record.layout << 1) | ((record.xattrs?.count ?? 0) << 16), true);
  out.setUint32(at + 16, place, true);
  out.setUint32(at + 20, record.ino, true);
  if (!extended) {
    out.setUint32(at + 4, mode | (links << 16), true);
    out.setUint32(at + 8, size, true);
    out.setUint32(at + 24, inode.uid | (inode.gid << 16), true);
    return;
  }
  out.setUint32(at + 4, mode, true);
  writeUint64(out, at + 8, size);
  out.setUint32(at + 24, inode.uid, true);
  out.setUint32(at + 28, inode.gid, true);
  writeUint64(out, at + 32, inode.mtime.seconds);
  out.setUint32(at + 40, inode.mtime.nanoseconds, true);
  out.setUint32(at + 44, links, true);
}

/** The chunk format of an inode whose chunks have indexes. @param bits blocks of a chunk, as a power of two */
export function chunkFormat(bits: number): number {
  return CHUNK_INDEXES | bits;
}

/** Writes the index of a chunk. `device`: 0 is the image itself, 1 the first of the table. */
export function writeChunkIndex(out: DataView, at: number, device: number, block: number): void {
  out.setUint32(at, block === NULL_BLOCK ? 0xffff : device << 16, true);
  out.setUint32(at + 4, block, true);
}

/** Writes the fixed part of a directory entry, 12 bytes. `nameAt`: where its name begins in the block. */
export function writeDirent(out: DataView, at: number, nid: number, nameAt: number, fileType: number): void {
  writeUint64(out, at, nid);
  out.setUint32(at + 8, nameAt | (fileType << 16), true);
}

/** The number of a device as an inode holds it. @returns `undefined` for what Linux cannot hold */
export function deviceNumber(major: number, minor: number): number | undefined {
  if (!(major >= 0 && major < 1 << 12 && minor >= 0 && minor < 1 << 20)) return undefined;
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

function writeUint64(out: DataView, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  out.setUint32(at, value - high * 0x1_0000_0000, true);
  out.setInt32(at + 4, high, true);
}
