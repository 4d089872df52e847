/** The last steps of a blob: its bytes become final, then its name appears. */
import { closeSync, fchmodSync, fstatSync, linkSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { RootfsError, systemErrorCode } from '../errors.js';
import { withLock } from '../io/lock.js';
import { makeFolders } from '../io/make-folders.js';
import type { Digest } from '../spec/digest.js';
import type { BlobPlaces } from './blob-places.js';
import type { BlobTrust } from './blob-trust.js';
import { syncFile } from './folder-sync.js';

const NO_HARD_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV', 'EINVAL']);

/**
 * Makes mode and bytes of a temporary final, and brings them to disk where that is asked.
 *
 * @returns its modification time in nanoseconds
 * @throws RootfsError `ERR_SIZE_MISMATCH`; the system's errors
 */
export async function sealFile(temporaryPath: string, size: number, sync: boolean): Promise<bigint> {
  const file = openSync(temporaryPath, 'r');
  try {
    fchmodSync(file, 0o444);
    if (sync) await syncFile(file);
    const sealed = fstatSync(file, { bigint: true });
    if (sealed.size === BigInt(size)) return sealed.mtimeNs;
    throw new RootfsError('ERR_SIZE_MISMATCH', `${temporaryPath}: ${sealed.size} bytes were written, not ${size}`, {
      detail: { expectedBytes: size, receivedBytes: Number(sealed.size) },
    });
  } finally {
    closeSync(file);
  }
}

/**
 * Gives a sealed temporary the name of its digest. A link never replaces anything. Where the name was taken meanwhile,
 * the record speaks of our bytes and proves nothing: what stands there is hashed, and is either sound (and stays) or
 * removed.
 *
 * @throws the system's errors
 */
export async function nameBlob(
  temporaryPath: string,
  digest: Digest,
  places: BlobPlaces,
  trust: BlobTrust,
): Promise<void> {
  const path = places.blob(digest);
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      linkSync(temporaryPath, path);
      return;
    } catch (error) {
      const errno = systemErrorCode(error) ?? '';
      // An empty folder goes with a layout or a store that somebody made for nothing. The temporary may be gone, too.
      if (errno === 'ENOENT' && attempt < 2) {
        makeFolders(dirname(path));
        continue;
      }
      if (errno !== 'EEXIST' && !NO_HARD_LINKS.has(errno)) throw error;
      if ((await trust.judge(digest, { verify: 'always' })) !== undefined) return;
      if (errno !== 'EEXIST') break;
    }
  }
  await withLock(places.ingest(digest, 'commit.lock'), async () => renameSync(temporaryPath, path));
}
