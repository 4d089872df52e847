/**
 * A client's dealings with one registry: requests that are authorized, redirected by hand, tried again and sent to the
 * endpoints in order. It knows HTTP and the rules of politeness; what manifests and blobs are stands in other files.
 */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { warn } from '../progress.js';
import { answerError, readRefusal } from './answer-error.js';
import { type ApiRequest, apiUrl, type EndpointChoice, requestHeaders } from './api-request.js';
import { type AuthorizationTarget, Authorizer, withoutClientCertificate } from './authorizer.js';
import { combineFailures } from './combine-failures.js';
import { Connections } from './connections.js';
import { type Endpoint, type EndpointCapability, hostOf } from './endpoint.js';
import { EndpointList } from './endpoint-list.js';
import { secretsOf } from './hide-secrets.js';
import { isCertificateError, shownUrl, TLS_PORT } from './network-error.js';
import { Patience } from './patience.js';
import { proxyFor } from './proxy-environment.js';
import { isRedirect, MAX_REDIRECTS, redirectTarget } from './redirect.js';
import { mayMeanToken, meansToken } from './refused-token.js';
import type { RegistrySettings } from './registry-options.js';
import { responseWarnings } from './response-warnings.js';
import { isTransient, RetryBudget } from './retry-budget.js';
import { mayBeHidden, RootChallenges } from './root-challenges.js';
import { speaksTls } from './tls-probe.js';
import type { RegistryToken } from './token-request.js';
import { sendOverWire, type WireResponse } from './wire.js';

/** What plain http fails with at a port that hangs up on it. */
const HUNG_UP = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** The longest run of challenges that one request answers. */
const MAX_CHALLENGES = 2;

/** Requests to one repository (or to the registry as a whole, with an empty repository). */
export class RegistrySession {
  readonly settings: RegistrySettings;
  readonly #connections: Connections;
  readonly #authorizer: Authorizer;
  readonly #answered = new Set<string>();
  readonly #told = new Set<string>();
  readonly #probed = new Set<string>();
  readonly #endpoints: EndpointList;
  readonly #roots: RootChallenges;
  readonly #patience: Patience;

  constructor(host: string, repository: string, settings: RegistrySettings) {
    this.settings = settings;
    this.#endpoints = new EndpointList(host, repository, settings);
    this.#connections = new Connections(settings);
    this.#authorizer = new Authorizer(settings, this.#connections);
    this.#patience = new Patience(settings.maxRetryAfterMs);
    this.#roots = new RootChallenges((endpoint, call) => this.#askRoot(endpoint, call));
  }

  /** The endpoints that may be asked for something; see `EndpointList`. */
  endpoints(
    capability: EndpointCapability,
    call: CallOptions,
    reference?: string | undefined,
  ): Promise<readonly Endpoint[]> {
    return this.#endpoints.usable(capability, call, reference);
  }

  /** A retry budget for one call at this registry. */
  budget(subject: string, call: CallOptions): RetryBudget {
    return new RetryBudget(this.settings, subject, call, this.#answered.size > 0, this.#patience);
  }

  /**
   * Runs `attempt` on the endpoints in order until one succeeds, and again while that may help. When all fail, the
   * failure of the last configured endpoint (the registry itself) is thrown; `detail.mirrors` names the others'.
   */
  async onEndpoints<T>(
    capability: EndpointCapability,
    subject: string,
    call: CallOptions,
    attempt: (endpoint: Endpoint) => Promise<T>,
    choice: EndpointChoice = {},
  ): Promise<T> {
    const budget = choice.budget ?? this.budget(subject, call);
    for (;;) {
      try {
        return await this.#oneRound(capability, call, attempt, choice);
      } catch (error) {
        await budget.next(error);
      }
    }
  }

  async #oneRound<T>(
    capability: EndpointCapability,
    call: CallOptions,
    attempt: (endpoint: Endpoint) => Promise<T>,
    { distrusted, late, registryFirst, pushedFirst, reference, only }: EndpointChoice,
  ): Promise<T> {
    const usable = await this.endpoints(capability, call, reference);
    const rank = ({ baseUrl, mirrorOf, capabilities }: Endpoint): number =>
      Number(registryFirst === true && mirrorOf !== undefined) +
      Number(pushedFirst === true && !capabilities.includes('push')) +
      2 * Number(late?.has(baseUrl) === true);
    const all = [...usable].sort((a, b) => rank(a) - rank(b));
    const wanted = all.filter(({ baseUrl }) =>
      only === undefined ? distrusted?.has(baseUrl) !== true : baseUrl === only,
    );
    const failures: { endpoint: Endpoint; error: RootfsError }[] = [];
    const asked = wanted.length > 0 ? wanted : all;
    for (const [at, endpoint] of asked.entries()) {
      if (failures.length > 0 && this.#spokeTls(endpoint)) continue;
      try {
        return await attempt(endpoint);
      } catch (error) {
        throwIfAborted(call.signal);
        if (!(error instanceof RootfsError)) throw error;
        failures.push({ endpoint, error });
        if (isCertificateError(error)) this.#answered.add(new URL(endpoint.baseUrl).origin);
        if (isTransient(error) || error.code === 'ERR_TLS') this.#endpoints.unreachable(endpoint);
        // A cache that has not got it is no fault, nor is https refused where http is tried next.
        const again = asked.slice(at + 1).some((next) => hostOf(next) === hostOf(endpoint) && !this.#spokeTls(next));
        if (endpoint.mirrorOf !== undefined && error.code !== 'ERR_NOT_FOUND' && !again) {
          this.mirrorFailed(endpoint, error, call);
        }
      }
    }
    throw combineFailures(failures, this.#endpoints.last(capability, reference));
  }

  /** Tells that the next endpoint is asked in a mirror's place. */
  mirrorFailed(mirror: Endpoint, { message }: Error, call: CallOptions): void {
    this.#tell(`mirror ${hostOf(mirror)} (${mirror.source}) failed: ${message}`, call);
  }

  /** Whether plain http would go to a host that has shown that it speaks TLS: whoever breaks that must not gain by it. */
  #spokeTls({ baseUrl }: Endpoint): boolean {
    const { protocol, host } = new URL(baseUrl);
    return protocol === 'http:' && this.#answered.has(`https://${host}`);
  }

  /**
   * Sends one request to an endpoint, once: challenges are answered and redirects followed.
   *
   * @throws RegistryError for a status that is not accepted; RootfsError as the wire, and for refused redirects
   */
  async request(endpoint: Endpoint, request: ApiRequest, call: CallOptions): Promise<WireResponse> {
    const start = apiUrl(endpoint, request.path);
    const home = request.anonymous === true ? undefined : new URL(endpoint.baseUrl).origin;
    let url = start;
    const { method, body } = request;
    let hops = 0;
    const seen = new Map<string, number>();
    let shown: string | undefined;
    for (;;) {
      const atHome = url.origin === home;
      const target: AuthorizationTarget = {
        origin: url.origin,
        endpoint: atHome ? endpoint : undefined,
        scopes: request.scopes,
        subject: request.subject,
      };
      if (!seen.has(url.origin)) {
        shown = await this.#authorizer.header(target, call);
        seen.set(url.origin, 0);
      }
      let response = await sendOverWire(
        {
          method,
          url,
          headers: requestHeaders(this.settings, endpoint, request, {
            atHome,
            authorization: shown,
            hasBody: body !== undefined,
          }),
          body: body?.(),
          tls: atHome ? endpoint.tls : withoutClientCertificate(endpoint.tls),
          signal: call.signal,
          atOnce: request.atOnce,
        },
        this.#connections,
        this.settings.timeoutMs,
      ).catch((error: unknown) => this.#explain(error, url, call));
      this.#answered.add(url.origin);
      this.#endpoints.reached(endpoint);
      this.#tellWarnings(response, shown, call);
      if (atHome && shown === undefined && response.status < 300) this.#roots.opened(endpoint);
      const accepted = request.accept.includes(response.status);
      const hidden = atHome && shown === undefined && mayBeHidden(response.status, request);
      const mayBeToken = atHome && !accepted && mayMeanToken(response.status, shown);
      if ((response.status === 401 && !accepted) || hidden || mayBeToken) {
        const answered = seen.get(url.origin) ?? 0;
        const { text, ...refusal } = await readRefusal(response, request.subject);
        response = refusal;
        const mayAnswer = answered < MAX_CHALLENGES && (!mayBeToken || meansToken(refusal.headers, text));
        const next = mayAnswer ? await this.#nextHeader(target, request, response, shown, call) : undefined;
        if (next !== undefined && next !== shown) {
          seen.set(url.origin, answered + 1);
          shown = next;
          continue;
        }
      } else if (isRedirect(response.status, method) && !accepted) {
        response.body.discard();
        if (++hops > MAX_REDIRECTS) {
          throw new RootfsError(
            'ERR_REGISTRY',
            `${start.host}: more than ${MAX_REDIRECTS} redirects for ${request.subject.name}; the registry or a proxy before it is misconfigured`,
            { detail: { url: shownUrl(start), redirects: hops } },
          );
        }
        const next = redirectTarget(url, response.headers.get('location'));
        if (next.origin !== url.origin) seen.delete(next.origin);
        url = next;
        continue;
      }
      if (accepted) return response;
      const isAsked = atHome && (shown !== undefined || response.status === 401);
      const known = isAsked ? await this.#authorizer.credential(target, call) : undefined;
      throw await answerError(response, method, {
        ...request.subject,
        authFile: this.settings.credentials?.authFile,
        ...(shown === undefined ? { unshownCredential: known?.source } : { shownCredential: known?.source }),
        secrets: secretsOf(known?.credential, shown),
        ledBy: atHome ? undefined : home === undefined ? 'image' : 'registry',
        mayNeedLogin: atHome && (shown ?? known) === undefined && this.#roots.wantsLogin(endpoint),
      });
    }
  }

  /** What to show after a refusal; `undefined` where there is nothing new to show. */
  async #nextHeader(
    target: AuthorizationTarget,
    request: ApiRequest,
    refusal: WireResponse,
    shown: string | undefined,
    call: CallOptions,
  ): Promise<string | undefined> {
    const { endpoint } = target;
    try {
      const told = refusal.headers.all('www-authenticate').some((line) => line.trim() !== '');
      if (endpoint === undefined || refusal.status === 401 || shown !== undefined || told) {
        const next = await this.#authorizer.answer(target, refusal, shown, call);
        if (next !== undefined || shown !== undefined || told || endpoint === undefined) return next;
      }
      const isBelieved = this.#roots.isBelieved(refusal.status, request, endpoint);
      if (isBelieved && (await this.#authorizer.isNobody(target, call))) return undefined;
      const root = await this.#roots.of(endpoint, call);
      return root === undefined ? undefined : await this.#authorizer.answer(target, root, shown, call);
    } catch (error) {
      throwIfAborted(call.signal);
      // Who has nobody to show loses nothing by the realm's refusal: what the registry said first is the answer.
      if (endpoint === undefined || refusal.status === 401 || !(await this.#authorizer.isNobody(target, call)))
        throw error;
      this.#authorizer.forget(target);
      this.#roots.useless(endpoint);
      return undefined;
    }
  }

  #askRoot(endpoint: Endpoint, { signal }: CallOptions): Promise<WireResponse> {
    const headers = requestHeaders(this.settings, endpoint, {}, { atHome: true });
    const ask = { method: 'GET', url: apiUrl(endpoint, ''), headers, tls: endpoint.tls, signal, atOnce: true } as const;
    return sendOverWire(ask, this.#connections, this.settings.timeoutMs);
  }

  /** The bearer token that the last request like this one showed, or `undefined` where none was asked for. */
  currentToken(endpoint: Endpoint, request: Pick<ApiRequest, 'scopes' | 'subject'>): RegistryToken | undefined {
    return this.#authorizer.currentToken({ origin: new URL(endpoint.baseUrl).origin, endpoint, ...request });
  }

  /** Plain http that was hung up on, before anything worked there, may have met a port that speaks TLS. */
  async #explain(error: unknown, url: URL, call: CallOptions): Promise<never> {
    if (
      url.protocol === 'http:' &&
      error instanceof RootfsError &&
      HUNG_UP.has(String(error.detail['errno'])) &&
      this.settings.dispatcher === undefined &&
      !this.#answered.has(url.origin) &&
      !this.#probed.has(url.origin)
    ) {
      this.#probed.add(url.origin);
      if (proxyFor(url) === undefined && (await speaksTls(url, call.signal))) {
        throw new RootfsError('ERR_TLS', `${url.host}: ${TLS_PORT.join('; ')}`, { cause: error, detail: error.detail });
      }
    }
    throw error;
  }

  #tellWarnings(response: WireResponse, shown: string | undefined, call: CallOptions): void {
    for (const message of responseWarnings(response, secretsOf(undefined, shown))) this.#tell(message, call);
  }

  #tell(message: string, call: CallOptions): void {
    if (this.#told.has(message) || this.#told.size > 1_000) return;
    this.#told.add(message);
    warn(call.onProgress, message);
  }
}
