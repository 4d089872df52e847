/** One layer that is not in the store: its blob is fetched, uncompressed, checked on both sides and put there. */
import { closeSync, openSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { mapConcurrently } from '../io/concurrency.js';
import { warn } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import { requireVerifiable } from '../spec/digest.js';
import type { ImageLayer } from '../spec/image-layer.js';
import { requirePossibleSize } from './compressed-limit.js';
import type { ExtractRun } from './extract-run.js';
import { LayerControl } from './layer-control.js';
import { isDamage, isResumable, isWrongContent, requireDiffId, wrapSourceError } from './layer-failure.js';
import { openLocalInput } from './layer-input.js';
import { watchLayer } from './layer-progress.js';
import type { LayerInput, LayerOutcome, LayerWork } from './layer-task.js';
import { layerPool, runSplit, runWhole } from './layer-workers.js';
import type { ExtractedLayer } from './open-layer.js';
import { MEMORY_SPOOL_BYTES, openFileSpool, openMemorySpool, type Spool, type SpoolPlace } from './spool.js';

/** How often a layer is begun: a mirror or a cache that gave wrong bytes is passed over, but not without end. */
const MAX_ATTEMPTS = 8;

/** Smaller blobs are not worth two workers. */
const SPLIT_MIN_BYTES = 4 * 1024 ** 2;

/**
 * Extracts one layer into the store.
 *
 * Bytes that an earlier run left are continued. When they turn out wrong, they are dropped and the layer is fetched
 * from its first byte; when bytes were wrong from the start, the source is told, and asked again if that may help. A
 * failure leaves nothing but a partial that a later run can continue, if that.
 *
 * @param place Where a blob that is not small is spooled.
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_DIFFID_MISMATCH`, `ERR_DECOMPRESS`,
 *   `ERR_LIMIT_EXCEEDED`, `ERR_MEDIA_TYPE_UNSUPPORTED`, `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; what the
 *   source throws; the signal's reason
 */
export async function extractBlob(
  run: ExtractRun,
  layer: ImageLayer,
  place: SpoolPlace,
  signal: AbortSignal,
): Promise<ExtractedLayer> {
  let from = place;
  for (let attempts = 1; ; attempts += 1) {
    let resumedBytes = 0;
    try {
      return await extractOnce(run, layer, from, signal, (bytes) => {
        resumedBytes = bytes;
      });
    } catch (error) {
      if (signal.aborted || !isDamage(error) || attempts >= MAX_ATTEMPTS) throw error;
      const { digest } = layer.descriptor;
      if (resumedBytes > 0) {
        warn(
          run.settings.onProgress,
          `${digest}: ${resumedBytes} bytes of an earlier run were of no use; fetching all of it`,
        );
      } else if (isWrongContent(error) && run.source.distrust?.(layer.descriptor) === true) {
        warn(run.settings.onProgress, `${digest}: the bytes that came were wrong; fetching it from elsewhere`);
      } else {
        throw error;
      }
      from = { ...place, resume: false };
    }
  }
}

async function extractOnce(
  run: ExtractRun,
  layer: ImageLayer,
  place: SpoolPlace,
  signal: AbortSignal,
  onResume: (bytes: number) => void,
): Promise<ExtractedLayer> {
  const { store } = run;
  const { descriptor } = layer;
  requirePossibleSize(descriptor, run.settings.maxLayerSize);
  const control = new LayerControl();
  const unwatch = watchLayer(run.settings.onProgress, descriptor, control);
  const temporary = store.temporaryPath();
  try {
    const outcome = await withTarFile(temporary, async (tar) => {
      const work = (input: LayerInput, ended: AbortSignal): Promise<LayerOutcome> =>
        runWork(run, layer, control, input, tar, ended);
      const local = await openLocalInput(run.source, descriptor, control, {
        signal,
        onProgress: run.settings.onProgress,
      });
      if (local !== undefined) return work(local.input, signal).finally(() => local.close());
      const spool =
        descriptor.size <= MEMORY_SPOOL_BYTES
          ? openMemorySpool(descriptor, control)
          : await openSpool(run, place, descriptor, control);
      onResume(spool.resumedBytes);
      return fetchAndWork(run, layer, spool, work, signal);
    });
    if (layer.diffId !== undefined) requireDiffId(layer.descriptor.digest, layer.diffId, outcome.diffId);
    const path = await store.commitFile(temporary, outcome.diffId, outcome.tarBytes, {
      compressed: [descriptor.digest],
    });
    return { diffId: outcome.diffId, path, tarBytes: outcome.tarBytes };
  } catch (error) {
    await unlink(temporary).catch(() => {});
    if (signal.aborted) throw signal.reason;
    throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, store.root);
  } finally {
    unwatch();
  }
}

/**
 * A partial that another user left, or what stands in its place and is no file, is neither continued nor in the way: as
 * for whoever has not got the lock, a temporary serves.
 */
async function openSpool(
  { store }: ExtractRun,
  place: SpoolPlace,
  target: Descriptor,
  control: LayerControl,
): Promise<Spool> {
  try {
    return await openFileSpool(place, target, control);
  } catch (error) {
    const { code } = wrapSystemError(error, place.path);
    if (!place.partial || (code !== 'ERR_PERMISSION' && code !== 'ERR_FILESYSTEM')) throw error;
    return openFileSpool({ path: store.temporaryPath(), partial: false, resume: false }, target, control);
  }
}

async function withTarFile(path: string, work: (fd: number) => Promise<LayerOutcome>): Promise<LayerOutcome> {
  const fd = openSync(path, 'wx', 0o600);
  try {
    return await work(fd);
  } finally {
    closeSync(fd);
  }
}

/** Transfer and work side by side. A failure of either ends the other, and decides what becomes of the spool. */
async function fetchAndWork(
  run: ExtractRun,
  layer: ImageLayer,
  spool: Spool,
  work: (input: LayerInput, signal: AbortSignal) => Promise<LayerOutcome>,
  signal: AbortSignal,
): Promise<LayerOutcome> {
  const { digest, size } = layer.descriptor;
  const { onProgress, parallelRanges } = run.settings;
  const transfer = async (ended: AbortSignal): Promise<undefined> => {
    const release = await run.transfers.acquire(ended, size);
    try {
      await spool.fill(run.source, { signal: ended, onProgress, parallelRanges });
    } catch (error) {
      if (ended.aborted) throw ended.reason;
      throw wrapSourceError(error, digest);
    } finally {
      release();
    }
    return undefined;
  };
  const extract = async (ended: AbortSignal): Promise<LayerOutcome> => {
    await reachedOrAborted(spool.ready, ended);
    return work(spool.input, ended);
  };
  try {
    const [, outcome] = await mapConcurrently([transfer, extract], (part, ended) => part(ended), {
      concurrency: 2,
      signal,
    });
    await spool.end(false);
    return outcome as LayerOutcome;
  } catch (error) {
    // An interruption is the caller's: whatever its reason says, what came is good to go on from.
    const interrupted = run.settings.signal?.aborted === true;
    await spool.end(interrupted || isResumable(signal.aborted ? signal.reason : error)).catch(() => {});
    throw error;
  }
}

async function reachedOrAborted(ready: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    void ready.then(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
  });
}

/** Waits for a worker, or takes two where the layer is large and the others leave cores idle. */
async function runWork(
  run: ExtractRun,
  layer: ImageLayer,
  control: LayerControl,
  input: LayerInput,
  tarFd: number,
  signal: AbortSignal,
): Promise<LayerOutcome> {
  const { settings } = run;
  const { digest, size, mediaType } = layer.descriptor;
  const release = await run.work.acquire(signal, size);
  let releaseSecond: (() => void) | undefined;
  const abort = (): void => control.stop();
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    run.pending.delete(digest);
    const pool = layerPool(settings.workers);
    const algorithm = layer.diffId === undefined ? 'sha256' : requireVerifiable(layer.diffId).algorithm;
    const { maxLayerSize: maxBytes, maxRatio } = settings;
    const work: LayerWork = {
      ...{ digest, size, mediaType, input, algorithm, tarFd, maxBytes, maxRatio },
      control: control.memory,
    };
    const split =
      input.kind === 'file' && size >= SPLIT_MIN_BYTES && size >= sum(run.pending.values()) && pool.idle >= 2;
    if (split) releaseSecond = run.work.tryAcquire();
    return releaseSecond === undefined
      ? await runWhole(pool, work, control, signal)
      : await runSplit(pool, work, control, signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, run.store.root);
  } finally {
    signal.removeEventListener('abort', abort);
    releaseSecond?.();
    release();
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
