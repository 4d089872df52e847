/**
 * Who may do what at a test registry: Basic, or tokens from a token server.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
import { randomBytes } from 'node:crypto';
import { type Answer, failure, json } from './registry-answer.js';
import type { Route } from './registry-route.js';

/** Name and password with every request. */
export interface BasicAuth {
  readonly kind: 'basic';
  /** Passwords by user name. */
  readonly users: Readonly<Record<string, string>>;
  /** `WWW-Authenticate` verbatim: one header, or several. */
  readonly challenge?: string | readonly string[] | undefined;
}

/** Tokens from a token server. */
export interface BearerAuth {
  readonly kind: 'bearer';
  /** Passwords by user name. Default: there are no users. */
  readonly users?: Readonly<Record<string, string>> | undefined;
  /** Who has no credentials may pull. Default: only where there are no users. */
  readonly anonymous?: boolean | undefined;
  /** The token server is the registry itself, or another origin. Default `'same'`. */
  readonly server?: 'same' | 'other' | undefined;
  /** Where the token stands in the token server's answer. Default `'token'`. */
  readonly field?: 'token' | 'access_token' | 'both' | undefined;
  /** Seconds a token lives; said in `expires_in` when given. Default 60, not said. */
  readonly expiresIn?: number | undefined;
  /** `issued_at` verbatim; a token counts from there. */
  readonly issuedAt?: string | undefined;
  /** A token is good for so many requests, then 401; 0 means that no token is ever good. Default: no such limit. */
  readonly uses?: number | undefined;
  /** `WWW-Authenticate` verbatim, one header or several; `{realm}`, `{service}` and `{scope}` are filled in. */
  readonly challenge?: string | readonly string[] | undefined;
  /** The realm in the challenge; `{storage}` is the second origin's URL. Default: the token server's. */
  readonly realm?: string | undefined;
  /** The scope in the challenge: what is needed, another repository's, or none. Default `'right'`. */
  readonly scope?: 'right' | 'wrong' | 'none' | undefined;
  /** A refresh token that the token server takes by POST (`grant_type=refresh_token`). */
  readonly identityToken?: string | undefined;
  /** Whether the token server answers POST; without it 404. Default true. */
  readonly post?: boolean | undefined;
  /** Wrong or missing credentials at the token server: 401, or a token that allows nothing. Default `'401'`. */
  readonly refuse?: '401' | 'empty-token' | undefined;
  /** A token that is always good, as `registrytoken` in a Docker config has it. */
  readonly registryToken?: string | undefined;
}

/** How a registry asks who is there. */
export type RegistryAuth = BasicAuth | BearerAuth;

interface Token {
  readonly scopes: ReadonlySet<string>;
  readonly expiresAt: number;
  uses: number;
}

const SERVICE = 'test-registry';

/** Keeps the tokens that were given out and checks what requests bring. */
export class Gate {
  readonly #auth: RegistryAuth | undefined;
  readonly #users: ReadonlyMap<string, string>;
  readonly #tokens = new Map<string, Token>();

  constructor(auth: RegistryAuth | undefined) {
    this.#auth = auth;
    this.#users = new Map(Object.entries(auth?.users ?? {}));
  }

  /** Voids every token that was given out. */
  expire(): void {
    this.#tokens.clear();
  }

  /** `undefined` lets the request in; else the answer that turns it away. */
  check(route: Route, method: string, authorization: string | undefined, tokenUrl: string): Answer | undefined {
    const auth = this.#auth;
    if (auth === undefined) return undefined;
    const scope = scopeOf(route, method);
    if (auth.kind === 'basic')
      return this.#userOf(authorization) === undefined ? this.challenge(scope, tokenUrl) : undefined;
    const [scheme = '', value = ''] = (authorization ?? '').split(' ');
    if (scheme.toLowerCase() !== 'bearer') return this.challenge(scope, tokenUrl);
    if (auth.registryToken !== undefined && value === auth.registryToken) return undefined;
    const token = this.#tokens.get(value);
    if (token === undefined || token.uses <= 0 || token.expiresAt <= Date.now()) {
      return this.challenge(scope, tokenUrl, 'invalid_token');
    }
    token.uses -= 1;
    if (scope !== undefined && !token.scopes.has(scope)) return this.challenge(scope, tokenUrl, 'insufficient_scope');
    return undefined;
  }

  /** 401 with what the registry wants to see. */
  challenge(scope: string | undefined, tokenUrl: string, error?: string): Answer {
    const reply = failure(401, 'UNAUTHORIZED', 'authentication required');
    reply.headers.set('www-authenticate', this.#challengeText(scope, tokenUrl, error));
    return reply;
  }

  /** The scope a request needs, as the challenge names it. */
  challengeFor(route: Route, method: string, tokenUrl: string): Answer {
    return this.challenge(scopeOf(route, method), tokenUrl, 'invalid_token');
  }

  #challengeText(scope: string | undefined, tokenUrl: string, error?: string): string | readonly string[] {
    const auth = this.#auth;
    if (auth === undefined || auth.kind === 'basic') return auth?.challenge ?? 'Basic realm="test registry"';
    const named = auth.scope === 'wrong' ? 'repository:some/other:pull' : auth.scope === 'none' ? undefined : scope;
    const realm = tokenUrl;
    if (auth.challenge !== undefined) {
      const fill = (text: string): string =>
        text
          .replaceAll('{realm}', realm)
          .replaceAll('{service}', SERVICE)
          .replaceAll('{scope}', named ?? '');
      return typeof auth.challenge === 'string' ? fill(auth.challenge) : auth.challenge.map(fill);
    }
    const parts = [`realm="${realm}"`, `service="${SERVICE}"`];
    if (named !== undefined) parts.push(`scope="${named}"`);
    if (error !== undefined) parts.push(`error="${error}"`);
    return `Bearer ${parts.join(',')}`;
  }

  /** What the token server answers. */
  token(method: string, url: URL, authorization: string | undefined, body: string): Answer {
    const auth = this.#auth;
    if (auth === undefined || auth.kind === 'basic') return failure(404, 'NOT_FOUND', 'there is no token server here');
    const posted = method === 'POST';
    if (posted && auth.post === false) return failure(404, 'NOT_FOUND', 'not found');
    const form = posted ? new URLSearchParams(body) : url.searchParams;
    const user = posted ? this.#userOfForm(form, auth) : this.#userOf(authorization);
    const asked = form.getAll('scope').flatMap((text) => text.split(' '));
    const claimed = authorization !== undefined || posted;
    const anonymous = auth.anonymous ?? auth.users === undefined;
    if (user === undefined && (claimed || !anonymous) && auth.refuse !== 'empty-token') {
      return failure(401, 'UNAUTHORIZED', 'incorrect username or password');
    }
    const granted = asked.flatMap((text) => scopesOf(text, user !== undefined, anonymous && !claimed));
    return this.#issue(auth, granted, user !== undefined && form.get('access_type') === 'offline');
  }

  #issue(auth: BearerAuth, scopes: readonly string[], offline: boolean): Answer {
    const token = randomBytes(24).toString('base64url');
    const issued = auth.issuedAt === undefined ? Date.now() : Date.parse(auth.issuedAt);
    const uses = auth.uses ?? Number.POSITIVE_INFINITY;
    this.#tokens.set(token, { scopes: new Set(scopes), expiresAt: issued + (auth.expiresIn ?? 60) * 1000, uses });
    const field = auth.field ?? 'token';
    return json(200, {
      ...(field === 'access_token' ? {} : { token }),
      ...(field === 'token' ? {} : { access_token: token }),
      ...(auth.expiresIn === undefined ? {} : { expires_in: auth.expiresIn }),
      ...(auth.issuedAt === undefined ? {} : { issued_at: auth.issuedAt }),
      ...(offline && auth.identityToken !== undefined ? { refresh_token: auth.identityToken } : {}),
    });
  }

  #userOf(authorization: string | undefined): string | undefined {
    const match = /^basic ([a-z0-9+/=]+)$/i.exec(authorization ?? '');
    if (match === null) return undefined;
    const text = Buffer.from(match[1] ?? '', 'base64').toString();
    const colon = text.indexOf(':');
    return this.#known(text.slice(0, colon), text.slice(colon + 1));
  }

  #userOfForm(form: URLSearchParams, auth: BearerAuth): string | undefined {
    if (form.get('grant_type') === 'refresh_token') {
      return auth.identityToken !== undefined && form.get('refresh_token') === auth.identityToken
        ? '<token>'
        : undefined;
    }
    return this.#known(form.get('username') ?? '', form.get('password') ?? '');
  }

  #known(user: string, password: string): string | undefined {
    return this.#users.get(user) === password && this.#users.has(user) ? user : undefined;
  }
}

/** What a request needs: one action on one repository, or the catalog; `undefined` for the ping. */
function scopeOf(route: Route, method: string): string | undefined {
  if (route.kind === 'catalog') return 'registry:catalog:*';
  if (route.repository === undefined) return undefined;
  if (method === 'DELETE' && route.kind !== 'upload') return `repository:${route.repository}:delete`;
  const reading = (method === 'GET' || method === 'HEAD') && route.kind !== 'upload';
  return `repository:${route.repository}:${reading ? 'pull' : 'pull,push'}`;
}

/** The single permissions that a scope of a token request grants to whom. */
function scopesOf(text: string, known: boolean, anonymous: boolean): string[] {
  const last = text.lastIndexOf(':');
  const subject = text.slice(0, last);
  const actions = text.slice(last + 1).split(',');
  const may = (action: string): boolean => (known ? true : anonymous && action === 'pull');
  const granted = actions.filter(may);
  const both = granted.includes('push') ? [`${subject}:pull,push`] : [];
  return [...granted.map((action) => `${subject}:${action}`), ...both];
}
