/**
 * The merge: the layers of an image become one tree. Headers are read, data is not; nothing is written.
 *
 * Whiteouts of a layer act first, on the layers below; then its entries in order. Symbolic links of lower layers are
 * followed inside the root, as if all had been unpacked into one directory; engines on overlayfs differ there.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md
 */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { Turns } from '../io/turns.js';
import type { GivenLimits } from '../tar/tar-limits.js';
import { LayerApplication } from './merge-apply.js';
import { type MergeLimits, mergeLimits } from './merge-limits.js';
import { LayerPlan } from './merge-plan.js';
import { MergeTree } from './merge-tree.js';
import { readPlan } from './read-plan.js';
import { requireLayers } from './require-merged.js';
import type { MergedTree } from './tree.js';

/** An uncompressed layer tar in a file. A `LayerHandle` is one. */
export interface LayerTar {
  readonly path: string;
  /** Length of the tar in bytes. */
  readonly tarBytes: number;
}

const mergedFrom = new WeakMap<MergedTree, readonly LayerTar[]>();

/** What `mergeLayers` made a tree from; `undefined` for one that came about otherwise. */
export function layersOf(tree: MergedTree): readonly LayerTar[] | undefined {
  return mergedFrom.get(tree);
}

/** What `mergeLayers` takes besides the layers. */
export interface MergeOptions extends GivenLimits<keyof MergeLimits> {
  readonly signal?: AbortSignal | undefined;
  /** Notes what lower layers had and the tree does not show. Default: false. */
  readonly hidden?: boolean | undefined;
  /**
   * A directory entry over a symbolic link to a directory leaves the link, and what comes below goes through it; the
   * entry's own attributes are dropped. Default: false, the directory replaces the link.
   */
  readonly keepDirlinks?: boolean | undefined;
}

/**
 * Merges the layers of an image, base first, into the tree of what survives.
 *
 * Only the headers of the tars are read, synchronously for some milliseconds at a time, so that signals and other work
 * get their turn. The tree says where each file's data lies in which layer; it holds no file open.
 *
 * @throws RootfsError `ERR_TAR_INVALID`, `ERR_LAYER_INVALID` (`detail.layer` says which, `detail.entry` what) for
 *   layers that cannot be applied, `ERR_LIMIT_EXCEEDED`, `ERR_OPTION_INVALID`, `ERR_FILESYSTEM`, `ERR_PERMISSION`;
 *   the signal's own reason when it was aborted
 */
export async function mergeLayers(layers: readonly LayerTar[], options: MergeOptions = {}): Promise<MergedTree> {
  const { signal, hidden = false, keepDirlinks = false } = options;
  const limits = mergeLimits(options);
  if (typeof hidden !== 'boolean') {
    throw new RootfsError('ERR_OPTION_INVALID', `hidden: expected true or false, found ${String(hidden)}`);
  }
  if (typeof keepDirlinks !== 'boolean') {
    throw new RootfsError('ERR_OPTION_INVALID', `keepDirlinks: expected true or false, found ${String(keepDirlinks)}`);
  }
  requireLayers(layers);
  throwIfAborted(signal);
  const tree = new MergeTree(limits, hidden);
  const turns = new Turns(signal);
  let heldBytes = 0;
  for (const [index, layer] of layers.entries()) {
    try {
      const plan = new LayerPlan(index, heldBytes);
      await readPlan(plan, layer, limits, turns);
      const application = new LayerApplication(tree, plan, keepDirlinks);
      while (application.step()) if (turns.due(true)) await turns.take();
      // However small the layers are: there may be a thousand of them.
      await turns.take();
      heldBytes = plan.heldBytes;
    } catch (error) {
      if (!(error instanceof RootfsError)) throw error;
      throw new RootfsError(error.code, `layer ${index} (${layer.path}): ${error.message}`, {
        cause: error,
        detail: { ...error.detail, layer: index, path: layer.path },
      });
    }
  }
  const { root, entries, inodes, dataBytes } = tree;
  const merged = { root, entries, inodes, dataBytes, layers: layers.length, hidden: tree.hidden };
  // Not the layers themselves: a tree does not keep their open files.
  mergedFrom.set(
    merged,
    layers.map(({ path, tarBytes }) => ({ path, tarBytes })),
  );
  return merged;
}
