/** The uncompressed side of a layer in a worker: hashed and written, chunk by chunk, synchronously. */
import { createHash, type Hash } from 'node:crypto';
import { writeSync } from 'node:fs';
import type { InflateOutput } from '../codec/inflater.js';
import { throwIfStopped } from '../io/worker-task.js';
import type { Digest } from '../spec/digest.js';
import { LayerControl } from './layer-control.js';
import type { LayerOutcome, LayerWork } from './layer-task.js';

const BUFFER_BYTES = 256 * 1024;

/** Takes the tar's bytes, in its own buffer (`space`, `filled`) or in anybody's (`take`). */
export class TarWriter implements InflateOutput {
  readonly #fd: number;
  readonly #control: LayerControl;
  readonly #algorithm: string;
  readonly #hash: Hash;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #used = 0;
  #tarBytes = 0;

  constructor(work: LayerWork) {
    this.#fd = work.tarFd;
    this.#control = new LayerControl(work.control);
    this.#algorithm = work.algorithm;
    this.#hash = createHash(work.algorithm);
  }

  space(): Uint8Array {
    return this.#used === 0 ? this.#buffer : this.#buffer.subarray(this.#used);
  }

  filled(length: number): void {
    this.#used += length;
    if (this.#used === BUFFER_BYTES) this.#flush();
  }

  /** Hashes and writes a chunk, which may be reused afterwards. */
  take(chunk: Uint8Array): void {
    throwIfStopped(this.#control.flag);
    this.#hash.update(chunk);
    for (let done = 0; done < chunk.length; ) done += writeSync(this.#fd, chunk, done, chunk.length - done);
    this.#tarBytes += chunk.length;
    this.#control.tarBytes = this.#tarBytes;
  }

  /** Writes what is left and says what it was in all. */
  finish(): LayerOutcome {
    this.#flush();
    return { diffId: `${this.#algorithm}:${this.#hash.digest('hex')}` as Digest, tarBytes: this.#tarBytes };
  }

  #flush(): void {
    const length = this.#used;
    this.#used = 0;
    if (length > 0) this.take(length === BUFFER_BYTES ? this.#buffer : this.#buffer.subarray(0, length));
  }
}
