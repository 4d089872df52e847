/** A blob that is a piece of a local file, as a stream. */
import { closeSync, createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { RootfsError, wrapSystemError } from '../errors.js';
import { abortStream, throwIfAborted } from '../io/abort.js';
import type { Descriptor } from '../spec/descriptor.js';
import { AT_ONCE_BYTES, openRegular, readNow, resolveRange } from './blob-file.js';
import type { BlobLocation, FetchOptions } from './content.js';

/** Bytes read at once. */
const CHUNK_BYTES = 256 * 1024;

/** A blob so small that all of it is here. Who wants it as a whole takes it: to read a stream takes longer. */
export class HeldBlob extends Readable {
  readonly #bytes: Buffer;
  readonly #ownListeners: number;

  constructor(bytes: Buffer, signal: AbortSignal | undefined) {
    super({ objectMode: false });
    this.#bytes = bytes;
    abortStream(this, signal);
    this.#ownListeners = this.listenerCount('end');
  }

  /**
   * The bytes, in the place of reading them: this ends the stream. `undefined` where it was read or destroyed before, and
   * where somebody else listens (copies it elsewhere, waits for its end): it is to be read then.
   */
  whole(): Buffer | undefined {
    const isHeard = this.readableFlowing !== null || this.listenerCount('end') > this.#ownListeners;
    if (isHeard || this.readableDidRead || this.destroyed) return undefined;
    this.destroy();
    return this.#bytes;
  }

  override _read(): void {
    if (this.#bytes.length > 0) this.push(this.#bytes);
    this.push(null);
  }
}

/**
 * Opens a blob that lies in a file: at most `target.size + 1` bytes, or exactly the range. The file is closed with the
 * stream, or at once when this throws.
 *
 * @param location Where the blob lies; `size` bytes are there at most, all of the file where it is not given.
 * @returns `undefined` where there is no such file
 * @throws RootfsError `ERR_RANGE_INVALID`, `ERR_SIZE_MISMATCH` (the file ends before the range does), and as
 *   `openRegular`; the abort's reason
 */
export function openBlob(
  { path, offset, size: most = Number.POSITIVE_INFINITY }: Omit<BlobLocation, 'size'> & Partial<BlobLocation>,
  target: Pick<Descriptor, 'digest' | 'size'>,
  options: FetchOptions = {},
): Readable | undefined {
  throwIfAborted(options.signal);
  const range = resolveRange(options.range, target);
  const opened = openRegular(path);
  if (opened === undefined) return undefined;
  const { fd, stat } = opened;
  let keepsOpen = false;
  try {
    const size = Math.max(0, Math.min(most, stat.size - offset));
    if (range !== undefined && range.end > size) {
      throw new RootfsError(
        'ERR_SIZE_MISMATCH',
        `${target.digest}: ${target.size} bytes were expected, ${size} are there; fetch it again`,
        { detail: { digest: target.digest, expectedBytes: target.size, receivedBytes: size } },
      );
    }
    const start = range?.start ?? 0;
    const end = range?.end ?? Math.min(size, target.size + 1);
    if (end - start <= AT_ONCE_BYTES) {
      return new HeldBlob(readNow(fd, offset + start, Math.max(0, end - start)), options.signal);
    }
    const stream = createReadStream(path, {
      fd,
      start: offset + start,
      end: offset + end - 1,
      highWaterMark: CHUNK_BYTES,
    });
    keepsOpen = true;
    return abortStream(stream, options.signal);
  } catch (error) {
    throw wrapSystemError(error, path);
  } finally {
    if (!keepsOpen) closeSync(fd);
  }
}
