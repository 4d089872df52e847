/** Where a tar goes: an open file, pipe or socket that is written in order. `FileOutput` is the other output. */
import { writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../io/abort.js';
import { type Patience, patiently } from '../io/patiently.js';
import { SEND_BYTES, sendRange } from '../io/send-range.js';
import { readLayer } from './layer-files.js';

/** What takes a tar, piece by piece. What a call returns is waited for before the next one. */
export interface TarOutput {
  /** Runs of layer tars from this length on are left to `copy`, in bytes; shorter ones are cheaper to gather. */
  readonly copyFrom: number;
  /** What to gather in first. */
  readonly chunk: Buffer;
  /** Takes the beginning of the chunk that was gathered in. @returns the chunk to gather in next */
  add(chunk: Buffer, length: number): Promise<Buffer> | Buffer;
  /** Takes a run of an open layer tar. */
  copy(layer: number, position: number, length: number): Promise<void> | undefined;
  /** Everything was taken; when this settles, it is written. */
  end(): Promise<void>;
  /** The last call, after `end` or without it. When this settles, nothing is read or written any more. */
  stop(): Promise<void>;
}

const CHUNK_BYTES = 256 * 1024;
/** Moved by one call, in bytes; between two of them the event loop turns. */
const SEND_AT_ONCE = 4 * 1024 * 1024;

/** Writes to a descriptor at its position, synchronously, and where the system can without moving the bytes here. */
export class DirectOutput implements TarOutput {
  readonly copyFrom = SEND_BYTES;
  readonly chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  readonly #fd: number;
  /** For a pipe that does not block and is full. */
  readonly #patience: Patience;

  /** @param signal Its reason is thrown where a full pipe is waited for, and between two pieces of a run. */
  constructor(fd: number, signal?: AbortSignal) {
    this.#fd = fd;
    this.#patience = { notNow: ['EAGAIN'], everyMs: 1, signal };
  }

  async add(chunk: Buffer, length: number): Promise<Buffer> {
    for (let done = 0; done < length; ) {
      done += await patiently(() => writeSync(this.#fd, chunk, done, length - done), this.#patience);
    }
    return chunk;
  }

  async copy(layer: number, position: number, length: number): Promise<void> {
    for (let done = 0; done < length; ) {
      const atOnce = Math.min(length - done, SEND_AT_ONCE);
      const moved = await patiently(() => sendRange(this.#fd, layer, position + done, atOnce), this.#patience);
      done += moved;
      if (moved > 0) {
        await setImmediate();
        throwIfAborted(this.#patience.signal);
        continue;
      }
      const piece = Math.min(length - done, CHUNK_BYTES);
      readLayer(layer, this.chunk, 0, piece, position + done);
      await this.add(this.chunk, piece);
      done += piece;
    }
  }

  async end(): Promise<void> {}

  async stop(): Promise<void> {}
}
