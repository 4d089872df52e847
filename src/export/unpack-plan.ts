/** The plan of an unpack: what is written where, in pieces that a worker carries out without knowing the tree. */
import type { DataExtent, Inode, InodeType } from '../rootfs/tree.js';

/** What a planned entry becomes. A link is another name of an inode that an earlier phase wrote. */
export type PlannedType = InodeType | 'link';

/** The types in the order of their numbers in `PlanSegment.numbers`. */
const PLANNED_TYPES: readonly PlannedType[] = ['file', 'directory', 'symlink', 'char', 'block', 'fifo', 'link'];

/** An extended attribute: bytes as latin1. */
export type Xattr = readonly [name: string, value: string];

/**
 * Where a name stands. The directory is its path from the root, empty for the root: one text for all that is in it, for
 * half a million files may lie two hundred directories deep.
 */
export interface Place {
  readonly directory: string;
  readonly name: string;
}

/** The path of a place from the root. */
export function pathOf({ directory, name }: Place): string {
  return directory === '' ? name : `${directory}/${name}`;
}

/** What few entries have. Bytes stand as latin1 text: views of buffers would be copied with all that they view. */
export interface EntryDetail {
  readonly linkTarget?: string | undefined;
  readonly rdevMajor?: number | undefined;
  readonly rdevMinor?: number | undefined;
  readonly extents?: readonly DataExtent[] | undefined;
  /** One list for all entries that have the same. */
  readonly xattrs?: readonly Xattr[] | undefined;
  /** A link's first name, and what it is. */
  readonly linkFrom?: Place | undefined;
  readonly linkType?: InodeType | undefined;
}

/** What of an inode, and of the attributes it will have, goes into the detail of its entry. */
export function detailOf(
  { linkTarget, rdevMajor, rdevMinor, data }: Inode,
  xattrs: readonly Xattr[],
): EntryDetail | undefined {
  const extents = data?.extents;
  if (linkTarget === undefined && rdevMajor === undefined && extents === undefined && xattrs.length === 0) {
    return undefined;
  }
  return {
    ...(linkTarget === undefined ? {} : { linkTarget }),
    ...(rdevMajor === undefined ? {} : { rdevMajor, rdevMinor: rdevMinor ?? 0 }),
    ...(extents === undefined ? {} : { extents }),
    ...(xattrs.length === 0 ? {} : { xattrs }),
  };
}

/** Numbers per entry in `PlanSegment.numbers`: type, mode, uid, gid, seconds, nanoseconds, size, layer, tarOffset. */
const NUMBERS_PER_ENTRY = 9;

/** Some entries of one directory. */
export interface PlanSegment {
  /** The directory's path from the root, empty for the root. */
  readonly directory: string;
  readonly names: readonly string[];
  /** `NUMBERS_PER_ENTRY` for each name. A uid of -1: the owner stays who writes. */
  readonly numbers: Float64Array;
  /** By position in `names`. */
  readonly details: ReadonlyMap<number, EntryDetail>;
}

/** Segments that one worker carries out in one go. */
export interface PlanBatch {
  readonly segments: readonly PlanSegment[];
  readonly entries: number;
  readonly dataBytes: number;
}

/** Everything to write, in its phases. Within a phase only `directories` has an order that matters. */
export interface UnpackPlan {
  /** Files, symbolic links, devices and FIFOs: first names only. */
  readonly contents: readonly PlanBatch[];
  /** Further names of what `contents` wrote. */
  readonly links: readonly PlanBatch[];
  /** Directories and their attributes, the deepest first, the root apart. */
  readonly directories: readonly PlanBatch[];
  readonly root: PlanSegment;
  readonly entries: number;
  readonly dataBytes: number;
}

/** One planned entry before it is packed. */
export interface PlannedEntry {
  readonly name: string;
  readonly type: PlannedType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly size: number;
  readonly layer: number;
  readonly tarOffset: number;
  readonly detail: EntryDetail | undefined;
}

/** Packs entries of one directory. */
export function packSegment(directory: string, entries: readonly PlannedEntry[]): PlanSegment {
  const numbers = new Float64Array(entries.length * NUMBERS_PER_ENTRY);
  const details = new Map<number, EntryDetail>();
  const names: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const at = index * NUMBERS_PER_ENTRY;
    numbers[at] = PLANNED_TYPES.indexOf(entry.type);
    numbers[at + 1] = entry.mode;
    numbers[at + 2] = entry.uid;
    numbers[at + 3] = entry.gid;
    numbers[at + 4] = entry.seconds;
    numbers[at + 5] = entry.nanoseconds;
    numbers[at + 6] = entry.size;
    numbers[at + 7] = entry.layer;
    numbers[at + 8] = entry.tarOffset;
    if (entry.detail !== undefined) details.set(index, entry.detail);
    names.push(entry.name);
  }
  return { directory, names, numbers, details };
}

/** The entry at a position of a segment. */
export function unpackEntry(segment: PlanSegment, index: number): PlannedEntry {
  const at = index * NUMBERS_PER_ENTRY;
  const { numbers } = segment;
  return {
    name: segment.names[index] as string,
    type: PLANNED_TYPES[numbers[at] as number] as PlannedType,
    mode: numbers[at + 1] as number,
    uid: numbers[at + 2] as number,
    gid: numbers[at + 3] as number,
    seconds: numbers[at + 4] as number,
    nanoseconds: numbers[at + 5] as number,
    size: numbers[at + 6] as number,
    layer: numbers[at + 7] as number,
    tarOffset: numbers[at + 8] as number,
    detail: segment.details.get(index),
  };
}

/** Gathers segments into batches of about `BATCH_ENTRIES` entries, `BATCH_XATTRS` attributes or `BATCH_BYTES`. */
export class BatchBuilder {
  readonly batches: PlanBatch[] = [];
  #segments: PlanSegment[] = [];
  #entries = 0;
  #xattrs = 0;
  readonly #lists = new Set<readonly Xattr[]>();
  #xattrBytes = 0;
  #dataBytes = 0;

  /** Adds entries of one directory; many are cut into several segments. */
  add(directory: string, entries: readonly PlannedEntry[]): void {
    let piece: PlannedEntry[] = [];
    let pieceBytes = 0;
    const put = (): void => {
      if (piece.length === 0) return;
      this.#segments.push(packSegment(directory, piece));
      this.#entries += piece.length;
      this.#dataBytes += pieceBytes;
      piece = [];
      pieceBytes = 0;
    };
    for (const entry of entries) {
      piece.push(entry);
      if (entry.type === 'file') pieceBytes += entry.size;
      this.#addXattrs(entry.detail?.xattrs);
      const many = this.#entries + piece.length >= BATCH_ENTRIES || this.#xattrs >= BATCH_XATTRS;
      if (many || this.#xattrBytes >= BATCH_BYTES || this.#dataBytes + pieceBytes >= BATCH_BYTES) {
        put();
        this.flush();
      }
    }
    put();
  }

  /** A list that several entries share is copied once. */
  #addXattrs(xattrs: readonly Xattr[] | undefined): void {
    if (xattrs === undefined) return;
    this.#xattrs += xattrs.length;
    if (this.#lists.has(xattrs)) return;
    this.#lists.add(xattrs);
    for (const [, value] of xattrs) this.#xattrBytes += value.length;
  }

  /** Ends the batch that is being filled. */
  flush(): void {
    if (this.#segments.length === 0) return;
    this.batches.push({ segments: this.#segments, entries: this.#entries, dataBytes: this.#dataBytes });
    this.#segments = [];
    this.#entries = 0;
    this.#xattrs = 0;
    this.#lists.clear();
    this.#xattrBytes = 0;
    this.#dataBytes = 0;
  }
}

const BATCH_ENTRIES = 512;
/** A batch is copied into its thread at one go: half a million attributes would hold up all others for a second. */
const BATCH_XATTRS = 16_384;
/** Of data, and of the values of attributes: a thread has little memory of its own. */
const BATCH_BYTES = 8 * 1024 * 1024;
