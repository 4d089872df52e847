/** A server on loopback that answers as a test says, for registries that do what the test registry never would. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { listen } from '../../src/testing/listen.js';

/** One request, read whole. */
export interface ScriptedRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** One answer; an object as its body becomes JSON. `undefined`: the connection ends without an answer. */
export type ScriptedAnswer =
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
      readonly body?: string | Uint8Array | object | undefined;
    }
  | undefined;

/** A running server. */
export interface ScriptedRegistry {
  readonly host: string;
  readonly origin: string;
  /** What was asked, in order: method, path and query. */
  readonly asked: readonly string[];
  readonly requests: readonly ScriptedRequest[];
}

/** Starts a server that ends with the test. */
export async function scriptedRegistry(
  t: TestContext,
  script: (request: ScriptedRequest, origin: string) => ScriptedAnswer | Promise<ScriptedAnswer>,
): Promise<ScriptedRegistry> {
  const requests: ScriptedRequest[] = [];
  let origin = '';
  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = Buffer.concat(await incoming.toArray());
    const { method = '', headers } = incoming;
    const request = { method, url: new URL(incoming.url ?? '/', origin), headers, body };
    requests.push(request);
    const answer = await script(request, origin);
    if (answer === undefined) {
      incoming.socket.destroy();
      return;
    }
    for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value);
    const { body: content = '' } = answer;
    const isRaw = typeof content === 'string' || content instanceof Uint8Array;
    response.statusCode = answer.status;
    response.end(method === 'HEAD' ? undefined : isRaw ? content : JSON.stringify(content));
  };
  const server = createServer((incoming, response) => void serve(incoming, response).catch(() => response.destroy()));
  const { port, close } = await listen(server);
  origin = `http://127.0.0.1:${port}`;
  t.after(close);
  return {
    host: `127.0.0.1:${port}`,
    origin,
    requests,
    get asked() {
      return requests.map(({ method, url }) => `${method} ${url.pathname}${url.search}`);
    },
  };
}
