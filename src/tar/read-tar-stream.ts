/** Reads a tar that arrives as a stream: members in order, the data of each on request. */
import { RootfsError } from '../errors.js';
import type { TarEntry } from './tar-entry.js';
import { type GivenLimits, type TarLimits, tarLimits } from './tar-limits.js';
import { TarParser } from './tar-parser.js';

/** A member of a streamed tar: its headers, and its data until the next member is asked for. */
export interface StreamedTarEntry {
  readonly entry: TarEntry;
  /**
   * The data as it stands in the archive, `entry.dataBytes` in all (of a sparse file: its runs one after another).
   * To be read at most once and before the next member is asked for; what is not read is skipped.
   */
  content(): AsyncGenerator<Buffer, void, void>;
}

/**
 * Reads the members of an uncompressed tar stream, in order.
 *
 * Holds no more than one chunk of the source or one extension header. The source is read to its end, past the end
 * mark too, so that what counts or hashes it sees every byte; it is left early only when the caller leaves or an
 * error is thrown. Its own errors come through as they are.
 *
 * @throws RootfsError `ERR_TAR_INVALID` (`detail.offset` says where), `ERR_LIMIT_EXCEEDED`, `ERR_OPTION_INVALID`,
 *   `ERR_INTERNAL` (chunks that are no bytes)
 */
export async function* readTarStream(
  source: AsyncIterable<Uint8Array>,
  options: GivenLimits<keyof TarLimits> = {},
): AsyncGenerator<StreamedTarEntry, void, void> {
  const parser = new TarParser(tarLimits(options));
  const bytes = new StreamCursor(source);
  try {
    while (!parser.done) {
      const { wantOffset, wantBytes } = parser;
      const block = (await bytes.skipTo(wantOffset)) ? await bytes.take(wantBytes) : undefined;
      if (block === undefined) {
        parser.end(bytes.position, bytes.cut);
        return;
      }
      const entry = parser.give(block, 0);
      if (entry === undefined) continue;
      const end = entry.dataOffset + entry.dataBytes;
      yield {
        entry,
        async *content() {
          while (bytes.position < end) {
            const chunk = await bytes.chunk(end - bytes.position);
            if (chunk === undefined) parser.end(bytes.position);
            else yield chunk;
          }
        },
      };
    }
    while ((await bytes.chunk(Number.POSITIVE_INFINITY)) !== undefined);
  } finally {
    await bytes.close();
  }
}

/** A position in a stream of chunks. */
class StreamCursor {
  /** Bytes that were handed out or skipped. */
  position = 0;
  /** What there was of the bytes that `take` could not give. */
  cut: Buffer | undefined;
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    const given = source as Partial<AsyncIterable<Uint8Array>> | null | undefined;
    if (typeof given?.[Symbol.asyncIterator] !== 'function') {
      throw new RootfsError('ERR_OPTION_INVALID', `source: expected a stream of a tar, found ${typeof source}`);
    }
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next bytes, at most `length`, in the chunks of the source; `undefined` at its end. */
  async chunk(length: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      if (this.#ended) return undefined;
      const { done, value } = await this.#source.next();
      if (done === true) this.#ended = true;
      else {
        if (!(value instanceof Uint8Array)) {
          const found = `a chunk of type ${typeof value}`;
          throw new RootfsError('ERR_INTERNAL', `tar: the source gave ${found} where bytes were expected`);
        }
        this.#rest = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      }
    }
    const chunk = this.#rest.subarray(0, Math.min(length, this.#rest.length));
    this.#rest = this.#rest.subarray(chunk.length);
    this.position += chunk.length;
    return chunk;
  }

  /** Skips to a position; `false` when the source ends before it. */
  async skipTo(position: number): Promise<boolean> {
    while (this.position < position) {
      if ((await this.chunk(position - this.position)) === undefined) return false;
    }
    return true;
  }

  /** Exactly `length` bytes, or `undefined` when the source ends before; `position` then stands at its end. */
  async take(length: number): Promise<Buffer | undefined> {
    if (length <= this.#rest.length) {
      const bytes = this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
      this.position += length;
      return bytes;
    }
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const chunk = await this.chunk(left);
      if (chunk === undefined) {
        this.cut = Buffer.concat(parts);
        return undefined;
      }
      parts.push(chunk);
      left -= chunk.length;
    }
    return Buffer.concat(parts, length);
  }

  /** Tells a source that was not read to its end that nobody will: whoever leaves has an error already, or needs none. */
  async close(): Promise<void> {
    if (!this.#ended) await (async () => this.#source.return?.())().catch(() => {});
  }
}
