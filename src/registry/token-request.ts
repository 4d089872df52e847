/**
 * Asks a realm for a token, by GET or by OAuth2's POST.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 * @see https://distribution.github.io/distribution/spec/auth/oauth/
 */
import { RegistryError, RootfsError } from '../errors.js';
import { parseJson } from '../spec/parse-json.js';
import { answerError, type Subject } from './answer-error.js';
import type { Credential } from './credentials.js';
import { secretsOf } from './hide-secrets.js';
import { shownUrl } from './network-error.js';
import { readDocument } from './read-document.js';
import { isRedirect, MAX_REDIRECTS, redirectTarget } from './redirect.js';
import type { WireRequest, WireResponse } from './wire.js';

/** A bearer token. */
export interface RegistryToken {
  /** What stands behind `Authorization: Bearer`. A secret. */
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** What a realm gives: a bearer token, and maybe an identity token in the place of the one that was shown. */
export interface GrantedToken extends RegistryToken {
  /** A secret. */
  readonly refreshToken?: string | undefined;
}

/** Where a token is asked for, and for what. */
export interface TokenQuestion {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  readonly credential: Credential | undefined;
  readonly subject: Subject;
}

/** Sends one request; bound to the connections and TLS settings to be used. */
export type Send = (request: Pick<WireRequest, 'method' | 'url' | 'headers' | 'body'>) => Promise<WireResponse>;

/** The longest answer of a realm that is read, in bytes. */
const MAX_TOKEN_BODY = 256 * 1024;

/** How long a token holds when the realm does not say, in seconds. */
const DEFAULT_EXPIRY = 60;

/** A token is taken to hold for this long at least, in seconds; one that does not is renewed at its 401. */
const SHORTEST_EXPIRY = 60;

/** What realms answer that know no POST: then GET is tried. */
const NO_POST = new Set([400, 401, 404, 405, 501]);

/** What realms answer that know no GET: then a user name and a password go by POST. */
const NO_GET = new Set([404, 405, 501]);

/**
 * Gets a token. An identity token goes by POST, and by GET where the realm knows no POST; a user name and password go
 * by GET, and by POST where the realm knows no GET; without a credential an anonymous token is asked for.
 *
 * @param extra Headers for the realm's own origin; after a redirect to another one only User-Agent goes along.
 * @throws RegistryError `ERR_UNAUTHORIZED`, `ERR_DENIED`, `ERR_REGISTRY`, `ERR_RATE_LIMITED`; RootfsError as the wire
 */
export async function requestToken(
  question: TokenQuestion,
  send: Send,
  extra: Readonly<Record<string, string>>,
): Promise<GrantedToken> {
  const headers = { accept: 'application/json', ...extra };
  const { credential } = question;
  const subject = { ...question.subject, secrets: secretsOf(credential) };
  if (credential?.identityToken !== undefined) {
    const grant = { grant_type: 'refresh_token', refresh_token: credential.identityToken };
    const posted = await post(send, question, headers, grant);
    if (isSuccess(posted)) return readToken(posted);
    const refused = await refusal(posted, 'POST', subject);
    // Who names the grant knows POST.
    if (!NO_POST.has(posted.status) || (posted.status === 400 && refused.code === 'ERR_UNAUTHORIZED')) throw refused;
  }
  const url = new URL(question.realm);
  if (question.service !== undefined) url.searchParams.set('service', question.service);
  for (const scope of question.scopes) url.searchParams.append('scope', scope);
  const login = basicLogin(credential);
  if (login !== undefined) url.searchParams.set('account', credential?.username ?? '<token>');
  const answered = await follow(send, {
    method: 'GET',
    url,
    headers: { ...headers, ...(login === undefined ? {} : { authorization: login }) },
  });
  if (isSuccess(answered)) return readToken(answered);
  if (credential?.username !== undefined && credential.password !== undefined && NO_GET.has(answered.status)) {
    answered.body.discard();
    const { username, password } = credential;
    const posted = await post(send, question, headers, { grant_type: 'password', username, password });
    if (isSuccess(posted)) return readToken(posted);
    throw await refusal(posted, 'POST', subject);
  }
  throw await refusal(answered, 'GET', subject);
}

/** Some realms say with 201 that they made a token, and proxies put 203 in the place of 200. */
function isSuccess({ status }: WireResponse): boolean {
  return status >= 200 && status < 300;
}

function post(
  send: Send,
  { realm, service, scopes }: TokenQuestion,
  headers: Readonly<Record<string, string>>,
  grant: Readonly<Record<string, string>>,
): Promise<WireResponse> {
  const form = new URLSearchParams({ client_id: 'rootfs-kit', ...grant });
  if (service !== undefined) form.set('service', service);
  if (scopes.length > 0) form.set('scope', scopes.join(' '));
  return follow(send, {
    method: 'POST',
    url: realm,
    headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(form.toString()),
  });
}

/** What a realm refuses with. Its 404 and 405 say nothing of the image: that has not been asked for yet. */
async function refusal(response: WireResponse, method: string, subject: Subject): Promise<RegistryError> {
  const error = await answerError(response, method, subject);
  const { status, url } = response;
  const { reasons } = error.detail;
  const because = typeof reasons === 'string' ? ` (${reasons})` : '';
  if ([401, 403, 429].includes(status) || status >= 500 || error.code === 'ERR_UNAUTHORIZED') return error;
  return new RegistryError(
    'ERR_REGISTRY',
    `token realm ${url.host}: it answered with status ${status}${because}; ${subject.registry} names it as its token server, ask who runs that`,
    error,
    { cause: error, detail: error.detail },
  );
}

/** The Basic header of a credential, or `undefined` where it holds nothing to show. */
export function basicLogin(credential: Credential | undefined): string | undefined {
  const password = credential?.password ?? credential?.identityToken;
  if (credential === undefined || (password === undefined && credential.username === undefined)) return undefined;
  const plain = `${credential.username ?? '<token>'}:${password ?? ''}`;
  return `Basic ${Buffer.from(plain, 'utf8').toString('base64')}`;
}

/** Redirects of the realm: the login and the form stay with the origin they were meant for. */
async function follow(send: Send, first: Parameters<Send>[0]): Promise<WireResponse> {
  let request = first;
  for (let hops = 0; ; hops++) {
    const response = await send(request);
    if (!isRedirect(response.status)) return response;
    response.body.discard();
    const url = redirectTarget(request.url, response.headers.get('location'));
    if (hops >= MAX_REDIRECTS) throw realmError(url, `more than ${MAX_REDIRECTS} redirects`);
    const stays = url.origin === request.url.origin;
    const headers = stays ? request.headers : openHeaders(request.headers);
    if (request.method === 'POST' && (response.status === 307 || response.status === 308)) {
      if (!stays) throw realmError(url, 'it redirects a secret to another origin; refused');
      request = { ...request, url, headers };
    } else {
      request = { method: 'GET', url, headers };
    }
  }
}

function openHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name === 'user-agent' || name === 'accept'));
}

async function readToken(response: WireResponse): Promise<GrantedToken> {
  const bytes = await readDocument(response, MAX_TOKEN_BODY, `token realm ${response.url.host}`);
  let value: Record<string, unknown>;
  try {
    value = parseJson(bytes.toString('utf8')) as Record<string, unknown>;
  } catch (error) {
    throw realmError(response.url, `its answer is not JSON`, error);
  }
  const token = [value?.['token'], value?.['access_token']].find((text) => typeof text === 'string' && text !== '');
  if (typeof token !== 'string') throw realmError(response.url, 'its answer holds no token');
  if (!/^[\x21-\x7e]+$/.test(token)) throw realmError(response.url, 'its token holds characters that no header can');
  const refreshToken = value['refresh_token'];
  return {
    token,
    expiresAt: expiry(value),
    ...(typeof refreshToken === 'string' && refreshToken !== '' ? { refreshToken } : {}),
  };
}

function expiry(value: Readonly<Record<string, unknown>>): number {
  const seconds = Number(value['expires_in'] ?? DEFAULT_EXPIRY);
  const known = Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 86_400) : DEFAULT_EXPIRY;
  const lifetimeMs = Math.max(known, SHORTEST_EXPIRY) * 1000;
  const now = Date.now();
  const issued = typeof value['issued_at'] === 'string' ? Date.parse(value['issued_at']) : Number.NaN;
  // A realm whose clock is wrong would have every request ask for a token of its own.
  return issued <= now && issued + lifetimeMs > now + SHORTEST_EXPIRY * 500 ? issued + lifetimeMs : now + lifetimeMs;
}

function realmError(url: URL, problem: string, cause?: unknown): RootfsError {
  return new RootfsError(
    'ERR_REGISTRY',
    `token realm ${url.host}: ${problem}; ask who runs the registry that names it`,
    {
      cause,
      detail: { url: shownUrl(url) },
    },
  );
}
