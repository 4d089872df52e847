/** What is shown to a registry: challenges answered, tokens kept per origin and scope, credentials kept at home. */

import { isDeepStrictEqual } from 'node:util';
import type { CallOptions } from '../content/content.js';
import { RegistryError, RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { SharedCalls } from '../io/shared-call.js';
import { warn } from '../progress.js';
import type { Subject } from './answer-error.js';
import { ownHeaders } from './api-request.js';
import { type Challenge, parseChallenges } from './challenge.js';
import type { Connections } from './connections.js';
import { askProvider, type Credential, type FoundCredential } from './credentials.js';
import type { Endpoint } from './endpoint.js';
import { current, refused, replace } from './identity-token.js';
import { askedBefore } from './refused-token.js';
import type { RegistrySettings } from './registry-options.js';
import { mergeScopes, scopeKey } from './scopes.js';
import { checkedRealm, isRelatedHost } from './token-realm.js';
import { basicLogin, type RegistryToken, requestToken } from './token-request.js';
import { sendOverWire, type WireResponse } from './wire.js';

/** Whom a request goes to, and as whom. */
export interface AuthorizationTarget {
  readonly origin: string;
  /** Absent for an origin that a redirect led to: nobody's credentials go there, an anonymous token may be asked for. */
  readonly endpoint: Endpoint | undefined;
  readonly scopes: readonly string[];
  readonly subject: Subject;
}

/** What is known of one origin (and, at an endpoint, one credential). */
interface Place {
  bearer?: { readonly realm: URL; readonly service: string | undefined } | undefined;
  basic?: string | undefined;
  fixedToken?: string | undefined;
  readonly tokens: Map<string, RegistryToken>;
}

/** A token this close to its end, in milliseconds, is not used for a new request. */
const EXPIRY_MARGIN_MS = 1_000;

/** Answers challenges. One per client; tokens are kept in memory only. */
export class Authorizer {
  readonly #settings: RegistrySettings;
  readonly #connections: Connections;
  readonly #places = new Map<string, Place>();
  readonly #found = new Map<string, FoundCredential | undefined>();
  readonly #lookups = new SharedCalls<FoundCredential | undefined>();
  readonly #requests = new SharedCalls<RegistryToken>();
  readonly #warned = new Set<string>();

  constructor(settings: RegistrySettings, connections: Connections) {
    this.#settings = settings;
    this.#connections = connections;
  }

  /** The Authorization header to start with: what earlier answers asked for, else nothing. */
  async header(target: AuthorizationTarget, call: CallOptions): Promise<string | undefined> {
    const place = this.#place(target);
    if (place.basic !== undefined) return place.basic;
    if (place.fixedToken !== undefined) return `Bearer ${place.fixedToken}`;
    if (place.bearer === undefined) return undefined;
    const kept = place.tokens.get(scopeKey(target.scopes));
    if (kept !== undefined && kept.expiresAt - EXPIRY_MARGIN_MS > Date.now()) return `Bearer ${kept.token}`;
    return `Bearer ${(await this.#token(place, place.bearer, target, target.scopes, call)).token}`;
  }

  /**
   * Answers a 401: the header to try again with, or `undefined` when there is nothing new to show.
   *
   * @param shown What was shown when the 401 came.
   * @throws RootfsError `ERR_REGISTRY` for a realm that must not be asked, and what asking it fails with
   */
  async answer(
    target: AuthorizationTarget,
    response: WireResponse,
    shown: string | undefined,
    call: CallOptions,
  ): Promise<string | undefined> {
    const challenges = parseChallenges(response.headers.all('www-authenticate'));
    const place = this.#place(target);
    const bearers = challenges.filter(({ scheme }) => scheme === 'bearer');
    const isSilent = challenges.length === 0;
    const bearer =
      bearers.find(({ parameters }) => parameters.has('realm')) ?? (isSilent ? askedBefore(place.bearer) : bearers[0]);
    const basic = challenges.some(({ scheme }) => scheme === 'basic') || (isSilent && place.basic !== undefined);
    let found = await this.credential(target, call);
    const isRefused = ({ credential }: FoundCredential): boolean =>
      shown !== undefined && (shown === `Bearer ${credential.registryToken}` || shown === basicLogin(credential));
    if (found !== undefined && isRefused(found)) found = await this.#renewed(target, found, call);
    const fixed = found?.credential.registryToken;
    if (fixed !== undefined && !/^[\x21-\x7e]+$/.test(fixed)) throw unfitToken(target, found?.source);
    if (fixed !== undefined && (bearer !== undefined || !basic)) {
      place.fixedToken = fixed;
      return shown === `Bearer ${fixed}` ? undefined : `Bearer ${fixed}`;
    }
    place.fixedToken = undefined;
    const login = basic ? passwordLogin(found?.credential) : undefined;
    const canLogin = login !== undefined && login !== shown;
    if (bearer?.parameters.has('realm')) {
      try {
        return await this.#answerBearer(target, place, bearer, shown, call);
      } catch (error) {
        throwIfAborted(call.signal);
        // A token server that is broken is no loss where the registry takes the password itself.
        const refused = error instanceof RegistryError && [401, 403, 429].includes(error.status);
        if (!canLogin || refused) throw error;
      }
    }
    if (!canLogin) return undefined;
    place.basic = login;
    place.bearer = undefined;
    return login;
  }

  /** The credential for a target, looked up once; `undefined` for nobody, and always for a foreign origin. */
  async credential(target: AuthorizationTarget, call: CallOptions): Promise<FoundCredential | undefined> {
    const { endpoint } = target;
    const provider = this.#settings.credentials;
    if (endpoint === undefined || provider === undefined) return undefined;
    const scope = { host: endpoint.credentialHost, repository: endpoint.repository || undefined };
    const key = lookupKey(target);
    if (this.#found.has(key)) return this.#found.get(key);
    const found = await this.#lookups.join(key, call, (shared) => askProvider(provider, scope, shared));
    this.#found.set(key, current(endpoint.credentialHost, found));
    return this.#found.get(key);
  }

  /** Asks the provider again for a credential that was refused: it may have run out, and be another one by now. */
  async #renewed(
    target: AuthorizationTarget,
    refused: FoundCredential,
    call: CallOptions,
  ): Promise<FoundCredential | undefined> {
    const key = lookupKey(target);
    if (this.#found.get(key) === refused) this.#found.delete(key);
    return this.credential(target, call);
  }

  /** The token in use for a target; `undefined` when it asks for none. */
  currentToken(target: AuthorizationTarget): RegistryToken | undefined {
    const place = this.#place(target);
    if (place.fixedToken !== undefined) return { token: place.fixedToken, expiresAt: Number.POSITIVE_INFINITY };
    return place.tokens.get(scopeKey(target.scopes));
  }

  /** Whether there is certainly nobody to show: credentials that cannot be read may be somebody's. */
  async isNobody(target: AuthorizationTarget, call: CallOptions): Promise<boolean> {
    try {
      return (await this.credential(target, call)) === undefined;
    } catch {
      throwIfAborted(call.signal);
      return false;
    }
  }

  /** Forgets where tokens are had for a target: the next request is sent as nobody. */
  forget(target: AuthorizationTarget): void {
    this.#place(target).bearer = undefined;
  }

  async #answerBearer(
    target: AuthorizationTarget,
    place: Place,
    challenge: Challenge,
    shown: string | undefined,
    call: CallOptions,
  ): Promise<string | undefined> {
    const realm = checkedRealm(challenge.parameters.get('realm') ?? '', new URL(target.origin));
    place.bearer = { realm, service: challenge.parameters.get('service') };
    place.basic = undefined;
    const key = scopeKey(target.scopes);
    const kept = place.tokens.get(key);
    // Another request may have refreshed the token while this one was under way.
    if (kept !== undefined && `Bearer ${kept.token}` !== shown) return `Bearer ${kept.token}`;
    place.tokens.delete(key);
    const scopes = mergeScopes(target.scopes, challenge.parameters.get('scope'));
    return `Bearer ${(await this.#token(place, place.bearer, target, scopes, call)).token}`;
  }

  async #token(
    place: Place,
    bearer: { readonly realm: URL; readonly service: string | undefined },
    target: AuthorizationTarget,
    scopes: readonly string[],
    call: CallOptions,
  ): Promise<RegistryToken> {
    const key = scopeKey(target.scopes);
    const placeKey = this.#placeKey(target);
    return this.#requests.join(`${placeKey} ${key}`, call, async (shared) => {
      const found = await this.credential(target, shared);
      try {
        return await this.#requestToken(place, bearer, target, { key, scopes, found }, shared);
      } catch (error) {
        if (found === undefined || !(error instanceof RegistryError) || error.code !== 'ERR_UNAUTHORIZED') throw error;
        if (target.endpoint !== undefined) refused(target.endpoint.credentialHost, found);
        const fresh = await this.#renewed(target, found, shared);
        if (fresh === undefined || isDeepStrictEqual(fresh.credential, found.credential)) throw error;
        return this.#requestToken(place, bearer, target, { key, scopes, found: fresh }, shared);
      }
    });
  }

  async #requestToken(
    place: Place,
    bearer: { readonly realm: URL; readonly service: string | undefined },
    target: AuthorizationTarget,
    wanted: { readonly key: string; readonly scopes: readonly string[]; readonly found: FoundCredential | undefined },
    call: CallOptions,
  ): Promise<RegistryToken> {
    const { key, scopes, found } = wanted;
    const { signal } = call;
    const login = found?.credential;
    if (login !== undefined && found !== undefined) this.#warnOfUnrelatedRealm(bearer.realm, target, found, call);
    const tls = target.endpoint?.tls;
    const home = bearer.realm.origin === target.origin ? target.endpoint : undefined;
    const { authFile } = this.#settings.credentials ?? {};
    const subject = { ...target.subject, shownCredential: found?.source, authFile };
    const { refreshToken, ...token } = await requestToken(
      { ...bearer, scopes, credential: login, subject },
      (request) =>
        sendOverWire(
          {
            ...request,
            tls: request.url.origin === target.origin ? tls : withoutClientCertificate(tls),
            signal,
            // All connections may be held by answers that uploads read, and those may want this token.
            atOnce: true,
          },
          this.#connections,
          this.#settings.timeoutMs,
        ),
      { 'user-agent': this.#settings.userAgent, ...(home === undefined ? {} : ownHeaders(this.#settings, home)) },
    );
    place.tokens.set(key, token);
    const { endpoint } = target;
    if (endpoint !== undefined && found?.credential.identityToken !== undefined && refreshToken !== undefined)
      this.#found.set(lookupKey(target), replace(endpoint.credentialHost, found, refreshToken));
    return token;
  }

  #placeKey(target: AuthorizationTarget): string {
    const { endpoint } = target;
    return `${target.origin} ${endpoint === undefined ? '' : `${endpoint.credentialHost}/${endpoint.repository}`}`;
  }

  #place(target: AuthorizationTarget): Place {
    const key = this.#placeKey(target);
    let place = this.#places.get(key);
    if (place === undefined) {
      place = { tokens: new Map() };
      this.#places.set(key, place);
    }
    return place;
  }

  #warnOfUnrelatedRealm(realm: URL, target: AuthorizationTarget, found: FoundCredential, call: CallOptions): void {
    const registry = new URL(target.origin);
    if (isRelatedHost(registry.hostname, realm.hostname)) return;
    const message = `credentials for ${target.endpoint?.credentialHost} (${found.source}) are shown to ${realm.host}, which ${registry.host} names as its token server`;
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    warn(call.onProgress, message);
  }
}

function lookupKey({ endpoint }: AuthorizationTarget): string {
  return endpoint === undefined ? '' : `${endpoint.credentialHost}/${endpoint.repository}`;
}

function unfitToken({ subject }: AuthorizationTarget, source = ''): RootfsError {
  return new RootfsError(
    'ERR_CREDENTIALS',
    `${source}: the registry token for ${subject.registry} holds characters that no header can; log in to it again`,
    { detail: { source } },
  );
}

/** What a registry that asks for a password is shown: an identity token is for its token server alone. */
function passwordLogin(credential: Credential | undefined): string | undefined {
  return credential?.password === undefined && credential?.identityToken !== undefined
    ? undefined
    : basicLogin(credential);
}

/** The settings for another origin than the endpoint's: whom we trust stays, who we are does not. */
export function withoutClientCertificate(tls: Endpoint['tls']): Endpoint['tls'] {
  if (tls?.cert === undefined && tls?.key === undefined) return tls;
  let bare = bareSettings.get(tls);
  if (bare === undefined) {
    const { cert: _cert, key: _key, ...rest } = tls;
    bare = rest;
    bareSettings.set(tls, bare);
  }
  return bare;
}

// The same object each time: connections are shared by identity.
const bareSettings = new WeakMap<object, NonNullable<Endpoint['tls']>>();
