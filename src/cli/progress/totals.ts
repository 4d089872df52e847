/** What all displays count: bytes to fetch, bytes fetched, layers done. */
import type { ProgressEvent } from '../../index.js';

/** The running sums of one command. Blobs that are copied as they are count as layers do. */
export class Totals {
  /** What is counted, for people: one of it. */
  noun: 'layer' | 'blob' = 'layer';
  layers = 0;
  layersDone = 0;
  layersCached = 0;
  compressedBytes = 0;
  tarBytes = 0;
  readonly #fetched = new Map<string, number>();

  /** Takes one event into account. */
  add(event: ProgressEvent): void {
    if (event.type === 'layers:planned') {
      this.layers = event.layers;
      this.compressedBytes = event.compressedBytes;
    } else if (event.type === 'blobs:planned') {
      this.noun = 'blob';
      this.layers = event.blobs;
      this.compressedBytes = event.bytes;
    } else if (event.type === 'blob:progressed') {
      this.#fetched.set(event.digest, event.copiedBytes);
    } else if (event.type === 'blob:copied') {
      this.#fetched.set(event.digest, event.bytes);
      this.layersDone += 1;
      if (event.skipped) this.layersCached += 1;
    } else if (event.type === 'layer:progressed') {
      this.#fetched.set(event.digest, event.fetchedBytes);
    } else if (event.type === 'layer:finished') {
      this.#fetched.set(event.digest, event.compressedBytes);
      this.layersDone += 1;
      this.tarBytes += event.tarBytes;
      if (event.cached) this.layersCached += 1;
    }
  }

  /** Compressed bytes that are here. */
  get fetchedBytes(): number {
    let sum = 0;
    for (const bytes of this.#fetched.values()) sum += bytes;
    return sum;
  }
}
