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

/** The chunks of a socket that were lent and not read yet. */
const queues = new WeakMap<Socket, Buffer[]>();

/** How a socket receives: for the option `onread` of `net.connect`. Every socket must be given to `lendChunks`. */
export const receiveOptions = {
  buffer: takePiece,
  callback(this: unknown, length: number, buffer: Uint8Array): boolean {
    const socket = this as Socket;
    const received = buffer as Buffer;
    const queue = queues.get(socket);
    if (length >= MIN_LENT_BYTES && queue !== undefined) {
      queue.push(received);
      return socket.push(received.subarray(0, length));
    }
    const copy = Buffer.from(received.subarray(0, length));
    giveBack(received);
    return socket.push(copy);
  },
};

/**
 * Lets a socket lend its large chunks. Its reader reads all there is at once, as undici does, and has done with what
 * it read when it reads again, or puts back what it has not.
 */
export function lendChunks(socket: Socket): void {
  const queue: Buffer[] = [];
  let lent: readonly Buffer[] = [];
  queues.set(socket, queue);
  const read = socket.read;
  const unshift = socket.unshift;
  socket.read = (size?: number): unknown => {
    if (size === undefined) {
      for (const piece of lent) giveBack(piece);
      lent = [];
    }
    const chunk: unknown = read.call(socket, size);
    if (size === undefined) lent = queue.splice(0);
    // A part may still be in the queue: its memory is not used again.
    else if (size > 0) queue.length = 0;
    return chunk;
  };
  socket.unshift = (chunk: Buffer, encoding?: BufferEncoding): void => {
    unshift.call(socket, Buffer.isBuffer(chunk) ? lasting(chunk) : chunk, encoding);
  };
}
