/** The store of an image cache in a folder: an OCI layout, and what several processes need beside it. */
import { join } from 'node:path';
import type { BlobPath, CallOptions, Target } from '../content/content.js';
import { layoutLock } from '../content/empty-layout.js';
import { takeLease } from '../content/lease.js';
import type { OciLayout } from '../content/oci-layout.js';
import { sweepLocks } from '../content/sweep-ingest.js';
import { RootfsError, wrapSystemError } from '../errors.js';
import { untilAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { cacheFolder } from '../io/cache-folder.js';
import { removeIfDead } from '../io/lock.js';
import { makeFolders } from '../io/make-folders.js';
import { openImageLayout } from './cache-places.js';
import type { ImageKeeper } from './image-cache-options.js';
import { markImageUsed } from './image-use.js';

/** A store, and what keeps its images while they are used. */
export interface CacheStore {
  readonly localStore: Target & BlobPath;
  readonly lockFolder: string;
  readonly keeper: ImageKeeper;
}

/**
 * Opens the store in a folder; the default one is made for its user alone. Until the keeper is closed, a lease keeps
 * what is used from being pruned.
 *
 * @param given The folder; the default one when absent.
 * @param create Whether a missing one is made.
 * @throws RootfsError `ERR_NOT_FOUND` (none there, and none is made), as `openImageCache`
 */
export async function openCacheStore(
  given: string | undefined,
  create: boolean,
  { signal, onProgress }: CallOptions = {},
): Promise<CacheStore> {
  const folder = absolutePath(given ?? cacheFolder('images-v1'), 'folder');
  // What this user pulled is nobody else's business, unless a folder was named.
  if (create && given === undefined) makePrivate(folder);
  const localStore = await openLayout(folder, create);
  const lockFolder = join(folder, 'locks');
  // The signal ends this call and no later one: a lease keeps what it is given.
  const taking = takeLease(folder, { purpose: 'image cache', onProgress });
  const lease = await untilAborted(taking, signal, (late) => void late.release());
  const keeper: ImageKeeper = {
    async use(root) {
      await lease.add([root]).catch((error: unknown) => {
        // A full cache serves what it holds; as where no lease could be taken, nothing is kept from being pruned.
        const { code } = wrapSystemError(error, folder);
        if (code !== 'ERR_NO_SPACE' && code !== 'ERR_PERMISSION') throw error;
      });
      await markImageUsed(folder, root);
    },
    async close() {
      await lease.release();
      // What a dead process left of content that is here: nobody who finds it takes its lock, or writes.
      await sweepLocks(lockFolder);
      await removeIfDead(layoutLock(folder)).catch(() => {});
      await localStore.sweep();
    },
  };
  return { localStore, lockFolder, keeper };
}

/** The store in the default folder, which is opened when it is first asked for something, and again after `close`. */
export function defaultCacheStore(create: boolean): CacheStore {
  const folder = absolutePath(cacheFolder('images-v1'), 'folder');
  let opening: Promise<CacheStore> | undefined;
  const opened = (): Promise<CacheStore> => {
    const now = opening ?? openCacheStore(undefined, create);
    opening = now;
    // Who asks for it hears of its failure; the next one tries again.
    now.catch(() => {
      if (opening === now) opening = undefined;
    });
    return now;
  };
  const store = async (): Promise<Target & BlobPath> => (await opened()).localStore;
  const localStore: Target & BlobPath & { readonly place: string } = {
    place: folder,
    resolve: async (...given) => (await store()).resolve(...given),
    fetch: async (...given) => (await store()).fetch(...given),
    exists: async (...given) => (await store()).exists(...given),
    push: async (...given) => (await store()).push(...given),
    tag: async (...given) => (await store()).tag(...given),
    blobPath: async (...given) => (await store()).blobPath(...given),
  };
  const keeper: ImageKeeper = {
    use: async (root) => (await opened()).keeper.use(root),
    async close() {
      const last = opening;
      opening = undefined;
      const found = await last?.catch(() => undefined);
      await found?.keeper.close();
    },
  };
  return { localStore, lockFolder: join(folder, 'locks'), keeper };
}

/** From its first moment: a run that is killed has no second step. */
function makePrivate(folder: string): void {
  try {
    makeFolders(folder, { mode: 0o700 });
  } catch {
    // Who opens it says why.
  }
}

async function openLayout(folder: string, create: boolean): Promise<OciLayout> {
  try {
    return await openImageLayout(folder, create);
  } catch (error) {
    if (create || !(error instanceof RootfsError) || error.code !== 'ERR_NOT_FOUND') throw error;
    throw new RootfsError(
      'ERR_NOT_FOUND',
      `${folder}: there is no image cache yet; run once with --cache and without --offline`,
      { cause: error, detail: { path: folder } },
    );
  }
}
