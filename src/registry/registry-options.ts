/** What every door of the registry room takes, its defaults, and the check of what was given. */
import { RootfsError } from '../errors.js';
import { partError } from '../io/part-error.js';
import type { CredentialProvider } from './credentials.js';
import { defaultEndpoints } from './default-endpoints.js';
import type { EndpointResolver } from './endpoint.js';
import { defaultUserAgent } from './user-agent.js';

/** How a registry is reached and how patiently. Everything is optional. */
export interface RegistryOptions {
  /** Who we are. Without it every request goes out as nobody. */
  readonly credentials?: CredentialProvider | undefined;
  /** Where to ask: mirrors in order. Without it the registry itself is asked. */
  readonly endpoints?: EndpointResolver | undefined;
  /** Plain http instead of https. Default: http for loopback hosts (unless `caFile` or `tlsVerify` is given). */
  readonly plainHttp?: boolean | undefined;
  /** `false` accepts any certificate. Default true. */
  readonly tlsVerify?: boolean | undefined;
  /** A PEM file with certificate authorities to trust in addition to the system's. */
  readonly caFile?: string | undefined;
  /** Request headers for the registry itself; they never cross to another origin, nor to a mirror. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Default `rootfs-kit/<version>`. */
  readonly userAgent?: string | undefined;
  /**
   * The longest silence, in milliseconds: while connecting, waiting for headers, between bytes. Default 30,000. A long
   * upload may be silent for up to five times that: what lies in the buffers of both systems moves unseen.
   */
  readonly timeoutMs?: number | undefined;
  /** Attempts in a row without progress after the first. Default 5. */
  readonly retry?: number | undefined;
  /** The longest a call waits, in milliseconds, because the registry asked it to (Retry-After). Default 60,000. */
  readonly maxRetryAfterMs?: number | undefined;
  /**
   * Connections to one origin at a time; further requests queue. Uploads have as many beside these, and tokens are
   * asked for at once: what is copied within a registry must not wait for itself. Content that is open already, a
   * stream or a generator, is uploaded without queueing. Default 16.
   */
  readonly maxConnectionsPerHost?: number | undefined;
  /**
   * How many ranges of a large blob are worth fetching at once. `auto` (default): 4 for blobs of 32 MiB and more from
   * a server that is known to honour Range and is not on loopback, else 1.
   */
  readonly parallelRanges?: number | 'auto' | undefined;
  /**
   * Uploads a blob in pieces of this many bytes, each its own request (for proxies that limit the size of a body).
   * Default: small blobs in one PUT, larger ones streamed in one PATCH.
   */
  readonly uploadChunkBytes?: number | undefined;
  /**
   * What every request goes through. TLS settings, proxies, connecting and queueing are its business then; `timeoutMs` is
   * told to it with each request, as `headersTimeout` (longer for uploads) and `bodyTimeout`. What it delivers while it is
   * to pause is kept, up to 64 MiB of an answer: a mock knows no pause.
   */
  readonly dispatcher?: HttpDispatcher | undefined;
}

/** A dispatcher of undici 7 or newer: `Agent`, `Pool`, `Client`, `MockAgent`, or what behaves like them. */
export interface HttpDispatcher {
  /** Takes undici's `DispatchOptions` and `DispatchHandler`; types of one version are not those of another. */
  dispatch(options: object, handler: object): boolean;
}

/** Checked options with every default filled in. */
export interface RegistrySettings {
  readonly credentials: CredentialProvider | undefined;
  readonly endpoints: EndpointResolver;
  readonly caFile: string | undefined;
  readonly tlsVerify: boolean | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly userAgent: string;
  readonly timeoutMs: number;
  readonly retry: number;
  readonly maxRetryAfterMs: number;
  readonly maxConnectionsPerHost: number;
  readonly parallelRanges: number | 'auto';
  readonly uploadChunkBytes: number | undefined;
  readonly dispatcher: HttpDispatcher | undefined;
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const OWN_HEADERS = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'range', 'authorization']);

/**
 * Checks options at once and fills in the defaults.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` naming the option and the value found
 */
export function registrySettings(options: RegistryOptions = {}): RegistrySettings {
  return {
    credentials: part('credentials', options.credentials, 'credential'),
    endpoints: part('endpoints', options.endpoints, 'endpoints') ?? defaultEndpoints(options),
    caFile: text('caFile', options.caFile),
    tlsVerify: flag('tlsVerify', options.tlsVerify),
    headers: checkHeaders(options.headers),
    userAgent: checkHeaderValue('userAgent', text('userAgent', options.userAgent) ?? defaultUserAgent()),
    timeoutMs: integer('timeoutMs', options.timeoutMs, 1, 2 ** 31 - 1) ?? 30_000,
    retry: integer('retry', options.retry, 0, 1_000) ?? 5,
    maxRetryAfterMs: integer('maxRetryAfterMs', options.maxRetryAfterMs, 0, 2 ** 31 - 1) ?? 60_000,
    maxConnectionsPerHost: integer('maxConnectionsPerHost', options.maxConnectionsPerHost, 1, 1_000) ?? 16,
    parallelRanges:
      options.parallelRanges === undefined || options.parallelRanges === 'auto'
        ? 'auto'
        : (integer('parallelRanges', options.parallelRanges, 1, 64) ?? 1),
    uploadChunkBytes: integer('uploadChunkBytes', options.uploadChunkBytes, 64 * 1024, 2 ** 31 - 1),
    dispatcher: part('dispatcher', options.dispatcher, 'dispatch'),
  };
}

function invalid(name: string, value: unknown, expected: string): RootfsError {
  const found = typeof value === 'string' || typeof value === 'object' ? JSON.stringify(value) : String(value);
  return new RootfsError('ERR_OPTION_INVALID', `option ${name}: ${found} is not ${expected}`, {
    detail: { option: name },
  });
}

function part<T extends object>(name: string, value: T | null | undefined, method: keyof T & string): T | undefined {
  if (value === undefined || typeof value?.[method] === 'function') return value as T | undefined;
  const found = value === null ? 'null' : typeof value;
  throw new RootfsError('ERR_OPTION_INVALID', `option ${name}: expected an object with ${method}(), found ${found}`, {
    detail: { option: name },
  });
}

function integer(name: string, value: unknown, min: number, max: number): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(name, value, `a whole number from ${min} to ${max}`);
  }
  return value;
}

/** Checks a switch. @throws RootfsError `ERR_OPTION_INVALID` */
export function flag(name: string, value: unknown): boolean | undefined {
  if (value !== undefined && typeof value !== 'boolean') throw invalid(name, value, 'true or false');
  return value;
}

function text(name: string, value: unknown): string | undefined {
  if (value !== undefined && (typeof value !== 'string' || value === '')) throw invalid(name, value, 'a text');
  return value;
}

function checkHeaderValue(name: string, value: string): string {
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) throw invalid(name, '(hidden)', 'a header value without line ends');
  return value;
}

function checkHeaders(headers: unknown): Readonly<Record<string, string>> {
  if (headers === undefined) return {};
  if (typeof headers !== 'object' || headers === null) throw invalid('headers', headers, 'an object of texts');
  // Headers and Map keep their entries elsewhere: nothing of them would be sent, and nobody told.
  if (Symbol.iterator in headers)
    throw partError('option headers', 'an object of texts', headers, 'give Object.fromEntries(headers)');
  const checked: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (!TOKEN.test(name)) throw invalid('headers', name, 'a header name');
    if (OWN_HEADERS.has(name.toLowerCase())) {
      throw invalid('headers', name, 'a header that may be set here; credentials are given as `credentials`');
    }
    if (typeof value !== 'string') throw invalid(`headers.${name}`, typeof value, 'a text');
    checked.push([name.toLowerCase(), checkHeaderValue(`headers.${name}`, value)]);
  }
  return Object.fromEntries(checked);
}
