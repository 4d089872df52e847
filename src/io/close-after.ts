/** Closing counts: a failed close is a failure, but it never hides the one that came first. */

/** Anything that is closed once. */
export interface Closable {
  close(): Promise<void>;
}

/** `close`, and what `await using` calls, for a handle that is a plain object. */
export function closedBy(close: () => Promise<void>): Closable & AsyncDisposable {
  return { close, [Symbol.asyncDispose]: close };
}

/**
 * Runs `work` and closes `handle` afterwards, whatever happened. The error of `work` comes first; with none, an error
 * of `close` is thrown.
 */
export async function closeAfter<T>(handle: Closable, work: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await handle.close().catch(() => {});
    throw error;
  }
  await handle.close();
  return result;
}
