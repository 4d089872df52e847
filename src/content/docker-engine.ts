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

/** Where an engine is, and who hears of failures. */
export interface EngineOptions {
  /**
   * Where the engine listens: `unix:///path`, or `tcp://host:port` without TLS. `DOCKER_HOST` when absent, else
   * `unix:///var/run/docker.sock`.
   */
  readonly host?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One request. */
export interface EngineRequest {
  readonly method: 'GET' | 'POST';
  /** Path and query. */
  readonly path: string;
  /** What errors name: `docker-daemon:app:v1`. */
  readonly place: string;
  /** A tar that goes along. It is destroyed when the engine hangs up. */
  readonly body?: Readable | undefined;
}

/** The most bytes of an engine's error message that are read. */
const MAX_MESSAGE_BYTES = 64 * 1024;

const DEFAULT_HOST = 'unix:///var/run/docker.sock';

/**
 * Asks an engine. The answer may come while a body is still on its way; whoever called ends it.
 *
 * @throws RootfsError `ERR_NETWORK` (no engine there), `ERR_PERMISSION`, `ERR_OPTION_INVALID` (a host of another
 *   kind); what the body fails with; the abort's reason
 */
export async function askEngine(
  { method, path, place, body }: EngineRequest,
  options: EngineOptions,
): Promise<IncomingMessage> {
  const { signal } = options;
  const { name, where } = engineAddress(options.host ?? defaultHost());
  throwIfAborted(signal);
  const { request } = await import('node:http');
  const headers = body === undefined ? {} : { 'content-type': 'application/x-tar' };
  return new Promise((resolve, reject) => {
    const call = request({ ...where, method, path, headers, agent: false });
    const abort = (): void => {
      call.destroy(signal?.reason as Error);
    };
    signal?.addEventListener('abort', abort, { once: true });
    call.once('close', () => signal?.removeEventListener('abort', abort));
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

/** The error that an answer other than 200 stands for. Its body is read. */
export async function engineRefusal(answer: IncomingMessage, place: string): Promise<RootfsError> {
  const body = (await readLimited(answer, MAX_MESSAGE_BYTES, place).catch(() => Buffer.alloc(0))).toString('utf8');
  const said = /"(?:message|cause)"\s*:\s*"([^"]{1,500})"/.exec(body)?.[1] ?? '';
  const status = answer.statusCode ?? 0;
  if (status === 404) {
    return new RootfsError('ERR_NOT_FOUND', `${place}: the engine has no such image; pull it there first`, {
      detail: { place, status, said },
    });
  }
  return new RootfsError(
    'ERR_REGISTRY',
    `${place}: the engine answered with status ${status}${said === '' ? '' : ` (${said})`}; look into its log`,
    { detail: { place, status, said } },
  );
}

/** A failure of the connection, in words. @param host Where the engine was to be, if that is known. */
export function unreachable(error: unknown, host: string | undefined, place: string): RootfsError {
  const errno = systemErrorCode(error);
  const engine = host ?? defaultHost();
  if (errno === 'EACCES' || errno === 'EPERM')
    return wrapSystemError(error, `${place}: ${engine}`, 'ask for access to the socket');
  const reason = error instanceof Error ? error.message : String(error);
  return new RootfsError(
    'ERR_NETWORK',
    `${place}: no answer from ${engine}: ${reason}; is the engine running there? DOCKER_HOST says where`,
    { cause: error, detail: { place, host: engine, ...(errno === undefined ? {} : { errno }) } },
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
  if (tcp?.[1] !== undefined) {
    return { name: host, where: { host: tcp[1].replace(/^\[|\]$/g, ''), port: Number(tcp[2] ?? 2375) } };
  }
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `DOCKER_HOST: ${JSON.stringify(host.slice(0, 200))} cannot be used; give unix:///path/of/socket, or tcp://host:port without TLS`,
    { detail: { host } },
  );
}
