/** A file that another thread writes and hashes, while this one receives what comes next. */
import { Worker } from 'node:worker_threads';
import { RootfsError } from '../errors.js';
import type { DigestAlgorithm } from '../spec/digest.js';
import { type SinkAnswer, type SinkMessage, SLOT_BYTES } from './file-sink-task.js';
import { workerEntry } from './worker-entry.js';
import { reviveError } from './worker-task.js';

/** One slot is filled while the others are on their way. */
const SLOTS = 3;

/** One worker serves all sinks of the process; it lives as long as one is open, and is no reason to stay alive then. */
let worker: Worker | undefined;
const open = new Map<number, FileSink>();
let lastId = 0;

function theWorker(): Worker {
  if (worker !== undefined) return worker;
  const started = new Worker(workerEntry(new URL('./file-sink-worker.js', import.meta.url), 'io'), {
    name: 'rootfs-file-sink',
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
  });
  const died = (cause?: unknown): void => {
    if (worker === started) worker = undefined;
    for (const sink of open.values()) sink.died(cause);
  };
  started.on('message', (answer: SinkAnswer) => open.get(answer.sink)?.answered(answer));
  started.on('error', died);
  started.on('exit', () => died());
  worker = started;
  return started;
}

/** Ends the worker where no sink is open; the next sink starts another one. */
export async function closeFileSinks(): Promise<void> {
  if (open.size > 0) return;
  const idle = worker;
  worker = undefined;
  await idle?.terminate();
}

/**
 * Writes chunks into a file, from its start on, and hashes them, in a worker. Chunks are copied.
 *
 * Exactly one of `end` and `stop` is called last; when it has settled, nothing touches the file any more.
 */
export class FileSink {
  readonly #id: number;
  readonly #worker: Worker;
  readonly #bytes: Uint8Array;
  readonly #algorithm: DigestAlgorithm;
  #slot = 0;
  #filled = 0;
  #position = 0;
  #pending = 0;
  #hash: string | undefined;
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};

  /** @param fd An open file; whoever opened it closes it. */
  constructor(fd: number, algorithm: DigestAlgorithm) {
    lastId += 1;
    this.#id = lastId;
    this.#algorithm = algorithm;
    const memory = new SharedArrayBuffer(SLOTS * SLOT_BYTES);
    this.#bytes = new Uint8Array(memory);
    this.#worker = theWorker();
    open.set(this.#id, this);
    this.#worker.ref();
    this.#post({ kind: 'open', sink: this.#id, fd, algorithm, memory });
  }

  /**
   * Takes a chunk, which may be used again after this, or when what it returns has settled. Wait for that before the
   * next one.
   *
   * @throws the system's own errors, of this chunk or one before it; RootfsError `ERR_INTERNAL`
   */
  add(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    const taken = this.#fill(chunk);
    return taken < chunk.byteLength || this.#pending >= SLOTS ? this.#addRest(chunk, taken) : undefined;
  }

  /** Writes what is left. @returns the digest of all bytes @throws as `add` */
  async end(): Promise<`${DigestAlgorithm}:${string}`> {
    this.#handOver();
    await this.#close();
    if (this.#failure !== undefined) throw this.#failure.error;
    return `${this.#algorithm}:${this.#hash ?? ''}`;
  }

  /** Gives up; what was taken may or may not have been written. Never fails. */
  async stop(): Promise<void> {
    if (open.has(this.#id)) await this.#close();
  }

  /** For the worker's listener: one message was answered. */
  answered({ error, hash }: SinkAnswer): void {
    this.#pending -= 1;
    this.#hash ??= hash;
    if (error !== undefined) this.#failure ??= { error: reviveError(error) };
    this.#wake();
  }

  /** For the worker's listener: no more answers come. */
  died(cause: unknown): void {
    const message = 'worker rootfs-file-sink: it ended before its work; try again';
    this.#failure ??= { error: new RootfsError('ERR_INTERNAL', message, { cause }) };
    this.#pending = 0;
    this.#wake();
  }

  async #addRest(chunk: Uint8Array, taken: number): Promise<void> {
    let done = taken;
    for (;;) {
      await this.#until(() => this.#pending < SLOTS);
      if (this.#failure !== undefined) throw this.#failure.error;
      if (done === chunk.byteLength) return;
      done += this.#fill(chunk.subarray(done));
    }
  }

  /** Copies as much as there is room for. @returns how much that was */
  #fill(chunk: Uint8Array): number {
    let taken = 0;
    while (taken < chunk.byteLength && this.#pending < SLOTS) {
      const part = chunk.subarray(taken, taken + SLOT_BYTES - this.#filled);
      this.#bytes.set(part, this.#slot * SLOT_BYTES + this.#filled);
      this.#filled += part.byteLength;
      taken += part.byteLength;
      if (this.#filled === SLOT_BYTES) this.#handOver();
    }
    return taken;
  }

  /** Slots are answered in the order in which they are handed over: the next one is free once fewer than all wait. */
  #handOver(): void {
    const { sink, slot, length, position } = {
      sink: this.#id,
      slot: this.#slot,
      length: this.#filled,
      position: this.#position,
    };
    if (length === 0) return;
    this.#pending += 1;
    this.#post({ kind: 'write', sink, slot, length, position });
    this.#position += length;
    this.#filled = 0;
    this.#slot = (slot + 1) % SLOTS;
  }

  async #close(): Promise<void> {
    this.#pending += 1;
    this.#post({ kind: 'end', sink: this.#id });
    await this.#until(() => this.#pending === 0);
    open.delete(this.#id);
    if (open.size === 0) worker?.unref();
  }

  #post(message: SinkMessage): void {
    if (worker === this.#worker) this.#worker.postMessage(message);
    else this.died(undefined);
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
