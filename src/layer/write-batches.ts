/** Chunks on their way to a file: one batch is written while the next one gathers. */

/** Bytes that gather before they are written: each write costs a trip through another thread. */
const BATCH_BYTES = 256 * 1024;

/** How long fewer bytes wait for more, in milliseconds: a slow transfer must not keep its reader waiting. */
const LINGER_MS = 10;

/** Writes one batch. Called for one at a time, in order. */
export type WriteBatch = (chunks: readonly Uint8Array[], position: number, length: number) => Promise<void>;

/** Gathers chunks and writes them in batches; never more than two batches are in memory. */
export class WriteBatches {
  readonly #write: WriteBatch;
  #chunks: Uint8Array[] = [];
  #length = 0;
  #position: number;
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
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
    if (this.#length < BATCH_BYTES) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#next();
      }, LINGER_MS);
      return undefined;
    }
    if (this.#writing !== undefined) return this.#writing;
    this.#next();
    return undefined;
  }

  /** Writes everything that was added. @throws the first error of writing */
  async drained(): Promise<void> {
    while (this.#failed === undefined && (this.#writing !== undefined || this.#length > 0)) {
      this.#next();
      await this.#writing;
    }
    clearTimeout(this.#timer);
    if (this.#failed !== undefined) throw this.#failed.error;
  }

  /** Begins the next batch, unless one is being written: its end begins the next one. */
  #next(): void {
    if (this.#writing !== undefined || this.#length === 0 || this.#failed !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [chunks, position, length] = [this.#chunks, this.#position, this.#length];
    this.#chunks = [];
    this.#length = 0;
    this.#position += length;
    this.#writing = this.#write(chunks, position, length).then(
      () => {
        this.#writing = undefined;
        if (this.#timer === undefined || this.#length >= BATCH_BYTES) this.#next();
      },
      (error: unknown) => {
        this.#writing = undefined;
        this.#failed = { error };
      },
    );
  }
}
