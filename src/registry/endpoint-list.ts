/** The endpoints of a repository, and which of them were unreachable a moment ago. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { wrongAnswer } from '../io/part-error.js';
import { SharedCalls } from '../io/shared-call.js';
import type { Endpoint, EndpointCapability } from './endpoint.js';
import type { RegistrySettings } from './registry-options.js';

/** How long an endpoint that could not be reached is asked last, in milliseconds. */
const DOWN_MS = 60_000;

/** For how many references the endpoints are remembered. */
const MAX_KNOWN_REFERENCES = 100;

/** Endpoints as the resolver of the settings tells them, each reference asked for once. */
export class EndpointList {
  readonly #host: string;
  readonly #repository: string;
  readonly #settings: RegistrySettings;
  readonly #known = new Map<string | undefined, readonly Endpoint[]>();
  readonly #resolving = new SharedCalls<readonly Endpoint[]>();
  readonly #downUntil = new Map<string, number>();

  constructor(host: string, repository: string, settings: RegistrySettings) {
    this.#host = host;
    this.#repository = repository;
    this.#settings = settings;
  }

  /**
   * The endpoints that may be asked for something, in order; those that could not be reached lately come last.
   *
   * @throws RootfsError `ERR_UNSUPPORTED` when none may; what the resolver throws
   */
  async usable(
    capability: EndpointCapability,
    call: CallOptions,
    reference?: string | undefined,
  ): Promise<readonly Endpoint[]> {
    let found = this.#known.get(reference);
    if (found === undefined) {
      found = await this.#resolving.join(reference ?? '', call, (shared) => this.#ask({ ...shared, reference }));
      if (this.#known.size >= MAX_KNOWN_REFERENCES) this.#known.clear();
      this.#known.set(reference, found);
    }
    const usable = found.filter(({ capabilities }) => capabilities.includes(capability));
    if (usable.length === 0) {
      throw new RootfsError(
        'ERR_UNSUPPORTED',
        `${this.#host}/${this.#repository}: no configured endpoint may be asked to ${capability}; check hosts.toml or registries.conf`,
        { detail: { host: this.#host, capability } },
      );
    }
    const now = Date.now();
    const isDown = ({ baseUrl }: Endpoint): boolean => (this.#downUntil.get(baseUrl) ?? 0) > now;
    return [...usable.filter((endpoint) => !isDown(endpoint)), ...usable.filter(isDown)];
  }

  async #ask(call: CallOptions & { readonly reference: string | undefined }): Promise<readonly Endpoint[]> {
    const found = await this.#settings.endpoints.endpoints(this.#host, this.#repository, call);
    if (Array.isArray(found)) return found;
    throw wrongAnswer('the endpoint resolver', 'a list of endpoints', found);
  }

  /** Of the endpoints that `usable` told last: the one that comes last in the files, whichever is down. */
  last(capability: EndpointCapability, reference?: string | undefined): Endpoint | undefined {
    return this.#known.get(reference)?.findLast(({ capabilities }) => capabilities.includes(capability));
  }

  /** Notes that an endpoint could not be reached: for a while it is asked last. */
  unreachable({ baseUrl }: Endpoint): void {
    this.#downUntil.set(baseUrl, Date.now() + DOWN_MS);
  }

  /** Notes that an endpoint answered. */
  reached({ baseUrl }: Endpoint): void {
    this.#downUntil.delete(baseUrl);
  }
}
