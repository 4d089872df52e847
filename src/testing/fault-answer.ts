/** The answers that stand in for the right one. */

import { MediaType } from '../spec/media-types.js';
import type { InsteadFault } from './fault.js';
import { type Answer, answer, json } from './registry-answer.js';

/** Where the registry's own origins are, and what is asked. */
export interface FaultPlace {
  /** The path and query of the request, without `/storage`. */
  readonly path: string;
  readonly url: string;
  readonly storageUrl: string;
  /** The second origin without TLS. */
  readonly plainStorageUrl: string;
  readonly repository: string;
  readonly reference: string;
}

/** The faults of this file; the others need the connection or the tokens. */
export type AnswerFault = Exclude<InsteadFault, { do: 'hang-up' | 'silence' | 'expire-tokens' }>;

const PAGE = '<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to continue.</body></html>';

/** The answer of a fault. */
export function faultAnswer(fault: AnswerFault, place: FaultPlace): Answer {
  switch (fault.do) {
    case 'answer':
      return plain(fault.status, fault.headers ?? {}, fault.body ?? '');
    case 'retry-later': {
      const seconds = fault.seconds ?? 1;
      const after = fault.date === true ? new Date(Date.now() + seconds * 1000).toUTCString() : String(seconds);
      const errors = [{ code: 'TOOMANYREQUESTS', message: 'too many requests' }];
      return json(fault.status ?? 429, { errors }, { 'retry-after': after });
    }
    case 'html':
      return answer(fault.status ?? 200, { 'content-type': 'text/html; charset=utf-8' }, PAGE);
    case 'code-only':
      return json(fault.status, { errors: [{ code: fault.code }] });
    case 'schema1':
      return schema1(place);
    case 'redirect':
      return answer(fault.status ?? 307, { location: location(fault, place) });
  }
}

function plain(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array | object): Answer {
  if (typeof body === 'string') return answer(status, headers, body);
  if (body instanceof Uint8Array) return answer(status, headers, Buffer.from(body));
  return json(status, body, headers);
}

function schema1(place: FaultPlace): Answer {
  const v1 = { architecture: 'amd64', config: {}, id: '0'.repeat(64), os: 'linux' };
  const manifest = {
    schemaVersion: 1,
    name: place.repository,
    tag: place.reference,
    architecture: 'amd64',
    fsLayers: [{ blobSum: `sha256:${'0'.repeat(64)}` }],
    history: [{ v1Compatibility: JSON.stringify(v1) }],
  };
  return json(200, manifest, { 'content-type': MediaType.dockerSchema1Signed });
}

/** The place a redirect points to: the request's own path below `/storage`, signed, with the redirects still to come. */
function location(fault: InsteadFault & { do: 'redirect' }, place: FaultPlace): string | undefined {
  const to = fault.to ?? 'storage';
  if (typeof to === 'object') return to.location ?? undefined;
  const origin = {
    storage: place.storageUrl,
    relative: '',
    loop: place.storageUrl,
    'plain-http': place.plainStorageUrl,
  }[to];
  const status = fault.status ?? 307;
  const hops = to === 'loop' ? 'for-ever' : String((fault.hops ?? 1) - 1);
  const query = new URLSearchParams({ signature: 'good', hops, status: String(status) });
  return `${origin}/storage${place.path}${place.path.includes('?') ? '&' : '?'}${query}`;
}

/** The next redirect of a chain, when the request at the second origin stands in one. */
export function nextHop(url: URL): Answer | undefined {
  const hops = url.searchParams.get('hops');
  if (hops === null || hops === '0') return undefined;
  const next = new URL(url);
  if (hops !== 'for-ever') next.searchParams.set('hops', String(Number(hops) - 1));
  return answer(Number(url.searchParams.get('status') ?? 307), { location: `${next.pathname}${next.search}` });
}
