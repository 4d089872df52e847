/**
 * How sockets receive: into lent memory (see `io/lent-memory.ts`), without a copy for large chunks. Those are good until
 * their reader asks the socket for more; whoever needs one for longer keeps its piece or takes a copy. Small chunks are
 * copies already.
 */
import type { Socket } from 'node:net';
import { giveBack, lasting, takePiece } from '../io/lent-memory.js';

/**
 * Chunks of fewer bytes are copied. As long as no header may be that long, no lent chunk ends inside of one: the parser
 * keeps the beginnings of headers, of bodies it keeps nothing.
 */
export const MIN_LENT_BYTES = 128 * 1024;

/** How one socket receives. */
export interface Receiver {
  /** For the option `onread` of `net.connect`. */
  readonly options: {
    buffer(): Buffer;
    callback(this: unknown, length: number, memory: Uint8Array): boolean;
  };
  /** Lets the socket lend its large chunks, once it is connected. Its `close` ends all this. */
  lend(socket: Socket): void;
  /** Gives back what is held: the collector does not see how much memory it is that nobody uses. */
  close(): void;
}

/** A piece that waits in a socket, and where its bytes end in all that the socket has received. */
interface Received {
  readonly piece: Buffer;
  readonly end: number;
}

/**
 * How a new socket receives. Its reader has done with what it read when it reads again or the socket closes, puts back
 * what it has not, or keeps the piece (see `keepPiece`).
 */
export function createReceiver(): Receiver {
  /** What the next bytes go into. */
  let piece: Buffer | undefined;
  /** What was lent and not read yet; once the socket lends. */
  let queue: Received[] | undefined;
  let received = 0;
  let lent: Buffer[] = [];
  const giveBackLent = (): void => {
    for (const one of lent) giveBack(one);
    lent = [];
  };
  const close = (): void => {
    giveBackLent();
    for (const one of queue?.splice(0) ?? []) giveBack(one.piece);
    if (piece !== undefined) giveBack(piece);
    piece = undefined;
  };
  return {
    options: {
      buffer() {
        piece ??= takePiece();
        return piece;
      },
      callback(length, memory) {
        const socket = this as Socket;
        const bytes = (memory as Buffer).subarray(0, length);
        received += length;
        if (length < MIN_LENT_BYTES || queue === undefined) return socket.push(Buffer.from(bytes));
        queue.push({ piece: memory as Buffer, end: received });
        piece = undefined;
        return socket.push(bytes);
      },
    },
    lend(socket) {
      const waiting: Received[] = [];
      queue = waiting;
      const read = socket.read;
      const unshift = socket.unshift;
      socket.read = (size?: number): unknown => {
        // Node's own, which reads nothing.
        if (size === 0) return read.call(socket, size);
        giveBackLent();
        const chunk: unknown = read.call(socket, size);
        // All that there is, or the first chunk of it: that changed with Node 26. What was put back counts as unread.
        const taken = received - socket.readableLength;
        const count = waiting.findIndex(({ end }) => end > taken);
        lent = waiting.splice(0, count < 0 ? waiting.length : count).map((one) => one.piece);
        return chunk;
      };
      socket.unshift = (chunk: Buffer, encoding?: BufferEncoding): void => {
        unshift.call(socket, Buffer.isBuffer(chunk) ? lasting(chunk) : chunk, encoding);
      };
      socket.once('close', close);
    },
    close,
  };
}
