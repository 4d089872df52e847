/** What an endpoint asks for at the root of its API, for those that say it nowhere else. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { SharedCalls } from '../io/shared-call.js';
import type { ApiRequest } from './api-request.js';
import type { Endpoint } from './endpoint.js';
import type { WireResponse } from './wire.js';

/** What content may be hidden behind from those who have not said who they are. */
const HIDDEN = new Set([403, 404, 405]);

/** How often an endpoint's root is asked at most: what broke, or was too busy to answer, is asked once more. */
const MAX_ROOT_ASKS = 2;

/** Sends one GET to the root of an endpoint's API, as nobody. */
export type AskRoot = (endpoint: Endpoint, call: CallOptions) => Promise<WireResponse>;

/**
 * Some registries refuse a repository's content to nobody with a 401 that names no way in, or hide it behind 403, 404
 * and 405: how to show who one is stands in the 401 of `/v2/` only. Each endpoint is asked once, however many requests
 * are refused at a time, and once more where that answered nothing and a later request is refused too.
 */
export class RootChallenges {
  readonly #ask: AskRoot;
  readonly #known = new Map<string, WireResponse | undefined>();
  readonly #asks = new Map<string, number>();
  readonly #open = new Set<string>();
  readonly #wanting = new Set<string>();
  readonly #asking = new SharedCalls<WireResponse | undefined>();

  constructor(ask: AskRoot) {
    this.#ask = ask;
  }

  /** The 401 of the root, or `undefined` where the root is open or does not answer. */
  async of(endpoint: Endpoint, call: CallOptions): Promise<WireResponse | undefined> {
    const { baseUrl } = endpoint;
    if (this.#known.has(baseUrl)) return this.#known.get(baseUrl);
    return this.#asking.join(baseUrl, call, async (shared) => {
      let answer: WireResponse | undefined;
      const asks = (this.#asks.get(baseUrl) ?? 0) + 1;
      this.#asks.set(baseUrl, asks);
      let mayAnswer = false;
      try {
        answer = await this.#ask(endpoint, shared);
        answer.body.discard();
        mayAnswer = answer.status === 429 || answer.status >= 500;
      } catch (error) {
        // The refusal that led here is the answer then.
        shared.signal.throwIfAborted();
        // One that is silent has had its patience.
        mayAnswer = error instanceof RootfsError && error.code === 'ERR_NETWORK';
      }
      const challenge = answer?.status === 401 ? answer : undefined;
      if (!mayAnswer || asks >= MAX_ROOT_ASKS) this.#known.set(baseUrl, challenge);
      if (challenge !== undefined) this.#wanting.add(baseUrl);
      return challenge;
    });
  }

  /** Notes that an endpoint showed something to nobody: what it says is not there is not there. */
  opened({ baseUrl }: Endpoint): void {
    this.#open.add(baseUrl);
  }

  /**
   * Whether a refusal of a request as nobody is taken as it stands. A cache that has not got something says so often,
   * and the registry is asked next; where something is about to be written, the write is what a login is asked for. Who
   * refuses the way of writing (405) hides nothing.
   */
  isBelieved(status: number, { method, subject }: ApiRequest, { mirrorOf, baseUrl }: Endpoint): boolean {
    if (status === 401 || status === 403) return false;
    if (status === 405 && method !== 'GET' && method !== 'HEAD') return true;
    return mirrorOf !== undefined || subject.beforePush === true || this.#open.has(baseUrl);
  }

  /** Notes that what the root asks for cannot be had: it is not tried again. */
  useless({ baseUrl }: Endpoint): void {
    this.#known.set(baseUrl, undefined);
  }

  /** Whether the root was asked and wants to be shown who one is. */
  wantsLogin({ baseUrl }: Endpoint): boolean {
    return this.#wanting.has(baseUrl);
  }
}

/**
 * Whether an answer may mean that nobody is told. Where 404 is an answer like any other, it is believed only after that
 * was ruled out.
 */
export function mayBeHidden(status: number, { accept, path }: Pick<ApiRequest, 'accept' | 'path'>): boolean {
  if (!HIDDEN.has(status)) return false;
  return !accept.includes(status) || (status === 404 && typeof path === 'string' && path !== '');
}
