/** The body of an answer: bytes that come when the reader wants them, and not before. */
import { RootfsError } from '../errors.js';
import { Gathered } from '../io/gathered.js';
import { lasting } from '../io/lent-memory.js';

/** Who reads a body. Called synchronously, nothing after `end` or `fail`. */
export interface BodySink {
  /** Takes a chunk, which may be lent (see `lasting`); false asks for a pause until `resume`, and it is good until then. */
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

/** How long the rest of an unwanted body may take, in milliseconds; a slower one costs the connection. */
const DISCARD_MS = 2_000;

/** What is kept of a transport that goes on while it is paused, in bytes; past it the exchange fails. */
const MAX_EARLY_BYTES = 64 * 1024 * 1024;

/** What a body that is collected may cost. */
export interface BodyLimits {
  readonly bytes: number;
  /** Milliseconds in all: a document that drips is no download, and must not hold its reader for ever. */
  readonly withinMs: number;
}

/** A body that is paused from the start. Exactly one of `attach`, `bytes`, `discard` or `cancel` ends its life. */
export class WireBody {
  readonly #control: BodyControl;
  #sink: BodySink | undefined;
  #over: { readonly failure: unknown; readonly failed: boolean } | undefined;
  /** Whether the sink wants more. */
  #flows = false;
  #received = 0;
  /** Ends a body that is not complete in time. */
  #timer: NodeJS.Timeout | undefined;
  /** What came from a transport that knows no pause. */
  #early: Buffer[] = [];
  #earlyBytes = 0;

  constructor(control: BodyControl) {
    this.#control = control;
  }

  /**
   * Fails the exchange with `ERR_TIMEOUT` where its body is not complete within `withinMs`: that of a document, which
   * its reader waits for as a whole. A reader that wants no more for now is not hurried.
   */
  limitTime(withinMs: number, subject: string): void {
    this.#timer = setTimeout(() => {
      if (!this.#flows) {
        this.limitTime(withinMs, subject);
        return;
      }
      this.fail(tooSlow(subject, this.#received, { withinMs }));
      this.#control.cancel();
    }, withinMs).unref();
  }

  /** Hands the body to its reader and starts it. */
  attach(sink: BodySink): void {
    this.#sink = sink;
    this.resume();
  }

  /** Goes on after a sink asked for a pause. */
  resume(): void {
    if (this.#flows) return;
    this.#flows = true;
    while (this.#flows && this.#sink !== undefined) {
      const chunk = this.#early.shift();
      if (chunk === undefined) break;
      this.#earlyBytes -= chunk.length;
      this.#flows = this.#sink.data(chunk);
    }
    if (!this.#flows) return;
    if (this.#over === undefined) this.#control.resume();
    else this.#tell();
  }

  /** Ends the exchange; the sink hears nothing more. The connection is closed. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.#sink = undefined;
    this.#early = [];
    if (this.#over === undefined) this.#control.cancel();
  }

  /** Reads what is left and drops it, so that the connection can be used again; closes it where that is much. */
  discard(): void {
    let seen = 0;
    const timer = setTimeout(() => this.cancel(), DISCARD_MS);
    timer.unref();
    const done = (): void => clearTimeout(timer);
    this.attach({
      data: (chunk) => {
        seen += chunk.length;
        if (seen > DISCARD_BYTES) this.cancel();
        return true;
      },
      end: done,
      fail: done,
    });
  }

  /**
   * Collects the whole body; past a limit the exchange is ended.
   *
   * @throws RootfsError `ERR_LIMIT_EXCEEDED` past `limits.bytes`, `ERR_TIMEOUT` past `limits.withinMs`, or what the
   * exchange failed with
   */
  bytes(limits: BodyLimits, subject: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const gathered = new Gathered();
      let size = 0;
      const refuse = (error: RootfsError): void => {
        clearTimeout(timer);
        this.cancel();
        reject(error);
      };
      const timer = setTimeout(() => refuse(tooSlow(subject, size, limits)), limits.withinMs);
      this.attach({
        data: (chunk) => {
          size += chunk.length;
          if (size <= limits.bytes) gathered.add(chunk);
          else refuse(tooLong(subject, limits));
          return true;
        },
        end: () => {
          clearTimeout(timer);
          resolve(gathered.bytes);
        },
        fail: (reason) => {
          clearTimeout(timer);
          reject(reason);
        },
      });
    });
  }

  /** For the wire: a chunk has come. */
  data(chunk: Buffer): void {
    this.#received += chunk.length;
    if (this.#flows && this.#sink !== undefined) {
      this.#flows = this.#sink.data(chunk);
      if (!this.#flows) this.#control.pause();
    } else if (this.#over === undefined) this.#keep(chunk);
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
    clearTimeout(this.#timer);
    this.#over = over;
    if (over.failed) this.#early = [];
    if (this.#early.length === 0) this.#tell();
  }

  #tell(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    if (this.#over?.failed === true) sink?.fail(this.#over.failure);
    else sink?.end();
  }

  #keep(chunk: Buffer): void {
    this.#early.push(lasting(chunk));
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes <= MAX_EARLY_BYTES) return;
    this.fail(tooEarly());
    this.#control.cancel();
  }
}

/** A body of bytes that are all here. */
export function wholeBody(bytes: Buffer): WireBody {
  let given = false;
  const body: WireBody = new WireBody({
    resume: () => {
      if (given) return;
      given = true;
      body.data(bytes);
      body.end();
    },
    pause: () => undefined,
    cancel: () => undefined,
  });
  return body;
}

function tooEarly(): RootfsError {
  return new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `dispatcher: it delivered more than ${MAX_EARLY_BYTES} bytes while it was to pause; give one that honours pause(), as undici's Agent does`,
    { detail: { limit: MAX_EARLY_BYTES } },
  );
}

function tooLong(subject: string, { bytes }: BodyLimits): RootfsError {
  return new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${subject}: the answer is longer than ${bytes} bytes; ask who runs the server`,
    {
      detail: { limit: bytes },
    },
  );
}

function tooSlow(subject: string, received: number, { withinMs }: Pick<BodyLimits, 'withinMs'>): RootfsError {
  return new RootfsError(
    'ERR_TIMEOUT',
    `${subject}: the answer is not complete after ${withinMs} ms, ${received} bytes have come; check the network, or allow a longer --timeout`,
    { detail: { withinMs, received } },
  );
}
