/** One request on a connection of its own, and everything that came back, whole or not. */
import { type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import { request as tlsRequest } from 'node:https';

/** What came back. `end` says how the answer ended: `whole`, or the code of the error that broke it. */
export interface Exchange {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly end: string;
}

/** Sends one request; with `until`, the client leaves once so many bytes have come (`end` is `left` then). */
export function exchange(
  url: string,
  options: RequestOptions & { readonly until?: number; readonly body?: Buffer; readonly ca?: string } = {},
): Promise<Exchange> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let status = 0;
    let headers: IncomingHttpHeaders = {};
    const finish = (end: string): void => resolve({ status, headers, body: Buffer.concat(chunks), end });
    const client = (url.startsWith('https:') ? tlsRequest : request)(url, { agent: false, ...options }, (response) => {
      status = response.statusCode ?? 0;
      headers = response.headers;
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (options.until === undefined || length < options.until) return;
        finish('left');
        client.destroy();
      });
      response.on('end', () => finish('whole'));
      response.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    });
    client.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    client.end(options.body);
  });
}
