/** When a cached image was last used: the modification time of its manifest's or index's file, which nothing else needs. */
import { lstat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, requireVerifiable } from '../spec/digest.js';

/** Notes that an image is used now. In a folder that cannot be written it does nothing. */
export async function markImageUsed(folder: string, root: Digest): Promise<void> {
  const now = new Date();
  await utimes(blobFile(folder, root), now, now).catch(() => {});
}

/** When an image was last used, in whole milliseconds since the epoch; 0 where it is not here. */
export async function imageLastUsed(folder: string, root: Digest): Promise<number> {
  return Math.floor((await lstat(blobFile(folder, root)).catch(() => undefined))?.mtimeMs ?? 0);
}

/** Where a layout in `folder` has a blob. @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED` */
export function blobFile(folder: string, digest: Digest): string {
  const { algorithm, encoded } = requireVerifiable(digest);
  return join(folder, 'blobs', algorithm, encoded);
}
