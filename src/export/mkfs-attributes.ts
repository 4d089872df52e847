/** What other file systems hold less of than a tree has: times in a range, attributes of known names. */
import { RootfsError } from '../errors.js';
import { type Inode, type MergedTree, nodePath, type Timestamp, type TreeNode } from '../rootfs/tree.js';
import { encodeXattr } from './erofs-xattrs.js';
import { isKernelXattr, isVoidAcl } from './kernel-xattr.js';
import { LossList } from './loss-list.js';
import { countSkipped, skippedXattr } from './skipped-xattr.js';

/** What a file system holds. */
export interface HeldAttributes {
  /** Its name, for messages. */
  readonly name: string;
  /** The attributes it has room for, by their names. */
  readonly holdsXattr: (name: string, value: Buffer) => boolean;
  /** Bytes it has for all attributes of one file, as `xattrBytes` counts them. Default: no bound. */
  readonly xattrRoom?: number | undefined;
  /** The nearest time it has. */
  readonly time: (time: Timestamp) => Timestamp;
  readonly allowLoss: boolean;
}

/** A tree that fits, and what had to go. */
export interface FittedTree {
  readonly tree: MergedTree;
  readonly losses: LossList;
  readonly skippedXattrs: ReadonlyMap<string, number>;
}

/** Whether an attribute's name is one that Linux file systems know, and its value one that they and the kernel take. */
export function isCommonXattr(name: string, value: Buffer): boolean {
  return isKernelXattr(name, value) && encodeXattr(name, value) !== undefined;
}

/** What an attribute takes as ext4 stores it: an entry, the name after its namespace, and the value, by fours. */
function xattrBytes(name: string, value: Buffer): number {
  return 16 + roundUp(name.length - name.indexOf('.') - 1) + roundUp(value.length);
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

/**
 * A copy of a tree with what a file system can hold. Attributes that are never written are left out and counted.
 *
 * @throws RootfsError `ERR_WOULD_LOSE` for an attribute it cannot hold, unless loss is allowed
 */
export function fitTree(tree: MergedTree, held: HeldAttributes): FittedTree {
  const losses = new LossList();
  const skipped = new Map<string, number>();
  const inodes = new Map<Inode, Inode>();
  const fitInode = (node: TreeNode): Inode => {
    const known = inodes.get(node.inode);
    if (known !== undefined) return known;
    const kept = new Map<string, Buffer>();
    const neverKept = new Set<string>();
    let room = held.xattrRoom ?? Number.POSITIVE_INFINITY;
    for (const [name, value] of node.inode.xattrs ?? []) {
      const never = skippedXattr(name, node.inode.type);
      if (never !== undefined) neverKept.add(never);
      else if (isVoidAcl(name, value)) continue;
      else if (held.holdsXattr(name, value) && xattrBytes(name, value) <= room) {
        kept.set(name, value);
        room -= xattrBytes(name, value);
      } else if (held.allowLoss) losses.add('xattrs', nodePath(node));
      else throw wouldLose(node, name, held.name);
    }
    countSkipped(skipped, neverKept);
    const fitted: Inode = {
      ...node.inode,
      mtime: held.time(node.inode.mtime),
      xattrs: kept.size === 0 ? undefined : kept,
    };
    inodes.set(node.inode, fitted);
    return fitted;
  };
  const copy = (node: TreeNode, parent: TreeNode | undefined): Copied => {
    const children = node.children === undefined ? undefined : new Map<string, TreeNode>();
    return { name: node.name, parent, inode: fitInode(node), children, layer: node.layer };
  };
  const root = copy(tree.root, undefined);
  const open: [TreeNode, Copied][] = [[tree.root, root]];
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    const [from, into] = pair;
    for (const [name, child] of from.children ?? []) {
      const copied = copy(child, into);
      into.children?.set(name, copied);
      if (child.children !== undefined) open.push([child, copied]);
    }
  }
  return { tree: { ...tree, root }, losses, skippedXattrs: skipped };
}

interface Copied extends TreeNode {
  readonly children: Map<string, TreeNode> | undefined;
}

function wouldLose(node: TreeNode, name: string, form: string): RootfsError {
  const path = Buffer.from(nodePath(node), 'latin1').toString();
  return new RootfsError(
    'ERR_WOULD_LOSE',
    `${path}: ${form} cannot hold the extended attribute ${JSON.stringify(name)}; allow loss (--allow-loss, allowLoss: true) to go on without it`,
    { detail: { path, xattr: name } },
  );
}
