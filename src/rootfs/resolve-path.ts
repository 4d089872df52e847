/** Paths inside a tree: symbolic links are resolved, absolute ones and `..` included, and never lead out of the root. */
import type { Inode } from './tree.js';

/** Symbolic links that may be followed for one path; what goes on after that is a loop. */
export const MAX_LINKS = 255;

/** What the resolver asks of a node: `TreeNode` and the merge's own nodes have it. */
interface Linked<Node> {
  readonly inode: Inode;
  readonly parent: Node | undefined;
  readonly children?: ReadonlyMap<string, Node> | undefined;
}

/** Where a path leads: the last node that is there, and the components after it that are not. */
export interface Place<Node> {
  readonly node: Node;
  readonly missing: readonly string[];
}

/**
 * Follows a path from the root, through symbolic links, without making anything.
 *
 * `..` at the root stays there. After a component that is missing, or that is no directory, the rest is taken
 * literally: `missing` holds it. A symbolic link is followed wherever it stands, at the end too: leave off the last
 * component to get at the link itself.
 *
 * @param onLink Hears of each link before it is followed, with the number of components it leads through; when it
 *   answers `false` the path ends there.
 * @returns `undefined` when `onLink` ended the path, or after `MAX_LINKS` links
 */
export function resolvePath<Node extends Linked<Node>>(
  root: Node,
  components: readonly string[],
  onLink?: (link: Node, steps: number) => boolean,
): Place<Node> | undefined {
  let node = root;
  let links = 0;
  const missing: string[] = [];
  const rest = components.toReversed();
  for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (missing.length > 0) missing.pop();
      else node = node.parent ?? node;
      continue;
    }
    const child = missing.length > 0 ? undefined : node.children?.get(name);
    if (child === undefined) {
      missing.push(name);
    } else if (child.inode.type === 'symlink') {
      const target = child.inode.linkTarget ?? '';
      const parts = target.split('/');
      links += 1;
      if (links > MAX_LINKS || onLink?.(child, parts.length) === false) return undefined;
      if (target.startsWith('/')) node = root;
      for (let at = parts.length - 1; at >= 0; at -= 1) rest.push(parts[at] as string);
    } else {
      node = child;
    }
  }
  return { node, missing };
}
