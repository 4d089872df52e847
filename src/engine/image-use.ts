/** When a cached image was last used: the modification time of its manifest's or index's file, which nothing else needs. */
import type { Stats } from 'node:fs';
import { lstat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { archivedBlob } from '../content/member.js';
import type { Digest } from '../spec/digest.js';

/** Notes that an image is used now. In a folder that cannot be written it does nothing. */
export async function markImageUsed(folder: string, root: Digest): Promise<void> {
  const now = new Date();
  await utimes(join(folder, archivedBlob(root)), now, now).catch(() => {});
}

/** When an image was last used, in whole milliseconds since the epoch; 0 where it is not here. */
export async function imageLastUsed(folder: string, root: Digest): Promise<number> {
  return Math.floor((await blobStat(folder, root))?.mtimeMs ?? 0);
}

/** What a layout in `folder` has under a blob's name; `undefined` for nothing, as of what cannot be verified. */
export async function blobStat(folder: string, digest: Digest): Promise<Stats | undefined> {
  try {
    return await lstat(join(folder, archivedBlob(digest)));
  } catch {
    return undefined;
  }
}
