/** From a stream's first bytes to the inflater for it, with the guards against bombs around it. */
import { RootfsError } from '../errors.js';
import { type Compression, detectCompression } from './detect-compression.js';
import { copyToOutput, type InflateOutput, type Inflater } from './inflater.js';

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
 * Opens the inflater for a stream: by its magic bytes; where those say nothing it comes out as it is.
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
        `${subject}: the layer is larger than ${maxBytes} bytes uncompressed; raise maxLayerSize (--max-layer-size) if you trust the image`,
        { detail: { subject, limit: 'maxLayerSize', maxLayerSize: maxBytes } },
      );
    }
    if (this.#uncompressed > this.#ratioFloor && this.#uncompressed > maxRatio * this.#compressed) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `${subject}: ${this.#compressed} compressed bytes gave ${this.#uncompressed} and more, over ${maxRatio} times as many; raise maxRatio (--max-ratio) if you trust the image`,
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
