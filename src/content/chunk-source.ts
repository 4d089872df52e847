/** Content that hands its chunks over itself: for a store that takes each as it comes, without an iterator between. */
import type { TakeChunk } from '../io/read-chunks.js';

/** Content that can also be read by a callback. Whoever pushes it may be read in either way, once or again. */
export interface ChunkSource extends AsyncIterable<Uint8Array> {
  /** Hands each chunk to `take`; see `readChunks`. */
  readChunks(take: TakeChunk, signal: AbortSignal | undefined): Promise<void>;
}

/** Whether content is such. */
export function isChunkSource(content: AsyncIterable<Uint8Array>): content is ChunkSource {
  return typeof (content as Partial<ChunkSource>).readChunks === 'function';
}
