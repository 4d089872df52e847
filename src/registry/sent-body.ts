/** The body of a request: how it is handed to its connection, and how long the other side may take for it. */

/** A body as it is sent. */
export type SentBody = Uint8Array | AsyncIterable<Uint8Array>;

/** What a connection is handed at a time, in bytes: that it takes one piece and wants the next is a sign of life. */
const PIECE_BYTES = 1024 * 1024;

/**
 * What the buffers of both systems hold of a body, in bytes, while the other side reads: Linux' limit for what one
 * connection has to send. Nobody tells how they drain.
 */
const BUFFERED_BYTES = 4 * 1024 * 1024;

/**
 * What a server that is slow but moves reads of them within the longest silence, in bytes: 35 kB a second for the
 * default of 30 s.
 */
const SLOW_BYTES = 1024 * 1024;

/** Bodies up to this size, in bytes, are no uploads to speak of: they get no more time than a request without one. */
const SMALL_BYTES = 64 * 1024;

/** A body in pieces that a connection can be seen to take. What is one piece stays as it is. */
export function inPieces(body: SentBody): SentBody {
  return body instanceof Uint8Array && body.byteLength <= PIECE_BYTES ? body : pieces(body);
}

async function* pieces(body: SentBody): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    for (let at = 0; at < chunk.byteLength; at += PIECE_BYTES) yield chunk.subarray(at, at + PIECE_BYTES);
  }
}

/**
 * How long a connection may take no further piece of a body, or give no answer after the last one, in milliseconds:
 * what has left this process may still be on its way. That is `timeoutMs`, and up to five times that for long bodies.
 *
 * @param length Bytes of the body; absent where nobody knows.
 */
export function answerTimeout(timeoutMs: number, length = BUFFERED_BYTES): number {
  const buffered = length <= SMALL_BYTES ? 0 : Math.min(length, BUFFERED_BYTES);
  return Math.min(2 ** 31 - 1, Math.ceil(timeoutMs * (1 + buffered / SLOW_BYTES)));
}

/** The length of a body, as far as it is known before it is read. */
export function bodyLength(body: SentBody | undefined, headers: Readonly<Record<string, string>>): number | undefined {
  if (body === undefined) return 0;
  if (body instanceof Uint8Array) return body.byteLength;
  const said = headers['content-length'];
  return said === undefined ? undefined : Number(said);
}
