/** The members of a flattened tar, in their order: what each is filled from, and nothing of where it goes. */
import type { CallOptions } from '../content/content.js';
import { report } from '../progress.js';
import type { LayerTar } from '../rootfs/merge.js';
import {
  type DataExtent,
  type Inode,
  type MergedTree,
  nodePath,
  type Timestamp,
  type TreeNode,
} from '../rootfs/tree.js';
import { walkTree } from '../rootfs/walk-tree.js';
import { BLOCK, endOfArchive, paddedBytes, padding } from '../tar/block.js';
import { encodeHeader, type TarHeader } from '../tar/write-header.js';
import { checkDataPlace } from './layer-files.js';

/** What a chunk is filled from: bytes as they are, or a place in a layer. */
export type TarPart = Buffer | { readonly fd: number; readonly tarOffset: number; readonly length: number };

/** What members are made of. */
export interface TarMembersInput {
  readonly tree: MergedTree;
  /** What the tree was made from, base first, and their descriptors. */
  readonly layers: readonly LayerTar[];
  readonly open: readonly number[];
  /** The nodes to write; all of them where this is absent. */
  readonly selected: ReadonlySet<TreeNode> | undefined;
  /** Modification times after this become it: seconds since the epoch. */
  readonly latest: number;
  /** Sparse files are written whole, with zeros for their holes. Default false. */
  readonly dense?: boolean | undefined;
}

/** What holes are written from, as many times as it takes. */
const HOLE = Buffer.alloc(64 * 1024);

/**
 * Makes the parts of a tar, one after the other: headers and padding as bytes, data as places in layers.
 *
 * @throws RootfsError `ERR_LAYER_INVALID` where a file's data does not lie in its layer
 */
export function* tarMembers(
  { tree, layers, open, selected, latest, dense = false }: TarMembersInput,
  { onProgress }: CallOptions,
): Generator<TarPart, void, void> {
  // Paths of all names of deep trees are many times the tree: a node is where its path comes from.
  const firsts = new Map<Inode, TreeNode>();
  const totals = onProgress === undefined ? undefined : totalsOf(tree, selected);
  // The root is no entry.
  let entries = -1;
  let dataBytes = 0;
  for (const { path, node } of walkTree(tree)) {
    if (selected?.has(node) === false) continue;
    const { inode } = node;
    const earlier = inode.links > 1 ? firsts.get(inode) : undefined;
    if (inode.links > 1 && earlier === undefined) firsts.set(inode, node);
    const first = earlier && nodePath(earlier);
    yield encodeHeader(headerOf(path, inode, first, latest, dense));
    if (first === undefined && inode.data !== undefined) {
      checkDataPlace(inode, layers, () => Buffer.from(path, 'latin1').toString());
      if (inode.data.extents === undefined) {
        yield { fd: open[inode.data.layer] as number, tarOffset: inode.data.tarOffset, length: inode.size };
        yield padding(inode.size);
      } else {
        const { extents, layer } = inode.data;
        const fd = open[layer] as number;
        yield* dense ? wholeData(extents, inode.size, fd) : sparseData(extents, fd);
      }
      dataBytes += inode.size;
    }
    entries += 1;
    if (totals === undefined || (entries % 1024 !== 0 && entries !== totals.totalEntries)) continue;
    report(onProgress, { type: 'entries:written', entries, dataBytes, ...totals });
  }
  yield endOfArchive();
}

function totalsOf(
  tree: MergedTree,
  selected: ReadonlySet<TreeNode> | undefined,
): { readonly totalEntries: number; readonly totalDataBytes: number } {
  if (selected === undefined) return { totalEntries: tree.entries, totalDataBytes: tree.dataBytes };
  let totalDataBytes = 0;
  for (const inode of new Set([...selected].map((node) => node.inode))) totalDataBytes += inode.size;
  return { totalEntries: selected.size - 1, totalDataBytes };
}

function headerOf(path: string, inode: Inode, first: string | undefined, latest: number, dense: boolean): TarHeader {
  const mtime: Timestamp = inode.mtime.seconds >= latest ? { seconds: latest, nanoseconds: 0 } : inode.mtime;
  const again = first !== undefined;
  // One literal, no spreads: this runs for every entry.
  return {
    name: inode.type === 'directory' ? `${path === '' ? '.' : path}/` : path,
    type: again ? 'hardlink' : inode.type,
    mode: inode.mode,
    uid: inode.uid,
    gid: inode.gid,
    mtime,
    size: inode.size,
    linkname: again ? first : inode.linkTarget,
    devmajor: inode.rdevMajor,
    devminor: inode.rdevMinor,
    xattrs: again ? undefined : inode.xattrs,
    extents: again || dense ? undefined : inode.data?.extents && wholeBlockRuns(inode.data.extents),
  };
}

/**
 * The runs of a sparse file as they are written: all but the last have whole blocks, zeros added where they must be.
 * GNU tar begins each run in a block of its own, Go goes on where the last one ended; so both read the same.
 */
function wholeBlockRuns(extents: readonly DataExtent[]): DataExtent[] {
  const runs: { fileOffset: number; tarOffset: number; length: number }[] = [];
  for (const { fileOffset, tarOffset, length } of extents) {
    if (length === 0) continue;
    const last = runs.at(-1);
    if (last !== undefined) last.length = paddedBytes(last.length);
    if (last === undefined || fileOffset >= last.fileOffset + last.length) {
      runs.push({ fileOffset, tarOffset, length });
    } else {
      last.length = fileOffset + length - last.fileOffset;
    }
  }
  return runs;
}

/** Fewer zeros than a block has. */
function zeros(count: number): Buffer {
  return padding(BLOCK - count);
}

function* sparseData(found: readonly DataExtent[], fd: number): Generator<TarPart, void, void> {
  const extents = found.filter(({ length }) => length > 0);
  let bytes = 0;
  let next = 0;
  for (const run of wholeBlockRuns(extents)) {
    const end = run.fileOffset + run.length;
    let at = run.fileOffset;
    for (; next < extents.length; next += 1) {
      const { fileOffset, tarOffset, length } = extents[next] as DataExtent;
      if (fileOffset >= end) break;
      yield zeros(fileOffset - at);
      yield { fd, tarOffset, length };
      at = fileOffset + length;
    }
    yield zeros(end - at);
    bytes += run.length;
  }
  yield padding(bytes);
}

function* wholeData(extents: readonly DataExtent[], size: number, fd: number): Generator<TarPart, void, void> {
  let at = 0;
  for (const { fileOffset, tarOffset, length } of extents) {
    yield* hole(fileOffset - at);
    yield { fd, tarOffset, length };
    at = fileOffset + length;
  }
  yield* hole(size - at);
  yield padding(size);
}

function* hole(bytes: number): Generator<Buffer, void, void> {
  for (let left = bytes; left > 0; left -= HOLE.length) yield left < HOLE.length ? HOLE.subarray(0, left) : HOLE;
}
