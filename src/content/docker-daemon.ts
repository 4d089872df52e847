/**
 * Images of a Docker Engine (or of podman's service), over its API: one request that gives a docker-archive.
 *
 * @see https://docs.docker.com/reference/api/engine/version/v1.44/#tag/Image/operation/ImageGet
 */
import type { IncomingMessage } from 'node:http';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { readLimited } from '../io/limit.js';
import { type ArchiveOptions, spoolArchive } from './archive-file.js';
import { DockerArchive } from './docker-archive.js';

/** Options of `openDockerDaemon`. */
export interface DockerDaemonOptions extends ArchiveOptions {
  /**
   * Where the engine listens: `unix:///path`, or `tcp://host:port` without TLS. `DOCKER_HOST` when absent, else
   * `unix:///var/run/docker.sock`.
   */
  readonly host?: string | undefined;
}

/** The most bytes of an engine's error message that are read. */
const MAX_MESSAGE_BYTES = 64 * 1024;

/**
 * Opens an image of a Docker Engine for reading: it is copied into a temporary file, which `close` removes. Its one
 * image needs no reference.
 *
 * @param reference A name with or without a tag, or an image id.
 * @throws RootfsError `ERR_NOT_FOUND` (the engine has no such image), `ERR_NETWORK` (no engine there),
 *   `ERR_PERMISSION`, `ERR_OPTION_INVALID` (a host of another kind), `ERR_REGISTRY` (any other answer), and as
 *   `DockerArchive.open`; the abort's reason
 */
export async function openDockerDaemon(reference: string, options: DockerDaemonOptions = {}): Promise<DockerArchive> {
  if (reference === '' || reference.length > 4096) {
    throw new RootfsError(
      'ERR_REFERENCE_INVALID',
      `docker-daemon: ${JSON.stringify(reference.slice(0, 200))} is no image; give a name or an id`,
    );
  }
  const place = `docker-daemon:${reference}`;
  const address = engineAddress(options.host ?? process.env['DOCKER_HOST'] ?? DEFAULT_HOST);
  throwIfAborted(options.signal);
  const answer = await ask(address, reference, place, options.signal);
  try {
    if (answer.statusCode !== 200) throw await refusal(answer, place);
    return await DockerArchive.read(await spoolArchive(answer, place, options), options.signal);
  } catch (error) {
    answer.destroy();
    throwIfAborted(options.signal);
    throw systemErrorCode(error) === undefined ? error : unreachable(error, address.name, place);
  }
}

const DEFAULT_HOST = 'unix:///var/run/docker.sock';

interface EngineAddress {
  readonly name: string;
  readonly request: { readonly socketPath: string } | { readonly host: string; readonly port: number };
}

function engineAddress(host: string): EngineAddress {
  const socket = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (socket !== undefined) return { name: host, request: { socketPath: socket } };
  const tcp = /^(?:tcp|http):\/\/(\[[0-9a-fA-F:]+\]|[^:/@\s]+)(?::(\d{1,5}))?\/?$/.exec(host);
  if (tcp?.[1] !== undefined) {
    return { name: host, request: { host: tcp[1].replace(/^\[|\]$/g, ''), port: Number(tcp[2] ?? 2375) } };
  }
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `DOCKER_HOST: ${JSON.stringify(host.slice(0, 200))} cannot be used; give unix:///path/of/socket, or tcp://host:port without TLS`,
    { detail: { host } },
  );
}

async function ask(
  address: EngineAddress,
  reference: string,
  place: string,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const { request } = await import('node:http');
  // Slashes and colons stand for themselves in this path: engines match the rest of it as the name.
  const name = encodeURIComponent(reference).replace(/%2F/g, '/').replace(/%3A/g, ':').replace(/%40/g, '@');
  return new Promise((resolve, reject) => {
    const call = request({ ...address.request, path: `/images/${name}/get`, agent: false });
    const abort = (): void => {
      call.destroy(signal?.reason as Error);
    };
    signal?.addEventListener('abort', abort, { once: true });
    call.once('close', () => signal?.removeEventListener('abort', abort));
    call.once('response', resolve);
    call.on('error', (error) => reject(signal?.aborted ? signal.reason : unreachable(error, address.name, place)));
    call.end();
  });
}

async function refusal(answer: IncomingMessage, place: string): Promise<RootfsError> {
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

function unreachable(error: unknown, host: string, place: string): RootfsError {
  const errno = systemErrorCode(error);
  if (errno === 'EACCES' || errno === 'EPERM')
    return wrapSystemError(error, `${place}: ${host}`, 'ask for access to the socket');
  const reason = error instanceof Error ? error.message : String(error);
  return new RootfsError('ERR_NETWORK', `${place}: no answer from ${host}: ${reason}; is the engine running there?`, {
    cause: error,
    detail: { place, host, ...(errno === undefined ? {} : { errno }) },
  });
}
