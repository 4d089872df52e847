/** The body of an answer: bytes that come when the reader wants them, and not before. */
import { RootfsError } from '../errors.js';

/** Who reads a body. Called synchronously, nothing after `end` or `fail`. */
export interface BodySink {
  /** Takes a chunk; false asks for a pause until `resume`. */
  data(chunk: Buffer): boolean;
  end(): void;
  fail(reason: unknown): void;
}

interface BodyControl {
  resume(): void;
  pause(): void;
  cancel(): void;
}

/** How much of an unwanted body is read to keep its connection, in bytes; a longer one costs the connection. */
const DISCARD_BYTES = 64 * 1024;

/** A body that is paused from the start. Exactly one of `attach`, `bytes`, `discard` or `cancel` ends its life. */
export class WireBody {
  readonly #control: BodyControl;
  #sink: BodySink | undefined;
  #over: { readonly failure: unknown; readonly failed: boolean } | undefined;

  constructor(control: BodyControl) {
    this.#control = control;
  }

  /** Hands the body to its reader and starts it. */
  attach(sink: BodySink): void {
    this.#sink = sink;
    if (this.#over === undefined) this.#control.resume();
    else this.#tell(sink);
  }

  /** Goes on after a sink asked for a pause. */
  resume(): void {
    if (this.#over === undefined) this.#control.resume();
  }

  /** Ends the exchange; the sink hears nothing more. The connection is closed. */
  cancel(): void {
    this.#sink = undefined;
    if (this.#over === undefined) this.#control.cancel();
  }

  /** Reads what is left and drops it, so that the connection can be used again; closes it where that is much. */
  discard(): void {
    let seen = 0;
    this.attach({
      data: (chunk) => {
        seen += chunk.length;
        if (seen > DISCARD_BYTES) this.cancel();
        return true;
      },
      end: () => undefined,
      fail: () => undefined,
    });
  }

  /**
   * Collects the whole body; past `limit` bytes the exchange is ended.
   *
   * @throws RootfsError `ERR_LIMIT_EXCEEDED` past the limit, or what the exchange failed with
   */
  bytes(limit: number, subject: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      this.attach({
        data: (chunk) => {
          size += chunk.length;
          if (size <= limit) {
            chunks.push(chunk);
            return true;
          }
          this.cancel();
          reject(
            new RootfsError('ERR_LIMIT_EXCEEDED', `${subject}: the answer is longer than ${limit} bytes; refused`, {
              detail: { limit },
            }),
          );
          return true;
        },
        end: () => resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size)),
        fail: reject,
      });
    });
  }

  /** For the wire: a chunk has come. */
  data(chunk: Buffer): void {
    if (this.#sink !== undefined && !this.#sink.data(chunk)) this.#control.pause();
  }

  /** For the wire: the body is complete. */
  end(): void {
    this.#finish({ failed: false, failure: undefined });
  }

  /** For the wire: the exchange has failed. */
  fail(reason: unknown): void {
    this.#finish({ failed: true, failure: reason });
  }

  #finish(over: { readonly failure: unknown; readonly failed: boolean }): void {
    if (this.#over !== undefined) return;
    this.#over = over;
    if (this.#sink !== undefined) this.#tell(this.#sink);
  }

  #tell(sink: BodySink): void {
    this.#sink = undefined;
    if (this.#over?.failed === true) sink.fail(this.#over.failure);
    else sink.end();
  }
}
