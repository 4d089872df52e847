/** Writes a planned EROFS image: inodes, then what they share, then data. */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../io/abort.js';
import { type ProgressListener, report } from '../progress.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { chunkPlaces } from './erofs-chunks.js';
import { addressableBytes, TAR_BLOCK } from './erofs-devices.js';
import { writeDirectoryBlock } from './erofs-directory.js';
import {
  CHUNK_INDEX_BYTES,
  COMPACT_INODE_BYTES,
  chunkFormat,
  DEVICE_SLOT_BYTES,
  deviceNumber,
  EXTENDED_INODE_BYTES,
  NULL_BLOCK,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_OFFSET,
  writeChunkIndex,
  writeDeviceSlot,
  writeInode,
} from './erofs-format.js';
import type { PlannedDirectory, PlannedInode } from './erofs-inodes.js';
import { ImageOutput } from './erofs-output.js';
import type { ErofsPlan } from './erofs-plan.js';
import { finishSuperblock, uuidOf } from './erofs-superblock.js';
import { LayerReader } from './layer-files.js';
import { typeBits } from './type-bits.js';

/** What a planned image is written with. */
export interface WriteErofsInput {
  readonly plan: ErofsPlan;
  readonly tree: MergedTree;
  readonly layers: readonly LayerTar[];
  /** Descriptors of the layers. */
  readonly files: readonly number[];
  /** What the device table calls each device. */
  readonly tags: readonly string[];
  /** What else the image's identity is made from: texts that change when file data does. */
  readonly identity: readonly string[];
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ProgressListener | undefined;
}

const TURN_INODES = 4096;
const TURN_BYTES = 4 * 1024 * 1024;
const PIECE_BYTES = 256 * 1024;

/**
 * Writes the image to an open, empty file. @returns its length in bytes and its UUID
 * @throws RootfsError `ERR_LAYER_INVALID`, what writing throws; the signal's reason
 */
export async function writePlannedErofs(
  fd: number,
  input: WriteErofsInput,
): Promise<{ readonly bytes: number; readonly uuid: Buffer }> {
  return new ErofsWriter(fd, input).write();
}

class ErofsWriter {
  readonly #fd: number;
  readonly #input: WriteErofsInput;
  readonly #plan: ErofsPlan;
  readonly #output: ImageOutput;
  readonly #hash = createHash('sha256');
  readonly #reader = new LayerReader();
  /** Where the data area begins, in blocks. */
  readonly #dataStart: number;
  readonly #xattrBlock: number;
  #turnBytes = 0;
  #dataBytes = 0;
  #hashed = 0;

  constructor(fd: number, input: WriteErofsInput) {
    const { plan } = input;
    this.#fd = fd;
    this.#input = input;
    this.#plan = plan;
    this.#xattrBlock = Math.ceil(plan.inodesEnd / plan.blockSize);
    this.#dataStart = this.#xattrBlock + Math.ceil(plan.sharedXattrs.length / plan.blockSize);
    // What the tree says makes the identity; file data enters it by the layers' own digests.
    this.#output = new ImageOutput(fd, (bytes) => {
      const left = this.#dataStart * plan.blockSize - this.#hashed;
      if (left > 0) this.#hash.update(bytes.subarray(0, Math.min(left, bytes.length)));
      this.#hashed += bytes.length;
    });
  }

  async write(): Promise<{ readonly bytes: number; readonly uuid: Buffer }> {
    const output = this.#output;
    const { inodes, blockSize, sharedXattrs, dataBlocks } = this.#plan;
    const blocks = this.#dataStart + dataBlocks;
    output.padTo(SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES);
    this.#writeDevices(blocks);
    for (let at = 0; at < inodes.length; at += 1) {
      this.#writeInode(inodes.at(at));
      if (this.#isTurn(at)) await this.#turn(at);
    }
    output.padTo(this.#xattrBlock * blockSize);
    output.append(sharedXattrs);
    output.padTo(this.#dataStart * blockSize);
    for (let at = 0; at < inodes.length; at += 1) {
      if (!inodes.hasBlocks(at)) continue;
      for (const _ of this.#writeData(inodes.at(at))) if (this.#isTurn(0)) await this.#turn(inodes.length);
    }
    output.padTo(blocks * blockSize);
    output.flush();
    await this.#turn(inodes.length);
    return { bytes: output.position, uuid: this.#writeSuperblock(blocks) };
  }

  #isTurn(inode: number): boolean {
    return inode % TURN_INODES === TURN_INODES - 1 || this.#turnBytes >= TURN_BYTES;
  }

  async #turn(inodes: number): Promise<void> {
    this.#turnBytes = 0;
    await nextTurn();
    throwIfAborted(this.#input.signal);
    const { entries, dataBytes } = this.#input.tree;
    report(this.#input.onProgress, {
      type: 'entries:written',
      entries: Math.min(inodes, entries),
      totalEntries: entries,
      dataBytes: this.#dataBytes,
      totalDataBytes: dataBytes,
    });
  }

  #writeDevices(blocks: number): void {
    let unified = blocks;
    for (const [at, layer] of this.#plan.devices.entries()) {
      const length = addressableBytes(this.#input.layers[layer]) / TAR_BLOCK;
      const fits = unified + length < NULL_BLOCK;
      const offset = this.#output.space(DEVICE_SLOT_BYTES);
      writeDeviceSlot(this.#output.buffer, offset, this.#input.tags[at] ?? '', length, fits ? unified : 0);
      unified += length;
    }
  }

  #writeInode(planned: PlannedInode): void {
    const { inode, extended, xattrs, chunks } = planned;
    const output = this.#output;
    output.padTo(planned.offset);
    const offset = output.space(extended ? EXTENDED_INODE_BYTES : COMPACT_INODE_BYTES);
    const mode = inode.type === 'symlink' ? 0o777 : inode.mode;
    writeInode(output.view, offset, planned, typeBits(inode.type) | mode, this.#placeOf(planned));
    if (xattrs !== undefined) output.append(xattrs.body);
    if (chunks !== undefined) this.#writeChunkIndexes(planned);
    else if (planned.tail > 0) this.#writeTail(planned);
  }

  #placeOf(planned: PlannedInode): number {
    const { inode, chunks, size, tail } = planned;
    if (chunks !== undefined) return chunkFormat(chunks.bits);
    if (inode.type === 'char' || inode.type === 'block') {
      return deviceNumber(inode.rdevMajor ?? 0, inode.rdevMinor ?? 0) ?? 0;
    }
    return size > tail ? this.#dataStart + planned.block : 0;
  }

  #writeChunkIndexes(planned: PlannedInode): void {
    const { inode, chunks, size } = planned;
    if (chunks === undefined || inode.data === undefined) return;
    const { blockSize, deviceOf } = this.#plan;
    const output = this.#output;
    output.padTo(Math.ceil(output.position / CHUNK_INDEX_BYTES) * CHUNK_INDEX_BYTES);
    const device = deviceOf.get(inode.data.layer) ?? 0;
    const write = (number: number, block: number): void => {
      const offset = output.space(CHUNK_INDEX_BYTES);
      writeChunkIndex(output.view, offset, number, block);
    };
    if (chunks.isWhole) {
      write(device, inode.data.tarOffset / blockSize);
      return;
    }
    let next = 0;
    let copy = this.#dataStart + planned.block;
    for (const { index, tarOffset } of chunkPlaces(chunks, size, blockSize, this.#addressable(inode.data.layer))) {
      for (; next < index; next += 1) write(0, NULL_BLOCK);
      next = index + 1;
      if (tarOffset !== undefined) {
        write(device, tarOffset / blockSize);
        continue;
      }
      write(0, copy);
      copy += 2 ** chunks.bits;
    }
    for (; next < chunks.count; next += 1) write(0, NULL_BLOCK);
  }

  #addressable(layer: number): number {
    return this.#plan.deviceOf.has(layer) ? addressableBytes(this.#input.layers[layer]) : 0;
  }

  #writeTail(planned: PlannedInode): void {
    const { inode, size, tail, directory } = planned;
    if (directory !== undefined) {
      this.#writeDirectoryBlock(directory, directory.blocks.length - 1, tail);
    } else if (inode.type === 'symlink') {
      this.#output.append(Buffer.from((inode.linkTarget ?? '').slice(size - tail), 'latin1'));
    } else if (inode.data !== undefined) {
      const offset = this.#output.space(tail);
      this.#read(inode.data.layer, this.#output.buffer, offset, tail, inode.data.tarOffset + size - tail);
    }
  }

  #writeDirectoryBlock(directory: PlannedDirectory, block: number, bytes: number): void {
    writeDirectoryBlock(this.#output, this.#output.space(bytes), directory, block, this.#plan.inodes);
  }

  /** What stands in the data area; yields after each piece. */
  *#writeData(planned: PlannedInode): Generator<void, void, void> {
    const { inode, size, tail, directory, chunks } = planned;
    const { blockSize } = this.#plan;
    if (chunks !== undefined) {
      yield* this.#copyChunks(planned);
      return;
    }
    if (directory !== undefined) {
      const inBlocks = tail > 0 ? directory.blocks.length - 1 : directory.blocks.length;
      for (let block = 0; block < inBlocks; block += 1) {
        this.#writeDirectoryBlock(directory, block, blockSize);
        this.#turnBytes += blockSize;
      }
      yield;
    } else if (inode.type === 'symlink') {
      this.#output.append(Buffer.from((inode.linkTarget ?? '').slice(0, size - tail), 'latin1'));
    } else if (inode.data !== undefined) {
      yield* this.#copy(inode.data.layer, inode.data.tarOffset, size - tail);
    }
    this.#output.padTo(Math.ceil(this.#output.position / blockSize) * blockSize);
  }

  *#copyChunks({ inode, chunks, size }: PlannedInode): Generator<void, void, void> {
    if (chunks === undefined || inode.data === undefined) return;
    const { layer } = inode.data;
    const { blockSize } = this.#plan;
    const length = blockSize * 2 ** chunks.bits;
    let first = 0;
    for (const { index, tarOffset } of chunkPlaces(chunks, size, blockSize, this.#addressable(layer))) {
      if (tarOffset !== undefined) continue;
      const start = index * length;
      const end = Math.min(start + length, size);
      const base = this.#output.position - start;
      while (first < chunks.runs.length) {
        const run = chunks.runs[first];
        if (run === undefined || run.fileOffset + run.length > start) break;
        first += 1;
      }
      for (let at = first; at < chunks.runs.length; at += 1) {
        const run = chunks.runs[at];
        if (run === undefined || run.fileOffset >= end) break;
        const from = Math.max(run.fileOffset, start);
        const to = Math.min(run.fileOffset + run.length, end);
        this.#output.padTo(base + from);
        yield* this.#copy(layer, run.tarOffset + from - run.fileOffset, to - from);
      }
      this.#output.padTo(base + start + Math.ceil((end - start) / blockSize) * blockSize);
      yield;
    }
  }

  *#copy(layer: number, tarOffset: number, length: number): Generator<void, void, void> {
    for (let done = 0; done < length; ) {
      const piece = Math.min(length - done, PIECE_BYTES);
      const offset = this.#output.space(piece);
      this.#read(layer, this.#output.buffer, offset, piece, tarOffset + done);
      done += piece;
      yield;
    }
  }

  #read(layer: number, into: Buffer, offset: number, length: number, position: number): void {
    this.#reader.read(this.#input.files[layer] as number, into, offset, length, position);
    this.#turnBytes += length;
    this.#dataBytes += length;
  }

  /** The UUID is made from the whole tree, so the superblock is written last. */
  #writeSuperblock(blocks: number): Buffer {
    const { plan, tags, identity } = this.#input;
    for (const text of [...tags, '', ...identity]) this.#hash.update(`${text}\n`);
    const uuid = uuidOf(this.#hash.digest());
    finishSuperblock(this.#fd, plan.blockSize, {
      blockBits: Math.log2(plan.blockSize),
      rootNid: plan.inodes.nid(0),
      inodes: plan.inodes.length,
      epoch: plan.epoch,
      blocks,
      xattrBlock: this.#xattrBlock,
      uuid,
      devices: plan.devices.length,
      chunked: plan.chunked,
    });
    return uuid;
  }
}
