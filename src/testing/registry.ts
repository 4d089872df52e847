/**
 * An OCI registry inside the process, on loopback, for tests.
 *
 * It keeps everything in memory, speaks the whole protocol, counts what it is asked, and misbehaves on request. It must
 * not know the registry client: it is the other side.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import type { Built } from './built.js';
import { type Listening, listen } from './listen.js';
import { type Answer, answer, failure } from './registry-answer.js';
import { RegistryContent } from './registry-content.js';
import { getBlob, getManifest, listReferrers, listRepositories, listTags } from './registry-pull.js';
import { deleteBlob, deleteManifest, putManifest, upload } from './registry-push.js';
import { type Route, routeOf } from './registry-route.js';
import { RequestLog, type RequestRecord } from './request-log.js';

/** Options of `startRegistry`. */
export interface RegistryOptions {
  /** Largest page of tags, repositories and referrers. Default: no pages. */
  readonly pageSize?: number | undefined;
  /** A manifest whose media type the `Accept` header does not name is 404, as docker-registry has it. Default false. */
  readonly strictAccept?: boolean | undefined;
  /** Whether the referrers API exists; without it clients fall back to tags. Default true. */
  readonly referrers?: boolean | undefined;
}

/** A running test registry. */
export class TestRegistry implements AsyncDisposable {
  readonly #options: RegistryOptions;
  readonly #content = new RegistryContent();
  readonly #listening: Listening[] = [];
  readonly #connections = new WeakMap<object, number>();
  #opened = 0;
  /** What was asked, and the sums over it. */
  readonly log = new RequestLog();

  /** Use `startRegistry`. */
  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** `127.0.0.1:<port>`: what stands before the repository in a reference. */
  get host(): string {
    return `127.0.0.1:${this.#listening[0]?.port ?? 0}`;
  }

  /** Scheme and host. */
  get url(): string {
    return `http://${this.host}`;
  }

  /** Puts an image, an index or a document into a repository and returns its descriptor; without a tag it is reached by digest. */
  add(repository: string, tag: string | undefined, built: Built): Descriptor {
    this.#content.add(repository, tag, built);
    return built.descriptor;
  }

  /** What the registry holds, pushed or added. */
  get content(): RegistryContent {
    return this.#content;
  }

  /** Opens the ports; called once by `startRegistry`. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response));
    this.#listening.push(await listen(server));
  }

  /** Closes the port and every connection; answers that are under way break. A second call does nothing. */
  async close(): Promise<void> {
    await Promise.all(this.#listening.splice(0).map((listening) => listening.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    const route = routeOf(decodeURIComponent(url.pathname));
    const record = this.#record(request, route);
    response.on('close', () => {
      record.done = true;
    });
    const method = request.method ?? 'GET';
    const body = await readAll(request);
    if (body === undefined) return;
    const reply = this.#answer(method, url, route, request, body);
    record.status = reply.status;
    for (const [name, value] of reply.headers) response.setHeader(name, value);
    response.setHeader('content-length', reply.body.length);
    response.statusCode = reply.status;
    if (method === 'HEAD') {
      response.end();
      return;
    }
    record.bytesSent = reply.body.length;
    response.end(reply.body);
  }

  #record(request: IncomingMessage, route: Route): RequestRecord {
    let connection = this.#connections.get(request.socket);
    if (connection === undefined) {
      this.#opened += 1;
      connection = this.#opened;
      this.#connections.set(request.socket, connection);
    }
    const record: RequestRecord = {
      method: request.method ?? 'GET',
      url: request.url ?? '/',
      origin: 'registry',
      ...route,
      headers: request.headers,
      connection,
      status: 0,
      bytesSent: 0,
      done: false,
    };
    this.log.requests.push(record);
    return record;
  }

  #answer(method: string, url: URL, route: Route, request: IncomingMessage, body: Buffer): Answer {
    const { repository = '', reference = '' } = route;
    const { pageSize, strictAccept } = this.#options;
    const reading = method === 'GET' || method === 'HEAD';
    switch (route.kind) {
      case 'ping':
        return answer(
          200,
          { 'content-type': 'application/json', 'docker-distribution-api-version': 'registry/2.0' },
          '{}',
        );
      case 'catalog':
        return listRepositories(this.#content, url, pageSize);
      case 'tags':
        return listTags(this.#content, repository, url, pageSize);
      case 'upload': {
        const contentRange = request.headers['content-range'];
        return upload(this.#content, { method, url, repository, id: reference, contentRange, body });
      }
      case 'manifest':
        if (method === 'PUT') {
          return putManifest(this.#content, repository, reference, request.headers['content-type'], body);
        }
        if (method === 'DELETE') return deleteManifest(this.#content, repository, reference);
        if (reading) {
          return getManifest(
            this.#content,
            repository,
            reference,
            strictAccept === true ? (request.headers.accept ?? '') : undefined,
          );
        }
        break;
      case 'blob': {
        if (method === 'DELETE') return deleteBlob(this.#content, repository, reference);
        const bytes = this.#content.blob(repository, reference as Digest);
        if (reading && bytes === undefined)
          return failure(404, 'BLOB_UNKNOWN', 'blob unknown to registry', { digest: reference });
        if (reading && bytes !== undefined)
          return getBlob(bytes, reference, method === 'GET' ? request.headers.range : undefined);
        break;
      }
      case 'referrers':
        if (this.#options.referrers !== false)
          return listReferrers(this.#content, repository, reference, url, pageSize);
        return answer(404, { 'content-type': 'text/plain' }, '404 page not found');
      default:
        return answer(404, { 'content-type': 'text/plain' }, '404 page not found');
    }
    return failure(405, 'UNSUPPORTED', 'the operation is unsupported');
  }
}

/** The whole body of a request, or `undefined` when the client went away. */
async function readAll(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

/**
 * Starts a registry on a port of 127.0.0.1 that the system chooses. The caller closes it.
 *
 * @throws the system's own error when no port can be opened.
 */
export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const registry = new TestRegistry(options);
  await registry.start();
  return registry;
}
