/** The superblock of a written image: it holds a checksum of what stands behind it, and so comes last. */
import { readSync, writeSync } from 'node:fs';
import { checksummedEnd, SUPERBLOCK_OFFSET, superblockChecksum, writeSuperblock } from './erofs-format.js';

/** Writes the superblock into an image that is complete but for it. @throws the system's errors */
export function finishSuperblock(
  fd: number,
  blockSize: number,
  superblock: Parameters<typeof writeSuperblock>[2],
): void {
  const end = checksummedEnd(blockSize);
  const head = Buffer.alloc(end);
  for (let done = SUPERBLOCK_OFFSET; done < end; ) {
    const read = readSync(fd, head, done, end - done, done);
    if (read === 0) break;
    done += read;
  }
  writeSuperblock(head, SUPERBLOCK_OFFSET, superblock);
  head.writeUInt32LE(superblockChecksum(head.subarray(SUPERBLOCK_OFFSET)), SUPERBLOCK_OFFSET + 4);
  for (let done = SUPERBLOCK_OFFSET; done < end; ) done += writeSync(fd, head, done, end - done, done);
}

/** A UUID of version 8, "custom", from the first bytes of a digest. */
export function uuidOf(digest: Buffer): Buffer {
  const uuid = Buffer.from(digest.subarray(0, 16));
  uuid.writeUInt8((uuid.readUInt8(6) & 0x0f) | 0x80, 6);
  uuid.writeUInt8((uuid.readUInt8(8) & 0x3f) | 0x80, 8);
  return uuid;
}
