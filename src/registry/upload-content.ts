/** Content on its way up: read once, checked as it is read, and replayed where an upload has to go back. */
import { RootfsError } from '../errors.js';
import { eachUntilAborted, endedSoon } from '../io/abort.js';
import { type ExpectedContent, requireBytes, Verifier } from '../io/verify.js';

/** How many bytes behind the reading position are kept for going back. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/** The same for content that can be read again from any place: what is kept costs memory and nothing else. */
const SMALL_WINDOW_BYTES = 1024 * 1024;

/** Content that can be read again from a place in the middle. */
export interface SeekableContent extends AsyncIterable<Uint8Array> {
  /** The bytes from `offset` on. */
  from(offset: number): AsyncIterable<Uint8Array>;
}

/** Carries a failure of the content itself past everything that would try the registry again. */
export class ContentFailure extends Error {}

/**
 * Content that can be read from several offsets, one reader at a time.
 *
 * Going back further than the window needs content that can be iterated again: an object whose
 * `[Symbol.asyncIterator]()` gives a new iterator each time, which generators and streams do not.
 */
export class UploadContent {
  readonly #content: AsyncIterable<Uint8Array>;
  readonly #subject: string;
  readonly #signal: AbortSignal | undefined;
  readonly #verifier: Verifier;
  /** Bytes that the verifier has seen: each byte once, however often it is read. */
  #verified = 0;
  #iterator: AsyncIterator<Uint8Array> | undefined;
  #position = 0;
  #window: { readonly offset: number; readonly chunk: Uint8Array }[] = [];
  #advancing: Promise<boolean> | undefined;
  #ended = false;
  #judged = false;
  #failure: { readonly error: unknown } | undefined;

  /** @param signal Ends the reading, also where the content hangs. */
  constructor(content: AsyncIterable<Uint8Array>, expected: ExpectedContent, subject: string, signal?: AbortSignal) {
    this.#content = content;
    this.#subject = subject;
    this.#signal = signal;
    // Wrong bytes are no fault of the place that they go to: they are told by their digest alone.
    this.#verifier = new Verifier(expected);
  }

  /** Throws a `ContentFailure` when the content itself failed or its bytes are wrong: no registry can mend that. */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw new ContentFailure('the content failed', { cause: this.#failure.error });
  }

  /** Whether reading can start (again) at `offset`. */
  canReadFrom(offset: number): boolean {
    const kept = this.#window[0]?.offset ?? this.#position;
    return (offset >= kept && offset <= this.#position) || isRepeatable(this.#content);
  }

  /**
   * The bytes of `[start, end)`.
   *
   * @throws RootfsError `ERR_SIZE_MISMATCH`, `ERR_DIGEST_MISMATCH` for content that is shorter or longer than it
   * should be, `ERR_UNSUPPORTED` where it would have to be read again and cannot; what the content itself throws
   */
  async *slice(start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
    await this.#rewind(start);
    let at = start;
    while (at < end) {
      // What was read last is wanted next, and what is small comes in many chunks.
      const part =
        at < this.#position
          ? this.#window.findLast(({ offset, chunk }) => offset <= at && at < offset + chunk.byteLength)
          : undefined;
      if (part !== undefined) {
        const wanted = part.chunk.subarray(at - part.offset, Math.min(part.chunk.byteLength, end - part.offset));
        at += wanted.byteLength;
        yield wanted;
      } else if (!(await this.#advance())) {
        this.#judge();
      }
    }
  }

  /** Judges the whole content, which must have been read. @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH` */
  async verify(): Promise<void> {
    while (await this.#advance());
    this.#judge();
  }

  /** Ends the content's iterator; what it held is let go. One that hangs in a read is left to itself. */
  async close(): Promise<void> {
    this.#window = [];
    const iterator = this.#iterator;
    this.#iterator = undefined;
    // Whoever closes has a result or an error already.
    const ending = (async () => iterator?.return?.())().catch(() => undefined);
    await (this.#advancing === undefined ? ending : endedSoon(ending));
  }

  async #rewind(offset: number): Promise<void> {
    const kept = this.#window[0]?.offset ?? this.#position;
    if (offset >= kept && offset <= this.#position) return;
    if (offset < kept) {
      if (!isRepeatable(this.#content)) {
        throw new RootfsError(
          'ERR_UNSUPPORTED',
          `${this.#subject}: the upload was lost and its content cannot be read again from byte ${offset}; push again`,
          { detail: { offset, kept } },
        );
      }
      await this.#advancing?.catch(() => undefined);
      await this.close();
      this.#position = isSeekable(this.#content) ? offset : 0;
      this.#ended = false;
    }
    while (this.#position < offset && (await this.#advance()));
  }

  #judge(): void {
    if (this.#judged) return;
    try {
      this.#verifier.end();
      this.#judged = true;
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  /** Reads one more chunk into the window; readers that were given up share the read with their successor. */
  #advance(): Promise<boolean> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    this.#advancing ??= this.#readOne()
      .catch((error: unknown) => {
        this.#failure = { error };
        throw error;
      })
      .finally(() => {
        this.#advancing = undefined;
      });
    return this.#advancing;
  }

  async #readOne(): Promise<boolean> {
    if (this.#ended) return false;
    this.#iterator ??= this.#iterate();
    const { done, value } = await this.#iterator.next();
    if (done === true) {
      this.#ended = true;
      return false;
    }
    requireBytes(value, this.#subject);
    if (value.byteLength === 0) return true;
    const end = this.#position + value.byteLength;
    if (end > this.#verified) {
      this.#verifier.update(value.subarray(Math.max(0, this.#verified - this.#position)));
      this.#verified = end;
    }
    this.#window.push({ offset: this.#position, chunk: value });
    this.#position = end;
    const keep = isSeekable(this.#content) ? SMALL_WINDOW_BYTES : WINDOW_BYTES;
    // In blocks: each that is taken away alone moves all that are left.
    if (end - (this.#window[0]?.offset ?? end) >= keep * 1.125) {
      this.#window.splice(
        0,
        this.#window.findIndex(({ offset, chunk }) => offset + chunk.byteLength > end - keep),
      );
    }
    return true;
  }

  #iterate(): AsyncIterator<Uint8Array> {
    const from = this.#position > 0 && isSeekable(this.#content) ? this.#content.from(this.#position) : this.#content;
    return eachUntilAborted(from, this.#signal);
  }
}

/** Whether content gives a new iterator each time it is asked, from the start: it is not open before that. */
export function isRepeatable(content: AsyncIterable<Uint8Array>): boolean {
  const stream = content as { pipe?: unknown; next?: unknown; getReader?: unknown } | null | undefined;
  return stream?.pipe === undefined && stream?.next === undefined && stream?.getReader === undefined;
}

function isSeekable(content: AsyncIterable<Uint8Array>): content is SeekableContent {
  return typeof (content as Partial<SeekableContent>).from === 'function' && isRepeatable(content);
}
