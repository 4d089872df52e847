/**
 * Layers one by one, as engines on overlayfs see them: what each brings, and what it hides of those below.
 *
 * Unlike the merge, a layer's paths are taken literally: a symbolic link of a lower layer is not followed, the layer's
 * own directory of that name hides it. Links of the layer itself are followed inside it, as in the merge.
 */
import { RootfsError } from '../errors.js';
import { Turns } from '../io/turns.js';
import { GonePaths, pathComponents } from './gone-paths.js';
import { LowerLayers, type Stack, type Step, stepDown } from './lower-layers.js';
import type { LayerTar, MergeOptions } from './merge.js';
import { LayerApplication } from './merge-apply.js';
import { mergeLimits } from './merge-limits.js';
import { linkTargetPath, linkToDirectory } from './merge-links.js';
import { LayerPlan, type PlannedEntry, type PlannedWhiteout } from './merge-plan.js';
import { followLink, type MergeInode, type MergeNode, MergeTree, plainDirectory, type Taken } from './merge-tree.js';
import { OwnNames } from './own-names.js';
import { readPlan } from './read-plan.js';
import type { Inode, InodeType, MergedTree, TreeNode } from './tree.js';

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
  /** Devices and FIFOs of `tree` that hide something of lower layers: where one is missing, that shows again. */
  readonly covering: ReadonlySet<TreeNode>;
}

/**
 * Reads the layers of an image, base first. Headers are read, data is not. The trees of earlier layers are looked at
 * while later ones are read: add to them what acts as a whiteout does, change nothing else. The limits are for all
 * layers together, of which none hides anything here: what one layer replaces counts as well as what replaces it.
 *
 * @throws RootfsError as `mergeLayers` does; the signal's own reason when it was aborted
 */
export async function* readLayerChanges(
  layers: readonly LayerTar[],
  options: Omit<MergeOptions, 'hidden'> = {},
): AsyncGenerator<LayerChanges, void, void> {
  const limits = mergeLimits(options);
  const turns = new Turns(options.signal);
  const below: LayerChanges[] = [];
  let heldBytes = 0;
  let taken: Taken | undefined;
  for (const [layer, { path, tarBytes }] of layers.entries()) {
    try {
      // However small the layers are, and whatever was done with the last one meanwhile.
      await turns.take();
      const plan = new LayerPlan(layer, heldBytes);
      await readPlan(plan, { path, tarBytes }, limits, turns);
      heldBytes = plan.heldBytes;
      const tree = new MergeTree(limits, false, taken);
      const opaqueRoot = plan.whiteouts.find(isOpaqueRoot);
      const gone = new GonePaths(opaqueRoot === undefined ? plan.whiteouts : spellOut(plan, opaqueRoot, below));
      const lower = new LowerLayers(below);
      await copyLinkTargets({ plan, tree, gone, lower }, turns);
      const application = new LayerApplication(tree, plan);
      while (application.step()) if (turns.due(true)) await turns.take();
      const renewed = await renewedDirectories(tree, plan, turns);
      const { whiteouts, opaque } = await hide({ tree, gone, renewed, lower }, turns);
      const covering = await describePassed(tree.root, { renewed, opaque }, lower, turns);
      taken = tree.taken;
      const changes = { layer, tree: merged(tree, layers.length), whiteouts, opaque, covering };
      // Nothing below an opaque root is seen again.
      if (opaqueRoot !== undefined) below.length = 0;
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

function merged(tree: MergeTree, layers: number): MergedTree {
  const { root, entries, inodes, dataBytes } = tree;
  return { root, entries, inodes, dataBytes, layers, hidden: [] };
}

/** What not every system lets everybody make. */
const NODES: readonly InodeType[] = ['char', 'block', 'fifo'];

const NOTHING: Step = { directories: [] };

/** A layer whose hard links are looked at. */
interface Linker {
  readonly plan: LayerPlan;
  readonly tree: MergeTree;
  readonly gone: GonePaths;
  readonly lower: LowerLayers;
}

/** Hard links to what so far only lower layers have become copies of it, linked to one another. */
async function copyLinkTargets({ plan, tree, gone, lower }: Linker, turns: Turns): Promise<void> {
  if (!plan.entries.some(({ inode }) => inode === undefined)) return;
  const own = new OwnNames((link, steps) => followLink(tree, link, steps));
  const copies = new Map<string, MergeInode>();
  for (const [index, { name, inode, target }] of plan.entries.entries()) {
    if (turns.due()) await turns.take();
    const components = inode === undefined ? own.pathBelow(linkTargetPath(target)) : undefined;
    own.add(linkTargetPath(name), inode);
    if (components === undefined || gone.has(components, index)) continue;
    const path = components.join('/');
    const found = copies.get(path) ?? findBelow(components, lower);
    if (found === 'directory') throw linkToDirectory(name, target);
    if (found === 'behind a link') plan.targetsBehindLinks.add(plan.entries[index] as PlannedEntry);
    if (found === undefined || found === 'behind a link') continue;
    const copy = copies.get(path) ?? { ...found, links: 0 };
    copies.set(path, copy);
    plan.entries[index] = { name, inode: copy, target: '' };
  }
}

function findBelow(
  components: readonly string[],
  lower: LowerLayers,
): Inode | 'behind a link' | 'directory' | undefined {
  const last = components.at(-1);
  if (last === undefined) return undefined;
  const { directories, other } = lower.find(components.slice(0, -1));
  if (other?.inode.type === 'symlink') return 'behind a link';
  const found = stepDown(directories, last);
  return found.directories.length > 0 ? 'directory' : found.other?.inode;
}

/** Directories that the layer itself put where it had put something else before: nothing below shows through. */
async function renewedDirectories(tree: MergeTree, plan: LayerPlan, turns: Turns): Promise<Set<TreeNode>> {
  const renewed = new Set<TreeNode>();
  for (const { name, inode } of plan.entries) {
    if (turns.due()) await turns.take();
    if (inode?.type === 'directory') continue;
    let node: TreeNode | undefined = tree.root;
    for (const part of linkTargetPath(name)) node = node?.children?.get(part);
    if (node?.children !== undefined) renewed.add(node);
  }
  return renewed;
}

/** A layer of which it is to be found out what it hides. */
interface Hider {
  readonly tree: MergeTree;
  readonly gone: GonePaths;
  readonly renewed: Set<TreeNode>;
  readonly lower: LowerLayers;
}

async function hide(
  { tree, gone, renewed, lower }: Hider,
  turns: Turns,
): Promise<{ whiteouts: Map<TreeNode, Set<string>>; opaque: Set<TreeNode> }> {
  const hidden = new Map<TreeNode, Set<string>>();
  const opaque = new Set<TreeNode>(renewed);
  let last: string | undefined;
  let parts: readonly string[] = [];
  let stack: Stack = [];
  for (const whiteout of gone.whiteouts) {
    if (turns.due()) await turns.take();
    const { directory, name } = whiteout;
    if (!gone.isEffective(whiteout)) continue;
    if (directory !== last) {
      parts = pathComponents(directory);
      stack = lower.find(parts).directories;
      last = directory;
    }
    if (stack.length === 0 || passesThrough(tree, parts, renewed)) continue;
    const covered = name === undefined ? undefined : stepDown(stack, name);
    if (covered !== undefined && covered.other === undefined && covered.directories.length === 0) continue;
    const node = ownDirectory(tree, parts);
    if (node === undefined) continue;
    const child = name === undefined ? node : node.children?.get(name);
    if (child === undefined) {
      if (name !== undefined) hidden.set(node, (hidden.get(node) ?? new Set<string>()).add(name));
    } else if (child.children !== undefined) {
      opaque.add(child);
      // A directory that was taken away as a whole is a new one, its attributes too.
      if (name !== undefined) renewed.add(child);
    }
  }
  return { whiteouts: hidden, opaque };
}

function isOpaqueRoot({ directory, name }: PlannedWhiteout): boolean {
  return directory === '' && name === undefined;
}

/** Overlayfs takes no mark on the root of a layer: an opaque one becomes a whiteout of each name that shows below it. */
function spellOut(
  { whiteouts }: LayerPlan,
  { after }: PlannedWhiteout,
  below: readonly LayerChanges[],
): readonly PlannedWhiteout[] {
  const spelt = whiteouts.filter((one) => !isOpaqueRoot(one));
  const seen = new Set<string>();
  for (const { tree, whiteouts: hidden } of below) {
    // before the layer's own names: among these are, for overlayfs, its whiteouts
    for (const name of hidden.get(tree.root) ?? []) seen.add(name);
    for (const name of tree.root.children?.keys() ?? []) {
      if (!seen.has(name)) spelt.push({ directory: '', name, after });
      seen.add(name);
    }
  }
  return spelt;
}

function passesThrough(tree: MergeTree, directory: readonly string[], nodes: ReadonlySet<TreeNode>): boolean {
  let node: TreeNode | undefined = tree.root;
  for (const name of directory) {
    node = node?.children?.get(name);
    if (node !== undefined && nodes.has(node)) return true;
  }
  return false;
}

/** The layer's own directory of that path, made where there is none; nothing where something else is in its place. */
function ownDirectory(tree: MergeTree, directory: readonly string[]): MergeNode | undefined {
  let node: MergeNode = tree.root;
  for (const name of directory) {
    const child = node.children?.get(name) ?? tree.add(node, name, plainDirectory(), -1);
    if (child.children === undefined) return undefined;
    node = child;
  }
  return node;
}

/**
 * Directories that the layer has no entry for keep what the layers below say of them, where those show through.
 *
 * @returns what is met on the way: the devices and FIFOs that stand over something of the layers below
 */
async function describePassed(
  root: MergeNode,
  { renewed, opaque }: { readonly renewed: ReadonlySet<TreeNode>; readonly opaque: ReadonlySet<TreeNode> },
  lower: LowerLayers,
  turns: Turns,
): Promise<Set<TreeNode>> {
  const covering = new Set<TreeNode>();
  const open: { readonly node: MergeNode; readonly stack: Stack; readonly hidden: boolean }[] = [
    { node: root, stack: lower.root, hidden: false },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { node, stack, hidden } = next;
    const shown: Inode | undefined = hidden ? undefined : stack[0]?.node.inode;
    if (node.layer === -1 && shown !== undefined) node.inode = { ...shown };
    const nothing = stack.length === 0 || opaque.has(node);
    for (const child of node.children?.values() ?? []) {
      if (turns.due()) await turns.take();
      if (child.children === undefined && !NODES.includes(child.inode.type)) continue;
      const { directories, other } = nothing ? NOTHING : stepDown(stack, child.name);
      if (child.children !== undefined) open.push({ node: child, stack: directories, hidden: renewed.has(child) });
      else if (other !== undefined || directories.length > 0) covering.add(child);
    }
  }
  return covering;
}
