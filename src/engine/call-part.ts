/** Calls into parts that others wrote: what they throw is named, and those that never answer are not waited for. */
import type { Readable } from 'node:stream';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { partFailure } from '../io/part-error.js';

/** How long a part may take to answer: one minute, in milliseconds. */
export const PART_TIMEOUT_MS = 60_000;

/** How long a part may take to end its work when nobody wants it any more, after an abort and after a silence. */
const ABORT_GRACE_MS = 5_000;
const SILENCE_GRACE_MS = 500;

/** Options of `callPart`. */
export interface CallPartOptions<T> {
  readonly signal?: AbortSignal | undefined;
  /** The longest silence in milliseconds. */
  readonly timeoutMs: number;
  /** Gets what comes when nobody waits any more, to let go of it. */
  readonly late?: ((answer: T) => void) | undefined;
}

/**
 * Calls a part and waits for its answer, at most `timeoutMs` since it last showed a sign of life. A part that obeys its
 * signal has ended when this settles; one that does not is left alone after a moment.
 *
 * @param part Whose it is, for messages: `the reference store`.
 * @param work Gets a signal that aborts when nobody waits any more, and a function that says: it is still at work.
 * @throws RootfsError as the part throws them, `ERR_TIMEOUT`, `ERR_INTERNAL` for anything else (its cause kept); the
 *   signal's reason
 */
export async function callPart<T>(
  part: string,
  work: (signal: AbortSignal, alive: () => void) => T | Promise<T>,
  { signal, timeoutMs, late }: CallPartOptions<T>,
): Promise<T> {
  throwIfAborted(signal);
  const controller = new AbortController();
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  let giveUp: (reason: unknown, graceMs: number) => void = () => {};
  const ended = new Promise<never>((_, reject) => {
    giveUp = (reason, graceMs) => {
      controller.abort(reason);
      clearTimeout(timer);
      timer = setTimeout(() => reject(reason as Error), Math.min(timeoutMs, graceMs));
    };
  });
  const onAbort = (): void => giveUp(signal?.reason, ABORT_GRACE_MS);
  signal?.addEventListener('abort', onAbort, { once: true });
  const alive = (): void => {
    if (isOver || controller.signal.aborted) return;
    clearTimeout(timer);
    timer = setTimeout(() => giveUp(silent(part, timeoutMs), SILENCE_GRACE_MS), timeoutMs);
  };
  alive();
  const answer = (async () => work(controller.signal, alive))();
  try {
    return await Promise.race([answer, ended]);
  } catch (error) {
    answer.then(late).catch(() => {});
    if (controller.signal.aborted) throw controller.signal.reason;
    throw partFailure(part, error);
  } finally {
    isOver = true;
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Calls `alive` for each piece that comes out of a stream; whoever reads it notices nothing. Returns the stream. */
export function watchStream<T extends Readable>(stream: T, alive: () => void): T {
  const { push } = stream;
  stream.push = (...chunk) => {
    alive();
    return push.apply(stream, chunk);
  };
  return stream;
}

function silent(part: string, timeoutMs: number): RootfsError {
  return new RootfsError(
    'ERR_TIMEOUT',
    `${part}: no answer for ${timeoutMs / 1000} s; it was given to this call, look there, or raise partTimeoutMs`,
    { detail: { part, timeoutMs } },
  );
}
