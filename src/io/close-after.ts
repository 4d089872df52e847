/** Closing counts: a failed close is a failure, but it never hides the one that came first. */

/** Anything that is closed once. */
export interface Closable {
  close(): Promise<void>;
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
