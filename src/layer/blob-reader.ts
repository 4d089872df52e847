/** The compressed bytes of a layer, read by a worker: from memory, from a local blob, from a spool that still grows. */
import { readSync } from 'node:fs';
import { wrapSystemError } from '../errors.js';
import { throwIfStopped } from '../io/worker-task.js';
import { LayerControl } from './layer-control.js';
import type { LayerInput, LayerWork } from './layer-task.js';

const CHUNK_BYTES = 256 * 1024;
const PREFIX_BYTES = 16;

/** Reads a layer's input from its first byte to its last, at most one byte more than was promised. */
export class BlobReader {
  readonly #input: LayerInput;
  readonly #control: LayerControl;
  readonly #limit: number;
  readonly #buffer: Uint8Array;
  #position = 0;

  constructor(work: LayerWork) {
    this.#input = work.input;
    this.#control = new LayerControl(work.control);
    this.#limit = work.size + 1;
    this.#buffer = work.input.kind === 'memory' ? work.input.bytes : Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  /** How many bytes were read. */
  get position(): number {
    return this.#position;
  }

  /** The first bytes: 16, or all where there are fewer. They are read again afterwards. Waits until they are there. */
  prefix(): Uint8Array {
    if (this.#input.kind === 'memory') return this.#input.bytes.subarray(0, PREFIX_BYTES);
    while (!this.#control.complete && this.#control.available < PREFIX_BYTES) this.#wait(this.#control.available);
    const length = Math.min(PREFIX_BYTES, this.#control.available);
    return Uint8Array.from(this.#buffer.subarray(0, this.#read(this.#input, 0, length)));
  }

  /** The next bytes, good until the next call; `undefined` at the end. Waits until there are some. */
  next(): Uint8Array | undefined {
    throwIfStopped(this.#control.flag);
    const { bytes } = this.#input.kind === 'memory' ? this.#input : { bytes: undefined };
    if (bytes !== undefined) {
      const chunk = bytes.subarray(this.#position, Math.min(this.#position + CHUNK_BYTES, this.#limit));
      this.#position += chunk.length;
      return chunk.length === 0 ? undefined : chunk;
    }
    if (this.#position >= this.#limit) return undefined;
    this.#wait(this.#position);
    const end = Math.min(this.#control.available, this.#limit, this.#position + CHUNK_BYTES);
    if (end <= this.#position || this.#input.kind === 'memory') return undefined;
    const length = this.#read(this.#input, this.#position, end - this.#position);
    if (length === 0) return undefined;
    this.#position += length;
    return this.#buffer.subarray(0, length);
  }

  #wait(position: number): void {
    this.#control.waitBeyond(position);
    throwIfStopped(this.#control.flag);
  }

  #read(input: Extract<LayerInput, { kind: 'file' }>, position: number, length: number): number {
    let done = 0;
    while (done < length) {
      const read = this.#readOnce(input, done, length - done, input.offset + position + done);
      if (read === 0) break;
      done += read;
    }
    return done;
  }

  #readOnce({ fd, path }: Extract<LayerInput, { kind: 'file' }>, at: number, length: number, position: number): number {
    try {
      return readSync(fd, this.#buffer, at, length, position);
    } catch (error) {
      throw path === undefined ? error : wrapSystemError(error, path);
    }
  }
}
