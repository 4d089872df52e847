/** One call's share of everything: the store, the source, the permits for transfers and for work. */
import { BlobDir } from '../content/blob-dir.js';
import { Semaphore } from '../io/concurrency.js';
import type { Digest } from '../spec/digest.js';
import type { ExtractSettings } from './extract-options.js';
import type { LayerSource } from './layer-input.js';

/** What the layers of one call share. */
export interface ExtractRun {
  readonly source: LayerSource;
  readonly store: BlobDir;
  readonly settings: ExtractSettings;
  /** A permit for each transfer. */
  readonly transfers: Semaphore;
  /** A permit for each worker. */
  readonly work: Semaphore;
  /** The layers whose work has not begun, with their compressed bytes. */
  readonly pending: Map<Digest, number>;
}

/** Opens the store `dst`, which must exist, for one call. @throws RootfsError as `BlobDir.open` */
export async function openRun(source: LayerSource, dst: string, settings: ExtractSettings): Promise<ExtractRun> {
  return {
    source,
    store: await BlobDir.open(dst, { fsync: settings.fsync }),
    settings,
    transfers: new Semaphore(settings.jobs),
    work: new Semaphore(settings.workers),
    pending: new Map(),
  };
}
