/** The image cache in a folder: an OCI layout that other tools can read, and what several processes need beside it. */
import { chmod, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { takeLease } from '../content/lease.js';
import { OciLayout } from '../content/oci-layout.js';
import { RootfsError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { cacheFolder } from '../io/cache-folder.js';
import { ImageCache } from './image-cache.js';
import type { ImageCacheOptions, ImageKeeper } from './image-cache-options.js';
import { markImageUsed } from './image-use.js';

/** Options of `openImageCache`. */
export interface OpenImageCacheOptions extends Omit<ImageCacheOptions, 'localStore' | 'lockFolder' | 'keeper'> {
  /** The layout's folder. Default `$XDG_CACHE_HOME/rootfs-kit/images-v1`. */
  readonly folder?: string | undefined;
}

/**
 * Opens the image cache in a folder, which is made where it is missing: the default one for its user alone.
 * Until `close`, a lease keeps what is used from being pruned.
 *
 * @throws RootfsError `ERR_LAYOUT_INVALID` (no layout, or one of a newer version), `ERR_PERMISSION`, `ERR_NO_SPACE`,
 *   `ERR_FILESYSTEM`, `ERR_OPTION_INVALID`
 */
export async function openImageCache(options: OpenImageCacheOptions = {}): Promise<ImageCache> {
  const { folder: given, ...rest } = options;
  const folder = absolutePath(given ?? cacheFolder('images-v1'), 'folder');
  const isNew = (await lstat(folder).catch(() => undefined)) === undefined;
  const localStore = await openLayout(folder, options.pull !== 'never');
  // What this user pulled is nobody else's business, unless a folder was named.
  if (isNew && given === undefined) await chmod(folder, 0o700).catch(() => {});
  const lease = await takeLease(folder, { purpose: 'image cache' });
  const keeper: ImageKeeper = {
    async use(root) {
      await lease.add([root]);
      await markImageUsed(folder, root);
    },
    close: () => lease.release(),
  };
  try {
    return new ImageCache({ ...rest, localStore, lockFolder: join(folder, 'locks'), keeper });
  } catch (error) {
    await lease.release();
    throw error;
  }
}

async function openLayout(folder: string, create: boolean): Promise<OciLayout> {
  try {
    return await OciLayout.open(folder, { create });
  } catch (error) {
    if (create || !(error instanceof RootfsError) || error.code !== 'ERR_NOT_FOUND') throw error;
    throw new RootfsError(
      'ERR_NOT_FOUND',
      `${folder}: there is no image cache yet; run once with --cache and without --offline`,
      { cause: error, detail: { path: folder } },
    );
  }
}
