/** The plan of an EROFS image: which inode stands where, and how its data is found. Reads no data, writes nothing. */
import { RootfsError } from '../errors.js';
import { Turns } from '../io/turns.js';
import type { LayerTar } from '../rootfs/merge.js';
import { type Inode, type MergedTree, nodePath, type Timestamp, type TreeNode } from '../rootfs/tree.js';
import { cost, divideFile, type FileChunks } from './erofs-chunks.js';
import { CommonTime } from './erofs-common-time.js';
import { addressableBytes, assignDevices, type ErofsDevices, MAX_BLOCKS, TAR_BLOCK } from './erofs-devices.js';
import { directoryNames, packDirectory } from './erofs-directory.js';
import {
  CHUNK_INDEX_BYTES,
  COMPACT_INODE_BYTES,
  DEVICE_SLOT_BYTES,
  EXTENDED_INODE_BYTES,
  INODE_SLOT,
  Layout,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_OFFSET,
  XATTR_HEADER_BYTES,
} from './erofs-format.js';
import { type PlannedInode, PlannedInodes } from './erofs-inodes.js';
import { checkInode, checkName, shownPath, unsupported } from './erofs-limits.js';
import { encodeXattr, XattrTable } from './erofs-xattrs.js';
import { isKernelXattr, isVoidAcl } from './kernel-xattr.js';
import { LossList } from './loss-list.js';
import { countSkipped, skippedXattr } from './skipped-xattr.js';

/** What is to be written, in the order in which it stands in the image. */
export interface ErofsPlan {
  readonly inodes: PlannedInodes;
  readonly epoch: Timestamp;
  readonly blockSize: number;
  /** The layers that hold data, by their position; the place in this list is the number of the device, less 1. */
  readonly devices: readonly number[];
  /** The number of the device that holds the data of a layer. */
  readonly deviceOf: ReadonlyMap<number, number>;
  /** Where the inodes end, and what a reader may look at beyond the last. */
  readonly inodesEnd: number;
  readonly sharedXattrs: Buffer;
  /** Blocks of the data area. */
  readonly dataBlocks: number;
  readonly chunked: boolean;
  readonly losses: LossList;
  readonly skippedXattrs: ReadonlyMap<string, number>;
}

/** What a plan is made from. */
export interface PlanErofsInput {
  readonly tree: MergedTree;
  readonly layers: readonly LayerTar[];
  /** Whether files are addressed in the layer tars. */
  readonly layersAsDevices: boolean;
  readonly allowLoss: boolean;
  readonly maxSparseBytes: number;
  readonly signal: AbortSignal | undefined;
}

/** Block size of an image that holds its files: what every kernel and every tool reads. */
const IMAGE_BLOCK = 4096;

/**
 * Plans an image.
 *
 * @throws RootfsError `ERR_UNSUPPORTED` (what EROFS cannot hold), `ERR_WOULD_LOSE`, `ERR_LAYER_INVALID`,
 *   `ERR_LIMIT_EXCEEDED`; the signal's reason
 */
export async function planErofs(input: PlanErofsInput): Promise<ErofsPlan> {
  const planner = new Planner(input);
  const turns = new Turns(input.signal);
  for (const step of [planner.collect(), planner.place()]) {
    for (const _ of step) if (turns.due()) await turns.take();
  }
  return planner.finish();
}

class Planner {
  readonly #input: PlanErofsInput;
  readonly #blockSize: number;
  readonly #inodes = new PlannedInodes();
  readonly #linked = new Map<Inode, number>();
  /** The directory above each directory, by their positions. */
  readonly #parents = new Map<number, number>();
  readonly #attributes = new Map<number, readonly Buffer[]>();
  readonly #table = new XattrTable();
  readonly #times = new CommonTime();
  #devices: ErofsDevices = { layers: [], deviceOf: new Map() };
  readonly #losses = new LossList();
  readonly #skipped = new Map<string, number>();
  #epoch: Timestamp = { seconds: 0, nanoseconds: 0 };
  #offset = 0;
  #dataBlocks = 0;
  #sparseBytes = 0;
  #chunked = false;

  constructor(input: PlanErofsInput) {
    this.#input = input;
    this.#blockSize = input.layersAsDevices ? TAR_BLOCK : IMAGE_BLOCK;
  }

  /** Every inode once, a directory's entries side by side; yields after each entry: a directory may have a million. */
  *collect(): Generator<void, void, void> {
    const { root } = this.#input.tree;
    if (root.children === undefined) {
      throw new RootfsError('ERR_LAYER_INVALID', 'the root of the tree is not a directory; merge the layers again');
    }
    this.#add(root, 0);
    for (let at = 0; at < this.#inodes.length; at += 1) {
      const { children } = this.#inodes.node(at);
      if (children !== undefined) yield* this.#enter(at, children);
    }
    this.#epoch = this.#times.commonest;
  }

  *#enter(directory: number, nodes: ReadonlyMap<string, TreeNode>): Generator<void, void, void> {
    const names = directoryNames(nodes.keys());
    const children: number[] = [];
    let links = 2;
    for (const name of names) {
      const node = nodes.get(name);
      if (node === undefined) {
        children.push(name === '.' ? directory : (this.#parents.get(directory) ?? directory));
        continue;
      }
      checkName(node);
      const known = node.inode.links > 1 ? this.#linked.get(node.inode) : undefined;
      if (known !== undefined) this.#inodes.addName(known);
      if (node.inode.type === 'directory') links += 1;
      children.push(known ?? this.#add(node, directory));
      yield;
    }
    this.#inodes.setDirectory(directory, { ...packDirectory(names, this.#blockSize), children, links });
  }

  #add(node: TreeNode, parent: number): number {
    const { inode } = node;
    const at = this.#inodes.add(node);
    if (node.children !== undefined) this.#parents.set(at, parent);
    if (inode.links > 1) this.#linked.set(inode, at);
    checkInode(node, this.#input.layers);
    if (inode.xattrs !== undefined) this.#collectXattrs(node, at, inode.xattrs);
    this.#times.count(inode.mtime);
    return at;
  }

  #collectXattrs(node: TreeNode, at: number, xattrs: ReadonlyMap<string, Buffer>): void {
    const entries: Buffer[] = [];
    const never = new Set<string>();
    for (const name of [...xattrs.keys()].sort()) {
      const skipped = skippedXattr(name, node.inode.type);
      const value = xattrs.get(name) as Buffer;
      const usable = skipped === undefined && isKernelXattr(name, value);
      const entry = usable ? encodeXattr(name, value) : undefined;
      if (skipped !== undefined) never.add(skipped);
      else if (isVoidAcl(name, value)) continue;
      else if (entry !== undefined) entries.push(entry);
      else this.#lose(node, name);
    }
    countSkipped(this.#skipped, never);
    if (entries.length === 0) return;
    this.#attributes.set(at, this.#table.add(entries));
  }

  #lose(node: TreeNode, name: string): void {
    if (!this.#input.allowLoss) {
      throw new RootfsError(
        'ERR_WOULD_LOSE',
        `${shownPath(node)}: EROFS cannot hold the extended attribute ${JSON.stringify(name)}; allow loss (--allow-loss, allowLoss: true) to go on without it`,
      );
    }
    this.#losses.add('xattrs', nodePath(node));
  }

  /** Gives each inode its place, in order; yields after each. */
  *place(): Generator<void, void, void> {
    if (this.#input.layersAsDevices) this.#devices = assignDevices(this.#inodes, this.#input.layers);
    this.#offset = SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES + DEVICE_SLOT_BYTES * this.#devices.layers.length;
    for (let at = 0; at < this.#inodes.length; at += 1) {
      const planned = this.#inodes.at(at);
      this.#placeInode(planned, this.#attributes.get(at));
      this.#inodes.place(at, planned);
      yield;
    }
  }

  #placeInode(planned: PlannedInode, entries: readonly Buffer[] | undefined): void {
    if (entries !== undefined) {
      planned.xattrs = this.#table.body(entries);
      if (planned.xattrs === undefined) {
        throw unsupported(planned.node, `${entries.length} extended attributes; EROFS has no room for so many`);
      }
    }
    planned.extended = !this.#isCompact(planned);
    const head = (planned.extended ? EXTENDED_INODE_BYTES : COMPACT_INODE_BYTES) + (planned.xattrs?.body.length ?? 0);
    const { type, data } = planned.inode;
    const size = this.#blockSize;
    this.#offset = roundUp(this.#offset, INODE_SLOT);
    if (type === 'file' && data !== undefined && (this.#input.layersAsDevices || data.extents !== undefined)) {
      this.#placeChunks(planned, head);
    } else if (type === 'file' || type === 'directory' || type === 'symlink') {
      const tail = planned.size % size;
      // A long tail of a file leaves gaps before it that are as large as what it saves.
      const mayFollow = tail > 0 && (type !== 'file' || tail <= size / 2);
      if (mayFollow) this.#moveForTail(head, tail);
      const follows = mayFollow && ((this.#offset + head) % size) + tail <= size;
      planned.layout = follows ? Layout.inline : Layout.plain;
      planned.tail = follows ? tail : 0;
      this.#takeBlocks(planned, Math.ceil((planned.size - planned.tail) / size));
      planned.offset = this.#offset;
      this.#offset += head + planned.tail;
    } else {
      planned.offset = this.#offset;
      this.#offset += head;
    }
  }

  /** A tail must not lie across two blocks: where it would, the inode moves so far that it begins the next. */
  #moveForTail(head: number, tail: number): void {
    const at = (this.#offset + head) % this.#blockSize;
    if (at + tail <= this.#blockSize) return;
    const moved = this.#offset + roundUp(this.#blockSize - at, INODE_SLOT);
    if (((moved + head) % this.#blockSize) + tail <= this.#blockSize) this.#offset = moved;
  }

  #placeChunks(planned: PlannedInode, head: number): void {
    const { inode, node } = planned;
    const layer = this.#input.layers[inode.data?.layer ?? 0];
    const addressable = this.#input.layersAsDevices ? addressableBytes(layer) : 0;
    const chunks = divideFile(inode, this.#blockSize, addressable);
    if (!chunks.isWhole) this.#sparseBytes += extraBytes(chunks);
    if (this.#sparseBytes > this.#input.maxSparseBytes) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `${shownPath(node)}: scattered sparse files would take more than ${this.#input.maxSparseBytes} bytes besides their data; raise maxSparseBytes`,
      );
    }
    this.#chunked = true;
    planned.chunks = chunks;
    planned.layout = Layout.chunks;
    planned.offset = this.#offset;
    this.#offset = roundUp(this.#offset + head, CHUNK_INDEX_BYTES) + chunks.count * CHUNK_INDEX_BYTES;
    this.#takeBlocks(planned, Math.ceil(chunks.copiedBytes / this.#blockSize));
  }

  #takeBlocks(planned: PlannedInode, blocks: number): void {
    planned.block = this.#dataBlocks;
    this.#dataBlocks += blocks;
  }

  #isCompact({ inode, links, size }: PlannedInode): boolean {
    const { seconds, nanoseconds } = inode.mtime;
    if (seconds !== this.#epoch.seconds || nanoseconds !== this.#epoch.nanoseconds) return false;
    return inode.uid <= 0xffff && inode.gid <= 0xffff && links <= 0xffff && size <= 0xffff_ffff;
  }

  finish(): ErofsPlan {
    const sharedXattrs = this.#table.area();
    // Some checkers (fsck.erofs 1.5) read an attribute header after an inode that has none: the image must not end there.
    const inodesEnd = this.#offset + XATTR_HEADER_BYTES;
    const metadata = roundUp(inodesEnd, this.#blockSize) + roundUp(sharedXattrs.length, this.#blockSize);
    if (metadata / this.#blockSize + this.#dataBlocks > MAX_BLOCKS) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `the image would have more than ${MAX_BLOCKS} blocks of ${this.#blockSize} bytes, which EROFS cannot address`,
      );
    }
    return {
      inodes: this.#inodes,
      epoch: this.#epoch,
      blockSize: this.#blockSize,
      devices: this.#devices.layers,
      deviceOf: this.#devices.deviceOf,
      inodesEnd,
      sharedXattrs,
      dataBlocks: this.#dataBlocks,
      chunked: this.#chunked,
      losses: this.#losses,
      skippedXattrs: this.#skipped,
    };
  }
}

/** What the chunks of a file take besides one index and its data. */
function extraBytes(chunks: FileChunks): number {
  const data = chunks.runs.reduce((sum, { length }) => sum + length, 0);
  return Math.max(0, cost(chunks) - CHUNK_INDEX_BYTES - data);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
