/** A body that somebody between the registry and us has compressed, as it was before. */
import { RootfsError } from '../errors.js';
import { lasting } from '../io/lent-memory.js';
import type { Encoding } from './read-document.js';
import { WireBody } from './wire-body.js';

/** The streams of node:zlib that undo an encoding. */
const DECODERS = {
  gzip: 'createGunzip',
  'x-gzip': 'createGunzip',
  deflate: 'createInflate',
  br: 'createBrotliDecompress',
} as const satisfies Record<Encoding, string>;

/** What to say of a body that is not what was asked for, and came with an encoding. */
export function cameEncoded(encoding: Encoding): string {
  return `came with Content-Encoding: ${encoding}; a proxy in between compresses what nobody asked it to, ask who runs it`;
}

/**
 * Undoes the encoding of a body while it comes; nothing is read before the result is, and no more than it takes.
 *
 * @param subject For people: whose body it is, and who sent it.
 */
export async function decodedBody(body: WireBody, encoding: Encoding, subject: string): Promise<WireBody> {
  const decoder = (await import('node:zlib'))[DECODERS[encoding]]();
  let isStarted = false;
  const start = (): void => {
    isStarted = true;
    body.attach({
      data: (chunk) => decoder.write(lasting(chunk)),
      end: () => void decoder.end(),
      fail: (reason) => {
        decoder.destroy();
        decoded.fail(reason);
      },
    });
  };
  const decoded = new WireBody({
    resume: () => {
      if (!isStarted) start();
      decoder.resume();
    },
    pause: () => void decoder.pause(),
    cancel: () => {
      body.cancel();
      decoder.destroy();
    },
  });
  decoder.on('data', (chunk: Buffer) => decoded.data(chunk));
  decoder.pause();
  decoder.on('drain', () => body.resume());
  decoder.on('end', () => decoded.end());
  decoder.on('error', (cause) => {
    body.cancel();
    decoded.fail(
      new RootfsError(
        'ERR_REGISTRY',
        `${subject} with Content-Encoding: ${encoding}, which cannot be undone (${cause.message}); a proxy in between may be broken`,
        { cause },
      ),
    );
  });
  return decoded;
}
