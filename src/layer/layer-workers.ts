/** The workers of this room: one pool for the process, and how one layer is put on one or two of them. */
import { RootfsError } from '../errors.js';
import { closeFileSinks } from '../io/file-sink-crew.js';
import { workerEntry } from '../io/worker-entry.js';
import { WorkerPool } from '../io/worker-pool.js';
import { isStopError } from '../io/worker-task.js';
import { createRing } from './chunk-ring.js';
import type { LayerControl } from './layer-control.js';
import { isDecompressError } from './layer-failure.js';
import type { LayerOutcome, LayerTask, LayerWork } from './layer-task.js';

type LayerPool = WorkerPool<LayerTask, LayerOutcome | undefined>;

let pool: LayerPool | undefined;

/** The pool of this process; made at the first call. @param workers The least number of workers it may have. */
export function layerPool(workers: number): LayerPool {
  pool ??= new WorkerPool(workerEntry('extract-worker.js', import.meta.url, 'layer'), {
    name: 'rootfs-layer',
    size: workers,
  });
  pool.grow(workers);
  return pool;
}

/** Ends the idle workers of this process; the next layer starts new ones. They never keep a process alive. */
export async function closeLayerWorkers(): Promise<void> {
  await Promise.all([pool?.close(), closeFileSinks()]);
}

/** Runs a layer in one worker. When it has settled, nothing touches the layer's files any more. */
export async function runWhole(
  workers: LayerPool,
  work: LayerWork,
  control: LayerControl,
  signal: AbortSignal,
): Promise<LayerOutcome> {
  return outcome(await workers.run({ kind: 'whole', ...work }, { flag: control.flag, signal }));
}

/**
 * Runs a layer in two workers, both of which must be idle: one inflates, the other hashes and writes.
 *
 * When it has settled, nothing touches the layer's files any more.
 */
export async function runSplit(
  workers: LayerPool,
  work: LayerWork,
  control: LayerControl,
  signal: AbortSignal,
): Promise<LayerOutcome> {
  const ring = createRing();
  const stopOnFailure = (error: unknown): never => {
    if (!isDecompressError(error)) control.stop();
    throw error;
  };
  const [inflated, written] = await Promise.allSettled([
    workers.run({ kind: 'inflate', ring, ...work }, { flag: control.flag, signal }).catch(stopOnFailure),
    workers.run({ kind: 'write', ring, ...work }, { flag: control.flag, signal }).catch(stopOnFailure),
  ]);
  // What the writing side says of the compressed bytes outranks that they could not be inflated.
  if (written.status === 'rejected' && !isStopError(written.reason)) throw written.reason;
  if (inflated.status === 'rejected') throw inflated.reason;
  if (written.status === 'rejected') throw written.reason;
  return outcome(written.value);
}

function outcome(value: LayerOutcome | undefined): LayerOutcome {
  if (value !== undefined) return value;
  throw new RootfsError('ERR_INTERNAL', 'worker rootfs-layer: it answered nothing; report this');
}
