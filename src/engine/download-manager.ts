/** Brings layers into an engine's store: so many at once, each once, however many pulls want it. */
import type { CallOptions } from '../content/content.js';
import { wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { mapConcurrently, Semaphore } from '../io/concurrency.js';
import { makeFolders } from '../io/make-folders.js';
import { SharedCalls } from '../io/shared-call.js';
import { wholeNumber } from '../io/whole-number.js';
import { extractLayer } from '../layer/extract-layer.js';
import { type ExtractOptions, extractSettings } from '../layer/extract-options.js';
import type { LayerSource } from '../layer/layer-input.js';
import type { Digest } from '../spec/digest.js';
import type { ImageLayer } from '../spec/image-layer.js';
import { recordChain } from './layer-chain.js';

/** Brings layers to where an engine keeps them. */
export interface DownloadManager {
  /**
   * Brings the layers of one image, base first.
   *
   * @param source Where they are fetched; each stream is unverified.
   * @returns the diffIDs of what is there now, in the order of the layers
   */
  download(source: LayerSource, layers: readonly ImageLayer[], options?: CallOptions): Promise<readonly Digest[]>;
}

/** Options of `LayerDownloadManager`. */
export interface DownloadManagerOptions extends Omit<ExtractOptions, 'signal' | 'onProgress' | 'jobs'> {
  /** Layers on their way at once, over all pulls: 1 to 64. Default 3. */
  readonly concurrency?: number | undefined;
}

/**
 * Extracts layers into a folder as `extractLayers` does, and notes which stand on which, for `LayerStoreProvider`. One
 * manager serves many pulls: its limit holds over all of them, and a layer that several want is brought once. A pull
 * that is aborted ends nobody else's transfer, and one whose source fails ends none from another source.
 */
export class LayerDownloadManager implements DownloadManager {
  /** The folder of the extracted layers. */
  readonly store: string;
  readonly #options: Omit<ExtractOptions, 'signal' | 'onProgress' | 'jobs'>;
  readonly #running = new SharedCalls<Digest>();
  readonly #permits: Semaphore;

  /** @param store Made when it is needed. @throws RootfsError `ERR_OPTION_INVALID` */
  constructor(store: string, options: DownloadManagerOptions = {}) {
    const { concurrency = 3, ...rest } = options;
    this.store = absolutePath(store, 'store');
    extractSettings(rest);
    this.#options = rest;
    this.#permits = new Semaphore(wholeNumber('concurrency', concurrency, 1, 64));
  }

  /** Changes the limit, for what waits too; what is on its way is not touched. @throws RootfsError `ERR_OPTION_INVALID` */
  setConcurrency(concurrency: number): void {
    this.#permits.resize(wholeNumber('concurrency', concurrency, 1, 64));
  }

  /** See `DownloadManager`. @throws RootfsError as `extractLayers`; the signal's reason */
  async download(
    source: LayerSource,
    layers: readonly ImageLayer[],
    options: CallOptions = {},
  ): Promise<readonly Digest[]> {
    try {
      makeFolders(this.store);
    } catch (error) {
      throw wrapSystemError(error, this.store);
    }
    const diffIds = await mapConcurrently(
      layers,
      (layer, signal) =>
        this.#running.join(
          `${layer.descriptor.digest} ${layer.diffId ?? ''}`,
          { signal, onProgress: options.onProgress, by: source },
          (shared) => this.#extract(source, layer, shared),
        ),
      { concurrency: Math.max(1, layers.length), signal: options.signal },
    );
    await recordChain(this.store, diffIds);
    return diffIds;
  }

  async #extract(source: LayerSource, layer: ImageLayer, options: CallOptions): Promise<Digest> {
    const release = await this.#permits.acquire(options.signal);
    try {
      const handle = await extractLayer(source, layer, this.store, { ...this.#options, ...options, jobs: 1 });
      await handle.close();
      return handle.diffId;
    } finally {
      release();
    }
  }
}
