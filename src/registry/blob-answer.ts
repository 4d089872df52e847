/** What the head of an answer with a blob says of it: whether it is the same one, the range that was asked, its length. */
import { RootfsError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Subject } from './answer-error.js';
import type { Endpoint } from './endpoint.js';
import type { WireResponse } from './wire.js';

/**
 * A changed ETag may mean other bytes: not a continuation of what was delivered. Where it changes again and again it
 * means nothing (each server behind the name makes its own); the digest decides in the end.
 */
export function checkEntity(
  response: WireResponse,
  endpoint: Endpoint,
  known: Map<string, string>,
  subject: Subject,
): void {
  const tag = response.headers.get('etag');
  if (tag === undefined || tag.startsWith('W/')) return;
  const key = `${endpoint.baseUrl} ${response.url.origin}`;
  const before = known.get(key);
  known.set(key, before ?? tag);
  if (before !== undefined && before !== '' && before !== tag) {
    known.set(key, '');
    throw fault(`${subject.name}: ${response.url.host} changed its content while it was read (another ETag)`);
  }
}

/** What is wrong with a 206: it is another range than asked, or does not say which. */
export function wrongRange(
  response: WireResponse,
  offset: number,
  target: Descriptor,
  subject: Subject,
): string | undefined {
  const value = response.headers.get('content-range') ?? '';
  const parts = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i.exec(value);
  const [start, end, total] = [parts?.[1], parts?.[2], parts?.[3]];
  const wrongTotal = total !== undefined && total !== '*' && Number(total) !== target.size;
  if (start === undefined || Number(start) !== offset || Number(end) < offset || wrongTotal) {
    return `${subject.name}: ${response.url.host} answered with another range than asked (Content-Range ${JSON.stringify(value.slice(0, 80))}, asked from ${offset} of ${target.size})`;
  }
  return undefined;
}

/** What is wrong with an answer, and may be right with the next. */
export function fault(message: string): RootfsError {
  return new RootfsError('ERR_NETWORK', `${message}; if it stays, a proxy in between may be broken`, {});
}

/** The length that an answer says it has. */
export function contentLength(response: WireResponse): number | undefined {
  const text = response.headers.get('content-length');
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
}
