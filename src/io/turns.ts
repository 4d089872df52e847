/** Long work on the main thread lets others have their turn now and then: signals, timers, other calls. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from './abort.js';

/** Milliseconds of work before others have their turn. */
const WORK_MS = 10;
/** Short steps between two looks at the clock, which would otherwise cost as much as a small part of each. */
const STEPS = 16;

/**
 * Says when it is time for others. It goes by the clock and not by a count: what a step costs is up to who made the
 * image, and a thousand of the dearest take a minute.
 */
export class Turns {
  readonly #signal: AbortSignal | undefined;
  #since = performance.now();
  #steps = 0;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /**
   * To be asked after each step: whether others are to have their turn.
   *
   * @param long Whether the step may have been a long one: the clock is then looked at in any case.
   */
  due(long = false): boolean {
    this.#steps += 1;
    if (!long && this.#steps < STEPS) return false;
    this.#steps = 0;
    return performance.now() - this.#since >= WORK_MS;
  }

  /** Lets others have their turn. Throws the signal's reason if it is aborted then. */
  async take(): Promise<void> {
    await nextTurn();
    throwIfAborted(this.#signal);
    this.#since = performance.now();
  }
}
