/** A tar that becomes a file: this thread writes what is small, while another one moves the large runs. */
import { ftruncateSync, statfsSync, writeSync } from 'node:fs';
import { uptime } from 'node:process';
import { throwIfAborted } from '../io/abort.js';
import { loadNative } from '../io/native.js';
import { sendRangeAside } from '../io/send-range.js';
import { readLayer } from './layer-files.js';
import type { TarOutput } from './tar-output.js';

const CHUNK_BYTES = 1024 * 1024;
/** Runs from this length on are left to the other thread: telling it takes as long as copying some hundred KiB. */
const ASIDE_BYTES = 4 * 1024 * 1024;
/**
 * Moved by one call, in bytes: the first one, and the most. Between two calls an abort is heard, also where a disk takes
 * 10 MB a second; and this thread has to come to the next one, which costs time where a disk is fast.
 */
const FIRST_SEND = 8 * 1024 * 1024;
const MOST_SEND = 64 * 1024 * 1024;
/** A call that takes less is followed by one of twice the length, in seconds. */
const SHORT_CALL_SECONDS = 0.05;
/** What may wait for being moved, in bytes: so far ahead this thread goes, and progress with it. */
const MOST_WAITING = 512 * 1024 * 1024;
/** Room that is asked for before it is known how long the file becomes. */
const FIRST_ROOM = 384 * 1024 * 1024;
/** The type of a file system in memory: to keep room takes it half as long as writing, while others take a note. */
const TMPFS = 0x01021994;

interface Run {
  readonly layer: number;
  readonly position: number;
  readonly length: number;
  /** Where it goes. */
  readonly into: number;
}

/**
 * Writes to an open, empty file. Places in it follow from lengths alone, so what is small need not wait for what is
 * large. Before there is anything to write, the file system is asked to keep room: writing is then little more than
 * copying. Positions of the descriptor belong to the other thread.
 */
export class FileOutput implements TarOutput {
  readonly copyFrom = ASIDE_BYTES;
  readonly chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  readonly #fd: number;
  readonly #signal: AbortSignal | undefined;
  readonly #runs: Run[] = [];
  #room: Promise<void> | undefined;
  readonly #firstRoom: number;
  #atOnce = FIRST_SEND;
  #position = 0;
  #waiting = 0;
  #failure: { readonly error: unknown } | undefined;
  #work: Promise<void> | undefined;
  #wake: () => void = () => {};

  /**
   * @param mostBytes What the file will hold at most.
   * @param signal Its reason is thrown by the next call once it was aborted, and nothing more is moved.
   */
  constructor(fd: number, mostBytes: number, signal?: AbortSignal) {
    this.#fd = fd;
    this.#signal = signal;
    this.#firstRoom = Math.min(FIRST_ROOM, Math.ceil(mostBytes / 2));
    this.#room = this.#keepRoom(0, this.#firstRoom);
  }

  /** Says about what the file will hold, once that is known. */
  expect(bytes: number): void {
    if (bytes <= this.#firstRoom || typeOf(this.#fd) === TMPFS) return;
    this.#room = this.#keepRoom(this.#firstRoom, bytes - this.#firstRoom);
  }

  add(chunk: Buffer, length: number): Buffer {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#write(chunk, length, this.#position);
    this.#position += length;
    return chunk;
  }

  copy(layer: number, position: number, length: number): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#runs.push({ layer, position, length, into: this.#position });
    this.#position += length;
    this.#waiting += length;
    this.#start();
    return this.#waiting > MOST_WAITING ? this.#lessWaiting() : undefined;
  }

  async end(): Promise<void> {
    await this.#finish();
    if (this.#failure !== undefined) throw this.#failure.error;
    ftruncateSync(this.#fd, this.#position);
  }

  async stop(): Promise<void> {
    this.#runs.length = 0;
    await this.#finish();
  }

  async #finish(): Promise<void> {
    await this.#room;
    while (this.#work !== undefined) await this.#work;
  }

  /** Where this fails, writing will tell why. */
  async #keepRoom(position: number, length: number): Promise<void> {
    await this.#room;
    await loadNative()?.keepRoom(this.#fd, position, length);
  }

  async #lessWaiting(): Promise<void> {
    while (this.#waiting > MOST_WAITING && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #start(): void {
    this.#work ??= this.#moveAll()
      .catch((error: unknown) => {
        this.#failure ??= { error };
        this.#runs.length = 0;
      })
      .finally(() => {
        this.#work = undefined;
        this.#wake();
        // What came in while this ended.
        if (this.#runs.length > 0) this.#start();
      });
  }

  async #moveAll(): Promise<void> {
    for (let run = this.#runs.shift(); run !== undefined; run = this.#runs.shift()) {
      const { layer, position, length, into } = run;
      for (let done = 0; done < length; ) {
        throwIfAborted(this.#signal);
        const atOnce = Math.min(length - done, this.#atOnce);
        const started = uptime();
        const moved = await this.#move(layer, position + done, atOnce, into + done);
        const isShort = uptime() - started < SHORT_CALL_SECONDS;
        if (!isShort) this.#atOnce = FIRST_SEND;
        else if (moved === this.#atOnce) this.#atOnce = Math.min(2 * moved, MOST_SEND);
        done += moved;
        this.#waiting -= moved;
        this.#wake();
      }
    }
  }

  async #move(layer: number, position: number, length: number, into: number): Promise<number> {
    loadNative()?.seek(this.#fd, into);
    const moved = await sendRangeAside(this.#fd, layer, position, length);
    if (moved > 0) return moved;
    const piece = Math.min(length, CHUNK_BYTES);
    const chunk = Buffer.allocUnsafe(piece);
    readLayer(layer, chunk, 0, piece, position);
    this.#write(chunk, piece, into);
    return piece;
  }

  #write(chunk: Buffer, length: number, into: number): void {
    for (let done = 0; done < length; ) done += writeSync(this.#fd, chunk, done, length - done, into + done);
  }
}

/** The type of the file system that an open file is on; `undefined` where there is no /proc to ask by. */
function typeOf(fd: number): number | undefined {
  try {
    return statfsSync(`/proc/self/fd/${fd}`).type;
  } catch {
    return undefined;
  }
}
