/** The documents of a layout that no digest vouches for: `oci-layout` and `index.json`. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { RootfsError } from '../errors.js';
import { MAX_LAYOUT_INDEX_BYTES } from './layout-index.js';
import { followLink, isLink } from './linked-blobs.js';
import { readSmallFile } from './read-small-file.js';

/**
 * Reads and parses a document of a layout; `undefined` where there is none.
 *
 * A link is followed to a regular file. Whoever made the layout chose that file, so what is wrong with one that does
 * not parse is not said: a message must not quote a file that was never meant to be shown.
 *
 * @param parse Gets the bytes; what it throws about a file that is no link is thrown as it is.
 * @throws RootfsError `ERR_LAYOUT_INVALID`, `ERR_LIMIT_EXCEEDED`, `ERR_NOT_FOUND` (a link that leads nowhere),
 *   `ERR_PERMISSION`, `ERR_FILESYSTEM`; what `parse` throws
 */
export async function readLayoutDocument<T>(path: string, parse: (bytes: Buffer) => T): Promise<T | undefined> {
  if (!isLink(path)) {
    const bytes = await readSmallFile(path, MAX_LAYOUT_INDEX_BYTES);
    return bytes === undefined ? undefined : parse(bytes);
  }
  const end = await followLink(path);
  try {
    const bytes = await readSmallFile(end, MAX_LAYOUT_INDEX_BYTES);
    if (bytes !== undefined) return parse(bytes);
  } catch (error) {
    if (error instanceof RootfsError && error.code === 'ERR_PERMISSION') throw error;
  }
  throw new RootfsError(
    'ERR_LAYOUT_INVALID',
    `${path}: a link to a file that is no such document of a layout; build the layout again, or put the file itself there`,
    { detail: { path } },
  );
}

/** What a folder may be that is no layout: skopeo's form keeps a `version` beside its manifest. */
export async function adviceFor(root: string, folder: string): Promise<string> {
  const here = async (name: string): Promise<boolean> =>
    (await lstat(join(root, name)).catch(() => undefined)) !== undefined;
  return (await here('manifest.json')) && (await here('version'))
    ? `try dir:${folder}`
    : 'give a folder that holds one';
}
