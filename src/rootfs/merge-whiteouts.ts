/**
 * The whiteouts of a layer: they act on the tree of the layers below, before any entry of their own layer does.
 *
 * All are resolved before one acts, so that their order among themselves means nothing. Where they stand among the
 * entries matters to one thing: a hard link that stands before the whiteout of its target still has it.
 */
import { layerInvalid } from './merge-error.js';
import { linkTargetPath } from './merge-links.js';
import type { LayerPlan, PlannedWhiteout } from './merge-plan.js';
import { followLink, type HiddenHow, leadsToDirectory, type MergeNode, type MergeTree } from './merge-tree.js';
import { resolvePath } from './resolve-path.js';

/** Whiteouts or entries that are looked at between two pauses. */
const PAUSE = 64;

/**
 * Hides what a layer's whiteouts name. A whiteout of nothing is fine. It pauses now and then, so that others get their
 * turn; nothing is hidden before all whiteouts are resolved.
 *
 * The directory of a whiteout is found as the lower tree has it, through its symbolic links. But where the layer has
 * put a directory in the place of such a link before, the whiteout is about that new directory, and hides nothing:
 * builders on overlayfs mark every directory that replaces something as opaque, and do not mean where the link led.
 *
 * @throws RootfsError `ERR_LAYER_INVALID` for a loop of links, `ERR_LIMIT_EXCEEDED`
 */
export function* applyWhiteouts(tree: MergeTree, plan: LayerPlan, keepDirlinks = false): Generator<void, void, void> {
  if (plan.whiteouts.length === 0) return;
  const replaced = yield* replacedLinks(tree, plan, keepDirlinks);
  const doomed: { node: MergeNode; how: HiddenHow }[] = [];
  const doomedAfter = new Map<MergeNode, number>();
  const doom = (node: MergeNode, how: HiddenHow, after: number): void => {
    doomed.push({ node, how });
    doomedAfter.set(node, Math.min(after, doomedAfter.get(node) ?? after));
  };
  const cleared = new Set<MergeNode>();
  for (const [index, whiteout] of plan.whiteouts.entries()) {
    if (index % PAUSE === PAUSE - 1) yield;
    const directory = findDirectory(tree, whiteout, replaced);
    if (directory?.children === undefined) continue;
    if (whiteout.name === undefined) {
      // a layer may say it a million times, of a directory of a million names
      if (cleared.has(directory)) continue;
      cleared.add(directory);
      for (const node of directory.children.values()) doom(node, 'opaque', whiteout.after);
    } else {
      const node = directory.children.get(whiteout.name);
      if (node !== undefined) doom(node, 'whiteout', whiteout.after);
    }
  }
  yield* keepLinkTargets(tree, plan, doomedAfter);
  for (const [index, { node, how }] of doomed.entries()) {
    if (index % PAUSE === PAUSE - 1) yield;
    tree.remove(node, plan.layer, how);
  }
}

/**
 * Notes what the layer's hard links point at and its whiteouts are about to take away: `mv` over a lower file is a link
 * followed by a whiteout. Links behind the whiteout come too late, in all engines.
 */
function* keepLinkTargets(
  tree: MergeTree,
  plan: LayerPlan,
  doomedAfter: ReadonlyMap<MergeNode, number>,
): Generator<void, void, void> {
  const last = plan.whiteouts.at(-1)?.after ?? 0;
  for (const [index, entry] of plan.entries.entries()) {
    if (index % PAUSE === PAUSE - 1) yield;
    if (index >= last) return;
    if (entry.inode !== undefined) continue;
    const components = linkTargetPath(entry.target);
    const name = components.pop();
    const place = resolvePath(tree.root, components, (link, steps) => followLink(tree, link, steps));
    if (name === undefined || place === undefined || place.missing.length > 0) continue;
    const target = place.node.children?.get(name);
    if (target === undefined || target.children !== undefined) continue;
    let after = Number.POSITIVE_INFINITY;
    for (let node: MergeNode | undefined = target; node !== undefined; node = node.parent) {
      after = Math.min(after, doomedAfter.get(node) ?? after);
    }
    if (after !== Number.POSITIVE_INFINITY && index < after) plan.hiddenTargets.set(entry, target);
  }
}

function findDirectory(
  tree: MergeTree,
  { directory, name, after }: PlannedWhiteout,
  replaced: ReadonlyMap<MergeNode, number>,
): MergeNode | undefined {
  let stale = false;
  const place = resolvePath(tree.root, directory.split('/'), (link, steps) => {
    stale = (replaced.get(link) ?? after) < after;
    return !stale && followLink(tree, link, steps);
  });
  if (place === undefined) {
    if (stale) return undefined;
    throw layerInvalid(
      `${directory === '' ? '' : `${directory}/`}.wh.${name ?? '.wh..opq'}`,
      'symbolic links: expected an end, found a loop',
    );
  }
  return place.missing.length === 0 ? place.node : undefined;
}

/** The symbolic links of the lower tree in whose place the layer puts a directory, and the entry that first does. */
function* replacedLinks(
  tree: MergeTree,
  plan: LayerPlan,
  keepDirlinks: boolean,
): Generator<void, Map<MergeNode, number>, void> {
  const found = new Map<MergeNode, number>();
  let lastDirectory: string | undefined;
  let parent: MergeNode | undefined;
  for (const [index, { name, inode }] of plan.entries.entries()) {
    if (index % PAUSE === PAUSE - 1) yield;
    if (inode?.type !== 'directory') continue;
    const components = name.split('/').filter((part) => part !== '' && part !== '.');
    const last = components.pop();
    if (last === undefined) continue;
    const directory = components.join('/');
    if (directory !== lastDirectory) {
      lastDirectory = directory;
      const place = resolvePath(tree.root, components, (link, steps) => followLink(tree, link, steps));
      parent = place?.missing.length === 0 ? place.node : undefined;
    }
    const node = parent?.children?.get(last);
    if (node?.inode.type !== 'symlink' || found.has(node)) continue;
    if (!keepDirlinks || !leadsToDirectory(tree, node)) found.set(node, index);
  }
  return found;
}
