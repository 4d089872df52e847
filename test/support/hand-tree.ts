/** Merged trees made by hand, one layer, also such as no merge would make. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LayerTar } from '../../src/rootfs/merge.js';
import type { DataExtent, Inode, InodeType, MergedTree } from '../../src/rootfs/tree.js';

/** One entry: its path (latin1), and what differs from a plain one. */
export interface HandEntry {
  readonly path: string;
  readonly type?: InodeType;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly seconds?: number;
  readonly nanoseconds?: number;
  readonly content?: string | Buffer;
  readonly sparse?: { readonly size: number; readonly runs: readonly { readonly at: number; readonly data: string }[] };
  readonly target?: string;
  readonly rdev?: readonly [number, number];
  readonly xattrs?: Readonly<Record<string, string | Buffer>>;
  /** Another name of the entry with this path. */
  readonly linkTo?: string;
}

interface Node {
  readonly name: string;
  readonly parent: Node | undefined;
  inode: Inode;
  readonly children: Map<string, Node> | undefined;
  readonly layer: number;
}

/** Builds a tree and the file its data lies in. Directories that have no entry are 0755 root:root. */
export function handTree(
  folder: string,
  entries: readonly HandEntry[],
): { readonly tree: MergedTree; readonly layers: readonly LayerTar[] } {
  const data: Buffer[] = [Buffer.alloc(512)];
  let end = 512;
  const append = (content: Buffer): number => {
    const at = end;
    data.push(content, Buffer.alloc(3));
    end += content.length + 3;
    return at;
  };
  const inodeOf = (entry: HandEntry): Inode => {
    const type = entry.type ?? (entry.target === undefined ? 'file' : 'symlink');
    const content = Buffer.from(entry.content ?? '');
    const extents: DataExtent[] | undefined = entry.sparse?.runs.map(({ at, data: text }) => ({
      fileOffset: at,
      tarOffset: append(Buffer.from(text)),
      length: text.length,
    }));
    const size = entry.sparse?.size ?? content.length;
    const tarOffset = extents?.[0]?.tarOffset ?? (content.length > 0 ? append(content) : 0);
    return {
      type,
      mode: entry.mode ?? (type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644),
      uid: entry.uid ?? 0,
      gid: entry.gid ?? 0,
      mtime: { seconds: entry.seconds ?? 1_700_000_000, nanoseconds: entry.nanoseconds ?? 0 },
      size,
      data: size > 0 ? { layer: 0, tarOffset, extents } : undefined,
      linkTarget: entry.target,
      rdevMajor: entry.rdev?.[0],
      rdevMinor: entry.rdev?.[1],
      xattrs:
        entry.xattrs &&
        new Map(Object.entries(entry.xattrs).map(([name, value]) => [name, Buffer.from(value)] as const)),
      links: 1,
    };
  };
  const root: Node = node('', undefined, inodeOf({ path: '', type: 'directory' }));
  const byPath = new Map<string, Node>([['', root]]);
  let bytes = 0;
  for (const entry of entries) {
    if (entry.path === '') {
      root.inode = inodeOf({ type: 'directory', ...entry });
      continue;
    }
    const cut = entry.path.lastIndexOf('/');
    const parent = directory(entry.path.slice(0, Math.max(cut, 0)));
    const first = entry.linkTo === undefined ? undefined : byPath.get(entry.linkTo);
    if (first !== undefined) (first.inode as { links: number }).links += 1;
    const inode = first?.inode ?? inodeOf(entry);
    if (first === undefined) bytes += inode.size;
    const made = node(entry.path.slice(cut + 1), parent, inode);
    const known = byPath.get(entry.path);
    if (known !== undefined) known.inode = inode;
    else put(parent, made, entry.path);
  }
  function node(name: string, parent: Node | undefined, inode: Inode): Node {
    return { name, parent, inode, children: inode.type === 'directory' ? new Map() : undefined, layer: 0 };
  }
  function put(parent: Node, made: Node, path: string): void {
    parent.children?.set(made.name, made);
    byPath.set(path, made);
  }
  function directory(path: string): Node {
    const known = byPath.get(path);
    if (known !== undefined) return known;
    const cut = path.lastIndexOf('/');
    const parent = directory(path.slice(0, Math.max(cut, 0)));
    const made = node(path.slice(cut + 1), parent, inodeOf({ path, type: 'directory' }));
    put(parent, made, path);
    return made;
  }
  const path = join(folder, 'layer.tar');
  writeFileSync(path, Buffer.concat(data));
  const names = [...byPath.values()].filter((one) => one !== root);
  const tree: MergedTree = {
    root,
    entries: names.length,
    inodes: new Set(names.map((one) => one.inode)).size,
    dataBytes: bytes,
    layers: 1,
    hidden: [],
  };
  return { tree, layers: [{ path, tarBytes: end }] };
}
