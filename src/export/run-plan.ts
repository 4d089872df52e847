/** Carries out a plan phase by phase, in worker threads where that pays. */
import { setImmediate } from 'node:timers/promises';
import type { CallOptions } from '../content/content.js';
import { throwIfAborted } from '../io/abort.js';
import { mapConcurrently } from '../io/concurrency.js';
import { workerEntry } from '../io/worker-entry.js';
import { WorkerPool } from '../io/worker-pool.js';
import { report } from '../progress.js';
import type { PlanBatch, UnpackPlan } from './unpack-plan.js';
import type { UnpackTask } from './unpack-worker.js';
import { type BatchResult, type WriteContext, writeBatch } from './write-batch.js';

/** How a plan is run. */
export interface RunPlanOptions extends CallOptions {
  readonly write: WriteContext;
  /** Threads; 0: none but this one. */
  readonly workers: number;
  /** Told what came of each batch. */
  readonly onResult: (result: BatchResult) => void;
}

/**
 * Writes what the plan says: contents, then links, then directories from the deepest up, the root last.
 *
 * @throws what `writeBatch` throws, or the signal's reason; nothing runs on after that
 */
export async function runPlan(plan: UnpackPlan, options: RunPlanOptions): Promise<void> {
  const { signal, onProgress, write, onResult } = options;
  let entries = 0;
  let dataBytes = 0;
  const done = (batch: PlanBatch, result: BatchResult): void => {
    onResult(result);
    entries += batch.entries;
    dataBytes += batch.dataBytes;
    const totals = { totalEntries: plan.entries, totalDataBytes: plan.dataBytes };
    report(onProgress, { type: 'entries:written', entries, dataBytes, ...totals });
  };
  const workers = worthWorkers(plan) ? options.workers : 0;
  const phase = async (batches: readonly PlanBatch[], concurrency: number): Promise<void> => {
    if (workers === 0) {
      for (const batch of batches) {
        // One turn of the loop for each batch, so that an abort is heard and timers run.
        await setImmediate();
        throwIfAborted(signal);
        done(
          batch,
          writeBatch(batch, write, () => undefined),
        );
      }
      return;
    }
    const crew = unpackWorkers(workers);
    await mapConcurrently(
      batches,
      async (batch, siblings) => done(batch, await crew.run({ batch, context: write }, { signal: siblings })),
      { concurrency, signal },
    );
  };
  await phase(plan.contents, Math.max(1, workers));
  await phase(plan.links, Math.max(1, workers));
  // From the deepest up: a directory's times are set when nothing in it changes any more.
  await phase(plan.directories, 1);
  onResult(writeBatch({ segments: [plan.root], entries: 0, dataBytes: 0 }, write, () => undefined));
}

/** Starting a worker takes as long as writing some hundred files. */
const WORTH_ENTRIES = 1000;
const WORTH_BYTES = 32 * 1024 * 1024;

function worthWorkers({ entries, dataBytes }: Pick<UnpackPlan, 'entries' | 'dataBytes'>): boolean {
  return entries >= WORTH_ENTRIES || dataBytes >= WORTH_BYTES;
}

/** Starts workers for a tree while its plan is being made, where they will be worth it. */
export function warmUnpackWorkers(tree: Pick<UnpackPlan, 'entries' | 'dataBytes'>, workers: number): void {
  if (workers > 0 && worthWorkers(tree)) unpackWorkers(workers).warm(workers);
}

let pool: WorkerPool<UnpackTask, BatchResult> | undefined;

function unpackWorkers(size: number): WorkerPool<UnpackTask, BatchResult> {
  pool ??= new WorkerPool(workerEntry('unpack-worker.js', import.meta.url, 'export'), {
    name: 'unpack',
    size,
  });
  pool.grow(size);
  return pool;
}
