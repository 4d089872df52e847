/** Who brings one blob: who answered last, and the mirrors and URLs that are asked for the rest of it last. */
import type { CallOptions } from '../content/content.js';
import type { Endpoint } from './endpoint.js';
import type { RegistrySession } from './registry-session.js';

/** The servers of one blob while it is fetched. */
export class BlobServers {
  readonly #session: RegistrySession;
  readonly #call: CallOptions;
  readonly #late = new Set<string>();
  readonly #told = new Set<string>();
  #last: { readonly endpoint: Endpoint; readonly url: URL | undefined } | undefined;

  constructor(session: RegistrySession, call: CallOptions) {
    this.#session = session;
    this.#call = call;
  }

  /** Base URLs that are asked after the others. */
  get late(): ReadonlySet<string> {
    return this.#late;
  }

  /** Whether an endpoint answered last, and no URL of the descriptor. */
  get isEndpoint(): boolean {
    return this.#last !== undefined && this.#last.url === undefined;
  }

  /** The URLs of a descriptor as they are to be tried. */
  inOrder(urls: readonly URL[]): readonly URL[] {
    return [...urls].sort((a, b) => Number(this.#late.has(a.href)) - Number(this.#late.has(b.href)));
  }

  /**
   * Notes who answered: who was left before answers where no other does.
   *
   * @param url A URL of the descriptor, where it was one.
   */
  answered(endpoint: Endpoint, url?: URL): void {
    this.#last = { endpoint, url };
    this.#late.delete(url?.href ?? endpoint.baseUrl);
  }

  /**
   * Leaves the mirror or the URL that answered last: what begins and does not get on has failed as what refuses has.
   *
   * @returns Whether an endpoint can be asked at once; false for the registry itself and for a URL, and for a mirror
   *   from the second time on.
   */
  leave(reason: unknown): boolean {
    if (this.#last === undefined) return false;
    const { endpoint, url } = this.#last;
    if (url !== undefined) this.#late.add(url.href);
    if (url !== undefined || endpoint.mirrorOf === undefined) return false;
    this.#late.add(endpoint.baseUrl);
    if (this.#told.has(endpoint.baseUrl)) return false;
    this.#told.add(endpoint.baseUrl);
    this.#session.mirrorFailed(endpoint, reason instanceof Error ? reason : new Error(String(reason)), this.#call);
    return true;
  }
}
