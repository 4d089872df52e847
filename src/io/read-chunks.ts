/** Reading a stream to its end without copies, with an end that comes even when the stream itself does not hear. */
import type { Readable } from 'node:stream';
import { RootfsError } from '../errors.js';
import { CLOSE_GRACE_MS, untilAborted } from './abort.js';
import { asReadable } from './as-readable.js';
import { discard } from './discard.js';

/**
 * A stream that can hand its chunks over without keeping them: each is good while `take` runs, and until `goOn` where it
 * returns false, which asks for a pause. The end and errors come as from any stream.
 */
export interface ChunkGiver {
  giveChunks(take: (chunk: Uint8Array) => boolean): void;
  goOn(): void;
}

/**
 * Takes a chunk, which is good until this returns, or until the promise that it returns is kept: until then no further
 * chunk comes. `'enough'` ends the reading.
 */
export type TakeChunk = (chunk: Uint8Array) => Promise<void> | 'enough' | undefined;

/**
 * Hands each chunk of a stream to `take`, as it is. Owns the stream: it is closed when this settles.
 *
 * An abort is left neither to the stream nor to what opens it: where those hang (a generator that waits for ever) they
 * could not end themselves. A stream that is opened after the abort is destroyed.
 *
 * @throws what opening, the stream or `take` throws; the signal's reason; RootfsError `ERR_NETWORK` when the stream
 *   closes before its end, or was read or destroyed before it came here; `ERR_INTERNAL` where it is none
 */
export async function readChunks(opening: Promise<Readable>, signal: AbortSignal, take: TakeChunk): Promise<void> {
  const stream = asReadable(await untilAborted(opening, signal, discard));
  try {
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => reject(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      const settle = (done: () => void): void => {
        signal.removeEventListener('abort', abort);
        done();
      };
      let taking: Promise<void> | undefined;
      const goOn = (): void => (isGiver(stream) ? stream.goOn() : void stream.resume());
      /** @returns whether the next chunk may come */
      const onChunk = (chunk: Uint8Array): boolean => {
        let answer: ReturnType<TakeChunk>;
        try {
          answer = take(chunk);
        } catch (error) {
          settle(() => reject(error));
          return false;
        }
        if (answer === undefined) return true;
        if (answer === 'enough') {
          settle(resolve);
          return false;
        }
        taking = answer;
        answer.then(goOn, (error) => settle(() => reject(error)));
        return false;
      };
      if (isGiver(stream)) stream.giveChunks(onChunk);
      else {
        stream.on('data', (chunk: Uint8Array) => void (onChunk(chunk) || stream.pause()));
        // One that was paused stays so until it is told.
        stream.resume();
      }
      stream.once('end', () => {
        void Promise.resolve(taking).then(
          () => settle(resolve),
          () => {},
        );
      });
      // Listened to for ever: a destroyed stream may still say something.
      stream.on('error', (error) => settle(() => reject(error)));
      stream.once('close', () => {
        if (stream.readableEnded) return;
        settle(() => reject(new RootfsError('ERR_NETWORK', 'the stream closed before its end; try again')));
      });
      if (signal.aborted) abort();
      // Such a stream says nothing any more: neither end nor close would ever be heard.
      else if (stream.readableEnded || stream.destroyed) {
        const used = 'the stream was read or destroyed before; each fetch must open a new one';
        settle(() => reject(stream.errored ?? new RootfsError('ERR_NETWORK', used)));
      }
    });
  } catch (error) {
    await destroyed(stream, error);
    throw error;
  }
  await destroyed(stream);
}

function isGiver(stream: Readable): stream is Readable & ChunkGiver {
  return typeof (stream as Partial<ChunkGiver>).giveChunks === 'function';
}

async function destroyed(stream: Readable, error?: unknown): Promise<void> {
  if (stream.closed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, CLOSE_GRACE_MS);
    stream.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    stream.destroy(error instanceof Error ? error : undefined);
  });
}
