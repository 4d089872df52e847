/** The process's connections: pools that are shared by everyone who speaks to an origin in the same way. */
import { createHash } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { buildConnector, Dispatcher, Pool } from 'undici';
import { RootfsError, systemErrorCode } from '../errors.js';
import type { TlsSettings } from './endpoint.js';
import { mendAnswers } from './mend-answers.js';
import { proxyFor } from './proxy-environment.js';
import { createReceiver, MIN_LENT_BYTES } from './receive-buffers.js';
import type { RegistrySettings } from './registry-options.js';
import { readCertificates, trustAnchors } from './trust-anchors.js';

const pools = new Map<string, Promise<Dispatcher>>();

/** How long an idle connection is kept for the next request, in milliseconds. It does not keep the process alive. */
const KEEP_ALIVE_MS = 4_000;

/** The most bytes of headers in an answer. Signed redirects and policies of proxies exceed Node's 16 KiB. */
const MAX_HEADER_BYTES = MIN_LENT_BYTES;

/** What of the settings decides which connections may be shared. */
export type ConnectionSettings = Pick<
  RegistrySettings,
  'caFile' | 'tlsVerify' | 'timeoutMs' | 'maxConnectionsPerHost' | 'dispatcher'
>;

/**
 * The ways out of one client. The pools behind them are shared by the whole process: by TLS settings, proxy and limits.
 * Idle connections close themselves and hold up no exit.
 *
 * There are two to each origin. In one as many requests are under way as the limit says, and further ones queue. The
 * body of an answer holds its connection until it is read, and it may be an upload to the same origin that reads it:
 * uploads, and the tokens that they need, would queue for ever behind what waits for them. They have the other one, in
 * which nobody queues; how many uploads there are at a time is limited before their content is opened (`uploadTurn`).
 */
export class Connections {
  readonly #settings: ConnectionSettings;
  readonly #known = new Map<string, Promise<Dispatcher>>();
  readonly #hungUp = new Set<string>();
  readonly #tlsNumbers = new Map<TlsSettings | undefined, number>();
  readonly #tlsShapes = new Map<string | undefined, number>();

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /**
   * The dispatcher for a URL: the injected one, else a pool.
   *
   * @param atOnce Whether the request must not queue.
   * @throws RootfsError `ERR_OPTION_INVALID` (a proxy variable that is no URL), `ERR_TLS`, `ERR_FILESYSTEM` (CA files)
   */
  async dispatcher(url: URL, tls: TlsSettings | undefined, atOnce: boolean): Promise<Dispatcher> {
    const { dispatcher } = this.#settings;
    if (dispatcher !== undefined) return dispatcher as Dispatcher;
    const proxy = this.proxyOf(url);
    const name = `${this.#numberOf(tls)} ${atOnce} ${url.protocol} ${proxy?.href ?? ''}`;
    const known = await this.#known.get(name);
    if (known !== undefined && !isDestroyed(known)) return known;
    const limit = atOnce ? null : this.#settings.maxConnectionsPerHost;
    const opened = sharedPool(url, proxy, tls, limit, this.#settings);
    this.#known.set(name, opened);
    opened.catch(() => this.#known.delete(name));
    return opened;
  }

  /** Notes that a connection ended with no answer to an upload's request: its server may take one request on each. */
  hungUp({ origin }: URL): void {
    this.#hungUp.add(origin);
  }

  /** Whether an upload's requests to a URL are sent on connections that nothing else is asked on afterwards. */
  wantsFresh({ origin }: URL): boolean {
    return this.#hungUp.has(origin);
  }

  /** The proxy that a URL is asked through; an injected dispatcher has its own ways. @throws as `dispatcher` */
  proxyOf(url: URL): URL | undefined {
    return this.#settings.dispatcher === undefined ? proxyFor(url) : undefined;
  }

  /** The same for equal settings: each of a thousand mirrors has its own, and all authorities are read for each number. */
  #numberOf(tls: TlsSettings | undefined): number {
    const known = this.#tlsNumbers.get(tls);
    if (known !== undefined) return known;
    const shape = JSON.stringify(tls);
    const number = this.#tlsShapes.get(shape) ?? this.#tlsShapes.size;
    this.#tlsShapes.set(shape, number);
    this.#tlsNumbers.set(tls, number);
    return number;
  }
}

function isDestroyed(dispatcher: Dispatcher): boolean {
  return (dispatcher as { destroyed?: boolean }).destroyed === true;
}

async function sharedPool(
  url: URL,
  proxy: URL | undefined,
  tls: TlsSettings | undefined,
  limit: number | null,
  settings: ConnectionSettings,
): Promise<Dispatcher> {
  const secure =
    url.protocol === 'https:' || proxy?.protocol === 'https:' ? await tlsOptions(tls, settings) : undefined;
  const shape = JSON.stringify([proxy?.href, secure, settings.timeoutMs, limit]);
  const key = createHash('sha256').update(shape).digest('base64');
  let pool = pools.get(key);
  if (pool === undefined) {
    pool = openPool(proxy, secure, limit, settings);
    pools.set(key, pool);
  }
  return pool;
}

/**
 * Closes the process's idle and busy connections to registries. Requests under way fail. Nothing has to call this:
 * idle connections hold up no exit.
 */
export async function closeConnections(): Promise<void> {
  const open = [...pools.values()];
  pools.clear();
  await Promise.allSettled(open.map(async (pool) => (await pool).destroy()));
}

interface TlsOptions {
  ca?: string[];
  cert?: string;
  key?: string;
  rejectUnauthorized?: false;
}

async function tlsOptions(tls: TlsSettings | undefined, settings: ConnectionSettings): Promise<TlsOptions> {
  const named = settings.caFile === undefined ? [] : await readCertificates(settings.caFile, 'CA file');
  const skip = settings.tlsVerify === false || tls?.skipVerify === true;
  return {
    ca: await trustAnchors([...named, ...(tls?.ca ?? [])]),
    ...(tls?.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls?.key === undefined ? {} : { key: tls.key }),
    ...(skip ? { rejectUnauthorized: false } : {}),
  };
}

async function openPool(
  proxy: URL | undefined,
  secure: TlsOptions | undefined,
  limit: number | null,
  settings: ConnectionSettings,
): Promise<Dispatcher> {
  const { Agent, buildConnector, Pool: PoolClass, ProxyAgent } = await import('./http-client.js');
  const { rejectUnauthorized, ...material } = secure ?? {};
  const connect = {
    // Reading a whole set of authorities takes tens of milliseconds: once for the pool, not for each connection.
    ...(secure === undefined ? {} : { secureContext: await contextOf(material) }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    timeout: settings.timeoutMs,
    // Node gives an address 250 ms before it tries the next; a distant registry needs longer.
    autoSelectFamilyAttemptTimeout: Math.min(2_000, settings.timeoutMs),
  };
  const limits = {
    connections: limit,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: 60_000,
    maxHeaderSize: MAX_HEADER_BYTES,
  } satisfies Pool.Options;
  if (proxy === undefined && secure !== undefined)
    return new Agent({ ...limits, connect: patientConnector(buildConnector(connect)) });
  if (proxy === undefined) return new Agent({ ...limits, connect: lendingConnector(buildConnector, connect) });
  const address = new URL(proxy);
  const login = proxyLogin(proxy);
  address.username = '';
  address.password = '';
  return new ProxyAgent({
    ...limits,
    uri: address.href,
    proxyTunnel: false,
    ...(login === undefined ? {} : { token: login }),
    proxyTls: connect,
    requestTls: connect,
    // Behind the proxy, or through it: proxies are those who write odd heads.
    factory: (origin, options: Pool.Options) =>
      new PoolClass(
        origin,
        typeof options.connect === 'function' ? { ...options, connect: patientConnector(options.connect) } : options,
      ),
    clientFactory: (origin, options) =>
      new PoolClass(origin, {
        ...options,
        ...withoutAddress(options),
        headersTimeout: settings.timeoutMs,
        bodyTimeout: settings.timeoutMs,
      }),
  });
}

/** A proxy that is given by its address has no name to be shown to it: TLS knows none, and Node warns of one. */
function withoutAddress({ connect }: Pool.Options): Pick<Pool.Options, 'connect'> {
  if (typeof connect !== 'function') return {};
  return {
    connect: ({ servername, ...target }, callback) => {
      connect(servername === undefined || isIP(servername) !== 0 ? target : { ...target, servername }, callback);
    },
  };
}

/** Connections whose reader is spared what it cannot bear. */
function patientConnector(connect: buildConnector.connector): buildConnector.connector {
  return (target, callback) => {
    connect(target, (...result) => {
      if (result[0] === null) {
        mendAnswers(result[1]);
        endAtAlert(result[1]);
      }
      callback(...result);
    });
  };
}

/**
 * Has a connection end with the alert that the other side ends it with: in TLS 1.3 a certificate is missed only after
 * the handshake, and undici would tell no more than that the connection was closed.
 */
function endAtAlert(socket: Socket): void {
  socket.prependListener('error', (error) => {
    if (systemErrorCode(error)?.startsWith('ERR_SSL_') === true) socket.destroy(error);
  });
}

/** Plain connections receive into memory that is used again; what TLS brings comes in pieces too small for that. */
function lendingConnector(
  build: typeof buildConnector,
  options: buildConnector.BuildOptions,
): buildConnector.connector {
  return (target, callback) => {
    const receiver = createReceiver();
    const lending = { ...options, onread: receiver.options };
    build(lending as buildConnector.BuildOptions)(target, (...result) => {
      if (result[0] === null) {
        receiver.lend(result[1]);
        mendAnswers(result[1]);
      } else receiver.close();
      callback(...result);
    });
  };
}

async function contextOf(material: Omit<TlsOptions, 'rejectUnauthorized'>): Promise<SecureContext> {
  const { createSecureContext } = await import('node:tls');
  try {
    return createSecureContext(material);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RootfsError(
      'ERR_TLS',
      `the certificates cannot be used: ${reason}; check that certificate and key belong together and are PEM`,
      { cause: error },
    );
  }
}

function proxyLogin(proxy: URL): string | undefined {
  if (proxy.username === '' && proxy.password === '') return undefined;
  const plain = `${decode(proxy.username)}:${decode(proxy.password)}`;
  return `Basic ${Buffer.from(plain).toString('base64')}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
