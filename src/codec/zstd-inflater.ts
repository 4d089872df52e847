/** zstd, many frames: with the decoder inside Node where there is one (22.15 and later), else with fzstd. */
import * as zlib from 'node:zlib';
import { RootfsError } from '../errors.js';
import { copyToOutput, type InflateOutput, type Inflater } from './inflater.js';
import { Xxh64 } from './xxh64.js';
import { nativeBinding } from './zlib-binding.js';
import { MAX_ZSTD_WINDOW_BYTES, type ZstdFrame, ZstdFrameWalker } from './zstd-frames.js';

const E_CONTINUE = 0;
const WINDOW_LOG_MAX = 100;

interface ZstdStream {
  close(): void;
}

type ZstdConstructor = new (options: { params: Record<number, number> }) => ZstdStream;

/** Whether the Node that runs this brings a zstd decoder. */
export function hasNativeZstd(): boolean {
  return 'ZstdDecompress' in zlib;
}

/**
 * Opens an inflater for zstd. `subject` starts the messages of its errors.
 *
 * @param native Use the decoder of Node; by default where there is one.
 */
export async function openZstdInflater(
  subject: string,
  output: InflateOutput,
  native = hasNativeZstd(),
): Promise<Inflater> {
  if (native) return new NativeZstdInflater(subject, output);
  const { Decompress } = await import('fzstd');
  return new PortableZstdInflater(subject, output, (onData) => new Decompress(onData));
}

class NativeZstdInflater implements Inflater {
  readonly #stream: ZstdStream;
  readonly #walker: ZstdFrameWalker;

  constructor(subject: string, output: InflateOutput) {
    const { ZstdDecompress } = zlib as unknown as { ZstdDecompress: ZstdConstructor };
    const stream = new ZstdDecompress({ params: { [WINDOW_LOG_MAX]: Math.log2(MAX_ZSTD_WINDOW_BYTES) } });
    const binding = nativeBinding(stream);
    this.#stream = stream;
    let frame: ZstdFrame | undefined;
    let produced = 0;
    const walker = new ZstdFrameWalker(subject, {
      begin(next) {
        frame = next;
        produced = 0;
      },
      data(bytes) {
        for (let offset = 0; ; ) {
          const space = output.space();
          const { read, written } = binding.write(E_CONTINUE, bytes, offset, space);
          if (written > 0) output.filled(written);
          produced += written;
          if (binding.failure !== undefined) throw walker.failed(binding.failure);
          offset += read;
          if (written === space.length) continue;
          if (offset >= bytes.length) return;
          if (read === 0 && written === 0) throw walker.failed('the decoder does not go on');
        }
      },
      end() {
        // Node's decoder does not compare them where the last block is empty.
        checkLength(walker, frame, produced);
      },
    });
    this.#walker = walker;
  }

  push(chunk: Uint8Array): void {
    this.#walker.push(chunk);
  }

  finish(): void {
    this.#walker.finish();
  }

  close(): void {
    this.#stream.close();
  }
}

interface PortableDecoder {
  push(chunk: Uint8Array, final?: boolean): void;
}

/** fzstd decodes; the lengths and the checksums that it leaves unchecked are checked here. */
class PortableZstdInflater implements Inflater {
  readonly #walker: ZstdFrameWalker;

  constructor(
    subject: string,
    output: InflateOutput,
    makeDecoder: (onData: (bytes: Uint8Array) => void) => PortableDecoder,
  ) {
    let decoder: PortableDecoder | undefined;
    let frame: ZstdFrame | undefined;
    let produced = 0;
    const hash = new Xxh64();
    const take = (bytes: Uint8Array): void => {
      produced += bytes.length;
      if (frame?.contentSize !== undefined && produced > frame.contentSize) {
        throw walker.failed(`a frame holds more than the ${frame.contentSize} bytes it promises`);
      }
      if (frame?.checksum === true) hash.update(bytes);
      copyToOutput(bytes, output);
    };
    const decode = (bytes: Uint8Array, final: boolean): void => {
      try {
        decoder?.push(bytes, final);
      } catch (error) {
        // What the output threw is no fault of the stream.
        if (error instanceof RootfsError || !isDecoderError(error)) throw error;
        throw walker.failed(error.message, error);
      }
    };
    const walker = new ZstdFrameWalker(subject, {
      begin(next) {
        frame = next;
        produced = 0;
        hash.reset();
        decoder = makeDecoder(take);
      },
      data(bytes) {
        // The decoder keeps parts of what it is given until a block is complete. Not slice: that of a Buffer is a view.
        decode(new Uint8Array(bytes), false);
      },
      end(checksum) {
        decode(new Uint8Array(0), true);
        decoder = undefined;
        checkLength(walker, frame, produced);
        if (checksum === undefined) return;
        const expected = new DataView(checksum.buffer, checksum.byteOffset, 4).getUint32(0, true);
        if (hash.digestLow() !== expected) throw walker.failed('the checksum of a frame is wrong');
      },
    });
    this.#walker = walker;
  }

  push(chunk: Uint8Array): void {
    this.#walker.push(chunk);
  }

  finish(): void {
    this.#walker.finish();
  }

  close(): void {}
}

function checkLength(walker: ZstdFrameWalker, frame: ZstdFrame | undefined, produced: number): void {
  if (frame?.contentSize === undefined || produced === frame.contentSize) return;
  throw walker.failed(`a frame holds ${produced} bytes and promises ${frame.contentSize}`);
}

/** fzstd's errors carry a small number; damaged input can also make it run into a RangeError or a TypeError. */
function isDecoderError(error: unknown): error is Error {
  if (error instanceof RangeError || error instanceof TypeError) return true;
  return error instanceof Error && typeof (error as { code?: unknown }).code === 'number';
}
