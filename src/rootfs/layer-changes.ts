/**
 * Layers one by one, as engines on overlayfs see them: what each brings, and what it hides of those below.
 *
 * Unlike the merge, a layer's paths are taken literally: a symbolic link of a lower layer is not followed, the layer's
 * own directory of that name hides it. Links of the layer itself are followed inside it, as in the merge.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RootfsError } from '../errors.js';
import { readTarFile } from '../tar/read-tar-file.js';
import type { LayerTar, MergeOptions } from './merge.js';
import { LayerApplication } from './merge-apply.js';
import { mergeLimits } from './merge-limits.js';
import { LayerPlan, type PlannedWhiteout } from './merge-plan.js';
import { MergeNode, MergeTree, plainDirectory } from './merge-tree.js';
import { resolvePath } from './resolve-path.js';
import type { Inode, MergedTree, TreeNode } from './tree.js';

/** What one layer brings and hides. */
export interface LayerChanges {
  /** Position of the layer, 0 is the base. */
  readonly layer: number;
  /**
   * The layer's own entries. Directories it only passes through have the attributes that the layers below give them.
   * A hard link to something below is a copy of it: its data then lies in that lower layer.
   */
  readonly tree: MergedTree;
  /** Names of lower layers that the layer takes away, by the directory of `tree` they stood in. */
  readonly whiteouts: ReadonlyMap<TreeNode, ReadonlySet<string>>;
  /** Directories of `tree` that show nothing of the directories below them. */
  readonly opaque: ReadonlySet<TreeNode>;
}

const BATCH = 4_096;

/**
 * Reads the layers of an image, base first. Headers are read, data is not. The trees of earlier layers are looked at
 * while later ones are read: add to them what acts as a whiteout does, change nothing else.
 *
 * @throws RootfsError as `mergeLayers` does; the signal's own reason when it was aborted
 */
export async function* readLayerChanges(
  layers: readonly LayerTar[],
  options: Omit<MergeOptions, 'hidden'> = {},
): AsyncGenerator<LayerChanges, void, void> {
  const limits = mergeLimits(options);
  const below: LayerChanges[] = [];
  for (const [layer, { path, tarBytes }] of layers.entries()) {
    try {
      const plan = new LayerPlan(layer);
      let taken = 0;
      for (const entry of readTarFile(path, { ...limits, tarBytes })) {
        plan.take(entry, limits);
        taken += 1;
        if (taken % BATCH === 0) await turn(options.signal);
      }
      const tree = new MergeTree(limits, false);
      bringLinkTargets(plan, below);
      const application = new LayerApplication(tree, plan);
      while (application.step(BATCH)) await turn(options.signal);
      const changes = { layer, ...hide(tree, plan.whiteouts, below), tree: merged(tree, layers.length) };
      describePassed(tree.root, below);
      below.unshift(changes);
      yield changes;
    } catch (error) {
      if (!(error instanceof RootfsError)) throw error;
      throw new RootfsError(error.code, `layer ${layer} (${path}): ${error.message}`, {
        cause: error,
        detail: { ...error.detail, layer, path },
      });
    }
  }
}

async function turn(signal: AbortSignal | undefined): Promise<void> {
  await nextTurn();
  signal?.throwIfAborted();
}

function merged(tree: MergeTree, layers: number): MergedTree {
  const { root, entries, inodes, dataBytes } = tree;
  return { root, entries, inodes, dataBytes, layers, hidden: [] };
}

/** The directories of one path in the layers below, the topmost first: what overlayfs shows as one. */
type Stack = readonly { readonly changes: LayerChanges; readonly node: TreeNode }[];

function roots(below: readonly LayerChanges[]): Stack {
  return below.map((changes) => ({ changes, node: changes.tree.root }));
}

/** One step down: the directories of that name, or the one thing that is no directory. */
function stepDown(stack: Stack, name: string): { readonly directories: Stack; readonly other?: TreeNode } {
  const directories: Stack[number][] = [];
  for (const { changes, node } of stack) {
    if (changes.whiteouts.get(node)?.has(name) === true) break;
    const child = node.children?.get(name);
    if (child !== undefined && child.children === undefined) {
      return directories.length === 0 ? { directories, other: child } : { directories };
    }
    if (child !== undefined) directories.push({ changes, node: child });
    if (changes.opaque.has(child ?? node)) break;
  }
  return { directories };
}

/** Hard links to what only lower layers have: their inode is put where the plan looks before it gives up. */
function bringLinkTargets(plan: LayerPlan, below: readonly LayerChanges[]): void {
  if (!plan.entries.some(({ inode }) => inode === undefined)) return;
  const own = new Set(plan.entries.map(({ name }) => literal(name).join('/')));
  for (const { inode, target } of plan.entries) {
    const components = literal(target);
    const path = components.join('/');
    if (inode !== undefined || own.has(path) || plan.aufsLinks.has(path)) continue;
    const last = components.pop() ?? '';
    let stack = roots(below);
    for (const name of components) stack = stepDown(stack, name).directories;
    const { other } = stepDown(stack, last);
    if (other === undefined) continue;
    plan.aufsLinks.set(path, new MergeNode(last, undefined, { ...other.inode, links: 0 }, plan.layer));
  }
}

function literal(path: string): string[] {
  const components: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') components.pop();
    else if (part !== '' && part !== '.') components.push(part);
  }
  return components;
}

function hide(
  tree: MergeTree,
  whiteouts: readonly PlannedWhiteout[],
  below: readonly LayerChanges[],
): Pick<LayerChanges, 'whiteouts' | 'opaque'> {
  const hidden = new Map<TreeNode, Set<string>>();
  const opaque = new Set<TreeNode>();
  for (const { directory, name } of spellOut(whiteouts, below)) {
    let stack = roots(below);
    for (const part of directory) stack = stepDown(stack, part).directories;
    if (stack.length === 0) continue;
    const lower = name === undefined ? undefined : stepDown(stack, name);
    if (lower !== undefined && lower.other === undefined && lower.directories.length === 0) continue;
    const node = ownDirectory(tree, directory);
    if (node === undefined) continue;
    const child = name === undefined ? node : node.children?.get(name);
    if (name === undefined || child?.children !== undefined) opaque.add(child ?? node);
    else if (child === undefined) hidden.set(node, (hidden.get(node) ?? new Set<string>()).add(name));
  }
  return { whiteouts: hidden, opaque };
}

/** What a whiteout names. */
type Hiding = Pick<PlannedWhiteout, 'directory' | 'name'>;

/** Overlayfs takes no mark on the root of a layer: an opaque one becomes a whiteout of each name below it. */
function spellOut(whiteouts: readonly Hiding[], below: readonly LayerChanges[]): readonly Hiding[] {
  const isRoot = ({ directory, name }: Hiding): boolean => directory.length === 0 && name === undefined;
  if (!whiteouts.some(isRoot)) return whiteouts;
  const names = new Set(below.flatMap(({ tree }) => [...(tree.root.children?.keys() ?? [])]));
  return [...whiteouts.filter((one) => !isRoot(one)), ...[...names].map((name) => ({ directory: [], name }))];
}

/** The layer's own directory of that path, made where there is none; nothing where something else is in its place. */
function ownDirectory(tree: MergeTree, directory: readonly string[]): MergeNode | undefined {
  const place = resolvePath(tree.root, directory);
  if (place === undefined || place.node.children === undefined) return undefined;
  let { node } = place;
  for (const name of place.missing) node = tree.add(node, name, plainDirectory(), -1);
  return node;
}

/** Directories that the layer has no entry for keep what the layers below say of them. */
function describePassed(root: MergeNode, below: readonly LayerChanges[]): void {
  const visit = (node: MergeNode, stack: Stack): void => {
    const lower: Inode | undefined = stack[0]?.node.inode;
    if (node.layer === -1 && lower !== undefined) node.inode = { ...lower };
    for (const child of node.children?.values() ?? []) {
      if (child.children !== undefined)
        visit(child, stack.length === 0 ? stack : stepDown(stack, child.name).directories);
    }
  };
  visit(root, roots(below));
}
