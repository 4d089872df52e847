/** A chunk of a tar that is being made: what goes where is noted first, so that neighbours in a layer are read at once. */
import { readLayer } from './layer-files.js';
import type { TarPart } from './tar-members.js';

/** Bytes of a layer that go into the chunk as they lie there: data, and between it what other bytes are put over. */
interface Stretch {
  readonly fd: number;
  /** Its place in the layer, less its place in the chunk. */
  readonly ahead: number;
  readonly start: number;
  end: number;
}

/**
 * Gathers parts in a buffer. Files that follow one another in a layer and in the tar lie in both at the same distance,
 * headers of one block between them: so they are read by one call, and the headers are put over those of the layer.
 */
export class TarChunk {
  readonly #buffer: Buffer;
  readonly #bytes: Buffer[] = [];
  readonly #places: number[] = [];
  readonly #stretches: Stretch[] = [];
  #length = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  /** How much was put into it, in bytes. */
  get length(): number {
    return this.#length;
  }

  /** How much more there is room for, in bytes. */
  get room(): number {
    return this.#buffer.length - this.#length;
  }

  /**
   * Puts what comes next of a part at the end, as much as there is room for. Bytes may not change before `fill`.
   *
   * @param done How much of the part was put before.
   * @returns how much was put
   */
  put(part: TarPart, done: number): number {
    const start = this.#length;
    const length = Math.min(part.length - done, this.#buffer.length - start);
    if (length === 0) return 0;
    this.#length += length;
    if (Buffer.isBuffer(part)) {
      // Nearly every part is put whole: no view is made of it.
      this.#bytes.push(length === part.length ? part : part.subarray(done, done + length));
      this.#places.push(start);
      return length;
    }
    const ahead = part.tarOffset + done - start;
    const last = this.#stretches.at(-1);
    if (last !== undefined && last.fd === part.fd && last.ahead === ahead) last.end = this.#length;
    else this.#stretches.push({ fd: part.fd, ahead, start, end: this.#length });
    return length;
  }

  /**
   * Reads what was noted. The next part begins a chunk of its own, in the same buffer or another one.
   *
   * @returns the buffer, of which the first `length` bytes count
   * @throws as `readLayer`
   */
  fill(): Buffer {
    const buffer = this.#buffer;
    for (const { fd, ahead, start, end } of this.#stretches) readLayer(fd, buffer, start, end - start, start + ahead);
    for (let at = 0; at < this.#bytes.length; at += 1) {
      buffer.set(this.#bytes[at] as Buffer, this.#places[at] as number);
    }
    return buffer;
  }
}
