/** Carries out a plan phase by phase, in worker threads where that pays. */
import { setImmediate } from 'node:timers/promises';
import type { CallOptions } from '../content/content.js';
import { report } from '../progress.js';
import type { PlanBatch, UnpackPlan } from './unpack-plan.js';
import { type BatchResult, type WriteContext, writeBatch } from './write-batch.js';

/** How a plan is run. */
export interface RunPlanOptions extends CallOptions {
  readonly write: WriteContext;
  /** Threads; 0: none but this one. */
  readonly workers: number;
}

/**
 * Writes what the plan says: contents, then links, then directories from the deepest up, the root last.
 *
 * @throws what `writeBatch` throws, or the signal's reason; nothing runs on after that
 */
export async function runPlan(plan: UnpackPlan, options: RunPlanOptions): Promise<BatchResult> {
  const { signal, onProgress, write } = options;
  const records: BatchResult['records'][number][] = [];
  const losses: BatchResult['losses'][number][] = [];
  let entries = 0;
  let dataBytes = 0;
  const done = (batch: PlanBatch, result: BatchResult): void => {
    for (const record of result.records) records.push(record);
    for (const loss of result.losses) losses.push(loss);
    entries += batch.entries;
    dataBytes += batch.dataBytes;
    const totals = { totalEntries: plan.entries, totalDataBytes: plan.dataBytes };
    report(onProgress, { type: 'entries:written', entries, dataBytes, ...totals });
  };
  const here = async (batches: readonly PlanBatch[]): Promise<void> => {
    for (const batch of batches) {
      // One turn of the loop for each batch, so that an abort is heard and timers run.
      await setImmediate();
      signal?.throwIfAborted();
      done(
        batch,
        writeBatch(batch, write, () => undefined),
      );
    }
  };
  await here(plan.contents);
  await here(plan.links);
  await here(plan.directories);
  const root = writeBatch({ segments: [plan.root], entries: 0, dataBytes: 0 }, write, () => undefined);
  records.push(...root.records);
  losses.push(...root.losses);
  return { records, losses };
}
