/** The image cache in a folder: an OCI layout that other tools can read. */
import type { CallOptions } from '../content/content.js';
import { throwIfAborted } from '../io/abort.js';
import { openCacheStore } from './cache-store.js';
import { ImageCache } from './image-cache.js';
import type { ImageCacheOptions } from './image-cache-options.js';

/** Options of `openImageCache`. */
export interface OpenImageCacheOptions
  extends Omit<ImageCacheOptions, 'localStore' | 'lockFolder' | 'keeper'>,
    CallOptions {
  /** The layout's folder. Default `$XDG_CACHE_HOME/rootfs-kit/images-v1`. */
  readonly folder?: string | undefined;
}

/**
 * Opens the image cache in a folder, which is made where it is missing: the default one for its user alone.
 * Until `close`, a lease keeps what is used from being pruned. While somebody prunes this waits, at most until `signal`
 * aborts; `onProgress` hears of a long wait, also of one of a later call.
 *
 * @throws RootfsError `ERR_LAYOUT_INVALID` (no layout, or one of a newer version), `ERR_MANIFEST_INVALID` (a damaged one),
 *   `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`, `ERR_OPTION_INVALID`; the signal's reason
 */
export async function openImageCache(options: OpenImageCacheOptions = {}): Promise<ImageCache> {
  const { folder, signal, onProgress, ...rest } = options;
  throwIfAborted(signal);
  const store = await openCacheStore(folder, options.pull !== 'never', { signal, onProgress });
  try {
    return new ImageCache({ ...rest, ...store });
  } catch (error) {
    await store.keeper.close();
    throw error;
  }
}
