/**
 * An OCI registry inside the process, on loopback, for tests.
 *
 * It keeps everything in memory, speaks the whole protocol, counts what it is asked, and misbehaves on request. It must
 * not know the registry client: it is the other side.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Descriptor } from '../spec/descriptor.js';
import type { Built } from './built.js';
import { type Certificate, createCertificate } from './certificate.js';
import { type ConnectionState, deliver } from './delivery.js';
import type { Fault } from './fault.js';
import { type FaultPlace, faultAnswer, nextHop } from './fault-answer.js';
import { changeAnswer } from './fault-change.js';
import { FaultScript, type ScriptedFault, type Struck } from './fault-script.js';
import { Origins, type Serve } from './origins.js';
import { type Answer, answer } from './registry-answer.js';
import { Gate } from './registry-auth.js';
import { RegistryContent } from './registry-content.js';
import { handle } from './registry-handler.js';
import type { RegistryOptions } from './registry-options.js';
import { type Route, routeOf } from './registry-route.js';
import { type Origin, RequestLog, type RequestRecord } from './request-log.js';

/** An error as object stores write it. */
function storageError(status: number, code: string): Answer {
  return answer(status, { 'content-type': 'application/xml' }, `<Error><Code>${code}</Code></Error>`);
}

const LISTS: ReadonlySet<string> = new Set(['tags', 'catalog', 'referrers']);

/** A running test registry. `startRegistry` makes one. */
export class TestRegistry implements AsyncDisposable {
  /** What was asked, and the sums over it. */
  readonly log = new RequestLog();
  /** What the registry holds, added or pushed. */
  readonly content = new RegistryContent();
  /** The certificate of the https ports; `undefined` for http. The self-signed one is its own authority. */
  readonly certificate: Certificate | undefined;
  readonly #options: RegistryOptions;
  readonly #script = new FaultScript();
  readonly #gate: Gate;
  readonly #origins: Origins;
  readonly #connections = new WeakMap<object, ConnectionState>();
  #opened = 0;

  /** Use `startRegistry`. */
  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#gate = new Gate(options.auth);
    this.certificate = options.tls === 'self-signed' ? createCertificate() : options.tls;
    this.#origins = new Origins(this.certificate);
    for (const fault of options.faults ?? []) this.#script.add(fault);
  }

  /** `127.0.0.1:<port>`: what stands before the repository in a reference. */
  get host(): string {
    return this.#origins.host('registry');
  }

  /** Scheme and host. */
  get url(): string {
    return this.#origins.url('registry');
  }

  /** Scheme and host of the second origin, where redirects go. */
  get storageUrl(): string {
    return this.#origins.url('storage');
  }

  /** Scheme and host of the other token server (`auth.server: 'other'`). */
  get tokenUrl(): string {
    return this.#origins.url('token');
  }

  /** Puts an image, an index or a document into a repository; without a tag it is reached by its digest. */
  add(repository: string, tag: string | undefined, built: Built): Descriptor {
    this.content.add(repository, tag, built);
    return built.descriptor;
  }

  /** Adds a fault to the script; the returned handle counts how often it struck and takes it out again. */
  fault(fault: Fault): ScriptedFault {
    return this.#script.add(fault);
  }

  /** Takes all faults out: the registry is healthy from here on. */
  clearFaults(): void {
    this.#script.clear();
  }

  /** Voids every token given out so far. */
  expireTokens(): void {
    this.#gate.expire();
  }

  /** Opens the ports; called once, by `startRegistry`. */
  async start(): Promise<void> {
    const { tls } = this.#options;
    const clientCa = typeof tls === 'object' ? tls.clientCa : undefined;
    const serve: Serve = async (...call) => {
      try {
        await this.#serve(...call);
      } catch (error) {
        this.log.errors.push(error);
        throw error;
      }
    };
    await this.#origins.open(serve, this.certificate, clientCa);
  }

  /** Closes the ports and every connection; answers under way break. A second call does nothing. */
  async close(): Promise<void> {
    await this.#origins.close();
  }

  /** The same as `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(origin: Origin, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET';
    const url = new URL(request.url ?? '/', this.#origins.url(origin));
    const inner = url.pathname.startsWith('/storage/') ? url.pathname.slice('/storage'.length) : undefined;
    const route = routeOf(decodePath(inner ?? url.pathname));
    const connection = this.#connection(request);
    const record = this.#record(
      origin,
      request,
      inner === undefined ? route : { ...route, kind: 'storage' },
      connection,
    );
    const { authorization = '' } = request.headers;
    const misplaced = origin === 'storage' || (route.kind === 'token' && /^bearer /i.test(authorization));
    if (authorization !== '' && misplaced) this.log.leaked.push(record);
    response.once('close', () => this.log.end(record));
    const asked = { ...record, ranged: request.headers.range !== undefined };
    const early = this.#script.strike(asked, true);
    let struck = early;
    let reply: Answer | undefined;
    if (early.instead === undefined) {
      reply = this.#turnAway(origin, method, url, route, inner !== undefined, request.headers.authorization);
      if (reply === undefined) {
        const late = this.#script.strike(asked, false);
        struck = {
          instead: late.instead,
          changes: [...early.changes, ...late.changes],
          delivery: [...early.delivery, ...late.delivery],
        };
      }
    }
    const hangUp = struck.instead?.do === 'hang-up' ? (struck.instead.after ?? 0) : undefined;
    const body = await readBody(request, record, hangUp);
    if (body === undefined || hangUp !== undefined) {
      request.socket.destroy();
      return;
    }
    if (struck.instead?.do === 'silence') return;
    const path = `${inner ?? url.pathname}${url.search}`;
    reply ??= this.#reply(struck, method, url, route, request, body, path);
    for (const change of struck.changes) {
      reply = changeAnswer(reply, change, this.#place(path, route), request.headers.range);
    }
    await deliver(response, reply, struck.delivery, record, connection, () => this.log.changed());
  }

  /** The answer for those who may not come in; `undefined` for the others. */
  #turnAway(
    origin: Origin,
    method: string,
    url: URL,
    route: Route,
    stored: boolean,
    authorization: string | undefined,
  ): Answer | undefined {
    if (origin === 'storage' && authorization !== undefined) return storageError(400, 'InvalidArgument');
    if (stored) {
      const open = url.searchParams.get('signature') === 'good' || LISTS.has(route.kind);
      return open ? undefined : storageError(403, 'AccessDenied');
    }
    if (route.kind === 'token') {
      if (origin !== this.#tokenOrigin()) return answer(404);
      return undefined;
    }
    if (origin !== 'registry') return answer(404);
    return this.#gate.check(route, method, authorization, this.#realm());
  }

  #tokenOrigin(): Origin {
    const auth = this.#options.auth;
    return auth?.kind === 'bearer' && auth.server === 'other' ? 'token' : 'registry';
  }

  #realm(): string {
    const auth = this.#options.auth;
    const given = auth?.kind === 'bearer' ? auth.realm?.replaceAll('{storage}', this.storageUrl) : undefined;
    return given ?? `${this.#origins.url(this.#tokenOrigin())}/token`;
  }

  #reply(
    struck: Struck,
    method: string,
    url: URL,
    route: Route,
    request: IncomingMessage,
    body: Buffer,
    path: string,
  ): Answer {
    const { instead } = struck;
    if (instead !== undefined && instead.do !== 'hang-up' && instead.do !== 'silence') {
      if (instead.do !== 'expire-tokens') return faultAnswer(instead, this.#place(path, route));
      this.expireTokens();
      return this.#gate.challengeFor(route, method, this.#realm());
    }
    if (route.kind === 'token') return this.#gate.token(method, url, request.headers.authorization, body.toString());
    const hop = url.pathname.startsWith('/storage/') ? nextHop(url) : undefined;
    return hop ?? handle(this.content, { method, url, route, headers: request.headers, body }, this.#options);
  }

  #place(path: string, route: Route): FaultPlace {
    return {
      path,
      url: this.url,
      storageUrl: this.storageUrl,
      plainStorageUrl: this.#origins.plainStorageUrl,
      repository: route.repository ?? '',
      reference: route.reference ?? '',
    };
  }

  #connection(request: IncomingMessage): ConnectionState {
    let connection = this.#connections.get(request.socket);
    if (connection === undefined) {
      this.#opened += 1;
      connection = { number: this.#opened, sent: 0, freeAt: 0 };
      this.#connections.set(request.socket, connection);
    }
    return connection;
  }

  #record(origin: Origin, request: IncomingMessage, route: Route, connection: ConnectionState): RequestRecord {
    const record: RequestRecord = {
      method: request.method ?? 'GET',
      url: request.url ?? '/',
      origin,
      ...route,
      headers: request.headers,
      connection: connection.number,
      status: 0,
      bytesReceived: 0,
      bytesSent: 0,
      done: false,
    };
    this.log.add(record);
    return record;
  }
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The body of a request, all of it or the first `limit` bytes; `undefined` when the client went away. */
async function readBody(
  request: IncomingMessage,
  record: RequestRecord,
  limit = Number.POSITIVE_INFINITY,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  if (limit === 0) return Buffer.alloc(0);
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      record.bytesReceived += chunk.length;
      if (record.bytesReceived >= limit) break;
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

/**
 * Starts a registry on ports of 127.0.0.1 that the system chooses. The caller closes it.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` for a fault that there is not; the system's own error when no port opens.
 */
export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const registry = new TestRegistry(options);
  await registry.start();
  return registry;
}
