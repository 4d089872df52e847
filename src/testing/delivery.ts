/** Sends an answer, and disturbs its way: pauses, caps, stalls, cuts. Counts every byte that left. */
import type { ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { DeliveryFault } from './fault.js';
import type { Answer } from './registry-answer.js';
import type { RequestRecord } from './request-log.js';

/** What a connection has behind it: body bytes sent, and when a capped one may send again. */
export interface ConnectionState {
  readonly number: number;
  sent: number;
  freeAt: number;
}

const PIECE = 256 * 1024;

interface Way {
  readonly latencyMs: number;
  readonly cut: number;
  readonly stall: number;
  readonly drip: { readonly bytes: number; readonly everyMs: number } | undefined;
  readonly bytesPerSecond: number | undefined;
}

function wayOf(faults: readonly DeliveryFault[], connection: ConnectionState): Way {
  let latencyMs = 0;
  let cut = Number.POSITIVE_INFINITY;
  let stall = Number.POSITIVE_INFINITY;
  let drip: Way['drip'];
  let bytesPerSecond: number | undefined;
  for (const fault of faults) {
    switch (fault.do) {
      case 'latency':
        latencyMs += fault.ms;
        break;
      case 'cut':
        cut = Math.min(cut, Math.max(0, fault.per === 'connection' ? fault.after - connection.sent : fault.after));
        break;
      case 'stall':
        stall = Math.min(stall, fault.after);
        break;
      case 'drip':
        drip = { bytes: fault.bytes ?? 1, everyMs: fault.everyMs };
        break;
      case 'slow':
        bytesPerSecond = Math.min(bytesPerSecond ?? Number.POSITIVE_INFINITY, fault.bytesPerSecond);
        break;
    }
  }
  return { latencyMs, cut, stall, drip, bytesPerSecond };
}

/**
 * Sends `answer`. Ends when the answer has left, was cut, or the client went away; a stall ends with the connection.
 * Never rejects for a client that leaves.
 */
export async function deliver(
  response: ServerResponse,
  answer: Answer,
  faults: readonly DeliveryFault[],
  record: RequestRecord,
  connection: ConnectionState,
  onSent: () => void,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  if (response.destroyed) return;
  const way = wayOf(faults, connection);
  try {
    if (way.latencyMs > 0) await pause(way.latencyMs, undefined, { signal: gone.signal });
    writeHead(response, answer, record);
    if (record.method === 'HEAD' || answer.status === 204 || answer.status === 304) {
      response.end();
      return;
    }
    const count = (bytes: number): void => {
      record.bytesSent += bytes;
      connection.sent += bytes;
      onSent();
    };
    await writeBody(response, answer, way, connection, count, gone.signal);
  } catch (error) {
    if (!gone.signal.aborted && !response.destroyed) throw error;
  }
}

function writeHead(response: ServerResponse, answer: Answer, record: RequestRecord): void {
  record.status = answer.status;
  response.statusCode = answer.status;
  response.strictContentLength = false;
  for (const [name, value] of answer.headers) response.setHeader(name, value as string | string[]);
  if (answer.chunked) response.removeHeader('content-length');
  else if (answer.status !== 204 && !response.hasHeader('content-length')) {
    response.setHeader('content-length', answer.body.length);
  }
  response.flushHeaders();
}

async function writeBody(
  response: ServerResponse,
  answer: Answer,
  way: Way,
  connection: ConnectionState,
  count: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { body } = answer;
  const whole = answer.endless ? Number.POSITIVE_INFINITY : body.length;
  const stop = Math.min(whole, way.cut, way.stall);
  const capped =
    way.bytesPerSecond === undefined ? PIECE : Math.max(1, Math.min(PIECE, Math.ceil(way.bytesPerSecond / 20)));
  for (let at = 0; at < stop; ) {
    const size = Math.min(stop - at, way.drip?.bytes ?? capped);
    const piece =
      at < body.length
        ? body.subarray(at, Math.min(body.length, at + size))
        : Buffer.alloc(Math.min(size, PIECE), 0x2b);
    if (way.bytesPerSecond !== undefined) {
      const now = performance.now();
      const wait = connection.freeAt - now;
      connection.freeAt = Math.max(now, connection.freeAt) + (piece.length / way.bytesPerSecond) * 1000;
      if (wait > 0) await pause(wait, undefined, { signal });
    }
    await write(response, piece, signal);
    at += piece.length;
    count(piece.length);
    if (way.drip !== undefined) await pause(way.drip.everyMs, undefined, { signal });
  }
  if (way.cut <= way.stall && way.cut < whole) response.req.socket.destroy();
  else if (way.stall < whole) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  else finish(response, answer);
}

/** Ends the answer; where the declared length is not the one that was sent, the connection cannot be used again. */
function finish(response: ServerResponse, answer: Answer): void {
  const declared = answer.headers.get('content-length');
  response.end();
  if (answer.chunked || declared === undefined || Number(declared) === answer.body.length) return;
  response.req.socket.destroySoon();
}

function write(response: ServerResponse, piece: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    if (signal.aborted) {
      leave();
      return;
    }
    signal.addEventListener('abort', leave, { once: true });
    response.write(piece, (error) => {
      signal.removeEventListener('abort', leave);
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}
