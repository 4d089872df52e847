/**
 * Bytes, time and the system, without meaning: this room knows files, workers, locks, limits and digests of streams.
 * It must not know what the bytes are: no media type, no layer, no registry.
 *
 * This file: many things at once, and an end that is one.
 */
import { setMaxListeners } from 'node:events';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from './abort.js';

/** Options of `mapConcurrently`. */
export interface MapOptions {
  /** How many mappers run at once: 1 or more. */
  readonly concurrency: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Maps items with at most `concurrency` mappers at once; results come in the order of the items. Each item is taken
 * when a mapper is free for it, so that a generator may know more of them than memory could hold.
 *
 * At the first failure the signal given to every mapper aborts (its reason is that failure), no further mapper starts,
 * and when each running one has ended the FIRST failure is thrown. The same happens when the caller's signal aborts;
 * then its reason is thrown, unless the last mappers were running and end well in spite of it. So nothing runs on after
 * this has settled.
 */
export async function mapConcurrently<T, R>(
  items: Iterable<T>,
  mapper: (item: T, signal: AbortSignal, index: number) => Promise<R>,
  options: MapOptions,
): Promise<R[]> {
  const { concurrency, signal } = options;
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw new RootfsError('ERR_OPTION_INVALID', `concurrency must be a whole number of 1 or more, not ${concurrency}`);
  }
  throwIfAborted(signal);
  const { default: pMap } = await import('p-map');
  const controller = new AbortController();
  // Every mapper may listen to it, in several places.
  setMaxListeners(0, controller.signal);
  const abort = (): void => controller.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();
  const running = new Set<Promise<unknown>>();
  try {
    return await pMap(
      items,
      async (item, index) => {
        controller.signal.throwIfAborted();
        const mapped = mapper(item, controller.signal, index);
        running.add(mapped);
        try {
          return await mapped;
        } catch (error) {
          controller.abort(error);
          throw error;
        } finally {
          running.delete(mapped);
        }
      },
      { concurrency },
    );
  } catch (error) {
    controller.abort(error);
    await Promise.allSettled(running);
    throw controller.signal.reason;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

interface Waiting {
  readonly priority: number;
  readonly give: () => void;
}

/** A number of permits, given out by priority, among equals in the order they are asked for. */
export class Semaphore {
  #permits: number;
  /** Below 0 where more are out than there are now. */
  #free: number;
  readonly #waiting: Waiting[] = [];

  constructor(permits: number) {
    this.#permits = permits;
    this.#free = permits;
  }

  /** Changes the number of permits. Those that are out stay out; where they are too many, they are waited for. */
  resize(permits: number): void {
    this.#free += permits - this.#permits;
    this.#permits = permits;
    this.#giveOut();
  }

  /**
   * Waits for a permit and takes it.
   *
   * @param priority Of those who wait, the highest comes first.
   * @returns a function that gives it back; a second call does nothing
   */
  async acquire(signal?: AbortSignal, priority = 0): Promise<() => void> {
    throwIfAborted(signal);
    if (this.#free > 0) this.#free--;
    else await this.#queue(signal, priority);
    return this.#giveBack();
  }

  /** Takes a permit if one is free now. @returns a function that gives it back, or `undefined` */
  tryAcquire(): (() => void) | undefined {
    if (this.#free <= 0) return undefined;
    this.#free--;
    return this.#giveBack();
  }

  #giveBack(): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free++;
      this.#giveOut();
    };
  }

  #giveOut(): void {
    for (let next: Waiting | undefined; this.#free > 0; this.#free--) {
      next = this.#waiting.shift();
      if (next === undefined) return;
      next.give();
    }
  }

  #queue(signal: AbortSignal | undefined, priority: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        priority,
        give: () => {
          signal?.removeEventListener('abort', aborted);
          resolve();
        },
      };
      const aborted = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal?.reason);
      };
      const after = this.#waiting.findIndex((other) => other.priority < priority);
      this.#waiting.splice(after < 0 ? this.#waiting.length : after, 0, waiting);
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }
}
