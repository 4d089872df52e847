/** Chunks on their way into a file, one after the other. */
import { writeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { uptime } from 'node:process';

/** A file that once takes longer than this for a chunk is written from another thread, in milliseconds. */
const SLOW_WRITE_MS = 50;

/**
 * Writes chunks from a position on, in this thread: the memory of a file system takes a chunk sooner than another
 * thread is told of it. Where the file turns out to be slow, others write and this thread goes on.
 */
export class FileWriter {
  readonly #file: FileHandle;
  #position: number;
  #slow = false;

  /** @param position Where the first byte goes. */
  constructor(file: FileHandle, position: number) {
    this.#file = file;
    this.#position = position;
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#position;
  }

  /**
   * Writes a chunk, which must not change before that is done: at once, or when the promise is kept that this returns.
   * Wait for it before the next chunk.
   *
   * @throws the system's own errors, also from the promise
   */
  add(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#slow) return this.#addElsewhere(chunk);
    const started = uptime();
    for (let done = 0; done < chunk.byteLength; ) {
      const wrote = writeSync(this.#file.fd, chunk, done, chunk.byteLength - done, this.#position);
      this.#position += wrote;
      done += wrote;
    }
    this.#slow = uptime() - started > SLOW_WRITE_MS / 1000;
    return undefined;
  }

  async #addElsewhere(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.byteLength; ) {
      const { bytesWritten } = await this.#file.write(chunk, done, chunk.byteLength - done, this.#position);
      this.#position += bytesWritten;
      done += bytesWritten;
    }
  }
}
