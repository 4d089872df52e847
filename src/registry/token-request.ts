/**
 * Asks a realm for a token, by GET or by OAuth2's POST.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 * @see https://distribution.github.io/distribution/spec/auth/oauth/
 */
import { RootfsError } from '../errors.js';
import { answerError, type Subject } from './answer-error.js';
import type { Credential } from './credentials.js';
import { shownUrl } from './network-error.js';
import { isRedirect, MAX_REDIRECTS, redirectTarget } from './redirect.js';
import type { WireRequest, WireResponse } from './wire.js';

/** A bearer token. */
export interface RegistryToken {
  /** What stands behind `Authorization: Bearer`. A secret. */
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
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

/** What realms answer that know no POST: then GET is tried. */
const NO_POST = new Set([400, 401, 404, 405, 501]);

/**
 * Gets a token. An identity token goes by POST, and by GET where the realm knows no POST; a user name and password go
 * by GET; without a credential an anonymous token is asked for.
 *
 * @param extra Headers for the realm's own origin; after a redirect to another one only User-Agent goes along.
 * @throws RegistryError `ERR_UNAUTHORIZED`, `ERR_DENIED`, `ERR_REGISTRY`, `ERR_RATE_LIMITED`; RootfsError as the wire
 */
export async function requestToken(
  question: TokenQuestion,
  send: Send,
  extra: Readonly<Record<string, string>>,
): Promise<RegistryToken> {
  const headers = { accept: 'application/json', ...extra };
  const { credential, subject } = question;
  if (credential?.identityToken !== undefined) {
    const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'rootfs-kit' });
    if (question.service !== undefined) form.set('service', question.service);
    if (question.scopes.length > 0) form.set('scope', question.scopes.join(' '));
    form.set('refresh_token', credential.identityToken);
    const posted = await follow(send, {
      method: 'POST',
      url: question.realm,
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
    });
    if (posted.status === 200) return readToken(posted, subject);
    if (!NO_POST.has(posted.status)) throw await answerError(posted, 'POST', subject);
    posted.body.discard();
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
  if (answered.status !== 200) throw await answerError(answered, 'GET', subject);
  return readToken(answered, subject);
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
      if (!stays) throw realmError(url, 'it redirects a refresh token to another origin; refused');
      request = { ...request, url, headers };
    } else {
      request = { method: 'GET', url, headers };
    }
  }
}

function openHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name === 'user-agent' || name === 'accept'));
}

async function readToken(response: WireResponse, subject: Subject): Promise<RegistryToken> {
  const bytes = await response.body.bytes(MAX_TOKEN_BODY, `token realm ${response.url.host}`);
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
  } catch (error) {
    throw realmError(response.url, `its answer is not JSON; ${subject.registry} names it as its token server`, error);
  }
  const token = [value?.['token'], value?.['access_token']].find((text) => typeof text === 'string' && text !== '');
  if (typeof token !== 'string') throw realmError(response.url, 'its answer holds no token');
  if (!/^[\x21-\x7e]+$/.test(token)) throw realmError(response.url, 'its token holds characters that no header can');
  return { token, expiresAt: expiry(value) };
}

function expiry(value: Readonly<Record<string, unknown>>): number {
  const seconds = Number(value['expires_in'] ?? DEFAULT_EXPIRY);
  const lifetimeMs = (Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 86_400) : DEFAULT_EXPIRY) * 1000;
  const issued = typeof value['issued_at'] === 'string' ? Date.parse(value['issued_at']) : Number.NaN;
  return (Number.isNaN(issued) ? Date.now() : issued) + lifetimeMs;
}

function realmError(url: URL, problem: string, cause?: unknown): RootfsError {
  return new RootfsError('ERR_REGISTRY', `token realm ${url.host}: ${problem}`, {
    cause,
    detail: { url: shownUrl(url) },
  });
}
