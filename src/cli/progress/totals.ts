/** What all displays count: bytes to fetch, bytes fetched, layers done. */
import type { ProgressEvent } from '../../index.js';

/** The running sums of one command, of all images that it copies. Blobs that are copied as they are count as layers do. */
export class Totals {
  /** What is counted, for people: one of it. */
  noun: 'layer' | 'blob' = 'layer';
  layers = 0;
  layersDone = 0;
  compressedBytes = 0;
  /** Of the images before this one. */
  #fetchedBefore = 0;
  readonly #fetched = new Map<string, number>();

  /** Takes one event into account. */
  add(event: ProgressEvent): void {
    if (event.type === 'layers:planned') {
      this.#plan(event.layers, event.compressedBytes);
    } else if (event.type === 'blobs:planned') {
      this.noun = 'blob';
      this.#plan(event.blobs, event.bytes);
    } else if (event.type === 'blob:progressed') {
      this.#fetched.set(event.digest, event.copiedBytes);
    } else if (event.type === 'blob:copied') {
      this.#fetched.set(event.digest, event.bytes);
      this.layersDone += 1;
    } else if (event.type === 'layer:progressed') {
      this.#fetched.set(event.digest, event.fetchedBytes);
    } else if (event.type === 'layer:finished') {
      this.#fetched.set(event.digest, event.compressedBytes);
      this.layersDone += 1;
    }
  }

  /** Another image: content that an earlier one had too is planned, and comes, once more. */
  #plan(layers: number, bytes: number): void {
    this.layers += layers;
    this.compressedBytes += bytes;
    this.#fetchedBefore = this.fetchedBytes;
    this.#fetched.clear();
  }

  /** Compressed bytes that are here. */
  get fetchedBytes(): number {
    let sum = this.#fetchedBefore;
    for (const bytes of this.#fetched.values()) sum += bytes;
    return sum;
  }
}
