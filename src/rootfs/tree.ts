/**
 * The merged tree: what a root file system holds once all layers are applied, and where each file's bytes lie.
 *
 * It knows names, inodes and places in layer tars. It reads no data and knows no output form. Names and paths are
 * bytes; in memory each stands as a latin1 string (one character a byte), which keeps every byte and is small.
 * `Buffer.from(text, 'latin1')` gives the bytes back. See `merge.ts` for how it comes to be.
 */

/** What an inode is. Sockets do not occur: tar cannot carry them. */
export type InodeType = 'file' | 'directory' | 'symlink' | 'char' | 'block' | 'fifo';

/** A moment: whole seconds since the epoch (may be negative) and nanoseconds, 0 to 999,999,999, after it. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** A run of a sparse file's data: `length` bytes at `fileOffset` in the file, `tarOffset` in the uncompressed layer tar. */
export interface DataExtent {
  readonly fileOffset: number;
  readonly tarOffset: number;
  readonly length: number;
}

/**
 * Where a file's data lies: in the uncompressed tar of one layer.
 *
 * Without `extents` it is one run: the inode's `size` bytes from `tarOffset`. With `extents` the file is sparse: they
 * are sorted, do not overlap, and what they leave out reads as zeros.
 */
export interface FileData {
  /** Position of the layer, 0 is the base. */
  readonly layer: number;
  readonly tarOffset: number;
  readonly extents?: readonly DataExtent[] | undefined;
}

/** A file without its names: what `stat` tells, and where the data is. Hard links share one inode. */
export interface Inode {
  readonly type: InodeType;
  /** Permission, setuid, setgid and sticky bits: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Timestamp;
  /** Length of a regular file's content in bytes; 0 for everything else. */
  readonly size: number;
  /** Regular files with `size` > 0 only. */
  readonly data?: FileData | undefined;
  /** A symbolic link's target, verbatim: bytes as latin1. */
  readonly linkTarget?: string | undefined;
  /** Major and minor number of a device. */
  readonly rdevMajor?: number | undefined;
  readonly rdevMinor?: number | undefined;
  /** Extended attributes; names are bytes as latin1. Absent when there are none. */
  readonly xattrs?: ReadonlyMap<string, Buffer> | undefined;
  /** How many names of the tree point here; more than 1 only where hard links survived. Directories: 1. */
  readonly links: number;
}

/** One name in the tree. */
export interface TreeNode {
  /** The last component of the path: bytes as latin1, no slash; empty for the root. */
  readonly name: string;
  readonly parent: TreeNode | undefined;
  readonly inode: Inode;
  /** A directory's entries by name, in no promised order (sort by bytes where order matters); else `undefined`. */
  readonly children?: ReadonlyMap<string, TreeNode> | undefined;
  /** The layer that brought this name in its present form, 0 is the base; -1 for a directory nobody wrote. */
  readonly layer: number;
}

/** A path that existed in a lower layer and was hidden: replaced by an entry, or removed by a whiteout. */
export interface HiddenPath {
  /** Path from the root without a leading slash: bytes as latin1. A hidden directory stands for all below it. */
  readonly path: string;
  /** The layer that had brought it, and the layer that hid it. */
  readonly layer: number;
  readonly hiddenBy: number;
  readonly how: 'whiteout' | 'opaque' | 'replaced';
  readonly type: InodeType;
  /** Bytes of file data that no longer show (for a directory: of all files below it). */
  readonly size: number;
}

/** The merged tree of an image. */
export interface MergedTree {
  readonly root: TreeNode;
  /** Number of names below the root. */
  readonly entries: number;
  /** Number of distinct inodes below the root. */
  readonly inodes: number;
  /** Sum of the sizes of all distinct regular files, in bytes. */
  readonly dataBytes: number;
  /** Number of layers the tree was made from. */
  readonly layers: number;
  /** What lower layers had and this tree does not show. Empty unless it was asked for. */
  readonly hidden: readonly HiddenPath[];
}

/** The path of a node from the root without a leading slash: bytes as latin1; the root's is empty. */
export function nodePath(node: TreeNode): string {
  const parts: string[] = [];
  for (let at: TreeNode | undefined = node; at?.parent !== undefined; at = at.parent) parts.push(at.name);
  return parts.reverse().join('/');
}

/** Compares two names by their bytes: the order of every output that must be deterministic. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
