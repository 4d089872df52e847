/** The files of a layout that has no image yet: made, and taken away again by whoever made them for nothing. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from '../io/lock.js';
import { lookAt } from './blob-file.js';
import type { BlobPlaces } from './blob-places.js';
import { replaceDocument } from './replace-document.js';

/** What makes a folder a layout. */
export const LAYOUT_FILE = 'oci-layout';
/** Its list of images. */
export const INDEX_FILE = 'index.json';
const EMPTY_INDEX = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] };
/** How long whoever takes a layout away waits for somebody who changes it, in milliseconds. */
const PATIENCE_MS = 500;

/** The lock of all that changes a layout's list: other programs do not know it. */
export function layoutLock(root: string): string {
  return join(root, `${INDEX_FILE}.lock`);
}

/**
 * Makes a folder an empty layout; a list that is there stays. The caller holds the layout's lock: a second process must
 * not put an empty list over the first one's entries. `oci-layout` comes last: who finds it finds the rest.
 *
 * @param places Of the layout.
 * @throws RootfsError `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export async function makeEmptyLayout(places: BlobPlaces, sync: boolean): Promise<void> {
  const { root } = places;
  if (lookAt(join(root, INDEX_FILE)) === undefined) {
    await replaceDocument(join(root, INDEX_FILE), JSON.stringify(EMPTY_INDEX), places, sync);
  }
  places.makeBlobsFolder();
  const version = JSON.stringify({ imageLayoutVersion: '1.0.0' });
  await replaceDocument(join(root, LAYOUT_FILE), version, places, sync);
}

/** Whether nothing makes a folder a layout. */
export function isNoLayout(root: string): boolean {
  return [LAYOUT_FILE, INDEX_FILE].every((name) => lookAt(join(root, name)) === undefined);
}

/**
 * Removes files of a layout that holds no blob, `oci-layout` first: what is left of it is completed by who makes a
 * layout there. Somebody who brings a blob meanwhile finds them gone when it is to be named, and makes them again.
 *
 * @param names Those that were made for nothing.
 * @returns whether there is no blob
 */
export async function removeEmptyLayout(root: string, names: readonly string[]): Promise<boolean> {
  const isEmpty = async (): Promise<boolean> => (await readdir(join(root, 'blobs')).catch(() => [])).length === 0;
  if (!(await isEmpty())) return false;
  const remove = async (): Promise<boolean> => {
    if (!(await isEmpty())) return false;
    for (const name of [LAYOUT_FILE, INDEX_FILE]) {
      if (names.includes(name)) await rm(join(root, name), { force: true });
    }
    return true;
  };
  const signal = AbortSignal.timeout(PATIENCE_MS);
  return names.length === 0 || withLock(layoutLock(root), remove, { signal }).catch(() => false);
}
