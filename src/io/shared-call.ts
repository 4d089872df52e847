/** One call for many callers: whoever asks while it runs waits for the same result. */

import { type ProgressListener, report } from '../progress.js';
import { endedSoon, throwIfAborted } from './abort.js';

/** How a caller takes part. */
export interface JoinOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  /** What the work is done with, where that differs: what fails with one may do with another. */
  readonly by?: unknown;
}

/** What the call itself is given. */
export interface SharedCall {
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

interface Running<T> {
  readonly by: unknown;
  readonly promise: Promise<T>;
  readonly controller: AbortController;
  /** Those who wait. */
  readonly callers: Set<JoinOptions>;
}

/**
 * Joins equal calls. A caller's abort ends only its own waiting; the call itself is aborted when nobody waits. The last
 * caller hears of its abort once the call has ended, so that no file and no lock outlives it; half a second later at
 * most. Every caller hears the call's progress, from when it joins until its own waiting ends. A call that fails has
 * failed for those who came with the same `by`; the others make one of their own.
 */
export class SharedCalls<T> {
  readonly #running = new Map<string, Running<T>>();
  /** Calls that nobody waits for any more. */
  readonly #abandoned = new Set<Promise<unknown>>();
  #apart = 0;

  /** Joins the call that runs under `key`, or starts it. @throws the call's failure, or the signal's reason */
  async join(key: string, options: JoinOptions, start: (call: SharedCall) => Promise<T>): Promise<T> {
    const { signal } = options;
    throwIfAborted(signal);
    let call = this.#running.get(key);
    // One of its own for each caller: two may come with the same options.
    const caller = { onProgress: options.onProgress };
    if (call === undefined) {
      const controller = new AbortController();
      const callers = new Set<JoinOptions>([caller]);
      const onProgress: ProgressListener = (event) => {
        for (const { onProgress: listener } of callers) report(listener, event);
      };
      // Parts that others wrote may answer, or throw, at once.
      const promise = (async () => start({ signal: controller.signal, onProgress }))();
      call = { by: options.by, promise, controller, callers };
      this.#running.set(key, call);
      const ended = call;
      const forget = (): void => {
        if (this.#running.get(key) === ended) this.#running.delete(key);
      };
      promise.then(forget, forget);
    }
    call.callers.add(caller);
    try {
      return await abortable(call.promise, signal);
    } catch (error) {
      throwIfAborted(signal);
      // NaN, too, is the same as itself: a call of one's own must not be taken for another's without end.
      if (Object.is(call.by, options.by)) throw error;
    } finally {
      call.callers.delete(caller);
      if (call.callers.size === 0 && this.#running.get(key) === call) {
        this.#running.delete(key);
        call.controller.abort(new Error('nobody waits for it any more'));
        const ending = call.promise.catch(() => {}).finally(() => this.#abandoned.delete(ending));
        this.#abandoned.add(ending);
        await endedSoon(ending);
      }
    }
    this.#apart += 1;
    return this.join(`${key} ${this.#apart}`, options, start);
  }

  /** Waits for the end of calls that were aborted, half a second at most: a caller may itself have been left alone. */
  async abandonedEnded(): Promise<void> {
    if (this.#abandoned.size > 0) await endedSoon(Promise.all(this.#abandoned));
  }
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    // The call may have ended its caller's patience with its first event.
    if (signal.aborted) onAbort();
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
