/** A request to the API of an endpoint: what is asked, where that lies, and what goes along. */
import type { Dispatcher } from 'undici';
import type { Subject } from './answer-error.js';
import type { Endpoint } from './endpoint.js';
import type { RegistrySettings } from './registry-options.js';
import type { RetryBudget } from './retry-budget.js';
import type { SentBody } from './sent-body.js';

/** One request to the API of an endpoint. */
export interface ApiRequest {
  readonly method: Dispatcher.HttpMethod;
  /** Below `/v2/`, or an absolute URL (an upload's Location, a next page). */
  readonly path: string | URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** A body is made anew for each time it is sent. */
  readonly body?: (() => SentBody) | undefined;
  readonly scopes: readonly string[];
  readonly subject: Subject;
  /** Nothing of ours goes along: no credentials, no headers, no client certificate. For URLs that an image names. */
  readonly anonymous?: boolean | undefined;
  /** It does not queue for a connection: those before it may be waiting for it. */
  readonly atOnce?: boolean | undefined;
  /** Statuses that are answers; every other one is thrown as a RegistryError. */
  readonly accept: readonly number[];
}

/** Which endpoints are asked, and how often. */
export interface EndpointChoice {
  /** A budget that the caller keeps; else one for this call. */
  readonly budget?: RetryBudget | undefined;
  /** Base URLs that are asked only when there is no other. */
  readonly distrusted?: ReadonlySet<string> | undefined;
  /** Base URLs that are asked after the others: what they began they did not get on with. */
  readonly late?: ReadonlySet<string> | undefined;
  /** The registry itself before its mirrors: a cache knows only what passed through it. */
  readonly registryFirst?: boolean | undefined;
  /** Where something would be pushed to before the others: what a mirror has says nothing of what is missing there. */
  readonly pushedFirst?: boolean | undefined;
  /** The tag or digest that is asked for: some mirrors are meant for one of the two. */
  readonly reference?: string | undefined;
  /** Only the endpoint with this base URL. */
  readonly only?: string | undefined;
}

/** The URL of an API path at an endpoint, with `?ns=` for a mirror of containerd's kind; an absolute URL stays as it is. */
export function apiUrl(endpoint: Endpoint, path: string | URL): URL {
  if (path instanceof URL) return path;
  const prefix = endpoint.overridePath === true ? '' : '/v2';
  const url = new URL(`${endpoint.baseUrl}${prefix}/${path}`);
  const { mirrorOf, sendsNamespace = true } = endpoint;
  if (mirrorOf !== undefined && sendsNamespace) url.searchParams.set('ns', mirrorOf);
  return url;
}

/** The headers of a request. What is ours alone goes to the endpoint itself, not where it redirects to. */
export function requestHeaders(
  settings: RegistrySettings,
  endpoint: Endpoint,
  { headers }: Pick<ApiRequest, 'headers'>,
  to: { readonly atHome: boolean; readonly authorization?: string | undefined; readonly hasBody?: boolean | undefined },
): Record<string, string> {
  const { atHome, authorization, hasBody = false } = to;
  const { 'content-length': length, 'content-type': type, ...rest } = headers ?? {};
  return {
    'user-agent': settings.userAgent,
    ...(atHome ? ownHeaders(settings, endpoint) : {}),
    'accept-encoding': 'identity',
    ...rest,
    ...(hasBody && length !== undefined ? { 'content-length': length } : {}),
    ...(hasBody && type !== undefined ? { 'content-type': type } : {}),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

/** What is for an endpoint's own origin alone: what was said here, and what files say of it. A file may rename us. */
export function ownHeaders(settings: RegistrySettings, endpoint: Endpoint): Record<string, string> {
  const named = Object.entries(endpoint.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const);
  return { ...(endpoint.mirrorOf === undefined ? settings.headers : {}), ...Object.fromEntries(named) };
}
