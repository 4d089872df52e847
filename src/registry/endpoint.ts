/** Where a registry's content is asked for: endpoints in order, mirrors before the registry itself. */
import type { CallOptions } from '../content/content.js';

/** How TLS is spoken with one endpoint. PEM texts, not paths. */
export interface TlsSettings {
  /** Certificate authorities to trust in addition to the system's. */
  readonly ca?: readonly string[] | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Accept any certificate. */
  readonly skipVerify?: boolean | undefined;
}

/** What an endpoint may be asked for. */
export type EndpointCapability = 'pull' | 'resolve' | 'push';

/** One place that may be asked for a repository's content. */
export interface Endpoint {
  /** Scheme, host and port, and a path where the API does not start at the root; no trailing slash, no `/v2`. */
  readonly baseUrl: string;
  /** The path already ends the API's prefix: `/v2` is not added (containerd's `override_path`). */
  readonly overridePath?: boolean | undefined;
  /** The repository's name at this endpoint (a mirror may prefix it). */
  readonly repository: string;
  /** The registry this endpoint stands in for; absent for the registry itself. */
  readonly mirrorOf?: string | undefined;
  /** Whether `mirrorOf` is sent as `?ns=`, as containerd does; default true. The containers tools rename, and do not. */
  readonly sendsNamespace?: boolean | undefined;
  /** The host credentials are looked up under: never another endpoint's. */
  readonly credentialHost: string;
  readonly capabilities: readonly EndpointCapability[];
  readonly tls?: TlsSettings | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Where this endpoint was configured (a path or `default`), for people. */
  readonly source: string;
}

/** The host and port of an endpoint, for people. */
export function hostOf({ baseUrl }: Endpoint): string {
  return new URL(baseUrl).host;
}

/** What a question for endpoints may add. */
export interface EndpointOptions extends CallOptions {
  /** The tag or digest that is wanted, where one is: some mirrors are meant for one of the two only. */
  readonly reference?: string | undefined;
}

/** Says which endpoints to ask for a repository, in order. At least one, or an error that says why (`blocked`). */
export interface EndpointResolver {
  endpoints(host: string, repository: string, options?: EndpointOptions): Promise<readonly Endpoint[]>;
}
