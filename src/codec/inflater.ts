/**
 * Compression: bytes in, bytes out, synchronously and chunk by chunk.
 *
 * This room knows how a stream says what it is compressed with, and how to undo that without piling anything up. It
 * must not know blobs, digests, layers or where bytes come from; errors speak of the subject they are given.
 */
import { RootfsError } from '../errors.js';
import { type Compression, detectCompression } from './detect-compression.js';

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

/** The guards against bombs. */
export interface InflateLimits {
  /** Largest length of the uncompressed side in bytes. */
  readonly maxBytes: number;
  /** Largest uncompressed length as a multiple of the compressed one, once more than `ratioFloorBytes` came out. */
  readonly maxRatio: number;
  /** Uncompressed bytes below which the ratio is not looked at (1 GiB: honest sparse layers are highly compressible). */
  readonly ratioFloorBytes?: number | undefined;
}

/** 64 GiB: no honest layer is larger. */
export const DEFAULT_MAX_LAYER_BYTES = 64 * 1024 ** 3;
/** 1,000: deflate cannot do more than about 1,030, honest sparse layers come near it. */
export const DEFAULT_MAX_RATIO = 1000;
/** 1 GiB: below it a bomb hurts nobody. */
export const DEFAULT_RATIO_FLOOR_BYTES = 1024 ** 3;

/** What `openInflater` takes. */
export interface InflaterOptions extends InflateLimits {
  /** What messages start with: the blob's digest. */
  readonly subject: string;
  readonly mediaType: string;
  /** The first bytes of the stream (16 are enough), which are pushed again afterwards; fewer if there are no more. */
  readonly prefix: Uint8Array;
  readonly output: InflateOutput;
}

/**
 * Opens the inflater for a stream: by its magic bytes, by the media type where those say nothing.
 *
 * The stream's own checks (CRC32 and length of gzip, checksum of zstd) are made; garbage behind it is refused.
 *
 * @throws RootfsError `ERR_MEDIA_TYPE_UNSUPPORTED`
 */
export async function openInflater(options: InflaterOptions): Promise<Inflater> {
  const compression = detectCompression(options.prefix, options.mediaType, options.subject);
  if (options.prefix.length === 0) return new EmptyInflater();
  const guard = new BombGuard(options);
  return new GuardedInflater(await openBare(compression, options.subject, guard), guard);
}

async function openBare(compression: Compression, subject: string, output: InflateOutput): Promise<Inflater> {
  switch (compression) {
    case 'gzip':
      return (await import('./gzip-inflater.js')).openGzipInflater(subject, output);
    case 'zstd':
      return (await import('./zstd-inflater.js')).openZstdInflater(subject, output);
    case 'none':
      return new CopyInflater(output);
  }
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

/** No compression. */
class CopyInflater implements Inflater {
  readonly #output: InflateOutput;

  constructor(output: InflateOutput) {
    this.#output = output;
  }

  push(chunk: Uint8Array): void {
    copyToOutput(chunk, this.#output);
  }

  finish(): void {}

  close(): void {}
}

/** A layer of no bytes at all, whatever its media type: an empty tar. Inflaters of zlib's kind refuse an empty input. */
class EmptyInflater implements Inflater {
  push(): void {}

  finish(): void {}

  close(): void {}
}

/** Counts both sides and stops a bomb. */
class BombGuard implements InflateOutput {
  readonly #options: InflaterOptions;
  readonly #ratioFloor: number;
  #compressed = 0;
  #uncompressed = 0;

  constructor(options: InflaterOptions) {
    this.#options = options;
    this.#ratioFloor = options.ratioFloorBytes ?? DEFAULT_RATIO_FLOOR_BYTES;
  }

  pushed(length: number): void {
    this.#compressed += length;
  }

  space(): Uint8Array {
    return this.#options.output.space();
  }

  filled(length: number): void {
    this.#uncompressed += length;
    const { subject, maxBytes, maxRatio } = this.#options;
    if (this.#uncompressed > maxBytes) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `${subject}: the layer is larger than ${maxBytes} bytes uncompressed; raise the largest layer size if you trust the image`,
        { detail: { subject, limit: 'maxLayerSize', maxLayerSize: maxBytes } },
      );
    }
    if (this.#uncompressed > this.#ratioFloor && this.#uncompressed > maxRatio * this.#compressed) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `${subject}: ${this.#compressed} compressed bytes gave ${this.#uncompressed} and more, over ${maxRatio} times as many; raise the largest ratio if you trust the image`,
        { detail: { subject, limit: 'maxRatio', maxRatio, compressedBytes: this.#compressed } },
      );
    }
    this.#options.output.filled(length);
  }
}

class GuardedInflater implements Inflater {
  readonly #inner: Inflater;
  readonly #guard: BombGuard;

  constructor(inner: Inflater, guard: BombGuard) {
    this.#inner = inner;
    this.#guard = guard;
  }

  push(chunk: Uint8Array): void {
    this.#guard.pushed(chunk.length);
    this.#inner.push(chunk);
  }

  finish(): void {
    this.#inner.finish();
  }

  close(): void {
    this.#inner.close();
  }
}
