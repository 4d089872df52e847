/** The two folders that caches lie in: images as they were fetched, and layers as they were extracted. */
import { lstat, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobDir } from '../content/blob-dir.js';
import { type ContentInfo, ContentStore } from '../content/content-store.js';
import { OciLayout } from '../content/oci-layout.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { cacheFolder } from '../io/cache-folder.js';

/** Where the caches are. What is absent is this user's own. */
export interface CachePlaces {
  /** The image cache. Default `$XDG_CACHE_HOME/rootfs-kit/images-v1`. */
  readonly images?: string | undefined;
  /** The store of extracted layers. Default `$XDG_CACHE_HOME/rootfs-kit/layers-v1`. */
  readonly layers?: string | undefined;
}

/** The folders, absolute. */
export function cachePlaces(places: CachePlaces): { readonly images: string; readonly layers: string } {
  return {
    images: absolutePath(places.images ?? cacheFolder('images-v1'), 'images'),
    layers: absolutePath(places.layers ?? cacheFolder('layers-v1'), 'layers'),
  };
}

/** One folder of blobs, and a way to walk it. */
export interface BlobFolder {
  readonly root: string;
  readonly blobs: BlobDir;
  walk(): AsyncIterable<ContentInfo>;
}

/** Opens the blobs of the image cache; `undefined` where there is no cache yet. @throws RootfsError as `BlobDir.open` */
export async function openImageBlobs(root: string): Promise<BlobFolder | undefined> {
  if (!(await isThere(root))) return undefined;
  // A layout keeps no records: every judgement hashes, and nothing is written beside the blobs.
  const blobs = await BlobDir.open(root, { blobs: 'blobs', records: false });
  const store = await ContentStore.open(root, { blobs: 'blobs' });
  return { root, blobs, walk: () => store.walk() };
}

/** Opens the extracted layers; `undefined` where there are none yet. @throws RootfsError as `BlobDir.open` */
export async function openLayerBlobs(root: string): Promise<BlobFolder | undefined> {
  if (!(await isThere(root))) return undefined;
  const store = await ContentStore.open(root);
  return { root, blobs: store.blobs, walk: () => store.walk() };
}

/** Whether two folders of blobs lie in one folder, however it is named: they have its lock and its leases together. */
export async function isOneFolder(one: BlobFolder, other: BlobFolder): Promise<boolean> {
  const [first, second] = await Promise.all([one, other].map(({ root }) => inSystem(root)));
  return first === second;
}

async function inSystem(path: string): Promise<string> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch (error) {
    throw wrapSystemError(error, path);
  }
}

/**
 * Opens the image cache's layout, and reads its list of images.
 *
 * @param create Whether a missing one is made.
 * @throws RootfsError as `OciLayout.open`, `ERR_MANIFEST_INVALID` and `ERR_LAYOUT_INVALID` (the list is damaged or gone)
 */
export async function openImageLayout(root: string, create = false): Promise<OciLayout> {
  const layout = await OciLayout.open(root, { create });
  try {
    await layout.entries().next();
  } catch (error) {
    const isDamaged = error instanceof RootfsError && error.code === 'ERR_MANIFEST_INVALID';
    if (!isDamaged && (await isThere(join(root, 'index.json')))) throw error;
    const code = isDamaged ? 'ERR_MANIFEST_INVALID' : 'ERR_LAYOUT_INVALID';
    throw new RootfsError(
      code,
      `${root}: this image cache's list of images, index.json, is damaged or gone; remove the folder: images are fetched again when they are used`,
      { cause: error, detail: { path: root } },
    );
  }
  return layout;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw wrapSystemError(error, path);
  }
}
