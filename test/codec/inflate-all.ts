/** Runs an inflater over bytes cut into pieces, into an output of a given size. */
import type { InflateOutput, Inflater } from '../../src/codec/inflater.js';

/** Collects what comes out, through a buffer that is used again and again, as the workers do. */
export class CollectingOutput implements InflateOutput {
  readonly chunks: Buffer[] = [];
  readonly #buffer: Buffer;

  constructor(bufferBytes = 1000) {
    this.#buffer = Buffer.alloc(bufferBytes);
  }

  space(): Uint8Array {
    return this.#buffer;
  }

  filled(length: number): void {
    this.chunks.push(Buffer.from(this.#buffer.subarray(0, length)));
  }

  /** All of it. */
  bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/** Pushes `bytes` in pieces of `pieceBytes`, finishes and closes. */
export function pushAll(inflater: Inflater, bytes: Uint8Array, pieceBytes: number): void {
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      // A copy that is spoiled afterwards: an inflater must not keep what it was given. A Buffer, as the workers give.
      const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
      inflater.push(piece);
      piece.fill(0xaa);
    }
    inflater.finish();
  } finally {
    inflater.close();
  }
}
