/** What of a tree is flattened, and how: the options of `flatten` and what follows from them. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { LayerTar } from '../rootfs/merge.js';
import { requireLayers, requireTree } from '../rootfs/require-merged.js';
import type { MergedTree } from '../rootfs/tree.js';
import { type PathPatterns, selectNodes, warnOfNothing } from './path-filter.js';
import type { TarMembersInput } from './tar-members.js';

/** Options of `flatten`. */
export interface FlattenOptions extends CallOptions, PathPatterns {
  /**
   * Modification times after this moment (seconds since the epoch) become it. Default: `SOURCE_DATE_EPOCH` of the
   * environment where it is set, else times stay as they are.
   */
  readonly sourceDateEpoch?: number | undefined;
}

/** Chooses the members of a tar. @throws RootfsError `ERR_OPTION_INVALID`; the signal's reason */
export function chooseMembers(
  tree: MergedTree,
  layers: readonly LayerTar[],
  options: FlattenOptions,
): Omit<TarMembersInput, 'open'> {
  const latest = latestTime(options.sourceDateEpoch);
  requireTree(tree);
  requireLayers(layers);
  const selected = selectNodes(tree, options);
  if (selected !== undefined) warnOfNothing(selected.size - 1, options);
  throwIfAborted(options.signal);
  return { tree, layers, selected, latest };
}

/**
 * The latest time that a tar has, in seconds since the epoch; infinite where times stay as they are.
 *
 * @param option Counts before `SOURCE_DATE_EPOCH`.
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function latestTime(option?: number): number {
  const given = option ?? process.env['SOURCE_DATE_EPOCH'];
  if (given === undefined || given === '') return Number.POSITIVE_INFINITY;
  const seconds = typeof given === 'number' || /^[0-9]{1,15}$/.test(given) ? Number(given) : Number.NaN;
  if (Number.isSafeInteger(seconds) && seconds >= 0) return seconds;
  const name = option === undefined ? 'SOURCE_DATE_EPOCH' : 'sourceDateEpoch';
  throw new RootfsError('ERR_OPTION_INVALID', `${name}: expected whole seconds since the epoch, found ${given}`);
}
