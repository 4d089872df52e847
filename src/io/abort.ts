/** What an abort looks like in this house: the caller's own reason, unchanged. */
import { setMaxListeners } from 'node:events';
import type { Readable } from 'node:stream';
import type { RootfsError } from '../errors.js';
import { discard } from './discard.js';
import { partError } from './part-error.js';

// Kept from when this was loaded: another process does not go by the fake clock of somebody's tests.
const { setTimeout: startTimer, clearTimeout: stopTimer } = globalThis;

/** How long what was told to end may take for it before it is left to itself, in milliseconds. */
export const CLOSE_GRACE_MS = 500;

/** The same for work of others that may have something to take back first: an upload, a temporary file. */
const ENDING_GRACE_MS = 5_000;

/**
 * Throws the signal's reason if it is aborted. What is no signal is refused here, by name: a controller that was given
 * in place of its signal would never be heard. Every call begins with this: from here on any number of them may listen.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`; the abort's reason
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  const refused = noSignal(signal);
  if (refused !== undefined) throw refused;
  if (signal.aborted) throw signal.reason;
  // Node 20 takes more than ten listeners for a leak and warns.
  if (signal instanceof EventTarget) setMaxListeners(0, signal);
}

/** What is wrong with a signal that is none. Those of other realms and of polyfills are signals, too. */
function noSignal(signal: AbortSignal): RootfsError | undefined {
  const given = signal as Partial<AbortSignal> | null;
  if (typeof given?.aborted === 'boolean' && typeof given.addEventListener === 'function') return undefined;
  return partError('signal', 'an AbortSignal', signal, 'give the signal of an AbortController, or leave it out');
}

/**
 * What a stream fails with when `signal` aborts: its own reason, but for null, 0 and their like. A stream cannot fail
 * with these: it would only close, which looks like a broken connection.
 */
export function streamReason(signal: AbortSignal): Error {
  return (signal.reason as Error) || new DOMException('This operation was aborted', 'AbortError');
}

/** Destroys `stream` with the signal's own reason when it aborts, at once if it already has. Returns the stream. */
export function abortStream<T extends Readable>(stream: T, signal: AbortSignal | undefined): T {
  if (signal === undefined) return stream;
  const refused = noSignal(signal);
  if (refused !== undefined) {
    stream.destroy();
    throw refused;
  }
  const abort = (): void => {
    stream.destroy(streamReason(signal));
  };
  if (signal.aborted) {
    abort();
    return stream;
  }
  signal.addEventListener('abort', abort, { once: true });
  // Also at its end: standard input that is a file never closes, and nobody would hear that it failed afterwards.
  for (const over of ['end', 'close']) stream.once(over, () => signal.removeEventListener('abort', abort));
  return stream;
}

/**
 * Waits for somebody else's work, at most until the signal aborts; then throws its reason. Work that hangs cannot end
 * itself: it is left alone, and heard no more.
 *
 * @param late Gets what comes after the abort, to let go of it.
 */
export async function untilAborted<T>(
  work: Promise<T> | T,
  signal: AbortSignal | undefined,
  late: (result: T) => void = () => {},
): Promise<T> {
  if (signal === undefined) return work;
  const working = Promise.resolve(work);
  const refused = noSignal(signal);
  if (refused !== undefined) {
    working.then(late, () => {});
    throw refused;
  }
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
  });
  try {
    return await Promise.race([aborted, working]);
  } catch (error) {
    working.then(late, () => {});
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/**
 * The items of somebody else's source, at most until the signal aborts; then throws its reason. A source that hangs is
 * told to end, and left to itself where it does not within half a second; any other has ended when this has. As with
 * `for await`, a list is a source too.
 */
export async function* eachUntilAborted<T>(
  source: AsyncIterable<T> | Iterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  const given = source as Partial<AsyncIterable<T> & Iterable<T>> | null | undefined;
  const iterator = given?.[Symbol.asyncIterator]?.() ?? given?.[Symbol.iterator]?.();
  if (iterator === undefined) {
    throw partError('content', 'a stream or a list', source, 'give an async iterable of bytes');
  }
  let isOver = false;
  try {
    for (;;) {
      throwIfAborted(signal);
      let next: IteratorResult<T, unknown>;
      try {
        next = await untilAborted(iterator.next(), signal);
      } catch (error) {
        // What has failed is over. What was left in the middle is not.
        isOver = signal?.aborted !== true;
        throw error;
      }
      if (next.done === true) {
        isOver = true;
        return;
      }
      yield next.value;
    }
  } finally {
    if (signal?.aborted === true) discard(source as AsyncIterable<never>);
    if (!isOver) await ended(iterator, signal);
  }
}

/** Ends an iterator; whoever ends it has a result or an error already. One that hangs does not take its end. */
async function ended(
  iterator: AsyncIterator<unknown> | Iterator<unknown>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ending = (async () => iterator.return?.())().catch(() => {});
  if (signal?.aborted !== true) return void (await untilAborted(ending, signal).catch(() => {}));
  await endedSoon(ending);
}

/** Waits until work that was told to end has ended, in whatever way. Work that hangs is left to itself after half a second. */
export async function endedSoon(work: Promise<unknown>): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = startTimer(resolve, CLOSE_GRACE_MS);
    const end = (): void => {
      stopTimer(timer);
      resolve();
    };
    work.then(end, end);
  });
}

/**
 * Waits for somebody else's work that hears the signal itself: after the abort it has five seconds to end in its own
 * way. Work that hangs is left to itself then, and the signal's reason thrown.
 */
export async function untilEnded<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let timer: ReturnType<typeof startTimer> | undefined;
  let abort = (): void => {};
  const over = new Promise<never>((_, reject) => {
    abort = (): void => {
      timer = startTimer(() => reject(signal.reason), ENDING_GRACE_MS);
    };
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    if (timer !== undefined) stopTimer(timer);
    signal.removeEventListener('abort', abort);
  }
}

/** Waits, at most until the signal aborts; then throws its reason. */
export async function delay(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal);
  await new Promise<void>((resolve, reject) => {
    const abort = (): void => {
      stopTimer(timer);
      reject(signal?.reason);
    };
    const timer = startTimer(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
