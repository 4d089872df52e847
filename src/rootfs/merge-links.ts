/**
 * Hard links of one layer: to the layer's own earlier entry, else to the lower tree's as it was where the link stands,
 * else to one that comes later.
 */
import type { RootfsError } from '../errors.js';
import { printable } from '../tar/tar-invalid.js';
import { layerInvalid } from './merge-error.js';
import type { LayerPlan, PlannedEntry } from './merge-plan.js';
import { followLink, type MergeInode, type MergeNode, type MergeTree, pendingInode } from './merge-tree.js';
import { resolvePath } from './resolve-path.js';

/** Links that are looked at between two pauses. */
const PAUSE = 64;

interface Waiting {
  readonly node: MergeNode;
  readonly entry: PlannedEntry;
}

/** The hard links of one layer. */
export class HardLinks {
  readonly #tree: MergeTree;
  readonly #plan: LayerPlan;
  /** Links whose target is not there yet, by their node: a later entry of the same name takes the node's place. */
  readonly #waiting = new Map<MergeNode, Waiting>();

  constructor(tree: MergeTree, plan: LayerPlan) {
    this.#tree = tree;
    this.#plan = plan;
  }

  /**
   * Puts a hard link in its place; what it says of owner, mode and times is not looked at.
   *
   * @throws RootfsError `ERR_LAYER_INVALID` when the target is a directory
   */
  add(entry: PlannedEntry, parent: MergeNode, name: string): void {
    const { layer } = this.#plan;
    const target = this.#target(entry) ?? this.#plan.hiddenTargets.get(entry);
    const present = parent.children?.get(name);
    if (present !== undefined) {
      // a link to itself: nothing to do, and nothing to lose
      if (present === target && !present.pending) return;
      this.#tree.remove(present, layer, 'replaced');
    }
    if (target === undefined || target.pending) {
      const node = this.#tree.add(parent, name, pendingInode(), layer);
      node.pending = true;
      this.#waiting.set(node, { node, entry });
      return;
    }
    this.#tree.add(parent, name, target.inode, layer);
  }

  /**
   * Gives the links that waited their targets, now that the whole layer is there. It pauses now and then, so that others
   * get their turn.
   *
   * @throws RootfsError `ERR_LAYER_INVALID` when a target is nowhere, or links wait for one another in a circle
   */
  *settle(): Generator<void, void, void> {
    let looked = 0;
    for (const { node } of this.#waiting.values()) {
      if (++looked % PAUSE === 0) yield;
      if (node.pending && node.parent !== undefined) yield* this.#settleOne(node);
    }
    this.#waiting.clear();
  }

  /** Follows a chain of waiting links to its end, then settles it backwards. */
  *#settleOne(first: MergeNode): Generator<void, void, void> {
    const chain: MergeNode[] = [];
    const seen = new Set<MergeNode>();
    let inode: MergeInode | undefined;
    for (let node = first; inode === undefined; ) {
      const waiting = this.#waiting.get(node) as Waiting;
      const target = seen.has(node) ? undefined : this.#target(waiting.entry);
      if (target === undefined) {
        const { entry } = this.#waiting.get(first) as Waiting;
        const problem = `hard link: expected its target ${printable(entry.target)} in the layer or below`;
        if (!this.#plan.targetsBehindLinks.has(entry)) throw layerInvalid(entry.name, `${problem}, found none`);
        throw layerInvalid(
          entry.name,
          `${problem}, found a symbolic link of a lower layer on the way`,
          'overlay takes paths literally, use rootfs unpack, which follows such links',
        );
      }
      seen.add(node);
      chain.push(node);
      if (chain.length % PAUSE === 0) yield;
      if (target.pending) node = target;
      else inode = target.inode;
    }
    for (const node of chain) this.#tree.settle(node, inode);
  }

  /** What a link points at: a node, a file that AUFS kept, or nothing. The last component is not followed. */
  #target({ name, target }: PlannedEntry): MergeNode | undefined {
    const tree = this.#tree;
    const components = linkTargetPath(target);
    const last = components.pop();
    if (last === undefined) throw layerInvalid(name, 'hard link: expected a file as its target, found the root');
    const aufs =
      this.#plan.aufsLinks.size === 0 ? undefined : this.#plan.aufsLinks.get([...components, last].join('/'));
    if (aufs !== undefined) return aufs;
    const place = resolvePath(tree.root, components, (link, steps) => followLink(tree, link, steps));
    if (place === undefined) throw layerInvalid(name, 'hard link: expected an end to symbolic links, found a loop');
    const node = place.missing.length > 0 ? undefined : place.node.children?.get(last);
    if (node?.children !== undefined) throw linkToDirectory(name, target);
    return node;
  }
}

/** The error of a hard link to what can have no second name. */
export function linkToDirectory(name: string, target: string): RootfsError {
  return layerInvalid(name, `hard link: expected a file as its target, found the directory ${printable(target)}`);
}

/** The components of a hard link's target, `..` resolved by its text and kept inside the root. */
export function linkTargetPath(path: string): string[] {
  const components: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') components.pop();
    else if (part !== '' && part !== '.') components.push(part);
  }
  return components;
}
