/** Calls that the system answers with "not now". */
import { systemErrorCode } from '../errors.js';
import { delay } from './abort.js';

/** What to wait for, and how. */
export interface Patience {
  /** The system's codes that say "not now". */
  readonly notNow: readonly string[];
  /** Between two attempts, in milliseconds. */
  readonly everyMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Makes a call again and again while the system says "not now".
 *
 * @throws what the call throws otherwise; the signal's reason
 */
export async function patiently<T>(work: () => T, { notNow, everyMs, signal }: Patience): Promise<T> {
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!notNow.includes(systemErrorCode(error) ?? '')) throw error;
      await delay(everyMs, signal);
    }
  }
}
