/** The bytes of a blob as one stream, whatever happens to the connections that bring them. */
import { Readable } from 'node:stream';
import { keepPiece, lasting } from '../io/lent-memory.js';
import type { ChunkGiver } from '../io/read-chunks.js';
import type { WireBody } from './wire-body.js';

/** A body that brings the blob from `offset`; the first `skip` bytes of it have been delivered before. */
export interface OpenBody {
  readonly body: WireBody;
  readonly skip: number;
}

/** What a blob stream asks of its surroundings. */
export interface BlobSource {
  /** Opens the blob from `offset`; fails when no attempt is left. */
  reopen(offset: number): Promise<OpenBody>;
  /** Decides whether to go on after a failure at `position`, having brought `gained` bytes: waits, or throws. */
  broken(error: unknown, gained: number): Promise<void>;
  /** What to fail with when a body ended early, at `position`; `undefined` when the blob really ends there. */
  short(position: number, body: WireBody): Error | undefined;
  /** Told when a body brought more than the blob has. */
  long(): void;
  /** Called once, when the stream has ended or was destroyed. */
  closed(): void;
}

/** Which bytes: from `start`; `end` is where a complete body ends; `limit` is where delivery is cut. */
export interface BlobWindow {
  readonly start: number;
  readonly end: number;
  readonly limit: number;
}

/** How much the stream holds before the connection is paused, in bytes. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** The same in chunks: each takes memory of its own, and how short they are is up to whoever sends them. */
const HIGH_WATER_CHUNKS = 4096;

/** Delivers `[start, limit)` of a blob; a broken connection is replaced from where it broke. */
export class BlobStream extends Readable implements ChunkGiver {
  readonly #source: BlobSource;
  readonly #window: BlobWindow;
  #position: number;
  #gained = 0;
  #skip = 0;
  /** Chunks that wait to be read. */
  #waiting = 0;
  #body: WireBody | undefined;
  #over = false;
  #failure: Error | undefined;
  /** Whether a chunk is with its taker: the connection must not go on. */
  #held = false;
  #take: ((chunk: Uint8Array) => boolean) | undefined;
  /** Lets go of the chunk that is with its taker. */
  #release: (() => void) | undefined;

  constructor(first: OpenBody, window: BlobWindow, source: BlobSource) {
    super({ highWaterMark: HIGH_WATER_BYTES });
    this.#source = source;
    this.#window = window;
    this.#position = window.start;
    this.#attach(first);
  }

  /** Hands each chunk to `take`; see `ChunkGiver`. What has come before is kept already, and comes first. */
  giveChunks(take: (chunk: Uint8Array) => boolean): void {
    this.#take = take;
    this.on('data', (chunk: Uint8Array) => void (take(chunk) || this.pause()));
  }

  /** Goes on after `take` asked for a pause. */
  goOn(): void {
    this.#held = false;
    this.#release?.();
    this.#release = undefined;
    this.resume();
    this.#body?.resume();
  }

  override _read(): void {
    if (!this.#held && this.#waiting < HIGH_WATER_CHUNKS) this.#body?.resume();
  }

  /** What came before a failure is delivered before the failure is: destroying drops what nobody has read yet. */
  // biome-ignore lint/suspicious/noExplicitAny: the signature of Readable.read.
  override read(size?: number): any {
    const chunk = super.read(size);
    // Whoever has read all that was there, or wants more at once than there is, gets more.
    if (size !== 0 && (chunk === null || this.readableLength === 0)) {
      this.#waiting = 0;
      this._read();
    }
    if (this.#failure !== undefined && this.readableLength === 0) this.destroy(this.#failure);
    return chunk;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#over = true;
    this.#body?.cancel();
    this.#body = undefined;
    this.#source.closed();
    callback(error);
  }

  #attach({ body, skip }: OpenBody): void {
    this.#body = body;
    this.#skip = skip;
    this.#gained = 0;
    body.attach({
      data: (chunk) => this.#data(chunk),
      end: () => this.#ended(body),
      fail: (reason) => this.#failed(reason),
    });
  }

  #data(arrived: Buffer): boolean {
    // A parser that goes on after a pause tells of a body that is there, before any of it is.
    if (arrived.length === 0) return true;
    let chunk = arrived;
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, chunk.length);
      this.#skip -= skipped;
      if (skipped === chunk.length) return true;
      chunk = chunk.subarray(skipped);
    }
    const room = this.#window.limit - this.#position;
    if (chunk.length > room) chunk = chunk.subarray(0, room);
    this.#position += chunk.length;
    this.#gained += chunk.length;
    // The connection goes on after the last chunk of a window, and may close after any, whoever still holds that.
    const release = keepPiece(chunk);
    const given = this.#give(chunk);
    if (given === false) this.#release = release;
    else release?.();
    const more = given ?? this.#queue(chunk);
    if (this.#position > this.#window.end) this.#source.long();
    // More than a complete body holds, or all of a window: what follows is not wanted.
    if (this.#position === this.#window.limit) this.#finish();
    return this.#over || more;
  }

  /** @returns whether more may come */
  #queue(chunk: Buffer): boolean {
    const more = this.push(lasting(chunk));
    this.#waiting = this.readableLength === 0 ? 0 : this.#waiting + 1;
    return more && this.#waiting < HIGH_WATER_CHUNKS;
  }

  /** Past the stream's own buffer, where that is empty. @returns whether more may come; undefined: it was not given */
  #give(chunk: Buffer): boolean | undefined {
    if (this.#take === undefined || this.readableLength > 0 || this.readableFlowing !== true) return undefined;
    const more = this.#take(chunk);
    if (more) return true;
    this.#held = true;
    this.pause();
    return false;
  }

  #ended(body: WireBody): void {
    if (this.#position >= this.#window.end) {
      this.#finish();
      return;
    }
    const error = this.#source.short(this.#position, body);
    if (error === undefined) this.#finish();
    else this.#failed(error);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    const body = this.#body;
    this.#body = undefined;
    this.push(null);
    // A range's body ends here too; reading that end keeps the connection.
    body?.discard();
  }

  #failed(reason: unknown): void {
    this.#body = undefined;
    if (this.#over) return;
    // All bytes are here; only the end of the exchange went wrong.
    if (this.#position >= this.#window.end) this.#finish();
    else void this.#recover(reason);
  }

  async #recover(reason: unknown): Promise<void> {
    try {
      await this.#source.broken(reason, this.#gained);
      if (this.#over) return;
      const next = await this.#source.reopen(this.#position);
      if (this.#over) next.body.cancel();
      else this.#attach(next);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error), { cause: error });
      if (this.readableLength === 0) this.destroy(this.#failure);
    }
  }
}
