/** Bytes that come in chunks of any length, gathered in memory. */

/** What is taken first where nobody says how much will come, in bytes. */
const FIRST_BYTES = 16 * 1024;

/**
 * Copies chunks into one piece of memory as they come. Kept as they are, chunks of one byte would take more than a
 * hundred times as much memory, and how long they are is up to whoever sends them.
 */
export class Gathered {
  #memory: Buffer;
  #length = 0;

  /** @param expectedBytes How much will come, as far as that is known: memory for it is taken at once. */
  constructor(expectedBytes: number = FIRST_BYTES) {
    this.#memory = Buffer.allocUnsafe(expectedBytes);
  }

  /** Takes a chunk, which may be used again afterwards. */
  add(chunk: Uint8Array): void {
    const length = this.#length + chunk.byteLength;
    if (length > this.#memory.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#memory.length));
      larger.set(this.bytes);
      this.#memory = larger;
    }
    this.#memory.set(chunk, this.#length);
    this.#length = length;
  }

  /** What has come. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }
}
