/** Content of which a source has several servers, and one had it wrong: that says nothing of the content. */
import { isMismatch } from '../io/verify.js';
import { type ProgressListener, warn } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Distruster, Fetcher } from './content.js';

/** How often a source that says that it can do better is asked again. */
const MAX_DISTRUSTS = 8;

/**
 * Does work that fetches content and verifies it; where the bytes were wrong the source hears that, and the work is done
 * again as long as somebody else may be asked. Content that the descriptor carries in itself came from no server.
 *
 * @throws what `work` throws
 */
export async function retryDistrusted<T>(
  source: Fetcher & Partial<Distruster>,
  target: Descriptor,
  onProgress: ProgressListener | undefined,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const embedded = (target.data ?? '') !== '';
      if (embedded || !isMismatch(error) || attempt >= MAX_DISTRUSTS || source.distrust?.(target) !== true) throw error;
      const message = `${target.digest}: the bytes that came were wrong; fetching it from elsewhere`;
      warn(onProgress, message);
    }
  }
}
