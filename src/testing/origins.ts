/** The servers of a test registry. Each has a port, and so an origin, of its own. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Certificate } from './certificate.js';
import { frontOf, type Listening, listen } from './listen.js';
import type { Origin } from './request-log.js';

/** Answers a request that came to an origin. A rejection breaks the connection. */
export type Serve = (origin: Origin, request: IncomingMessage, response: ServerResponse) => Promise<void>;

const SERVER = { keepAliveTimeout: 60_000 } as const;

/** Open ports: the registry, the second origin of redirects (with TLS also a plain one), another token server. */
export class Origins {
  readonly #ports = new Map<Origin | 'plain-storage', Listening>();
  readonly #scheme: 'http' | 'https';

  constructor(certificate: Certificate | undefined) {
    this.#scheme = certificate === undefined ? 'http' : 'https';
  }

  /** Opens every port; when one fails the others are closed again. */
  async open(serve: Serve, certificate: Certificate | undefined, clientCa: string | undefined): Promise<void> {
    const client = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
    const plain = async (name: Origin | 'plain-storage', origin: Origin): Promise<void> => {
      this.#ports.set(name, await listen(createServer(SERVER, handler(serve, origin))));
    };
    const secure = async (origin: Origin, own: Certificate): Promise<void> => {
      const server = createTlsServer({ ...own, ...client, ...SERVER }, handler(serve, origin));
      this.#ports.set(origin, await listen(frontOf(server)));
    };
    try {
      for (const origin of ['registry', 'storage', 'token'] as const) {
        await (certificate === undefined ? plain(origin, origin) : secure(origin, certificate));
      }
      if (certificate !== undefined) await plain('plain-storage', 'storage');
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** `127.0.0.1:<port>` of an origin. */
  host(name: Origin): string {
    return `127.0.0.1:${this.#ports.get(name)?.port ?? 0}`;
  }

  /** Scheme and host of an origin. */
  url(name: Origin): string {
    return `${this.#scheme}://${this.host(name)}`;
  }

  /** The second origin without TLS. */
  get plainStorageUrl(): string {
    const port = this.#ports.get('plain-storage') ?? this.#ports.get('storage');
    return `http://127.0.0.1:${port?.port ?? 0}`;
  }

  /** Closes the ports and every connection. */
  async close(): Promise<void> {
    await Promise.all([...this.#ports.values()].map((port) => port.close()));
  }
}

function handler(serve: Serve, origin: Origin): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    serve(origin, request, response).catch((error: unknown) => response.destroy(error as Error));
  };
}
