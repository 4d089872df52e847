/** The merged tree while it is made: nodes that can be added and removed, and the counts that go with them. */
import { mergeLimitExceeded } from './merge-error.js';
import type { MergeLimits } from './merge-limits.js';
import { resolvePath } from './resolve-path.js';
import { type HiddenPath, type Inode, nodePath, type Timestamp, type TreeNode } from './tree.js';

/** An inode whose names are still being counted. */
export type MergeInode = Omit<Inode, 'links'> & { links: number };

/** A name in the tree under construction. Detached nodes have no parent any more. */
export class MergeNode implements TreeNode {
  readonly name: string;
  parent: MergeNode | undefined;
  inode: MergeInode;
  children: Map<string, MergeNode> | undefined;
  layer: number;
  readonly depth: number;
  readonly pathBytes: number;
  /** A hard link that waits for its target; it has no inode of its own yet. */
  pending = false;

  constructor(name: string, parent: MergeNode | undefined, inode: MergeInode, layer: number) {
    this.name = name;
    this.parent = parent;
    this.inode = inode;
    this.children = inode.type === 'directory' ? new Map() : undefined;
    this.layer = layer;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
    this.pathBytes = parent === undefined ? 0 : parent.pathBytes + (parent.pathBytes === 0 ? 0 : 1) + name.length;
  }
}

const EPOCH: Timestamp = { seconds: 0, nanoseconds: 0 };

/** The inode of a directory that no layer describes: 0755, root:root, modified at the epoch. */
export function plainDirectory(): MergeInode {
  return {
    type: 'directory',
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: EPOCH,
    size: 0,
    data: undefined,
    linkTarget: undefined,
    rdevMajor: undefined,
    rdevMinor: undefined,
    xattrs: undefined,
    links: 0,
  };
}

/** What stands for a hard link until its target is known. */
export function pendingInode(): MergeInode {
  return { ...plainDirectory(), type: 'file' };
}

/** How a name of a lower layer came to be hidden. */
export type HiddenHow = HiddenPath['how'];

/** What other trees have taken of the limits already: the layers of an overlay share them. */
export type Taken = Readonly<Pick<MergeTree, 'entries' | 'dataBytes' | 'linkSteps'>>;

const NOTHING_TAKEN: Taken = { entries: 0, dataBytes: 0, linkSteps: 0 };

/** The tree under construction. */
export class MergeTree {
  readonly root = new MergeNode('', undefined, { ...plainDirectory(), links: 1 }, -1);
  readonly limits: MergeLimits;
  entries = 0;
  inodes = 0;
  dataBytes = 0;
  readonly hidden: HiddenPath[] = [];
  /** Directories that a layer describes, and the layer below that had brought them: it may replace them yet. */
  readonly #described = new Map<MergeNode, number>();
  /** Bytes of the paths in `hidden`: a short name behind a symbolic link may have a long one. */
  #hiddenBytes = 0;
  /** Grows whenever a path may have come to mean another directory. */
  generation = 0;
  /** Components of symbolic links followed so far, by the other trees too. */
  linkSteps: number;
  readonly #keepHidden: boolean;
  readonly #before: Taken;

  /** @param before What other trees have taken of `limits`. */
  constructor(limits: MergeLimits, keepHidden: boolean, before = NOTHING_TAKEN) {
    this.limits = limits;
    this.linkSteps = before.linkSteps;
    this.#keepHidden = keepHidden;
    this.#before = before;
  }

  /** What this tree and those before it have taken of the limits. */
  get taken(): Taken {
    const { entries, dataBytes } = this.#before;
    return {
      entries: entries + this.entries,
      dataBytes: dataBytes + this.dataBytes,
      linkSteps: this.linkSteps,
    };
  }

  /**
   * Adds a name that is not there yet.
   *
   * @throws RootfsError `ERR_LIMIT_EXCEEDED` when the tree grows too large, too deep or too long
   */
  add(parent: MergeNode, name: string, inode: MergeInode, layer: number): MergeNode {
    const { maxNameBytes, maxDepth, maxPathBytes, maxEntries } = this.limits;
    const node = new MergeNode(name, parent, inode, layer);
    if (name.length > maxNameBytes) {
      throw mergeLimitExceeded(name, 'bytes of a name', 'maxNameBytes', maxNameBytes, name.length);
    }
    if (node.depth > maxDepth) throw mergeLimitExceeded(name, 'depth', 'maxDepth', maxDepth, node.depth);
    if (node.pathBytes > maxPathBytes) {
      throw mergeLimitExceeded(name, 'bytes of a path', 'maxPathBytes', maxPathBytes, node.pathBytes);
    }
    const entries = this.#before.entries + this.entries + 1;
    if (entries > maxEntries) throw mergeLimitExceeded(name, 'names in the tree', 'maxEntries', maxEntries, entries);
    this.entries += 1;
    this.#link(inode, name);
    (parent.children as Map<string, MergeNode>).set(name, node);
    if (inode.type === 'symlink') this.generation += 1;
    return node;
  }

  /** Gives a directory (the root too) new attributes; its content stays. */
  describe(node: MergeNode, inode: MergeInode, layer: number): void {
    if (this.#keepHidden && node.layer >= 0 && node.layer < layer) this.#described.set(node, node.layer);
    inode.links = 1;
    node.inode = inode;
    node.layer = layer;
  }

  /** Gives a hard link that waited for its target the inode of it. */
  settle(node: MergeNode, inode: MergeInode): void {
    this.#unlink(node.inode);
    node.inode = inode;
    node.pending = false;
    this.#link(inode, node.name);
  }

  /**
   * Removes a name and all below it.
   *
   * @param layer The layer that hides it: names of lower layers are noted as hidden.
   * @throws RootfsError `ERR_LIMIT_EXCEEDED` when the paths noted so become too many
   */
  remove(node: MergeNode, layer: number, how: HiddenHow): void {
    if (node.parent === undefined) return;
    if (this.#keepHidden) this.#hide(node, layer, how);
    node.parent.children?.delete(node.name);
    if (node.children !== undefined || node.inode.type === 'symlink') this.generation += 1;
    this.#forget(node);
  }

  #hide(node: MergeNode, layer: number, how: HiddenHow): void {
    const broughtBy = node.layer < layer ? node.layer : this.#described.get(node);
    if (broughtBy === undefined || broughtBy < 0) {
      for (const child of node.children?.values() ?? []) this.#hide(child, layer, how);
      return;
    }
    const { type } = node.inode;
    const path = nodePath(node);
    this.#hiddenBytes += path.length;
    const { maxMetadataBytes } = this.limits;
    if (this.#hiddenBytes > maxMetadataBytes) {
      throw mergeLimitExceeded(path, 'bytes of hidden paths', 'maxMetadataBytes', maxMetadataBytes, this.#hiddenBytes);
    }
    this.hidden.push({ path, layer: broughtBy, hiddenBy: layer, how, type, size: hiddenBytes(node) });
  }

  #forget(top: MergeNode): void {
    const stack = [top];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      this.entries -= 1;
      this.#unlink(node.inode);
      node.parent = undefined;
      if (node.children !== undefined) for (const child of node.children.values()) stack.push(child);
    }
  }

  #link(inode: MergeInode, name: string): void {
    inode.links += 1;
    if (inode.links > 1) return;
    this.inodes += 1;
    this.dataBytes += inode.size;
    const { maxDataBytes } = this.limits;
    const dataBytes = this.#before.dataBytes + this.dataBytes;
    if (dataBytes > maxDataBytes) {
      throw mergeLimitExceeded(name, 'bytes of files', 'maxDataBytes', maxDataBytes, dataBytes);
    }
  }

  #unlink(inode: MergeInode): void {
    inode.links -= 1;
    if (inode.links > 0) return;
    this.inodes -= 1;
    this.dataBytes -= inode.size;
  }
}

/** Bytes of file data below a name that no name elsewhere shows. */
function hiddenBytes(top: MergeNode): number {
  const names = new Map<MergeInode, number>();
  let size = 0;
  const stack = [top];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    const { inode } = node;
    if (node.children !== undefined) for (const child of node.children.values()) stack.push(child);
    else if (inode.links === 1) size += inode.size;
    else {
      const seen = (names.get(inode) ?? 0) + 1;
      names.set(inode, seen);
      if (seen === inode.links) size += inode.size;
    }
  }
  return size;
}

/**
 * Counts a symbolic link that is about to be followed: for `resolvePath`.
 *
 * @returns true
 * @throws RootfsError `ERR_LIMIT_EXCEEDED` when the image's links lead through too many components
 */
export function followLink(tree: MergeTree, link: TreeNode, steps: number): true {
  const { maxLinkSteps } = tree.limits;
  tree.linkSteps += steps;
  if (tree.linkSteps > maxLinkSteps) {
    throw mergeLimitExceeded(
      nodePath(link),
      'steps through symbolic links',
      'maxLinkSteps',
      maxLinkSteps,
      tree.linkSteps,
    );
  }
  return true;
}

/** Whether a node is a symbolic link that ends at a directory of the tree. */
export function leadsToDirectory(tree: MergeTree, node: MergeNode): boolean {
  if (node.inode.type !== 'symlink') return false;
  const place = resolvePath(tree.root, nodePath(node).split('/'), (link, steps) => followLink(tree, link, steps));
  return place !== undefined && place.missing.length === 0 && place.node.children !== undefined;
}
