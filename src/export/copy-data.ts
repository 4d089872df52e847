/** Moves file data out of layer tars: small files in runs that are read at once, large ones in chunks. */
import { ftruncateSync, writeSync } from 'node:fs';
import { SEND_BYTES, sendRange } from '../io/send-range.js';
import type { DataExtent } from '../rootfs/tree.js';
import { readLayer } from './layer-files.js';

const BUFFER_BYTES = 256 * 1024;

/** Moved in one call, and in one step; between two of them an abort is heard. */
const SEND_AT_ONCE = 8 * 1024 * 1024;

let shared: Buffer | undefined;

/** A piece of a layer tar. */
export interface TarRange {
  readonly layer: number;
  readonly tarOffset: number;
  readonly length: number;
}

/** Reads from layer tars by one buffer, which all copiers of a thread share: use one after the other. */
export class DataCopier {
  readonly #layers: readonly number[];
  readonly #checkpoint: () => void;
  readonly #buffer: Buffer;
  #layer = -1;
  #start = 0;
  #end = 0;

  /**
   * @param layers Descriptors of the layer tars, open for reading.
   * @param checkpoint Called before every chunk; throws to stop.
   */
  constructor(layers: readonly number[], checkpoint: () => void) {
    shared ??= Buffer.allocUnsafeSlow(BUFFER_BYTES);
    this.#buffer = shared;
    this.#layers = layers;
    this.#checkpoint = checkpoint;
  }

  /** Reads a run ahead, so that copies within it need no further read. A run longer than the buffer is not read. */
  prefetch({ layer, tarOffset, length }: TarRange): void {
    if (length === 0 || length > BUFFER_BYTES || this.#holds(layer, tarOffset, length)) return;
    this.#layer = -1;
    readLayer(this.#layers[layer] as number, this.#buffer, 0, length, tarOffset);
    this.#layer = layer;
    this.#start = tarOffset;
    this.#end = tarOffset + length;
  }

  /** Copies a run of a layer to the beginning of a file that is open and new. */
  copyNew(range: TarRange, into: number): void {
    const { layer, tarOffset, length } = range;
    if (length < SEND_BYTES || this.#holds(layer, tarOffset, length)) this.copy(range, into, 0);
    else for (const steps = this.copyingNew(range, into); steps.next().done !== true; );
  }

  /** As `copyNew`, in steps of some megabytes, between which others may have their turn. */
  *copyingNew({ layer, tarOffset, length }: TarRange, into: number): Generator<void, void> {
    const fd = this.#layers[layer] as number;
    let done = 0;
    while (length - done >= SEND_BYTES) {
      this.#checkpoint();
      const moved = sendRange(into, fd, tarOffset + done, Math.min(SEND_AT_ONCE, length - done));
      if (moved === 0) break;
      done += moved;
      yield;
    }
    yield* this.copying({ layer, tarOffset: tarOffset + done, length: length - done }, into, done);
  }

  /** As `copy`, in such steps. */
  *copying({ layer, tarOffset, length }: TarRange, into: number, fileOffset: number): Generator<void, void> {
    for (let done = 0; done < length; done += SEND_AT_ONCE) {
      const part = Math.min(SEND_AT_ONCE, length - done);
      this.copy({ layer, tarOffset: tarOffset + done, length: part }, into, fileOffset + done);
      yield;
    }
  }

  /** Copies a run of a layer to a place in an open file. */
  copy({ layer, tarOffset, length }: TarRange, into: number, fileOffset: number): void {
    if (this.#holds(layer, tarOffset, length)) {
      this.#checkpoint();
      writeFully(into, this.#buffer, tarOffset - this.#start, length, fileOffset);
      return;
    }
    this.#layer = -1;
    for (let done = 0; done < length; ) {
      this.#checkpoint();
      const chunk = Math.min(BUFFER_BYTES, length - done);
      readLayer(this.#layers[layer] as number, this.#buffer, 0, chunk, tarOffset + done);
      writeFully(into, this.#buffer, 0, chunk, fileOffset + done);
      done += chunk;
    }
  }

  /** Copies the runs of a sparse file and leaves holes between them. */
  copySparse(layer: number, extents: readonly DataExtent[], size: number, into: number): void {
    for (const { fileOffset, tarOffset, length } of extents) this.copy({ layer, tarOffset, length }, into, fileOffset);
    ftruncateSync(into, size);
  }

  #holds(layer: number, tarOffset: number, length: number): boolean {
    return layer === this.#layer && tarOffset >= this.#start && tarOffset + length <= this.#end;
  }
}

function writeFully(fd: number, from: Buffer, offset: number, length: number, position: number): void {
  for (let done = 0; done < length; ) done += writeSync(fd, from, offset + done, length - done, position + done);
}
