/** Writing an image from its beginning to its end, through one buffer. Knows positions, not what stands there. */
import { writeSync } from 'node:fs';

const BUFFER_BYTES = 1024 * 1024;

/** A file that is written once, in order. Synchronous. */
export class ImageOutput {
  readonly #fd: number;
  /** What `space` gives places in. Beyond what is filled it holds zeros. */
  readonly buffer: Buffer = Buffer.alloc(BUFFER_BYTES);
  /** The same bytes, for numbers. */
  readonly view: DataView = new DataView(this.buffer.buffer, this.buffer.byteOffset, BUFFER_BYTES);
  readonly #seen: ((bytes: Buffer) => void) | undefined;
  #filled = 0;
  #flushed = 0;

  /** @param seen Gets all bytes, in order, before they are written. */
  constructor(fd: number, seen?: (bytes: Buffer) => void) {
    this.#fd = fd;
    this.#seen = seen;
  }

  /** Bytes so far. */
  get position(): number {
    return this.#flushed + this.#filled;
  }

  /** Fills up with zeros to a position. */
  padTo(position: number): void {
    while (this.position < position) this.space(Math.min(position - this.position, BUFFER_BYTES));
  }

  /** Appends bytes. */
  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const piece = Math.min(bytes.length - at, BUFFER_BYTES);
      this.buffer.set(bytes.subarray(at, at + piece), this.space(piece));
      at += piece;
    }
  }

  /**
   * Appends zeros, to be overwritten before the next call.
   *
   * @param length At most 1 MiB.
   * @returns where in `buffer` they are
   */
  space(length: number): number {
    if (this.#filled + length > BUFFER_BYTES) this.flush();
    const offset = this.#filled;
    this.#filled += length;
    return offset;
  }

  /** Writes what is in the buffer. */
  flush(): void {
    const bytes = this.buffer.subarray(0, this.#filled);
    this.#seen?.(bytes);
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#flushed + done);
    }
    bytes.fill(0);
    this.#flushed += bytes.length;
    this.#filled = 0;
  }
}
