/** A document out of an answer: bounded in bytes and time, and without the compression of whoever stands in between. */
import type { ZlibOptions } from 'node:zlib';
import { RootfsError, systemErrorCode } from '../errors.js';
import type { WireResponse } from './wire.js';

/** How many times the longest silence a whole document may take. */
const PATIENCE = 10;

/** The functions of node:zlib that undo an encoding. We ask for none; some proxies compress nevertheless. */
const DECODERS = {
  gzip: 'gunzipSync',
  'x-gzip': 'gunzipSync',
  deflate: 'inflateSync',
  br: 'brotliDecompressSync',
} as const;

/** An encoding that can be undone. */
export type Encoding = keyof typeof DECODERS;

/**
 * Collects the body of an answer that is a document: a manifest, a list, a token.
 *
 * @param limit The most bytes, as they come and as they are.
 * @throws RootfsError `ERR_LIMIT_EXCEEDED`, `ERR_TIMEOUT` (it drips), or what the exchange failed with
 */
export async function readDocument(response: WireResponse, limit: number, subject: string): Promise<Buffer> {
  const bytes = await response.body.bytes({ bytes: limit, withinMs: documentMs(response) }, subject);
  return withoutEncoding(bytes, response, limit, subject);
}

/** How long the whole of a document may take to come, in milliseconds. */
export function documentMs({ timeoutMs }: Pick<WireResponse, 'timeoutMs'>): number {
  return Math.min(timeoutMs * PATIENCE, 0x7fffffff);
}

/** The encoding that an answer says its body has, where it is one that can be undone; else `undefined`. */
export function contentEncoding({ headers }: Pick<WireResponse, 'headers'>): Encoding | undefined {
  const said = headers.get('content-encoding')?.toLowerCase();
  return said !== undefined && Object.hasOwn(DECODERS, said) ? (said as Encoding) : undefined;
}

/**
 * A collected body without the encoding that its answer names; as it came where that is none, or not true.
 *
 * @throws RootfsError `ERR_LIMIT_EXCEEDED` past `limit` bytes
 */
export async function withoutEncoding(
  bytes: Buffer,
  response: WireResponse,
  limit: number,
  subject: string,
): Promise<Buffer> {
  const encoding = contentEncoding(response);
  // The header is wrong more often than the body: what begins like JSON is JSON.
  if (encoding === undefined || /^\s*[{[<]/.test(bytes.toString('latin1', 0, 64))) return bytes;
  const decode: (bytes: Uint8Array, options: ZlibOptions) => Buffer = (await import('node:zlib'))[DECODERS[encoding]];
  try {
    return decode(bytes, { maxOutputLength: limit });
  } catch (error) {
    if (systemErrorCode(error) !== 'ERR_BUFFER_TOO_LARGE') return bytes;
    throw new RootfsError(
      'ERR_LIMIT_EXCEEDED',
      `${subject}: the answer is longer than ${limit} bytes once uncompressed; ask who runs the server, or a proxy before it`,
      { cause: error, detail: { limit } },
    );
  }
}
