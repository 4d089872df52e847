/** A tree as flat facts, one line a path: the form in which engine, oracles and real folders are compared. */
import { closeSync, openSync, readSync } from 'node:fs';
import type { LayerTar } from '../../src/rootfs/merge.js';
import type { Inode, MergedTree } from '../../src/rootfs/tree.js';
import { walkTree } from '../../src/rootfs/walk-tree.js';
import type { NaiveTree } from './naive-merge.js';

/** What is known of one path. */
export interface Facts {
  readonly type: string;
  readonly mode: number;
  readonly owner: string;
  readonly mtime: string;
  /** Content, link target or device number. */
  readonly value: string;
  readonly xattrs: string;
  /** The first of the names that share the inode; the path itself for the others. */
  readonly group: string;
}

export type FlatTree = Map<string, Facts>;

const KINDS = { file: 'file', dir: 'directory', symlink: 'symlink', fifo: 'fifo', char: 'char', block: 'block' };

/** The engine's tree, data read from the layers. */
export function flatMerged(tree: MergedTree, layers: readonly LayerTar[]): FlatTree {
  const flat: FlatTree = new Map();
  const first = new Map<Inode, string>();
  const files = layers.map(({ path }) => openSync(path, 'r'));
  try {
    for (const { path, node } of walkTree(tree)) {
      const { inode } = node;
      const group = inode.type === 'directory' ? path : (first.get(inode) ?? path);
      first.set(inode, group);
      flat.set(path, {
        type: inode.type,
        mode: inode.type === 'symlink' ? 0 : inode.mode,
        owner: `${inode.uid}:${inode.gid}`,
        mtime: String(BigInt(inode.mtime.seconds) * 1_000_000_000n + BigInt(inode.mtime.nanoseconds)),
        value: inodeValue(inode, files),
        xattrs: xattrText([...(inode.xattrs ?? [])].map(([key, value]) => [key, value.toString('latin1')])),
        group,
      });
    }
  } finally {
    for (const fd of files) closeSync(fd);
  }
  return flat;
}

function inodeValue(inode: Inode, files: readonly number[]): string {
  if (inode.type === 'symlink') return inode.linkTarget ?? '';
  if (inode.type === 'char' || inode.type === 'block') return `${inode.rdevMajor}:${inode.rdevMinor}`;
  if (inode.type !== 'file' || inode.data === undefined) return '';
  const bytes = Buffer.alloc(inode.size);
  const { layer, tarOffset, extents = [{ fileOffset: 0, tarOffset, length: inode.size }] } = inode.data;
  for (const run of extents) readSync(files[layer] as number, bytes, run.fileOffset, run.length, run.tarOffset);
  return bytes.toString('latin1');
}

/** The naive oracle's tree. */
export function flatNaive(tree: NaiveTree): FlatTree {
  const flat: FlatTree = new Map();
  const first = new Map<object, string>();
  // the order in which the engine's tree is walked: names of a folder by their bytes
  const key = (path: string): string => path.replaceAll('/', '\0');
  for (const path of [...tree.keys()].sort((a, b) => (key(a) < key(b) ? -1 : 1))) {
    const thing = tree.get(path) as NonNullable<ReturnType<NaiveTree['get']>>;
    const group = thing.kind === 'dir' ? path : (first.get(thing) ?? path);
    first.set(thing, group);
    const device = thing.kind === 'char' || thing.kind === 'block';
    flat.set(path, {
      type: KINDS[thing.kind],
      mode: thing.kind === 'symlink' ? 0 : thing.mode,
      owner: `${thing.uid}:${thing.gid}`,
      mtime: String(thing.mtimeNs),
      value: device ? `8:${thing.minor}` : thing.kind === 'symlink' ? thing.target : thing.content,
      xattrs: xattrText(Object.entries(thing.xattrs)),
      group,
    });
  }
  return flat;
}

/** Extended attributes as one text, sorted by name. */
export function xattrText(pairs: readonly (readonly [string, string])[]): string {
  return JSON.stringify([...pairs].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One difference of two trees. `field` is `presence` when a side does not have the path. */
export interface Difference {
  readonly path: string;
  readonly field: keyof Facts | 'presence';
  readonly ours: string;
  readonly theirs: string;
}

/** Everything in which two trees differ. */
export function differences(ours: FlatTree, theirs: FlatTree): Difference[] {
  const found: Difference[] = [];
  for (const path of new Set([...ours.keys(), ...theirs.keys()])) {
    const a = ours.get(path);
    const b = theirs.get(path);
    if (a === undefined || b === undefined) {
      found.push({ path, field: 'presence', ours: a?.type ?? 'absent', theirs: b?.type ?? 'absent' });
      continue;
    }
    for (const field of Object.keys(a) as (keyof Facts)[]) {
      if (a[field] !== b[field]) found.push({ path, field, ours: String(a[field]), theirs: String(b[field]) });
    }
  }
  return found;
}
