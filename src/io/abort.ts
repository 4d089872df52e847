/** What an abort looks like in this house: the caller's own reason, unchanged. */
import type { Readable } from 'node:stream';

/** Throws the signal's reason if it is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason;
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
  const abort = (): void => {
    stream.destroy(streamReason(signal));
  };
  if (signal.aborted) {
    abort();
    return stream;
  }
  signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', abort));
  return stream;
}

// Kept from when this was loaded: another process does not go by the fake clock of somebody's tests.
const { setTimeout: startTimer, clearTimeout: stopTimer } = globalThis;

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
