/** Finds what a path names in a merged tree, links resolved inside the root as a chroot would. */
import { oneOf } from '../io/one-of.js';
import { partError } from '../io/part-error.js';
import { requireTree } from './require-merged.js';
import { resolvePath } from './resolve-path.js';
import type { MergedTree, TreeNode } from './tree.js';

/** How `findNode` takes symbolic links. */
export interface FindNodeOptions {
  /**
   * `all`: follow them everywhere, as `stat` does. `parents` (the default): all but the last component, as `lstat`
   * does. `none`: the path is taken literally.
   */
  readonly links?: 'all' | 'parents' | 'none' | undefined;
}

/**
 * Finds a node by its path: bytes as latin1, with or without a leading slash; `..` stays inside the root.
 *
 * @returns `undefined` when nothing has that name, a link dangles, or links go round in a circle
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function findNode(
  tree: MergedTree,
  path: string,
  { links = 'parents' }: FindNodeOptions = {},
): TreeNode | undefined {
  oneOf('links', links, ['all', 'parents', 'none']);
  requireTree(tree);
  if (typeof path !== 'string') throw partError('path', 'text', path, 'give a path inside the tree');
  const components = path.split('/').filter((part) => part !== '' && part !== '.');
  const root: TreeNode = tree.root;
  if (links === 'none') return literal(root, components);
  const tail = components.at(-1);
  const held = links === 'parents' && tail !== undefined && tail !== '..' ? components.pop() : undefined;
  const place = resolvePath(root, components);
  if (place === undefined || place.missing.length > 0) return undefined;
  return held === undefined ? place.node : place.node.children?.get(held);
}

function literal(root: TreeNode, components: readonly string[]): TreeNode | undefined {
  let node: TreeNode | undefined = root;
  for (const name of components) node = name === '..' ? (node?.parent ?? node) : node?.children?.get(name);
  return node;
}
