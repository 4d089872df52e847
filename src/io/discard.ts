/** Ending what nobody will read: a stream that is neither read nor destroyed keeps its connection or file open. */
import type { Readable } from 'node:stream';

/**
 * Ends a source of bytes without reading it. A stream is destroyed; a generator that never ran holds nothing, and
 * neither does what somebody else's code gave in place of a source.
 */
export function discard(source: AsyncIterable<Uint8Array> | undefined): void {
  const stream = source as { destroy?: unknown; once?: unknown } | null | undefined;
  if (typeof stream?.destroy !== 'function') return;
  if (typeof stream.once === 'function') stream.once('error', () => {});
  stream.destroy();
}

/**
 * Runs `work`; when it fails, ends `source` and throws what `work` threw. A stream that fails before `work` reads it does
 * not end the process: whoever reads it afterwards hears of that.
 */
export async function discardOnError<T>(source: AsyncIterable<Uint8Array>, work: () => Promise<T>): Promise<T> {
  (source as Partial<Readable> | null | undefined)?.on?.('error', () => {});
  try {
    return await work();
  } catch (error) {
    discard(source);
    throw error;
  }
}
