/** Shared memory between the thread that fetches a layer and the workers that extract it. */

const FLAG = 0;
const WAKE = 1;
const COMPLETE = 2;
const INT32_BYTES = 16;
const AVAILABLE = 0;
const CONSUMED = 1;
const TAR_BYTES = 2;

/** How long a wait lasts at most before the flag that ends a task is looked at again, in milliseconds. */
const WAIT_MS = 50;

/** One layer's counters. Both sides construct it over the same memory. */
export class LayerControl {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #counters: BigInt64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(INT32_BYTES + 3 * 8)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, 3);
    this.#counters = new BigInt64Array(memory, INT32_BYTES, 3);
  }

  /** The flag that tells the workers of this layer to stop; see `TaskOptions.flag`. */
  get flag(): Int32Array {
    return this.#words.subarray(FLAG, FLAG + 1);
  }

  /** Tells every worker of this layer to stop. */
  stop(): void {
    Atomics.store(this.#words, FLAG, 1);
    this.#wake();
  }

  /** Whether the workers were told to stop. */
  get stopped(): boolean {
    return Atomics.load(this.#words, FLAG) !== 0;
  }

  /** Compressed bytes that can be read, from the first one on without a gap. */
  get available(): number {
    return Number(Atomics.load(this.#counters, AVAILABLE));
  }

  set available(bytes: number) {
    Atomics.store(this.#counters, AVAILABLE, BigInt(bytes));
    this.#wake();
  }

  /** Whether `available` will not grow any more. */
  get complete(): boolean {
    return Atomics.load(this.#words, COMPLETE) !== 0;
  }

  /** Says that `available` will not grow any more. */
  finish(): void {
    Atomics.store(this.#words, COMPLETE, 1);
    this.#wake();
  }

  /** Compressed bytes that the inflating side has taken. */
  get consumed(): number {
    return Number(Atomics.load(this.#counters, CONSUMED));
  }

  set consumed(bytes: number) {
    Atomics.store(this.#counters, CONSUMED, BigInt(bytes));
  }

  /** Uncompressed bytes written so far. */
  get tarBytes(): number {
    return Number(Atomics.load(this.#counters, TAR_BYTES));
  }

  set tarBytes(bytes: number) {
    Atomics.store(this.#counters, TAR_BYTES, BigInt(bytes));
  }

  /** Blocks until more than `bytes` are available, all there is has arrived, or the task is to stop. Workers only. */
  waitBeyond(bytes: number): void {
    for (;;) {
      const seen = Atomics.load(this.#words, WAKE);
      if (this.available > bytes || this.complete || this.stopped) return;
      Atomics.wait(this.#words, WAKE, seen, WAIT_MS);
    }
  }

  #wake(): void {
    Atomics.add(this.#words, WAKE, 1);
    Atomics.notify(this.#words, WAKE);
  }
}
