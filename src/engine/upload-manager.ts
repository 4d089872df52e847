/** Takes layers to registries: so many at once, each once, however many pushes want it. */
import type { CallOptions } from '../content/content.js';
import { mapConcurrently, Semaphore } from '../io/concurrency.js';
import { SharedCalls } from '../io/shared-call.js';
import { wholeNumber } from '../io/whole-number.js';
import type { Descriptor } from '../spec/descriptor.js';

/** One layer on its way to one repository. */
export interface LayerUpload {
  /** The same for equal uploads: registry, repository and layer. */
  readonly key: string;
  /** Brings the layer there, whatever that takes, and says as which blob. May be called again when it failed. */
  upload(options: CallOptions): Promise<Descriptor>;
}

/** Decides when layers are uploaded. */
export interface UploadManager {
  /** Uploads the layers of one image. @returns their descriptors, in the same order */
  upload(layers: readonly LayerUpload[], options?: CallOptions): Promise<readonly Descriptor[]>;
}

/** Options of `LayerUploadManager`. */
export interface UploadManagerOptions {
  /** Layers on their way at once, over all pushes: 1 to 64. Default 5. */
  readonly concurrency?: number | undefined;
}

/**
 * Uploads with a limit over all pushes; equal uploads are made once. A push that is aborted ends nobody else's transfer,
 * and one that fails ends none of another push.
 */
export class LayerUploadManager implements UploadManager {
  readonly #running = new SharedCalls<Descriptor>();
  readonly #permits: Semaphore;

  /** @throws RootfsError `ERR_OPTION_INVALID` */
  constructor({ concurrency = 5 }: UploadManagerOptions = {}) {
    this.#permits = new Semaphore(wholeNumber('concurrency', concurrency, 1, 64));
  }

  /** Changes the limit, for what waits too; what is on its way is not touched. @throws RootfsError `ERR_OPTION_INVALID` */
  setConcurrency(concurrency: number): void {
    this.#permits.resize(wholeNumber('concurrency', concurrency, 1, 64));
  }

  /** See `UploadManager`. @throws what the uploads throw, the first of them; the signal's reason */
  upload(layers: readonly LayerUpload[], options: CallOptions = {}): Promise<readonly Descriptor[]> {
    return mapConcurrently(
      layers,
      (layer, signal) =>
        this.#running.join(layer.key, { signal, onProgress: options.onProgress, by: layers }, async (shared) => {
          const release = await this.#permits.acquire(shared.signal);
          try {
            return await layer.upload(shared);
          } finally {
            release();
          }
        }),
      { concurrency: Math.max(1, layers.length), signal: options.signal },
    );
  }
}
