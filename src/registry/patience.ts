/** How long a client lets a registry make it wait, over all its requests. */

/** How many times the wait that one call allows a client allows in all. */
const CALLS = 10;

/**
 * Counts the time that a registry asked for with Retry-After: each wait may be just short enough, and all of them
 * together be for ever. Waits at the same time count once.
 */
export class Patience {
  readonly limitMs: number;
  #waitedMs = 0;
  #until = 0;

  /** @param maxRetryAfterMs The longest wait of one call, in milliseconds. */
  constructor(maxRetryAfterMs: number) {
    this.limitMs = maxRetryAfterMs * CALLS;
  }

  /** Takes a wait that starts now; false where that is more than there is patience for. */
  take(waitMs: number, now = Date.now()): boolean {
    const until = now + waitMs;
    const more = Math.max(0, until - Math.max(now, this.#until));
    if (this.#waitedMs + more > this.limitMs) return false;
    this.#waitedMs += more;
    this.#until = Math.max(this.#until, until);
    return true;
  }
}
