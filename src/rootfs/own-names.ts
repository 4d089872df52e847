/**
 * What the entries of a layer have put where, one after the other: for its hard links, which see nothing of the layers
 * below where the layer itself has put something else before.
 */
import { plainDirectory } from './merge-tree.js';
import { resolvePath } from './resolve-path.js';
import { type Inode, nodePath, type TreeNode } from './tree.js';

interface OwnName extends TreeNode {
  readonly parent: OwnName | undefined;
  inode: Inode;
  children: Map<string, OwnName> | undefined;
  /** Something stood here that is no directory: nothing below the name shows through, whatever comes after. */
  covers: boolean;
}

/** Hears of each symbolic link before it is followed; see `resolvePath`. */
type OnLink = (link: TreeNode, steps: number) => boolean;

/** The names of one layer so far. */
export class OwnNames {
  readonly #root = ownName('', undefined);
  readonly #onLink: OnLink;

  constructor(onLink: OnLink) {
    this.#onLink = onLink;
  }

  /** Takes the next entry; `inode` is absent for a hard link. */
  add(components: readonly string[], inode: Inode | undefined): void {
    const place = resolvePath(this.#root, components.slice(0, -1), this.#onLink);
    const last = components.at(-1);
    // What leads nowhere is refused when it is applied.
    if (place === undefined || last === undefined) return;
    let { node } = place;
    for (const name of [...place.missing, last]) node = childOf(node, name);
    node.covers ||= inode?.type !== 'directory';
    if (inode?.type !== 'directory') node.children = undefined;
    node.inode = inode ?? { ...plainDirectory(), type: 'file' };
  }

  /**
   * Where a path leads in the layers below; `undefined` where the layer itself decides what it is, if anything. The
   * last component is not followed.
   */
  pathBelow(components: readonly string[]): readonly string[] | undefined {
    const place = resolvePath(this.#root, components.slice(0, -1), this.#onLink);
    const last = components.at(-1);
    if (place === undefined || last === undefined) return undefined;
    const { node, missing } = place;
    if (missing.length === 0 && node.children?.has(last) === true) return undefined;
    for (let at: OwnName | undefined = node; at !== undefined; at = at.parent) if (at.covers) return undefined;
    const path = nodePath(node);
    return [...(path === '' ? [] : path.split('/')), ...missing, last];
  }
}

function childOf(node: OwnName, name: string): OwnName {
  if (node.children === undefined) {
    // A directory in the place of something that is none.
    node.children = new Map();
    node.inode = plainDirectory();
  }
  const child = node.children.get(name) ?? ownName(name, node);
  node.children.set(name, child);
  return child;
}

function ownName(name: string, parent: OwnName | undefined): OwnName {
  return { name, parent, inode: plainDirectory(), children: new Map(), layer: -1, covers: false };
}
