/** A document of a local form that no digest vouches for, read as a whole. */
import { closeSync } from 'node:fs';
import { limitError } from '../io/limit.js';
import { AT_ONCE_BYTES, openRegular, readAt, readNow } from './blob-file.js';

/**
 * Reads a regular file, as long as it is when it is opened; `undefined` where there is none.
 *
 * @throws RootfsError `ERR_LIMIT_EXCEEDED`, and as `openRegularFile`
 */
export async function readSmallFile(path: string, maxBytes: number): Promise<Buffer | undefined> {
  const opened = openRegular(path);
  if (opened === undefined) return undefined;
  try {
    const { size } = opened.stat;
    if (size > maxBytes) throw limitError(path, maxBytes);
    if (size <= AT_ONCE_BYTES) return readNow(opened.fd, 0, size);
    const bytes = Buffer.allocUnsafe(size);
    let done = 0;
    while (done < size) {
      const count = await readAt(opened.fd, bytes.subarray(done), size - done, done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(opened.fd);
  }
}
