/** Chunks on their way to a file: one batch is written while the next one gathers. */

/** Bytes that may gather while a batch is written. */
const BATCH_BYTES = 512 * 1024;

/** Writes one batch. Called for one at a time, in order. */
export type WriteBatch = (chunks: readonly Uint8Array[], position: number, length: number) => Promise<void>;

/**
 * Gathers chunks and writes them in batches. A chunk that comes while nothing is written goes at once, so that a
 * reader of the file is never kept waiting; never more than two batches are in memory.
 */
export class WriteBatches {
  readonly #write: WriteBatch;
  #chunks: Uint8Array[] = [];
  #length = 0;
  #position: number;
  #writing: Promise<void> | undefined;
  #failed: { readonly error: unknown } | undefined;

  /** @param position Where the first byte goes. */
  constructor(position: number, write: WriteBatch) {
    this.#position = position;
    this.#write = write;
  }

  /** The position after the last byte that was added. */
  get end(): number {
    return this.#position + this.#length;
  }

  /** Adds a chunk, which must not change afterwards. @returns a promise to wait for before the next, when it is time to */
  add(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failed !== undefined) throw this.#failed.error;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#writing === undefined) this.#next();
    return this.#length < BATCH_BYTES ? undefined : this.#writing;
  }

  /** Waits until everything that was added is written. @throws the first error of writing */
  async drained(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    if (this.#failed !== undefined) throw this.#failed.error;
  }

  #next(): void {
    const [chunks, position, length] = [this.#chunks, this.#position, this.#length];
    if (length === 0) return;
    this.#chunks = [];
    this.#length = 0;
    this.#position += length;
    this.#writing = this.#write(chunks, position, length).then(
      () => {
        this.#writing = undefined;
        this.#next();
      },
      (error: unknown) => {
        this.#writing = undefined;
        this.#failed = { error };
      },
    );
  }
}
