/** What an endpoint asks for at the root of its API, for those that say it nowhere else. */
import type { CallOptions } from '../content/content.js';
import type { Endpoint } from './endpoint.js';
import type { WireResponse } from './wire.js';

/** Sends one GET to the root of an endpoint's API, as nobody. */
export type AskRoot = (endpoint: Endpoint, call: CallOptions) => Promise<WireResponse>;

/**
 * Some registries refuse a repository's content to nobody with a 401 that names no way in, or hide it behind 403 and
 * 404: how to show who one is stands in the 401 of `/v2/` only. Each endpoint is asked at most once.
 */
export class RootChallenges {
  readonly #ask: AskRoot;
  readonly #known = new Map<string, WireResponse | undefined>();

  constructor(ask: AskRoot) {
    this.#ask = ask;
  }

  /** The 401 of the root, or `undefined` where the root is open or does not answer. */
  async of(endpoint: Endpoint, call: CallOptions): Promise<WireResponse | undefined> {
    const { baseUrl } = endpoint;
    if (this.#known.has(baseUrl)) return this.#known.get(baseUrl);
    let answer: WireResponse | undefined;
    try {
      answer = await this.#ask(endpoint, call);
      answer.body.discard();
    } catch {
      // The refusal that led here is the answer then.
      call.signal?.throwIfAborted();
    }
    const challenge = answer?.status === 401 ? answer : undefined;
    this.#known.set(baseUrl, challenge);
    return challenge;
  }
}
