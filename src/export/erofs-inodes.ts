/** The inodes of an image, in the order in which they stand in it. Knows where each is, not how it came there. */
import { RootfsError } from '../errors.js';
import type { Inode, TreeNode } from '../rootfs/tree.js';
import type { FileChunks } from './erofs-chunks.js';
import type { PackedDirectory } from './erofs-directory.js';
import { FileType, INODE_SLOT, Layout } from './erofs-format.js';
import type { InodeXattrs } from './erofs-xattrs.js';

/** A directory's entries: their names in blocks, and for each the position of its inode. */
export interface PlannedDirectory extends PackedDirectory {
  readonly children: readonly number[];
  readonly links: number;
}

/** An inode and its place. Offsets in bytes, blocks counted from the data area. */
export interface PlannedInode {
  readonly inode: Inode;
  readonly node: TreeNode;
  readonly ino: number;
  readonly directory: PlannedDirectory | undefined;
  readonly links: number;
  readonly size: number;
  xattrs: InodeXattrs | undefined;
  extended: boolean;
  layout: number;
  /** Where it stands in the image. */
  offset: number;
  /** Bytes of data that follow the inode; the rest is in blocks. */
  tail: number;
  /** First block in the data area, for data with blocks there. */
  block: number;
  chunks: FileChunks | undefined;
}

const EXTENDED = 1;
const BLOCKS = 2;
const LAYOUT_AT = 2;

/**
 * All inodes of an image, column by column: of an object each, hundreds of thousands would take more memory than the
 * tree itself. What `at` returns is made for the call.
 */
export class PlannedInodes {
  readonly #nodes: TreeNode[] = [];
  readonly #directories = new Map<number, PlannedDirectory>();
  readonly #xattrs = new Map<number, InodeXattrs>();
  /** Names of those inodes of several names. */
  readonly #links = new Map<number, number>();
  #places: Places | undefined;

  get length(): number {
    return this.#nodes.length;
  }

  /** Appends an inode; returns its position. */
  add(node: TreeNode): number {
    return this.#nodes.push(node) - 1;
  }

  /** Counts a further name of an inode that is there. */
  addName(at: number): void {
    this.#links.set(at, (this.#links.get(at) ?? 1) + 1);
  }

  setDirectory(at: number, directory: PlannedDirectory): void {
    this.#directories.set(at, directory);
  }

  node(at: number): TreeNode {
    return this.#nodes[at] as TreeNode;
  }

  /** The number by which a directory knows an inode: its place. */
  nid(at: number): number {
    return (this.#places?.offset[at] ?? 0) / INODE_SLOT;
  }

  /** What a directory calls an inode. */
  fileType(at: number): number {
    return FileType[this.node(at).inode.type];
  }

  /** Says where an inode is; all must have been added before the first of these calls. */
  place(at: number, planned: PlannedInode): void {
    this.#places ??= new Places(this.#nodes.length);
    const { offset, block, tail, flags, chunks } = this.#places;
    offset[at] = planned.offset;
    block[at] = planned.block;
    tail[at] = planned.tail;
    flags[at] = (planned.extended ? EXTENDED : 0) | (hasBlocks(planned) ? BLOCKS : 0) | (planned.layout << LAYOUT_AT);
    chunks[at] = planned.chunks;
    if (planned.xattrs !== undefined) this.#xattrs.set(at, planned.xattrs);
  }

  /** Whether something of an inode stands in the data area. */
  hasBlocks(at: number): boolean {
    return ((this.#places?.flags[at] ?? 0) & BLOCKS) !== 0;
  }

  /** One of them, as far as it is known. */
  at(at: number): PlannedInode {
    const node = this.#nodes[at];
    if (node === undefined) throw new RootfsError('ERR_INTERNAL', `there is no inode ${at}; please report this`);
    const { inode } = node;
    const { type, links, xattrs } = inode;
    const directory = type === 'directory' ? this.#directories.get(at) : undefined;
    const planned = new Planned(node, inode, at + 1, directory);
    if (directory !== undefined) {
      planned.links = directory.links;
      planned.size = directory.size;
    } else {
      if (links > 1) planned.links = this.#links.get(at) ?? 1;
      planned.size = type === 'symlink' ? (inode.linkTarget?.length ?? 0) : inode.size;
    }
    const places = this.#places;
    if (places === undefined) return planned;
    if (xattrs !== undefined) planned.xattrs = this.#xattrs.get(at);
    const flags = places.flags[at] as number;
    planned.extended = (flags & EXTENDED) !== 0;
    planned.layout = flags >> LAYOUT_AT;
    planned.offset = places.offset[at] as number;
    planned.tail = places.tail[at] as number;
    planned.block = places.block[at] as number;
    planned.chunks = places.chunks[at];
    return planned;
  }
}

class Planned implements PlannedInode {
  readonly node: TreeNode;
  readonly inode: Inode;
  readonly ino: number;
  readonly directory: PlannedDirectory | undefined;
  links = 1;
  size = 0;
  xattrs: InodeXattrs | undefined;
  extended = true;
  layout: number = Layout.plain;
  offset = 0;
  tail = 0;
  block = 0;
  chunks: FileChunks | undefined;

  constructor(node: TreeNode, inode: Inode, ino: number, directory: PlannedDirectory | undefined) {
    this.node = node;
    this.inode = inode;
    this.ino = ino;
    this.directory = directory;
  }
}

function hasBlocks({ chunks, size, tail }: PlannedInode): boolean {
  return chunks === undefined ? size > tail : chunks.copiedBytes > 0;
}

/** Columns that are known once all inodes are. */
class Places {
  readonly offset: Float64Array;
  readonly block: Float64Array;
  readonly tail: Uint16Array;
  readonly flags: Uint8Array;
  readonly chunks: (FileChunks | undefined)[];

  constructor(count: number) {
    this.offset = new Float64Array(count);
    this.block = new Float64Array(count);
    this.tail = new Uint16Array(count);
    this.flags = new Uint8Array(count);
    this.chunks = new Array(count);
  }
}
