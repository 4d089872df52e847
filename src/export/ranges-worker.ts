/** The worker of a flattening: moves runs of data, batch by batch. Its descriptors are those of the whole process. */
import { serveTasks, throwIfStopped } from '../io/worker-task.js';
import { type LayerRange, type RangeTarget, writeRanges } from './write-ranges.js';

/** One batch, and where it goes. */
export interface RangesTask {
  readonly target: RangeTarget;
  readonly ranges: readonly LayerRange[];
}

serveTasks<RangesTask, undefined>(({ target, ranges }, flag) => {
  writeRanges(target, ranges, () => throwIfStopped(flag));
  return undefined;
});
