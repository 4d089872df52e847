/**
 * Compression: bytes in, bytes out, synchronously and chunk by chunk.
 *
 * This room knows how a stream says what it is compressed with, and how to undo that without piling anything up. It
 * must not know blobs, digests, layers or where bytes come from; errors speak of the subject they are given.
 */
/**
 * Where an inflater puts what comes out. It asks for space, fills a part of it and says how much; the space belongs to
 * the receiver, so that nothing is copied on the way to a hash, a file or shared memory.
 */
export interface InflateOutput {
  /** Room for the next bytes: at least one byte. Called again after each `filled`. */
  space(): Uint8Array;
  /** The first `length` bytes of the last `space()` are content now. What it throws ends the inflating. */
  filled(length: number): void;
}

/** Undoes one compression. After an error it must not be used again; `close` is always called once. */
export interface Inflater {
  /** Takes the next compressed bytes, which are not kept. @throws RootfsError `ERR_DECOMPRESS`, `ERR_LIMIT_EXCEEDED` */
  push(chunk: Uint8Array): void;
  /** Says that there is no more. @throws RootfsError `ERR_DECOMPRESS` where the stream ends too early */
  finish(): void;
  /** Frees what the inflater holds. */
  close(): void;
}

/** Hands bytes to an output as they are. */
export function copyToOutput(chunk: Uint8Array, output: InflateOutput): void {
  for (let done = 0; done < chunk.length; ) {
    const space = output.space();
    const length = Math.min(space.length, chunk.length - done);
    space.set(chunk.subarray(done, done + length));
    done += length;
    output.filled(length);
  }
}
