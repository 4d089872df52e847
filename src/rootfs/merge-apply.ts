/** One layer applied to the tree of the layers below it: whiteouts first, then its entries in order. */
import { layerInvalid } from './merge-error.js';
import { HardLinks } from './merge-links.js';
import type { LayerPlan, PlannedEntry } from './merge-plan.js';
import {
  followLink,
  leadsToDirectory,
  type MergeInode,
  type MergeNode,
  type MergeTree,
  plainDirectory,
} from './merge-tree.js';
import { applyWhiteouts } from './merge-whiteouts.js';
import { resolvePath } from './resolve-path.js';

/** Entries that are applied in one step: each may lead through thousands of components of symbolic links. */
const FEW = 64;

/** Where an entry goes: a directory that is there, and the name in it; no name for the root itself. */
interface Slot {
  readonly parent: MergeNode;
  readonly name: string | undefined;
}

/** Applies one layer; the caller may pause between steps. */
export class LayerApplication {
  readonly #tree: MergeTree;
  readonly #plan: LayerPlan;
  readonly #links: HardLinks;
  readonly #keepDirlinks: boolean;
  readonly #whiteouts: Generator<void, void, void>;
  readonly #settling: Generator<void, void, void>;
  #next = 0;
  /** The directory of the last entry: neighbours share it. */
  #lastText: string | undefined;
  #lastDirectory: MergeNode;
  #lastGeneration = -1;

  /** @param keepDirlinks A directory over a symbolic link to a directory leaves the link. */
  constructor(tree: MergeTree, plan: LayerPlan, keepDirlinks = false) {
    this.#tree = tree;
    this.#keepDirlinks = keepDirlinks;
    this.#plan = plan;
    this.#links = new HardLinks(tree, plan);
    this.#lastDirectory = tree.root;
    this.#whiteouts = applyWhiteouts(tree, plan, keepDirlinks);
    this.#settling = this.#links.settle();
  }

  /**
   * Applies the whiteouts, in as many steps as they take, then the next entries, then the hard links that waited.
   *
   * @returns whether there are more
   * @throws RootfsError `ERR_LAYER_INVALID`, `ERR_LIMIT_EXCEEDED`
   */
  step(): boolean {
    if (this.#whiteouts.next().done !== true) return true;
    const { entries } = this.#plan;
    const end = Math.min(this.#next + FEW, entries.length);
    while (this.#next < end) {
      this.#apply(entries[this.#next] as PlannedEntry);
      this.#next += 1;
    }
    return end < entries.length || this.#settling.next().done !== true;
  }

  #apply(entry: PlannedEntry): void {
    const { inode } = entry;
    const { parent, name } = this.#slot(entry.name);
    if (name === undefined) {
      if (inode?.type !== 'directory') {
        throw layerInvalid(entry.name, `root: expected a directory, found a ${inode?.type ?? 'hard link'}`);
      }
      this.#tree.describe(this.#tree.root, inode, this.#plan.layer);
    } else if (inode === undefined) {
      this.#links.add(entry, parent, name);
    } else {
      this.#put(parent, name, inode);
    }
  }

  #put(parent: MergeNode, name: string, inode: MergeInode): void {
    const { layer } = this.#plan;
    const present = parent.children?.get(name);
    if (present !== undefined) {
      if (present.children !== undefined && inode.type === 'directory') {
        this.#tree.describe(present, inode, layer);
        return;
      }
      if (this.#keepDirlinks && inode.type === 'directory' && leadsToDirectory(this.#tree, present)) return;
      this.#tree.remove(present, layer, 'replaced');
    }
    this.#tree.add(parent, name, inode, layer);
  }

  /** The directory an entry goes to, made if it is missing. */
  #slot(path: string): Slot {
    let end = path.length;
    while (end > 0 && path.charCodeAt(end - 1) === 0x2f) end -= 1;
    const slash = path.lastIndexOf('/', end - 1);
    const name = path.slice(slash + 1, end);
    const text = path.slice(0, Math.max(slash, 0));
    if (name !== '' && name !== '.') return { parent: this.#directory(text, path), name };
    const components = path.split('/').filter((part) => part !== '' && part !== '.');
    const last = components.pop();
    return { parent: this.#directory(components.join('/'), path), name: last };
  }

  #directory(text: string, path: string): MergeNode {
    const tree = this.#tree;
    if (text === this.#lastText && this.#lastGeneration === tree.generation) return this.#lastDirectory;
    const place = resolvePath(tree.root, text.split('/'), (link, steps) => followLink(tree, link, steps));
    if (place === undefined) throw layerInvalid(path, 'symbolic links: expected an end, found a loop');
    let { node } = place;
    if (node.children === undefined) node = this.#insteadOf(node);
    for (const name of place.missing) node = tree.add(node, name, plainDirectory(), -1);
    this.#lastText = text;
    this.#lastDirectory = node;
    this.#lastGeneration = tree.generation;
    return node;
  }

  /** A directory in the place of something that is none. */
  #insteadOf(node: MergeNode): MergeNode {
    const parent = node.parent as MergeNode;
    this.#tree.remove(node, this.#plan.layer, 'replaced');
    return this.#tree.add(parent, node.name, plainDirectory(), -1);
  }
}
