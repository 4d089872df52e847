/**
 * Answers whose heads are not as undici wants them, and whose meaning is clear all the same: `100 Continue` that nobody
 * asked for, which it closes the connection for, lines that end in LF alone, folded lines, a blank before a colon, and a
 * length that is said twice, or beside `Transfer-Encoding`. Proxies and old servers write these, and every other client
 * bears them.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9112
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-15.2
 */
import type { Socket } from 'node:net';
import { MIN_LENT_BYTES } from './receive-buffers.js';

/** How the head of a request begins, which undici writes as text; bodies are bytes. */
const REQUEST = /^[A-Z]+ (?:\/|https?:)/;

/** How the head of an answer begins. */
const ANSWER = 'HTTP/1.';

/** The longest head that is looked at, in bytes: a longer one is too long for the parser too. */
const MAX_HEAD_BYTES = MIN_LENT_BYTES;

const LF = 0x0a;
const CR = 0x0d;
const NOTHING = Buffer.alloc(0);

/** What is odd in a head: a bare LF, a fold, a blank before a colon, two lengths in one line. */
const ODD = /(?:^|[^\r])\n|\n[ \t]|\n[^:\r\n]*[ \t]:|\ncontent-length:[^\r\n]*,/i;

/** Has a socket's reader see the heads of answers in a form that it bears. Bodies are as they came. */
export function mendAnswers(socket: Socket): void {
  const read = socket.read;
  const write = socket.write as (...given: unknown[]) => boolean;
  const heads = new HeadMender();
  socket.write = (...given: unknown[]): boolean => {
    if (typeof given[0] === 'string' && REQUEST.test(given[0])) heads.expect();
    return write.apply(socket, given);
  };
  socket.read = (size?: number): unknown => {
    let chunk: unknown = read.call(socket, size);
    while (size === undefined && Buffer.isBuffer(chunk)) {
      const mended = heads.take(chunk);
      if (mended.length > 0) return mended;
      // What is missing, or the answer behind one that was left out, may be here already.
      chunk = read.call(socket, size);
    }
    return chunk;
  };
}

/** Takes what comes on one connection, and gives it with the heads of the awaited answers mended. */
class HeadMender {
  #isAwaited = false;
  /** The beginning of a head whose end has not come. */
  #held: Buffer = NOTHING;

  /** A request is under way: what comes next is its answer. */
  expect(): void {
    this.#isAwaited = true;
  }

  /** What the reader may see by now. */
  take(chunk: Buffer): Buffer {
    if (!this.#isAwaited) return chunk;
    const mended: Buffer[] = [];
    let left = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = NOTHING;
    while (this.#isAwaited && left.length > 0) {
      const head = withoutBlankLines(left);
      const start = head.toString('latin1', 0, ANSWER.length);
      const end = ANSWER.startsWith(start) ? headEnd(head) : 0;
      if (end === undefined) {
        // The memory that it lies in is used again.
        this.#held = Buffer.from(head);
        left = NOTHING;
      } else if (end === 0) {
        this.#isAwaited = false;
      } else {
        const status = head.toString('latin1', ANSWER.length + 2, ANSWER.length + 5);
        if (status !== '100') mended.push(mendedHead(head.subarray(0, end)));
        this.#isAwaited = status.startsWith('1') && status !== '101';
        left = head.subarray(end);
      }
    }
    const [only] = mended;
    // A head that is as it should be, and what lies behind it.
    if (mended.length === 1 && only?.buffer === left.buffer && only.byteOffset + only.length === left.byteOffset) {
      return Buffer.from(only.buffer, only.byteOffset, only.length + left.length);
    }
    return mended.length === 0 ? left : Buffer.concat([...mended, left]);
  }
}

/** Empty lines in front of an answer are passed over. */
function withoutBlankLines(bytes: Buffer): Buffer {
  let at = 0;
  while (bytes[at] === CR || bytes[at] === LF) at += 1;
  return bytes.subarray(at);
}

/** Where a head ends; `undefined` where that has not come, 0 where it is too long. */
function headEnd(bytes: Buffer): number | undefined {
  const lines = bytes.subarray(0, MAX_HEAD_BYTES);
  const usual = lines.indexOf('\n\r\n');
  const bare = lines.subarray(0, usual < 0 ? lines.length : usual + 3).indexOf('\n\n');
  if (bare >= 0) return bare + 2;
  if (usual >= 0) return usual + 3;
  return bytes.length < MAX_HEAD_BYTES ? undefined : 0;
}

/** A head as the parser bears it; the same bytes where there is nothing to mend. */
function mendedHead(head: Buffer): Buffer {
  const text = head.toString('latin1');
  const lengths = text.match(/\ncontent-length[ \t]*:/gi)?.length ?? 0;
  const isEncoded = /\ntransfer-encoding[ \t]*:/i.test(text);
  const isSaidTwice = lengths > 1 || (lengths > 0 && isEncoded);
  if (!isSaidTwice && !ODD.test(text)) return head;
  const [status = '', ...lines] = text
    .replace(/\r?\n[ \t]+/g, ' ')
    .trimEnd()
    .split(/\r?\n/)
    .map((line) => line.replace(/^([^:]*?)[ \t]+:/, '$1:'));
  const isLength = (line: string): boolean => /^content-length:/i.test(line);
  const said = lines.filter(isLength).flatMap((line) => line.slice(line.indexOf(':') + 1).split(','));
  const [length, ...others] = new Set(said.map((value) => value.trim()));
  // Two that differ are for the parser to refuse.
  if (others.length === 0 && length !== undefined) {
    const rest = lines.filter((line) => !isLength(line));
    // How long it is by its encoding counts, and nothing is read behind it.
    const sole = isEncoded ? 'Connection: close' : `Content-Length: ${length}`;
    return Buffer.from([status, ...rest, sole, '', ''].join('\r\n'), 'latin1');
  }
  return Buffer.from([status, ...lines, '', ''].join('\r\n'), 'latin1');
}
