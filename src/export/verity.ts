/**
 * dm-verity: a hash tree after an image, so that a kernel checks each block against one root hash as it is read.
 *
 * Format 1 with its superblock, as `veritysetup` reads it: SHA-256, hash blocks of 4 KiB, the level next to the root
 * first. It knows blocks of bytes, not what they hold.
 *
 * @see https://www.kernel.org/doc/html/v6.18/admin-guide/device-mapper/verity.html
 * @see https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity
 */
import { createHash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';

/** What checking an image needs to know. */
export interface VerityRoot {
  /** SHA-256 in hex. */
  readonly rootHash: string;
  /** Where the verity superblock stands: what `veritysetup --hash-offset` takes, in bytes. */
  readonly hashOffset: number;
}

const HASH_BLOCK = 4096;
const DIGEST_BYTES = 32;
const PER_BLOCK = HASH_BLOCK / DIGEST_BYTES;
const READ_BYTES = 1024 * 1024;

/**
 * Appends superblock and hash tree to an image.
 *
 * The salt comes from the UUID, so the same image gives the same tree and root hash.
 *
 * @param fd The image, open for reading and writing.
 * @param bytes Its length, a multiple of `blockSize`.
 * @param uuid 16 bytes.
 * @throws the signal's reason; what reading and writing throws
 */
export async function appendVerity(
  fd: number,
  bytes: number,
  blockSize: number,
  uuid: Uint8Array,
  signal?: AbortSignal,
): Promise<VerityRoot> {
  const salt = createHash('sha256').update(uuid).digest();
  const hashOffset = Math.ceil(bytes / HASH_BLOCK) * HASH_BLOCK;
  const levels: Buffer[] = [await hashBlocks(bytes, blockSize, salt, signal, (into, at) => readAt(fd, into, at))];
  for (let level = levels[0] as Buffer; level.length > DIGEST_BYTES; level = levels.at(-1) as Buffer) {
    const padded = padLevel(level);
    levels[levels.length - 1] = padded;
    levels.push(
      await hashBlocks(padded.length, HASH_BLOCK, salt, signal, (into, at) => {
        padded.copy(into, 0, at);
      }),
    );
  }
  const rootHash = (levels.pop() as Buffer).toString('hex');
  const tree = [superblock(bytes / blockSize, blockSize, salt, uuid), ...levels.reverse()];
  let at = hashOffset;
  for (const part of tree) {
    for (let done = 0; done < part.length; ) done += writeSync(fd, part, done, part.length - done, at + done);
    at += part.length;
  }
  return { rootHash, hashOffset };
}

/** The digests of all blocks, one after the other. */
async function hashBlocks(
  bytes: number,
  blockSize: number,
  salt: Buffer,
  signal: AbortSignal | undefined,
  read: (into: Buffer, at: number) => void,
): Promise<Buffer> {
  const digests = Buffer.alloc((bytes / blockSize) * DIGEST_BYTES);
  const buffer = Buffer.alloc(Math.min(READ_BYTES, bytes));
  // The salt goes first, so its state is taken over by every block.
  const salted = createHash('sha256').update(salt);
  let out = 0;
  for (let at = 0; at < bytes; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, bytes - at));
    read(piece, at);
    for (let block = 0; block < piece.length; block += blockSize) {
      const digest = salted
        .copy()
        .update(piece.subarray(block, block + blockSize))
        .digest();
      out += digest.copy(digests, out);
    }
    await nextTurn();
    throwIfAborted(signal);
  }
  return digests;
}

function padLevel(level: Buffer): Buffer {
  const padded = Buffer.alloc(Math.ceil(level.length / (PER_BLOCK * DIGEST_BYTES)) * HASH_BLOCK);
  level.copy(padded);
  return padded;
}

function readAt(fd: number, into: Buffer, at: number): void {
  for (let done = 0; done < into.length; ) {
    const read = readSync(fd, into, done, into.length - done, at + done);
    if (read === 0)
      throw new RootfsError('ERR_FILESYSTEM', 'the image was cut while its hash tree was made; try again');
    done += read;
  }
}

function superblock(dataBlocks: number, blockSize: number, salt: Buffer, uuid: Uint8Array): Buffer {
  const block = Buffer.alloc(HASH_BLOCK);
  block.write('verity\0\0', 0, 'latin1');
  block.writeUInt32LE(1, 8);
  block.writeUInt32LE(1, 12);
  block.set(uuid, 16);
  block.write('sha256', 32, 'latin1');
  block.writeUInt32LE(blockSize, 64);
  block.writeUInt32LE(HASH_BLOCK, 68);
  block.writeBigUInt64LE(BigInt(dataBlocks), 72);
  block.writeUInt16LE(salt.length, 80);
  block.set(salt, 88);
  return block;
}
