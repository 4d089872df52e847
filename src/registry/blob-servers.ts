/** Who brings one blob: the endpoint that answered last, and the mirrors that are asked for the rest of it last. */
import type { CallOptions } from '../content/content.js';
import type { Endpoint } from './endpoint.js';
import type { RegistrySession } from './registry-session.js';

/** The servers of one blob while it is fetched. */
export class BlobServers {
  readonly #session: RegistrySession;
  readonly #call: CallOptions;
  readonly #late = new Set<string>();
  readonly #told = new Set<string>();
  #last: Endpoint | undefined;

  constructor(session: RegistrySession, call: CallOptions) {
    this.#session = session;
    this.#call = call;
  }

  /** Base URLs that are asked after the others. */
  get late(): ReadonlySet<string> {
    return this.#late;
  }

  /** Notes who answered; nobody for a server that is no endpoint. A mirror that was left answers where no other does. */
  answered(endpoint: Endpoint | undefined): void {
    this.#last = endpoint;
    if (endpoint !== undefined) this.#late.delete(endpoint.baseUrl);
  }

  /**
   * Leaves the mirror that answered last: one that begins and does not get on has failed as one that refuses has.
   *
   * @returns Whether somebody else can be asked at once; false for the registry itself, and from the second time on.
   */
  leaveMirror(reason: unknown): boolean {
    const mirror = this.#last;
    if (mirror?.mirrorOf === undefined) return false;
    this.#late.add(mirror.baseUrl);
    if (this.#told.has(mirror.baseUrl)) return false;
    this.#told.add(mirror.baseUrl);
    this.#session.mirrorFailed(mirror, reason instanceof Error ? reason : new Error(String(reason)), this.#call);
    return true;
  }
}
