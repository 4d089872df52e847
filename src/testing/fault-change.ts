/** Changes a right answer into a wrong one: headers, bodies, ranges, pages. */
import type { ChangeFault, DeclaredLength } from './fault.js';
import type { FaultPlace } from './fault-answer.js';
import { type Answer, answer } from './registry-answer.js';
import { parseRange } from './registry-pull.js';

/** Applies one change and returns the changed answer. */
export function changeAnswer(right: Answer, fault: ChangeFault, place: FaultPlace, range: string | undefined): Answer {
  const body = right.body;
  switch (fault.do) {
    case 'headers': {
      for (const [name, value] of Object.entries(fault.set ?? {})) right.headers.set(name.toLowerCase(), value);
      for (const name of fault.remove ?? []) {
        right.headers.delete(name.toLowerCase());
        if (name.toLowerCase() === 'content-length') right.chunked = true;
      }
      return right;
    }
    case 'short':
      return resize(right, body.subarray(0, Math.max(0, body.length - fault.by)), fault.declared);
    case 'long':
      return resize(right, Buffer.concat([body, Buffer.alloc(fault.by, 0x2b)]), fault.declared);
    case 'endless':
      right.endless = true;
      right.chunked = true;
      return right;
    case 'flip': {
      const at = fault.at ?? Math.floor(body.length / 2);
      right.body = Buffer.from(body);
      if (at < body.length) right.body[at] = (body[at] ?? 0) ^ 1;
      return right;
    }
    case 'range':
      return changeRange(right, fault.as, range ?? '');
    case 'paging':
      return changePage(right, fault.as, place);
  }
}

function resize(right: Answer, body: Buffer, declared: DeclaredLength = 'sent'): Answer {
  if (declared === 'none') right.chunked = true;
  if (declared === 'original') right.headers.set('content-length', String(right.body.length));
  right.body = body;
  return right;
}

function changeRange(right: Answer, as: (ChangeFault & { do: 'range' })['as'], range: string): Answer {
  const whole = right.whole;
  const wanted = whole === undefined ? undefined : parseRange(range, whole.length);
  if (whole === undefined || wanted === undefined || wanted === 'outside') return right;
  const { start, end } = wanted;
  const size = whole.length;
  const give = (from: number, to: number): void => {
    right.body = whole.subarray(from, to);
    right.headers.set('content-range', `bytes ${from}-${to - 1}/${size}`);
  };
  // another range of the same length where there is one: from the blob's start, or one byte later
  const other = start > 0 ? 0 : 1;
  switch (as) {
    case 'ignored':
      right.status = 200;
      right.headers.delete('content-range');
      right.body = whole;
      break;
    case 'refused':
      return answer(416, { 'content-range': `bytes */${size}` });
    case 'no-header':
      right.headers.delete('content-range');
      break;
    case 'shifted':
      give(other, Math.min(size, other + end - start));
      break;
    case 'wrong-bytes':
      right.body = Buffer.concat([whole.subarray(other, other + end - start), Buffer.alloc(end - start)]).subarray(
        0,
        end - start,
      );
      break;
    case 'wrong-total':
      right.headers.set('content-range', `bytes ${start}-${end - 1}/${size + 1}`);
      break;
    case 'unknown-total':
      right.headers.set('content-range', `bytes ${start}-${end - 1}/*`);
      break;
    case 'to-the-end':
      give(start, size);
      break;
  }
  return right;
}

const LINK = /^<([^>]*)>/;

function changePage(right: Answer, as: (ChangeFault & { do: 'paging' })['as'], place: FaultPlace): Answer {
  if (right.status !== 200) return right;
  const header = right.headers.get('link');
  const next = typeof header === 'string' ? LINK.exec(header)?.[1] : undefined;
  const link = (target: string): void => void right.headers.set('link', `<${target}>; rel="next"`);
  const value = JSON.parse(right.body.toString()) as Record<string, unknown>;
  const list = ['tags', 'repositories', 'manifests'].find((key) => key in value) ?? 'tags';
  const [path = place.path] = place.path.split('?');
  switch (as) {
    case 'loop':
      link(next ?? path);
      if (next === undefined || new URL(place.path, place.url).searchParams.size > 0) link(path);
      break;
    case 'absolute':
      if (next !== undefined) link(place.url + next);
      break;
    case 'other-origin':
      link(`${place.storageUrl}/storage${next ?? path}`);
      break;
    case 'json-next':
      right.headers.delete('link');
      if (next !== undefined) value['next'] = place.url + next;
      break;
    case 'endless': {
      const page = Number(new URL(place.path, place.url).searchParams.get('page') ?? 0);
      value[list] = list === 'manifests' ? [] : [`name-${page}`];
      link(`${path}?page=${page + 1}`);
      break;
    }
    case 'null':
      value[list] = null;
      break;
  }
  right.body = Buffer.from(JSON.stringify(value));
  return right;
}
