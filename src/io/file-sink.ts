/** A file that another thread writes and hashes, while this one receives what comes next. */
import { RootfsError } from '../errors.js';
import type { DigestAlgorithm } from '../spec/digest.js';
import { type SinkListener, type SinkWorker, sinkWorker } from './file-sink-crew.js';
import type { SinkAnswer, SinkMessage } from './file-sink-task.js';
import { keepPiece } from './lent-memory.js';
import { startRefusal } from './start-worker.js';
import { reviveError } from './worker-task.js';

/** Slots that chunks are copied into: one is filled while the others are on their way. */
const SLOTS = 3;
/** Length of a slot in bytes. */
const SLOT_BYTES = 512 * 1024;
/** Chunks of lent memory from this length on are handed over as they are, in bytes. */
const MIN_KEPT_BYTES = 64 * 1024;
/** What may be on its way in lent memory, in bytes. */
const MOST_KEPT_BYTES = 3 * 1024 * 1024;

/** What the worker was handed: a slot, or a kept piece of lent memory. */
interface Handed {
  readonly isSlot?: boolean | undefined;
  readonly keptBytes?: number | undefined;
  readonly release?: (() => void) | undefined;
}

let lastId = 0;

/**
 * Writes chunks into a file, from its start on, and hashes them, in a worker. Chunks are copied, but for large ones of
 * lent memory, whose pieces are kept meanwhile.
 *
 * Exactly one of `end` and `stop` is called last; when it has settled, nothing touches the file any more.
 */
export class FileSink implements SinkListener {
  readonly #id: number;
  readonly #worker: SinkWorker;
  #isOpen = true;
  readonly #algorithm: DigestAlgorithm;
  #slots: Uint8Array<SharedArrayBuffer> | undefined;
  #slot = 0;
  #filled = 0;
  #position = 0;
  /** What was handed over and not answered yet, in that order. */
  readonly #pending: Handed[] = [];
  #slotsPending = 0;
  #keptBytes = 0;
  #hash: string | undefined;
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};

  /**
   * @param fd An open file; whoever opened it closes it.
   * @param bytes How much is about to come: workers are chosen by it.
   * @throws RootfsError as `startWorker`
   */
  constructor(fd: number, algorithm: DigestAlgorithm, bytes: number) {
    lastId += 1;
    this.#id = lastId;
    this.#algorithm = algorithm;
    this.#worker = sinkWorker();
    this.#worker.serve(this.#id, this, bytes);
    this.#post({ kind: 'open', sink: this.#id, fd, algorithm });
  }

  /**
   * Takes a chunk, which may be used again after this, or when what it returns has settled. Wait for that before the
   * next one.
   *
   * @throws the system's own errors, of this chunk or one before it; RootfsError `ERR_INTERNAL`
   */
  add(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    const { buffer } = chunk;
    const release = chunk.byteLength < MIN_KEPT_BYTES ? undefined : keepPiece(chunk);
    if (release !== undefined && buffer instanceof SharedArrayBuffer) {
      this.#handOver();
      this.#keptBytes += chunk.byteLength;
      this.#hand(buffer, chunk.byteOffset, chunk.byteLength, { keptBytes: chunk.byteLength, release });
      return this.#keptBytes < MOST_KEPT_BYTES ? undefined : this.#room(() => this.#keptBytes < MOST_KEPT_BYTES);
    }
    const taken = this.#fill(chunk);
    return taken < chunk.byteLength || this.#slotsPending >= SLOTS ? this.#addRest(chunk, taken) : undefined;
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
    if (this.#isOpen) await this.#close();
  }

  /** For the worker: one message was answered. */
  answered({ error, hash }: SinkAnswer): void {
    this.#settle(this.#pending.shift());
    this.#hash ??= hash;
    if (error !== undefined) this.#failure ??= { error: reviveError(error) };
    this.#wake();
  }

  /** For the worker: no more answers come. */
  died(cause: unknown): void {
    const message = 'worker rootfs-file-sink: it ended before its work; try again';
    const refusal = startRefusal(cause, 'rootfs-file-sink');
    this.#failure ??= { error: refusal ?? new RootfsError('ERR_INTERNAL', message, { cause }) };
    for (const handed of this.#pending.splice(0)) this.#settle(handed);
    this.#wake();
  }

  async #addRest(chunk: Uint8Array, taken: number): Promise<void> {
    let done = taken;
    for (;;) {
      await this.#room(() => this.#slotsPending < SLOTS);
      if (done === chunk.byteLength) return;
      done += this.#fill(chunk.subarray(done));
    }
  }

  /** Copies as much as there is room for. @returns how much that was */
  #fill(chunk: Uint8Array): number {
    let taken = 0;
    this.#slots ??= new Uint8Array(new SharedArrayBuffer(SLOTS * SLOT_BYTES));
    while (taken < chunk.byteLength && this.#slotsPending < SLOTS) {
      const part = chunk.subarray(taken, taken + SLOT_BYTES - this.#filled);
      this.#slots.set(part, this.#slot * SLOT_BYTES + this.#filled);
      this.#filled += part.byteLength;
      taken += part.byteLength;
      if (this.#filled === SLOT_BYTES) this.#handOver();
    }
    return taken;
  }

  /** Slots are answered in the order in which they are handed over: the next one is free once fewer than all wait. */
  #handOver(): void {
    if (this.#filled === 0 || this.#slots === undefined) return;
    this.#slotsPending += 1;
    this.#hand(this.#slots.buffer, this.#slot * SLOT_BYTES, this.#filled, { isSlot: true });
    this.#filled = 0;
    this.#slot = (this.#slot + 1) % SLOTS;
  }

  #hand(memory: SharedArrayBuffer, offset: number, length: number, handed: Handed): void {
    this.#pending.push(handed);
    this.#post({ kind: 'write', sink: this.#id, memory, offset, length, position: this.#position });
    this.#position += length;
  }

  #settle(handed: Handed | undefined): void {
    if (handed?.isSlot === true) this.#slotsPending -= 1;
    this.#keptBytes -= handed?.keptBytes ?? 0;
    handed?.release?.();
  }

  async #close(): Promise<void> {
    this.#pending.push({});
    this.#post({ kind: 'end', sink: this.#id });
    await this.#until(() => this.#pending.length === 0);
    this.#isOpen = false;
    this.#worker.leave(this.#id);
  }

  #post(message: SinkMessage): void {
    if (!this.#worker.post(message)) this.died(undefined);
  }

  /** @throws as `add` */
  async #room(condition: () => boolean): Promise<void> {
    await this.#until(() => condition() || this.#failure !== undefined);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
