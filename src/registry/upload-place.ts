/** Where an upload goes on: its URL, what the registry holds of it, and how it is given up. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { type Digest, isDigest } from '../spec/digest.js';
import type { Subject } from './answer-error.js';
import type { Endpoint } from './endpoint.js';
import { isHtml } from './manifest-answer.js';
import { headerUrl, redirectTarget } from './redirect.js';
import type { RegistrySession } from './registry-session.js';
import { repositoryScope } from './scopes.js';
import type { WireResponse } from './wire.js';

/** What an upload needs to know. */
export interface UploadContext {
  readonly session: RegistrySession;
  readonly subject: Subject;
}

/** An upload that a registry opened where it was asked to mount a blob. */
export interface OpenedUpload {
  readonly endpoint: Endpoint;
  /** The answer that says where it goes on. */
  readonly response: WireResponse;
}

/** How long a cancelled upload is given to be cleaned up at the registry, in milliseconds. */
const CANCEL_MS = 2_000;

/** Scopes of a push to an endpoint. */
export function pushScopes(endpoint: Endpoint): readonly string[] {
  return [repositoryScope(endpoint.repository, 'pull', 'push')];
}

/** Ends an upload session that is not wanted; what goes wrong there is of no interest, and an abort ends that too. */
export async function cancelUpload(
  location: URL,
  endpoint: Endpoint,
  { session, subject }: UploadContext,
  { signal, onProgress }: CallOptions,
): Promise<void> {
  if (signal?.aborted === true) return;
  const own = new AbortController();
  const end = (): void => own.abort(new Error('nobody waits for it any more'));
  const timer = setTimeout(end, CANCEL_MS).unref();
  signal?.addEventListener('abort', end, { once: true });
  try {
    const request = { method: 'DELETE', path: location, scopes: pushScopes(endpoint), subject, atOnce: true } as const;
    const call = { signal: own.signal, onProgress };
    const response = await session.request(endpoint, { ...request, accept: [200, 202, 204, 404, 405] }, call);
    response.body.discard();
  } catch {
    // Registries remove stale uploads by themselves.
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
  }
}

/** The header that says where an upload goes on; `undefined` where it is missing or empty. */
export function givenLocation({ headers }: WireResponse): string | undefined {
  return headers.get('location')?.trim() || undefined;
}

/** The URL that an upload goes on at. @throws RootfsError `ERR_REGISTRY` where the answer names none */
export function uploadLocation(response: WireResponse, subject: Subject): URL {
  const location = givenLocation(response);
  if (location !== undefined) return redirectTarget(response.url, sameScheme(response.url, location));
  throw new RootfsError(
    'ERR_REGISTRY',
    `${subject.name}: ${response.url.host} opened an upload without saying where (no Location header); check that this is a registry`,
    { detail: { status: response.status } },
  );
}

/**
 * A registry behind a proxy that speaks TLS for it names itself with http: the host is the same, the way is ours. So it
 * is where a registry takes itself to be behind one: the port that answered plain http speaks no TLS.
 */
function sameScheme(from: URL, location: string): string {
  if (!URL.canParse(location)) return location;
  const to = new URL(headerUrl(location));
  if (to.protocol === from.protocol || !/^https?:$/.test(to.protocol) || to.hostname !== from.hostname) return location;
  const isOurs = to.port === '' ? from.protocol === 'https:' : to.port === from.port;
  return isOurs ? `${from.origin}${to.pathname}${to.search}` : location;
}

/** The URL that finishes an upload. The rest of the query stays as it came, byte for byte: it may be signed. */
export function withDigest(location: URL, digest: string): URL {
  const kept = location.search
    .slice(1)
    .split('&')
    .filter((pair) => pair !== '' && !/^digest(?:=|$)/.test(pair));
  const url = new URL(location);
  url.search = `?${[...kept, `digest=${encodeURIComponent(digest)}`].join('&')}`;
  return url;
}

/** How many bytes the registry says it holds: `Range: 0-LAST`. */
export function confirmedBytes(response: WireResponse): number | undefined {
  const last = /^(?:bytes[= ])?0-(\d{1,16})$/.exec(response.headers.get('range') ?? '')?.[1];
  return last === undefined ? undefined : Number(last) + 1;
}

/** What the answer to a PATCH said that is held of it, for a registry that cannot be asked. */
export function takenBytes(cause: unknown): number | undefined {
  const confirmed = cause instanceof RootfsError ? cause.detail['confirmed'] : undefined;
  return typeof confirmed === 'number' ? confirmed : undefined;
}

/**
 * Checks what the registry says that it stored, where it says so.
 *
 * @throws RootfsError `ERR_DIGEST_MISMATCH` for another digest of the same algorithm; `ERR_REGISTRY` where a portal or
 * a site has answered, which takes whatever is sent and keeps nothing
 */
export function checkStored(response: WireResponse, sent: Digest, { name }: Subject): void {
  const { headers } = response;
  const stored = headers.get('docker-content-digest');
  // Registries that call every answer a page say where it lies.
  if (stored === undefined && headers.get('location') === undefined && isHtml(headers.get('content-type'))) {
    throw new RootfsError(
      'ERR_REGISTRY',
      `${name}: ${response.url.host} answered with a web page instead of storing it; check the host, and whether a portal or proxy is in between`,
      { detail: { host: response.url.host } },
    );
  }
  if (stored === undefined || !isDigest(stored) || stored === sent || !sameAlgorithm(stored, sent)) return;
  throw new RootfsError(
    'ERR_DIGEST_MISMATCH',
    `${name}: ${response.url.host} says that it stored ${stored} where ${sent} was sent; do not use what it has there`,
    { detail: { expected: sent, found: stored } },
  );
}

function sameAlgorithm(a: string, b: string): boolean {
  return a.slice(0, a.indexOf(':')) === b.slice(0, b.indexOf(':'));
}
