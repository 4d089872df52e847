/** The worker of an unpack: writes batches, one after the other. Its descriptors are those of the whole process. */
import { serveTasks, throwIfStopped } from '../io/worker-task.js';
import type { PlanBatch } from './unpack-plan.js';
import { type BatchResult, type WriteContext, writeBatch } from './write-batch.js';

/** One batch, and where it goes. */
export interface UnpackTask {
  readonly batch: PlanBatch;
  readonly context: WriteContext;
}

serveTasks<UnpackTask, BatchResult>(({ batch, context }, flag) =>
  writeBatch(batch, context, () => throwIfStopped(flag)),
);
