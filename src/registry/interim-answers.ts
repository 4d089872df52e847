/**
 * Passes over `100 Continue` that nobody asked for: some proxies and servers say it before each answer to an upload, and
 * a client has to bear it. undici, which never asks for it, closes the connection instead.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-15.2
 */
import type { Socket } from 'node:net';

/** How an answer with status 100 begins. */
const CONTINUE = /^HTTP\/1\.[01] 100(?: |\r)/;

/** How the head of a request begins, which undici writes as text; bodies are bytes. */
const REQUEST = /^[A-Z]+ \//;

/** The longest head of such an answer that is looked for, in bytes. */
const MAX_HEAD_BYTES = 4096;

/**
 * Has a socket's reader see no `100 Continue` in front of an answer. What is read after an answer has begun is as it came.
 * One that arrives in parts is not recognised.
 */
export function skipContinue(socket: Socket): void {
  const read = socket.read;
  const write = socket.write as (...given: unknown[]) => boolean;
  let isAwaited = false;
  socket.write = (...given: unknown[]): boolean => {
    if (typeof given[0] === 'string' && REQUEST.test(given[0])) isAwaited = true;
    return write.apply(socket, given);
  };
  socket.read = (size?: number): unknown => {
    let chunk: unknown = read.call(socket, size);
    while (isAwaited && size === undefined && Buffer.isBuffer(chunk)) {
      const answer = withoutContinue(chunk);
      isAwaited = answer.length === 0;
      // The answer itself may wait behind it.
      chunk = isAwaited ? read.call(socket, size) : answer;
    }
    return chunk;
  };
}

function withoutContinue(chunk: Buffer): Buffer {
  let left = chunk;
  while (CONTINUE.test(left.toString('latin1', 0, 13))) {
    const end = left.subarray(0, MAX_HEAD_BYTES).indexOf('\r\n\r\n');
    if (end < 0) break;
    left = left.subarray(end + 4);
  }
  return left;
}
