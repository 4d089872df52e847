/** Many layers at once: the main job below the image. */

import { requireLayerType } from '../codec/detect-compression.js';
import { takeLease } from '../content/lease.js';
import { requireDescriptor, requireFetcher } from '../content/require-fetcher.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { mapConcurrently } from '../io/concurrency.js';
import { partError } from '../io/part-error.js';
import { Verifier } from '../io/verify.js';
import { report } from '../progress.js';
import { requireVerifiable } from '../spec/digest.js';
import type { ImageLayer } from '../spec/image-layer.js';
import { type ClaimedLayer, claimLayer } from './claim-layer.js';
import { extractBlob } from './extract-blob.js';
import { type ExtractOptions, extractSettings } from './extract-options.js';
import { type ExtractRun, openRun } from './extract-run.js';
import type { LayerHandle } from './layer.js';
import type { LayerSource } from './layer-input.js';
import { layerPool } from './layer-workers.js';
import { closeLayers, type ExtractedLayer, openLayer } from './open-layer.js';

/** Looks into a store at once. */
const FINDS_AT_ONCE = 16;

/** The layers that are one and the same, and where they stand in the input. */
interface Wanted {
  readonly layer: ImageLayer;
  readonly index: number;
  found: ExtractedLayer | undefined;
}

/**
 * Extracts layers into the store `dst`, which must exist: each becomes `dst/<algorithm>/<hex of its diffID>`.
 *
 * Layers that are there are not fetched; equal layers are fetched once and give a handle each. Handles come in the
 * order of the input, open, at position 0; the caller closes them. Both sides of every fetched layer are verified
 * before its name appears. At the first failure the others are ended and waited for, and that failure is thrown: then
 * no handle is open, and nothing is left but layers that were finished and partials that a later run can continue.
 *
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_DIFFID_MISMATCH`, `ERR_DECOMPRESS`,
 *   `ERR_LIMIT_EXCEEDED`, `ERR_MEDIA_TYPE_UNSUPPORTED`, `ERR_DIGEST_UNSUPPORTED`, `ERR_NOT_FOUND`, `ERR_NO_SPACE`,
 *   `ERR_PERMISSION`, `ERR_FILESYSTEM`, `ERR_OPTION_INVALID`; what the source throws; the signal's reason
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-diffid
 */
export async function extractLayers(
  source: LayerSource,
  layers: readonly ImageLayer[],
  dst: string,
  options: ExtractOptions = {},
): Promise<LayerHandle[]> {
  absolutePath(dst, 'dst');
  const settings = extractSettings(options);
  requireFetcher(source);
  requireImageLayers(layers);
  throwIfAborted(settings.signal);
  const wanted = distinct(layers);
  const run = await openRun(source, dst, settings);
  report(settings.onProgress, {
    type: 'layers:planned',
    layers: wanted.size,
    compressedBytes: [...wanted.values()].reduce((sum, { layer }) => sum + layer.descriptor.size, 0),
  });
  const digests = [...wanted.values()].flatMap(({ layer: { diffId } }) => diffId ?? []);
  const open = digests.length < wanted.size;
  const { signal, onProgress } = settings;
  const lease = await takeLease(dst, { purpose: 'extract', digests, open, signal, onProgress });
  try {
    await findPresent(run, [...wanted.values()]);
    await extractMissing(run, [...wanted.values()]);
    return await openAll(layers, wanted);
  } finally {
    // Sweeping is thrift: what it cannot do now is done by the next run.
    await run.store.sweep().catch(() => []);
    await lease.release();
  }
}

/** What a caller without a type checker gives, a promise above all, is refused by name. */
function requireImageLayers(layers: readonly ImageLayer[]): void {
  const given: unknown = layers;
  if (!Array.isArray(given)) throw partError('layers', 'a list', given, 'give the layers of an image');
  for (const [at, layer] of given.entries()) requireDescriptor(layer?.descriptor, `layers[${at}].descriptor`);
}

/** The tar of one layer may be the blob of another, which has not named itself yet: they share a digest and nothing else. */
function keyOf({ diffId, descriptor }: ImageLayer): string {
  return diffId ?? `blob ${descriptor.digest}`;
}

function distinct(layers: readonly ImageLayer[]): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  for (const [index, layer] of layers.entries()) {
    new Verifier(layer.descriptor);
    if (layer.diffId !== undefined) requireVerifiable(layer.diffId);
    if (!wanted.has(keyOf(layer))) wanted.set(keyOf(layer), { layer, index, found: undefined });
  }
  return wanted;
}

async function findPresent(run: ExtractRun, wanted: readonly Wanted[]): Promise<void> {
  const { verify, signal, onProgress } = run.settings;
  const named = wanted.filter(({ layer }) => layer.diffId !== undefined);
  await mapConcurrently(
    named,
    async (item, ended) => {
      const { diffId, descriptor } = item.layer;
      const found = diffId && (await run.store.find(diffId, { verify, signal: ended, onProgress }));
      if (!found) return;
      item.found = { diffId, path: found.path, tarBytes: found.size };
      finished(run, item, item.found, true);
      await run.store.note(diffId, { compressed: [descriptor.digest] }).catch(ignoreUnwritable);
      await run.store.markUsed(diffId);
    },
    { concurrency: FINDS_AT_ONCE, signal },
  );
}

/** A store that cannot be written, or lies on a full disk, still serves what it holds. */
function ignoreUnwritable(error: unknown): void {
  if (!(error instanceof RootfsError) || (error.code !== 'ERR_PERMISSION' && error.code !== 'ERR_NO_SPACE'))
    throw error;
}

async function extractMissing(run: ExtractRun, wanted: readonly Wanted[]): Promise<void> {
  const { settings, store } = run;
  const missing = wanted.filter(({ found }) => found === undefined);
  if (missing.length === 0) return;
  for (const { layer } of missing) requireLayerType(layer.descriptor.mediaType, layer.descriptor.digest);
  await store.prepare();
  layerPool(settings.workers).warm(Math.min(settings.workers, Math.max(2, missing.length)));
  // The biggest first: what begins last is small, and ends soon after the rest.
  missing.sort((a, b) => b.layer.descriptor.size - a.layer.descriptor.size || a.index - b.index);
  for (const { layer } of missing) run.pending.set(layer.descriptor.digest, layer.descriptor.size);
  await mapConcurrently(missing, (item, signal) => extractWanted(run, item, signal), {
    // Transfers may run ahead of the work, but not without bound.
    concurrency: settings.jobs + 2 * settings.workers,
    signal: settings.signal,
  });
}

async function extractWanted(run: ExtractRun, item: Wanted, signal: AbortSignal): Promise<void> {
  const { store, settings } = run;
  const { descriptor } = item.layer;
  const claimed: ClaimedLayer = await claimLayer(store, item.layer, signal, (locked) => {
    report(settings.onProgress, {
      type: 'layer:started',
      digest: descriptor.digest,
      compressedBytes: descriptor.size,
      index: item.index,
    });
    const place = locked
      ? { path: store.partialPath(descriptor.digest), partial: true, resume: settings.resume }
      : { path: store.temporaryPath(), partial: false, resume: false };
    return extractBlob(run, item.layer, place, signal);
  });
  run.pending.delete(descriptor.digest);
  item.found = claimed.layer;
  finished(run, item, claimed.layer, claimed.cached);
}

function finished(run: ExtractRun, item: Wanted, layer: ExtractedLayer, cached: boolean): void {
  report(run.settings.onProgress, {
    type: 'layer:finished',
    digest: item.layer.descriptor.digest,
    diffId: layer.diffId,
    compressedBytes: item.layer.descriptor.size,
    tarBytes: layer.tarBytes,
    cached,
  });
}

async function openAll(layers: readonly ImageLayer[], wanted: ReadonlyMap<string, Wanted>): Promise<LayerHandle[]> {
  const opened = await Promise.allSettled(
    layers.map(async (layer) => {
      const found = wanted.get(keyOf(layer))?.found;
      if (found !== undefined) return openLayer(layer.descriptor, found);
      throw new RootfsError('ERR_INTERNAL', `${keyOf(layer)}: it was not extracted; report this`);
    }),
  );
  const handles = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = opened.find((one) => one.status === 'rejected');
  if (failed === undefined) return handles;
  await closeLayers(handles);
  throw failed.reason;
}
