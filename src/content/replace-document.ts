/** A document of a layout in the place of an older one. */
import { rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { wrapSystemError } from '../errors.js';
import { closeAfter } from '../io/close-after.js';
import type { BlobPlaces } from './blob-places.js';
import { syncFolder } from './folder-sync.js';

/**
 * Writes a document whole: who reads it finds the old one or the new one. Everybody may read it.
 *
 * @param places Where it lies until it is written.
 * @param sync Whether it is brought to disk.
 * @throws RootfsError `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export async function replaceDocument(
  path: string,
  content: string | Buffer,
  places: BlobPlaces,
  sync: boolean,
): Promise<void> {
  const temporary = await places.createTemporary();
  try {
    await closeAfter(temporary.file, async () => {
      await temporary.file.writeFile(content);
      await temporary.file.chmod(0o644);
      if (sync) await temporary.file.sync();
    });
    await rename(temporary.path, path);
    if (sync) await syncFolder(dirname(path));
  } catch (error) {
    await unlink(temporary.path).catch(() => {});
    throw wrapSystemError(error, path);
  }
}
