/** A ring of chunks in shared memory: one worker fills it, another empties it, nothing is copied between them. */
import { throwIfStopped } from '../io/worker-task.js';

const HEADER_BYTES = 256;
const FILLED = 0;
const EMPTIED = 1;
const ENDED = 2;
const LENGTHS = 3;
const SLOTS = 8;
const SLOT_BYTES = 256 * 1024;
const WAIT_MS = 50;

/** Memory for a ring: 2 MiB. */
export function createRing(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + SLOTS * SLOT_BYTES);
}

/** One side's view of a ring. A worker uses either the filling or the emptying half of it. */
export class ChunkRing {
  readonly #words: Int32Array;
  readonly #slots: readonly Uint8Array[];
  readonly #flag: Int32Array;
  #used = 0;

  /** @param flag The flag that ends the task: waiting ends with an error when it is set. */
  constructor(memory: SharedArrayBuffer, flag: Int32Array) {
    this.#words = new Int32Array(memory, 0, LENGTHS + SLOTS);
    this.#slots = Array.from(
      { length: SLOTS },
      (_, index) => new Uint8Array(memory, HEADER_BYTES + index * SLOT_BYTES, SLOT_BYTES),
    );
    this.#flag = flag;
  }

  /** Room in the present slot; waits for one that is empty. */
  space(): Uint8Array {
    const filled = this.#load(FILLED);
    for (let emptied = this.#load(EMPTIED); ((filled - emptied) | 0) === SLOTS; emptied = this.#load(EMPTIED)) {
      throwIfStopped(this.#flag);
      Atomics.wait(this.#words, EMPTIED, emptied, WAIT_MS);
    }
    const slot = this.#slot(filled);
    return this.#used === 0 ? slot : slot.subarray(this.#used);
  }

  /** `length` more bytes of the present slot are content; a full slot goes to the other side. */
  filled(length: number): void {
    throwIfStopped(this.#flag);
    this.#used += length;
    if (this.#used === SLOT_BYTES) this.#publish();
  }

  /** Nothing more comes. The last slot goes to the other side. */
  end(): void {
    if (this.#used > 0) this.#publish();
    Atomics.store(this.#words, ENDED, 1);
    Atomics.notify(this.#words, FILLED);
  }

  /** The next chunk, or `undefined` when there is none at the moment. It is ours until `release`. */
  poll(): Uint8Array | undefined {
    const emptied = this.#load(EMPTIED);
    if (emptied === this.#load(FILLED)) return undefined;
    return this.#slot(emptied).subarray(0, this.#load(LENGTHS + ((emptied >>> 0) % SLOTS)));
  }

  /** Gives the chunk of the last `poll` back to the filling side. */
  release(): void {
    Atomics.add(this.#words, EMPTIED, 1);
    Atomics.notify(this.#words, EMPTIED);
  }

  /** Whether every chunk was taken and none will come. */
  get drained(): boolean {
    return this.#load(ENDED) === 1 && this.#load(EMPTIED) === this.#load(FILLED);
  }

  /** Blocks for a moment, at most until there is a chunk. */
  wait(): void {
    const filled = this.#load(FILLED);
    if (filled === this.#load(EMPTIED) && this.#load(ENDED) === 0) {
      Atomics.wait(this.#words, FILLED, filled, WAIT_MS);
    }
    throwIfStopped(this.#flag);
  }

  #publish(): void {
    Atomics.store(this.#words, LENGTHS + ((this.#load(FILLED) >>> 0) % SLOTS), this.#used);
    this.#used = 0;
    Atomics.add(this.#words, FILLED, 1);
    Atomics.notify(this.#words, FILLED);
  }

  /** Counters wrap at 2^31; the number of slots divides it, so that the slot of a count stays right. */
  #slot(count: number): Uint8Array {
    return this.#slots[(count >>> 0) % SLOTS] as Uint8Array;
  }

  #load(index: number): number {
    return Atomics.load(this.#words, index);
  }
}
