/** One call for many callers: whoever asks while it runs waits for the same result. */

/** Joins equal calls. A caller's abort ends only its own waiting; the call itself is aborted when nobody waits. */
export class SharedCalls<T> {
  readonly #running = new Map<string, { promise: Promise<T>; waiting: number; controller: AbortController }>();

  /** Joins the call that runs under `key`, or starts it. @throws the call's failure, or the signal's reason */
  async join(key: string, signal: AbortSignal | undefined, start: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    let call = this.#running.get(key);
    if (call === undefined) {
      const controller = new AbortController();
      const promise = start(controller.signal);
      call = { promise, waiting: 0, controller };
      this.#running.set(key, call);
      const ended = call;
      const forget = (): void => {
        if (this.#running.get(key) === ended) this.#running.delete(key);
      };
      promise.then(forget, forget);
    }
    call.waiting++;
    try {
      return await abortable(call.promise, signal);
    } finally {
      call.waiting--;
      if (call.waiting === 0 && this.#running.get(key) === call) {
        this.#running.delete(key);
        call.controller.abort(new Error('nobody waits for it any more'));
      }
    }
  }
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
