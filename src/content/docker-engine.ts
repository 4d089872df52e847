/**
 * The Docker Engine's API, as far as images go through it: one request over a socket, and what its refusals mean.
 *
 * @see https://docs.docker.com/reference/api/engine/version/v1.44/
 */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { readLimited } from '../io/limit.js';
import { wholeNumber } from '../io/whole-number.js';
import { type AllowedSilence, watchSilence } from './engine-silence.js';

/** Where an engine is, how patiently it is asked, and what ends the asking. */
export interface EngineOptions {
  /**
   * Where the engine listens: `unix:///path`, or `tcp://host:port` without TLS. `DOCKER_HOST` when absent, else
   * `unix:///var/run/docker.sock`.
   */
  readonly host?: string | undefined;
  /**
   * The longest silence of the engine, in milliseconds: while connecting, while it takes or gives bytes, before an
   * answer that costs no work. Default 30,000. While it gathers an image or loads one, it is at least half an hour.
   */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One request. */
export interface EngineRequest extends Pick<AllowedSilence, 'works'> {
  readonly method: 'GET' | 'POST';
  /** Path and query. */
  readonly path: string;
  /** What errors name: `docker-daemon:app:v1`. */
  readonly place: string;
  /** A tar that goes along. It is destroyed when the engine hangs up. */
  readonly body?: Readable | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** The most bytes of an engine's error message that are read. */
const MAX_MESSAGE_BYTES = 64 * 1024;

const DEFAULT_HOST = 'unix:///var/run/docker.sock';
const PING = '/_ping';

/**
 * Makes sure that an engine answers, before it is asked for what takes long: a silent one is found out soon.
 *
 * @throws RootfsError as `askEngine`
 */
export async function pingEngine(place: string, options: EngineOptions): Promise<void> {
  (await askEngine({ method: 'GET', path: PING, place }, options)).destroy();
}

/**
 * Asks an engine for an answer of status 200, and gives it with its body still to be read. It may come while a body is
 * on its way; whoever called ends it. Silence in the middle of the answer destroys it with `ERR_TIMEOUT`.
 *
 * @throws RootfsError `ERR_NETWORK` (no engine there), `ERR_TIMEOUT`, `ERR_PERMISSION`, `ERR_OPTION_INVALID` (a host of
 *   another kind, no time), `ERR_NOT_FOUND` (it has no such image), `ERR_DENIED` (status 401 or 403), `ERR_REGISTRY` (any
 *   other status, or an answer that no engine gives); what the body fails with; the abort's reason
 */
export async function askEngine(request: EngineRequest, options: EngineOptions): Promise<IncomingMessage> {
  const { name, where } = engineAddress(options.host ?? defaultHost());
  if (options.host === undefined && 'host' in where) refuseWantedTls(name);
  const timeoutMs = wholeNumber('timeoutMs', options.timeoutMs ?? DEFAULT_TIMEOUT_MS, 1, 2 ** 31 - 1);
  throwIfAborted(options.signal);
  const answer = await send(request, name, where, timeoutMs, options.signal);
  if (answer.statusCode === 200) return answer;
  // A reason is worth no long wait: the status is known already.
  const timer = setTimeout(() => answer.destroy(), timeoutMs);
  const error = await refusal(answer, request, name);
  clearTimeout(timer);
  answer.destroy();
  throwIfAborted(options.signal);
  throw error;
}

async function send(
  { method, path, place, body, works }: EngineRequest,
  name: string,
  where: EngineAddress['where'],
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const { request } = await import('node:http');
  const headers = body === undefined ? {} : { 'content-type': 'application/x-tar' };
  return new Promise((resolve, reject) => {
    const call = request({ ...where, method, path, headers, agent: false });
    const abort = (): void => {
      call.destroy(signal?.reason as Error);
    };
    signal?.addEventListener('abort', abort, { once: true });
    // It may have come while the part of Node was loaded that does this.
    if (signal?.aborted === true) abort();
    call.once('close', () => signal?.removeEventListener('abort', abort));
    watchSilence(call, { timeoutMs, works }, (ms) => silence(place, name, ms));
    call.once('response', resolve);
    let failure: { readonly error: unknown } | undefined;
    call.on('error', (error) => {
      body?.destroy();
      if (signal?.aborted === true) reject(signal.reason);
      else reject(failure === undefined ? unreachable(error, name, place) : failure.error);
    });
    if (body === undefined) call.end();
    else {
      body.once('error', (error) => {
        failure = { error };
        call.destroy(error);
      });
      body.pipe(call);
    }
  });
}

function silence(place: string, host: string, timeoutMs: number): RootfsError {
  return new RootfsError(
    'ERR_TIMEOUT',
    `${place}: ${host} has been silent for ${timeoutMs} ms; see whether the engine is well, or allow a longer --timeout`,
    { detail: { place, host, timeoutMs } },
  );
}

/** The error that an answer other than 200 stands for. Its body is read. */
async function refusal(
  answer: IncomingMessage,
  { method, path, place }: EngineRequest,
  host: string,
): Promise<RootfsError> {
  const body = await readLimited(answer, MAX_MESSAGE_BYTES, place).catch(() => Buffer.alloc(0));
  const message = messageIn(body.toString('utf8'));
  const said = message ?? '';
  const reason = said === '' ? '' : ` (${said})`;
  const status = answer.statusCode ?? 0;
  const detail = { place, status, said };
  if (status === 404 && (path === PING || message === undefined)) {
    return new RootfsError(
      'ERR_REGISTRY',
      `${place}: what answers at ${host} is no Docker Engine: it knows no ${path}; DOCKER_HOST says where one is`,
      { detail: { ...detail, host } },
    );
  }
  if (status === 404 && method === 'GET') {
    return new RootfsError('ERR_NOT_FOUND', `${place}: the engine has no such image${reason}; pull it there first`, {
      detail,
    });
  }
  if (status === 401 || status === 403) {
    // A plugin of the engine, or what stands before its socket and lets some requests through only.
    return new RootfsError(
      'ERR_DENIED',
      `${place}: ${host} does not allow ${method} ${path.replace(/\?.*/, '')}: status ${status}${reason}; ask who runs the engine`,
      { detail },
    );
  }
  return new RootfsError(
    'ERR_REGISTRY',
    `${place}: the engine answered with status ${status}${reason}; look into its log`,
    { detail },
  );
}

/** What an engine says of a failure: every one says it in this form. */
function messageIn(body: string): string | undefined {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    return typeof message === 'string' ? message.slice(0, 500) : undefined;
  } catch {
    return undefined;
  }
}

/** A failure of the connection, in words; a `RootfsError` comes back as it is. @param host Where the engine was to be, if that is known. */
export function unreachable(error: unknown, host: string | undefined, place: string): RootfsError {
  if (error instanceof RootfsError) return error;
  const errno = systemErrorCode(error);
  const engine = host ?? defaultHost();
  if (errno === 'EACCES' || errno === 'EPERM' || errno === 'ERR_ACCESS_DENIED')
    return wrapSystemError(error, `${place}: ${engine}`, 'ask for access to the socket');
  const reason = error instanceof Error ? error.message : String(error);
  return new RootfsError(
    'ERR_NETWORK',
    `${place}: no answer from ${engine}: ${reason}; is the engine running there? DOCKER_HOST says where`,
    { cause: error, detail: { place, host: engine, ...(errno === undefined ? {} : { errno }) } },
  );
}

/** Docker's own command speaks TLS when one of these says anything: an image must not go in the clear then. */
function refuseWantedTls(host: string): void {
  const name = ['DOCKER_TLS_VERIFY', 'DOCKER_TLS'].find((one) => (process.env[one] ?? '') !== '');
  if (name === undefined) return;
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `DOCKER_HOST: ${name} wants TLS with ${host}, which is not spoken here; give unix:///path/of/socket (ssh -L makes one of a distant engine), or unset ${name} to go without TLS`,
    { detail: { host, variable: name } },
  );
}

/** An empty DOCKER_HOST is none, as for Docker's own command. */
function defaultHost(): string {
  return process.env['DOCKER_HOST'] || DEFAULT_HOST;
}

interface EngineAddress {
  readonly name: string;
  readonly where: { readonly socketPath: string } | { readonly host: string; readonly port: number };
}

function engineAddress(host: string): EngineAddress {
  const socket = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (socket !== undefined) return { name: host, where: { socketPath: socket } };
  const tcp = /^(?:tcp|http):\/\/(\[[0-9a-fA-F:]+\]|[^:/@\s]+)(?::(\d{1,5}))?\/?$/.exec(host);
  const port = Number(tcp?.[2] ?? 2375);
  if (tcp?.[1] !== undefined && port >= 1 && port <= 65_535) {
    return { name: host, where: { host: tcp[1].replace(/^\[|\]$/g, ''), port } };
  }
  // A password may stand in it.
  const shown = host.replace(/\/\/.*@/s, '//…@');
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `DOCKER_HOST: ${JSON.stringify(shown.slice(0, 200))} cannot be used; give unix:///path/of/socket, or tcp://host:port without TLS`,
    { detail: { host: shown } },
  );
}
