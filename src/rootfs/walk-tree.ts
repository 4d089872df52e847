/** Walks a merged tree in the one order that all outputs share. */
import { requireTree } from './require-merged.js';
import { compareNames, type MergedTree, type TreeNode } from './tree.js';

/** A node and its path from the root without a leading slash; the root's is empty. Bytes as latin1. */
export interface WalkedNode {
  readonly path: string;
  readonly node: TreeNode;
}

/**
 * Walks a tree: the root first, each directory before what it holds, the names of one directory in the order of their
 * bytes. Costs memory for the directories on the way down, not for the tree.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` for what is no tree
 */
export function* walkTree(tree: MergedTree): Generator<WalkedNode, void, void> {
  requireTree(tree);
  yield { path: '', node: tree.root };
  const stack = [sorted(tree.root, '')];
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const next = level.nodes[level.at];
    if (next === undefined) {
      stack.pop();
      continue;
    }
    level.at += 1;
    const path = level.prefix + next.name;
    yield { path, node: next };
    if (next.children !== undefined && next.children.size > 0) stack.push(sorted(next, `${path}/`));
  }
}

function sorted(node: TreeNode, prefix: string): { nodes: TreeNode[]; prefix: string; at: number } {
  const nodes = [...(node.children?.values() ?? [])].sort((a, b) => compareNames(a.name, b.name));
  return { nodes, prefix, at: 0 };
}
