/** One blob in several ranges at once, for sources where one connection is slower than the line. */
import type { Readable } from 'node:stream';
import type { Fetcher, FetchOptions, ParallelFetcher } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { mapConcurrently } from '../io/concurrency.js';
import { discard } from '../io/discard.js';
import { readChunks } from '../io/read-chunks.js';
import { requireBytes } from '../io/verify.js';
import type { ProgressListener } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';

/** Length of one range. */
export const RANGE_BYTES = 8 * 1024 ** 2;

/** How many ranges, counted from the first unfinished one, may be under way or finished ahead, per connection. */
const WINDOW_PER_CONNECTION = 2;

/** Options of `fetchRanges`. */
export interface FetchRangesOptions {
  /** The first byte to fetch. */
  readonly start: number;
  /** How many ranges at once: 2 or more. */
  readonly parallel: number;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener | undefined;
  /** Takes bytes and their place. Called from several ranges at once, within one range in order. */
  write(chunk: Uint8Array, position: number): Promise<void>;
  /** Hears how many bytes from the blob's first one on have no gap, each time it is more; one call at a time. */
  gapless(bytes: number): Promise<void>;
}

/** A source that may say what is worth splitting. */
export type RangeSource = Fetcher & Partial<ParallelFetcher>;

/**
 * Fetches a blob from `start` to its end in ranges. Ranges are begun in order, and none further than a bounded window
 * ahead of the first that is unfinished, so that a reader at the front is never far behind.
 *
 * @returns false where the source turned out to give no ranges: what `gapless` heard of last is all there is
 * @throws what the source, `write` or `gapless` throws, the first of it, once every range has ended; RootfsError
 *   `ERR_REGISTRY` when a range is not as long as it must be
 */
export async function fetchRanges(
  source: RangeSource,
  target: Descriptor,
  options: FetchRangesOptions,
): Promise<boolean> {
  const count = Math.ceil((target.size - options.start) / RANGE_BYTES);
  const progress = new GaplessCounter(target, options, count);
  const window = options.parallel * WINDOW_PER_CONNECTION;
  try {
    await mapConcurrently(
      upTo(count),
      async (index, signal) => {
        await progress.reach(index - window, signal);
        await fetchRange(source, target, { ...options, signal }, index, progress);
      },
      { concurrency: options.parallel, signal: options.signal },
    );
  } catch (error) {
    const settled = progress.settled();
    if (options.signal.aborted || !givesNoRanges(source, target, error)) {
      // A note that is still being written would come back after its file was removed.
      await settled.catch(() => {});
      throw error;
    }
    await settled;
    return false;
  }
  await progress.told;
  return true;
}

/** What one piece may bring where ranges did not: the source says so by its error, or by its advice from now on. */
function givesNoRanges(source: RangeSource, target: Descriptor, error: unknown): boolean {
  if (!(error instanceof RootfsError)) return false;
  return error.code === 'ERR_RANGE_INVALID' || source.fetchParallelism?.(target) === 1;
}

/** The numbers below `count`, one by one: a manifest may promise more ranges than memory could list. */
function* upTo(count: number): Generator<number, void, undefined> {
  for (let index = 0; index < count; index += 1) yield index;
}

async function fetchRange(
  source: RangeSource,
  target: Descriptor,
  options: FetchRangesOptions,
  index: number,
  progress: GaplessCounter,
): Promise<void> {
  const start = options.start + index * RANGE_BYTES;
  const end = Math.min(start + RANGE_BYTES, target.size);
  const { signal, onProgress } = options;
  const opening = openRange(source, target, { range: { start, end }, signal, onProgress });
  let position = start;
  await readChunks(opening, signal, (chunk) => {
    requireBytes(chunk, target.digest);
    if (position + chunk.length > end) throw wrongLength(target, start, end, 'more');
    const at = position;
    position += chunk.length;
    return progress.after(options.write(chunk, at), index, at + chunk.length);
  });
  if (position !== end) throw wrongLength(target, start, end, `${position - start}`);
}

/** Where Range is ignored, the whole blob comes for each range, up to its end: one of them is enough. */
async function openRange(source: RangeSource, target: Descriptor, options: FetchOptions): Promise<Readable> {
  const stream = await source.fetch(target, options);
  if (source.fetchParallelism?.(target) !== 1) return stream;
  discard(stream);
  throw new RootfsError('ERR_RANGE_INVALID', `${target.digest}: it does not come in ranges; ask for all of it`, {
    detail: { digest: target.digest, ...options.range },
  });
}

function wrongLength(target: Descriptor, start: number, end: number, found: string): RootfsError {
  return new RootfsError(
    'ERR_REGISTRY',
    `${target.digest}: ${end - start} bytes from byte ${start} on were asked for and ${found} came; try again without parallel ranges`,
    { detail: { digest: target.digest, start, end } },
  );
}

/** Knows how far each range is and tells how far there is no gap. */
class GaplessCounter {
  readonly #options: FetchRangesOptions;
  readonly #size: number;
  /** How far each range is that lies ahead of the first unfinished one; the position after its last byte. */
  readonly #ahead = new Map<number, number>();
  readonly #count: number;
  readonly #writing = new Set<Promise<void>>();
  #first = 0;
  #waiting: { readonly index: number; readonly go: () => void }[] = [];
  #position: number;
  #toTell: number | undefined;
  told: Promise<void> = Promise.resolve();

  constructor(target: Descriptor, options: FetchRangesOptions, count: number) {
    this.#options = options;
    this.#size = target.size;
    this.#count = count;
    this.#position = options.start;
  }

  /** Counts bytes as here once they are written. The end of a range does not wait for that; `settled` does. */
  after(writing: Promise<void>, index: number, position: number): Promise<void> {
    const written = writing.then(() => this.#advance(index, position));
    const done = written.then(
      () => void this.#writing.delete(done),
      () => void this.#writing.delete(done),
    );
    this.#writing.add(done);
    return written;
  }

  /** Waits until nothing is written or told any more. @throws what `gapless` throws */
  async settled(): Promise<void> {
    await Promise.all(this.#writing);
    await this.told;
  }

  #advance(index: number, position: number): void {
    this.#ahead.set(index, position);
    while (this.#first < this.#count) {
      const at = this.#ahead.get(this.#first);
      if (at === undefined) break;
      this.#position = at;
      if (at < this.#end(this.#first)) break;
      this.#ahead.delete(this.#first++);
    }
    this.#tell();
    const ready = this.#waiting.filter((waiter) => waiter.index < this.#first);
    this.#waiting = this.#waiting.filter((waiter) => waiter.index >= this.#first);
    for (const waiter of ready) waiter.go();
  }

  /** Waits until the range `index` (and all before it) is finished. */
  async reach(index: number, signal: AbortSignal): Promise<void> {
    if (index < this.#first) return;
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => reject(signal.reason);
      const go = (): void => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.push({ index, go });
    });
  }

  #end(index: number): number {
    return Math.min(this.#options.start + (index + 1) * RANGE_BYTES, this.#size);
  }

  #tell(): void {
    const busy = this.#toTell !== undefined;
    this.#toTell = this.#position;
    if (busy) return;
    this.told = this.told.then(async () => {
      while (this.#toTell !== undefined) {
        const bytes = this.#toTell;
        await this.#options.gapless(bytes);
        if (this.#toTell === bytes) this.#toTell = undefined;
      }
    });
    this.told.catch(() => {});
  }
}
