/**
 * Where the frames of a zstd stream begin and end, read from the headers alone.
 *
 * Decoders differ in what they tell: Node's says nothing of a stream that was cut, fzstd checks no checksum. Walking
 * the frames ourselves (a header, then three bytes per block) costs nothing and makes both equally strict.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8878
 */
import { RootfsError } from '../errors.js';

/** What the header of a frame says. */
export interface ZstdFrame {
  /** Length of the content in bytes, where the header tells. */
  readonly contentSize: number | undefined;
  /** Whether a checksum of the content follows the frame. */
  readonly checksum: boolean;
}

/** Hears of frames in order. Skippable frames are left out. */
export interface ZstdFrameListener {
  /** A frame begins; its bytes, the header included, follow through `data`. */
  begin(frame: ZstdFrame): void;
  data(bytes: Uint8Array): void;
  /** The frame is complete. `checksum` holds the four bytes after it (also given to `data`), if there are any. */
  end(checksum: Uint8Array | undefined): void;
}

/** 128 MiB: the largest window that zstd itself accepts unless it is told otherwise. */
export const MAX_ZSTD_WINDOW_BYTES = 128 * 1024 ** 2;

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAX_BLOCK_BYTES = 128 * 1024;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];

type State = 'magic' | 'skip-size' | 'skip' | 'descriptor' | 'header' | 'block' | 'content' | 'checksum';

/** Walks a stream of zstd frames. */
export class ZstdFrameWalker {
  readonly #subject: string;
  readonly #listener: ZstdFrameListener;
  readonly #collected = new Uint8Array(18);
  #state: State = 'magic';
  #have = 0;
  #need = 4;
  /** Bytes left of what is not looked into: a block's content or a skippable frame. */
  #left = 0;
  #lastBlock = false;
  #maxBlock = MAX_BLOCK_BYTES;
  #checksum = false;

  constructor(subject: string, listener: ZstdFrameListener) {
    this.#subject = subject;
    this.#listener = listener;
  }

  /** Takes the next bytes of the stream. @throws RootfsError `ERR_DECOMPRESS`, `ERR_LIMIT_EXCEEDED` (window) */
  push(chunk: Uint8Array): void {
    let offset = 0;
    // Bytes of the present frame that were not handed on yet begin here.
    let frameStart = this.#inFrame() ? 0 : -1;
    while (offset < chunk.length) {
      if (this.#state === 'skip' || this.#state === 'content') {
        const length = Math.min(this.#left, chunk.length - offset);
        this.#left -= length;
        offset += length;
        if (this.#left > 0) break;
        this.#next(this.#state === 'skip' ? 'magic' : this.#afterBlock());
      } else {
        const length = Math.min(this.#need - this.#have, chunk.length - offset);
        this.#collected.set(chunk.subarray(offset, offset + length), this.#have);
        this.#have += length;
        offset += length;
        if (this.#have < this.#need) break;
        const before = this.#state;
        this.#field();
        if (before === 'header') {
          // The header may have begun in an earlier chunk, so it is handed on from where it was collected.
          this.#listener.data(this.#collected.slice(0, this.#have));
          frameStart = offset;
          this.#next('block');
        }
      }
      if (this.#state === 'magic' && frameStart >= 0) {
        this.#listener.data(chunk.subarray(frameStart, offset));
        this.#listener.end(this.#checksum ? this.#collected.slice(0, 4) : undefined);
        frameStart = -1;
      }
    }
    if (frameStart >= 0 && frameStart < chunk.length) this.#listener.data(chunk.subarray(frameStart));
  }

  /** Says that the stream has ended. @throws RootfsError `ERR_DECOMPRESS` where a frame is not complete */
  finish(): void {
    if (this.#state !== 'magic' || this.#have > 0) throw this.failed('the stream ends inside a frame');
  }

  /** The error for a damaged stream. */
  failed(reason: string, cause?: unknown): RootfsError {
    return new RootfsError(
      'ERR_DECOMPRESS',
      `${this.#subject}: the zstd stream is damaged (${reason}); the image must be built or pushed again`,
      { detail: { subject: this.#subject, compression: 'zstd', reason }, cause },
    );
  }

  #inFrame(): boolean {
    return this.#state === 'block' || this.#state === 'content' || this.#state === 'checksum';
  }

  #next(state: State): void {
    this.#state = state;
    this.#have = 0;
    this.#need = state === 'block' ? 3 : 4;
  }

  #afterBlock(): State {
    if (!this.#lastBlock) return 'block';
    return this.#checksum ? 'checksum' : 'magic';
  }

  #word(offset: number, length: number): number {
    let value = 0;
    for (let index = length - 1; index >= 0; index--) value = value * 256 + (this.#collected[offset + index] ?? 0);
    return value;
  }

  #field(): void {
    switch (this.#state) {
      case 'magic': {
        const magic = this.#word(0, 4);
        if (magic === MAGIC) {
          this.#state = 'descriptor';
          this.#need = 5;
        } else if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
          this.#next('skip-size');
        } else throw this.failed('there is something other than a frame');
        return;
      }
      case 'skip-size':
        this.#left = this.#word(0, 4);
        this.#next(this.#left === 0 ? 'magic' : 'skip');
        return;
      case 'descriptor': {
        const descriptor = this.#collected[4] ?? 0;
        this.#state = 'header';
        const single = (descriptor & 0x20) !== 0;
        this.#need += (single ? 0 : 1) + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0) + contentSizeBytes(descriptor);
        return;
      }
      case 'header':
        this.#header();
        return;
      case 'block':
        this.#block();
        return;
      case 'checksum':
        this.#state = 'magic';
        this.#have = 0;
        this.#need = 4;
        return;
      default:
        return;
    }
  }

  #header(): void {
    const descriptor = this.#collected[4] ?? 0;
    if ((descriptor & 0x08) !== 0) throw this.failed('a reserved bit is set');
    const single = (descriptor & 0x20) !== 0;
    let at = 5;
    let windowSize = 0;
    if (!single) {
      const window = this.#collected[at++] ?? 0;
      const base = 2 ** (10 + (window >> 3));
      windowSize = base + (base / 8) * (window & 7);
    }
    const dictionaryBytes = DICTIONARY_ID_BYTES[descriptor & 3] ?? 0;
    const dictionary = this.#word(at, dictionaryBytes);
    at += dictionaryBytes;
    if (dictionary !== 0) throw this.failed(`a frame needs the dictionary ${dictionary}, which nobody has`);
    const sizeBytes = contentSizeBytes(descriptor);
    const contentSize = sizeBytes === 0 ? undefined : this.#word(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
    if (single) windowSize = contentSize ?? 0;
    if (windowSize > MAX_ZSTD_WINDOW_BYTES) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `${this.#subject}: the zstd stream needs a window of ${windowSize} bytes, ${MAX_ZSTD_WINDOW_BYTES} are allowed; compress the layer without --long`,
        { detail: { subject: this.#subject, limit: 'zstdWindow', windowSize } },
      );
    }
    this.#checksum = (descriptor & 0x04) !== 0;
    this.#maxBlock = Math.min(MAX_BLOCK_BYTES, windowSize);
    this.#listener.begin({ contentSize, checksum: this.#checksum });
  }

  #block(): void {
    const header = this.#word(0, 3);
    const type = (header >> 1) & 3;
    const size = header >> 3;
    this.#lastBlock = (header & 1) === 1;
    if (type === 3) throw this.failed('a block has the reserved type');
    // Some decoders take it as an empty one.
    if (type === 2 && size === 0) throw this.failed('a compressed block has no content');
    // A run (type 1) holds one byte, repeated.
    this.#left = type === 1 ? 1 : size;
    if (Math.max(size, this.#left) > this.#maxBlock) {
      throw this.failed(`a block of ${size} bytes is larger than its frame allows`);
    }
    this.#next(this.#left === 0 ? this.#afterBlock() : 'content');
  }
}

function contentSizeBytes(descriptor: number): number {
  const flag = descriptor >> 6;
  return flag === 0 && (descriptor & 0x20) !== 0 ? 1 : (CONTENT_SIZE_BYTES[flag] ?? 0);
}
