/** What a source gave, as Node's stream: sources are also written by others. */
import { Readable } from 'node:stream';
import { RootfsError } from '../errors.js';
import { discard } from './discard.js';

/**
 * A stream of Node as it is; any other async iterable, a web stream too, read through one.
 *
 * @throws RootfsError `ERR_INTERNAL` for what is neither
 */
export function asReadable(given: unknown): Readable {
  // Not by its class: packages bring copies of Node's streams.
  if (typeof (given as Partial<Readable> | null | undefined)?.pipe === 'function') return given as Readable;
  if (typeof (given as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator] === 'function') {
    return Readable.from(given as AsyncIterable<unknown>, { objectMode: false });
  }
  const found = given instanceof Object ? given.constructor.name : String(given);
  throw new RootfsError(
    'ERR_INTERNAL',
    `the source gave ${found} where a stream of bytes was expected; look where the source is made`,
  );
}

/**
 * A stream of what a generator makes of `source`, in pieces of any length. It ends its source itself when it is
 * destroyed before it was read: a generator that never ran cannot.
 */
export function readableOver(source: AsyncIterable<Uint8Array>, made: AsyncIterable<Uint8Array>): Readable {
  const stream = Readable.from(made, { objectMode: false, highWaterMark: 256 * 1024 });
  stream.once('close', () => discard(source));
  // Nor does it hear the end of a source that fails or is aborted before: that would end the process.
  (source as Partial<Readable>).on?.('error', (error: Error) => void stream.destroy(error));
  return stream;
}
