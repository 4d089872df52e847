/** How often to try again, and when: attempts in a row without progress, backoff with jitter, Retry-After. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallOptions } from '../content/content.js';
import { RegistryError, RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { report } from '../progress.js';
import { Patience } from './patience.js';

/** What a budget is made of. */
export interface RetryLimits {
  /** Attempts in a row without progress after the first. */
  readonly retry: number;
  /** The longest wait in total that the registry may ask for between two steps forward, in milliseconds. */
  readonly maxRetryAfterMs: number;
}

/** Statuses under 500 that may be better next time: 499 is a proxy's word for a connection that broke behind it. */
const TRANSIENT = new Set([408, 425, 429, 499]);

/** Statuses from 500 on that mean the same next time; what proxies make up (520, 599) does not. */
const LASTING = new Set([501, 505, 506, 507, 508, 510, 511]);

/** First wait in milliseconds; doubles up to `LAST_WAIT_MS`. Six attempts wait 8 s at most in all. */
const FIRST_WAIT_MS = 250;
const LAST_WAIT_MS = 4_000;

/** The most seconds that a Retry-After is taken for: 300 years, and still a date that can be told. */
const LONGEST_ASKED_SECONDS = 9_999_999_999;

/** What means the same next time, where nothing has worked yet: no such host, nobody there, something else there. */
const HOPELESS = /^(?:ENOTFOUND|ECONNREFUSED|HPE_\w+)$/;

/** Whether a failure may go away by itself: a broken or silent connection, or a status that says so. */
export function isTransient(error: unknown): boolean {
  // With `retryAt` somebody has decided that the wait is too long.
  if (error instanceof RootfsError && error.detail['retryAt'] !== undefined) return false;
  if (error instanceof RegistryError) {
    return TRANSIENT.has(error.status) || (error.status >= 500 && !LASTING.has(error.status));
  }
  if (!(error instanceof RootfsError)) return false;
  // A part of the caller's own that is silent, which has its own patience: no connection of ours will mend it.
  if (error.detail['part'] !== undefined) return false;
  // A document that dripped has had many times the patience of one attempt.
  if (error.detail['withinMs'] !== undefined) return false;
  // An answer that is not HTTP: what a server left over on the connection, where it has spoken HTTP before.
  return error.code === 'ERR_NETWORK' || error.code === 'ERR_TIMEOUT' || isGarbled(error);
}

/** A refusal as something that another attempt may mend: what was lost is begun anew. */
export function retryable(error: RegistryError): RootfsError {
  return new RootfsError('ERR_NETWORK', error.message, { cause: error, detail: error.detail });
}

function isGarbled(error: RootfsError): boolean {
  return String(error.detail['errno']).startsWith('HPE_');
}

/** Counts the attempts of one call. */
export class RetryBudget {
  readonly #limits: RetryLimits;
  readonly #subject: string;
  readonly #call: CallOptions;
  readonly #patience: Patience;
  #failures = 0;
  #askedMs = 0;
  #everWorked: boolean;
  #furthest = 0;

  /**
   * @param everWorked Whether the other side has answered before: then a refused connection may be a restart.
   * @param patience What this call shares with the others of its client; its own when absent.
   */
  constructor(limits: RetryLimits, subject: string, call: CallOptions, everWorked: boolean, patience?: Patience) {
    this.#patience = patience ?? new Patience(limits.maxRetryAfterMs);
    this.#limits = limits;
    this.#subject = subject;
    this.#call = call;
    this.#everWorked = everWorked;
  }

  /** Something arrived: the count starts again. */
  progressed(): void {
    this.#failures = 0;
    this.#askedMs = 0;
    this.#everWorked = true;
  }

  /**
   * Content has got as far as `position`: that is progress where it is further than ever before, by `step` bytes or
   * more. What is sent again after it was lost is none.
   */
  reached(position: number, step: number): void {
    if (position < this.#furthest + step) return;
    this.#furthest = position;
    this.progressed();
  }

  /**
   * Waits until the next attempt may start, or throws `error` when there is no use in one.
   *
   * @param hurry The last attempt brought a good part of the content: no wait is needed.
   * @throws RootfsError `ERR_RATE_LIMITED` when the registry asks for more patience than allowed; `error`; or the
   * signal's reason
   */
  async next(error: unknown, hurry = false): Promise<void> {
    throwIfAborted(this.#call.signal);
    if (!(error instanceof RootfsError) || !isTransient(error)) throw error;
    if (!this.#everWorked && HOPELESS.test(String(error.detail['errno']))) throw error;
    this.#failures += hurry ? 0 : 1;
    if (this.#failures > this.#limits.retry) throw error;
    const asked = error.detail['retryAfterMs'];
    let waitMs = hurry ? 0 : backoff(this.#failures);
    if (typeof asked === 'number') {
      const { maxRetryAfterMs } = this.#limits;
      if (this.#askedMs + asked > maxRetryAfterMs) throw tooLong(error, asked, maxRetryAfterMs);
      if (!this.#patience.take(asked)) throw tooLong(error, asked, this.#patience.limitMs);
      this.#askedMs += asked;
      waitMs = Math.max(asked, waitMs);
    }
    report(this.#call.onProgress, {
      type: 'request:retried',
      subject: this.#subject,
      attempt: this.#failures + 1,
      waitMs: Math.round(waitMs),
      reason: error.message,
    });
    if (waitMs > 0) await pause(waitMs, this.#call.signal);
  }
}

/**
 * What a Retry-After header asks for, in milliseconds from now: seconds or an HTTP date. `undefined` where it says
 * neither.
 */
export function retryAfterMs(value: string | undefined, now = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+(?:\.\d+)?$/.test(value)) return Math.min(Number(value), LONGEST_ASKED_SECONDS) * 1000;
  if (!/^[A-Za-z]{3,9},? /.test(value) || value.length > 40) return undefined;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function backoff(failures: number): number {
  const ceiling = Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1));
  return ceiling / 2 + (Math.random() * ceiling) / 2;
}

function tooLong(error: RootfsError, asked: number, limitMs: number): RootfsError {
  const retryAt = new Date(Date.now() + asked).toISOString();
  const message =
    `${error.message.replace(/; [^;]*$/, '')}; the registry asks to come back in ${Math.ceil(asked / 1000)} s, at ${retryAt}, ` +
    `longer than the ${Math.ceil(limitMs / 1000)} s this waits in all`;
  const options = { cause: error, detail: { ...error.detail, retryAfterMs: asked, retryAt } };
  return error instanceof RegistryError
    ? new RegistryError('ERR_RATE_LIMITED', message, error, options)
    : new RootfsError('ERR_RATE_LIMITED', message, options);
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  }
}
