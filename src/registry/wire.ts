/** One HTTP exchange, as it goes over the wire: no redirects, no credentials, no second attempt. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Connections } from './connections.js';
import type { TlsSettings } from './endpoint.js';
import { networkError, shownUrl } from './network-error.js';
import { answerTimeout, bodyLength, inPieces, type SentBody } from './sent-body.js';
import { WireBody } from './wire-body.js';

/** A request as it is sent. Header names are lower case. */
export interface WireRequest {
  readonly method: Dispatcher.HttpMethod;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: SentBody | undefined;
  readonly tls?: TlsSettings | undefined;
  readonly signal?: AbortSignal | undefined;
  /** It does not queue for a connection: those before it may be waiting for it. */
  readonly atOnce?: boolean | undefined;
}

/** An answer whose body waits for a reader. The receiver must read or discard the body. */
export interface WireResponse {
  /** 200 also where a proxy said 203. */
  readonly status: number;
  readonly url: URL;
  readonly headers: WireHeaders;
  readonly body: WireBody;
  /** The longest silence that the exchange allows, in milliseconds. */
  readonly timeoutMs: number;
}

/** What proxies that changed an answer put in the place of 200: manifests and blobs are checked by their digests anyhow. */
const MENDED_BY_PROXY = 203;

/** The most informational answers (1xx) before the real one: each of them starts the wait for it again. */
const MAX_INFORMATIONAL = 20;

/** Answer headers; names are lower case. */
export class WireHeaders {
  readonly #headers: ReadonlyMap<string, readonly string[]>;

  constructor(headers: Readonly<Record<string, string | string[] | undefined>>) {
    this.#headers = new Map(
      Object.entries(headers).map(([name, value]) => [name, value === undefined ? [] : [value].flat()]),
    );
  }

  /** The first value of a header, trimmed, or `undefined`. */
  get(name: string): string | undefined {
    return this.#headers.get(name)?.[0]?.trim();
  }

  /** All values of a header, one per header line. */
  all(name: string): readonly string[] {
    return this.#headers.get(name) ?? [];
  }
}

/**
 * Sends one request and resolves when the answer's headers are there.
 *
 * Silence for `timeoutMs` while connecting, waiting for headers or between body bytes is `ERR_TIMEOUT`; a request with
 * a long body has up to five times that, see `answerTimeout`.
 *
 * @throws RootfsError `ERR_NETWORK`, `ERR_TIMEOUT`, `ERR_TLS`, `ERR_REGISTRY`; or the signal's own reason
 */
export async function sendOverWire(
  request: WireRequest,
  connections: Connections,
  timeoutMs: number,
): Promise<WireResponse> {
  const { signal, url, method } = request;
  const answerMs = answerTimeout(timeoutMs, bodyLength(request.body, request.headers));
  throwIfAborted(signal);
  const dispatcher = await connections.dispatcher(url, request.tls, request.atOnce === true);
  // undici takes a connection back one turn of the event loop after its answer; without this wait a request that
  // follows at once would open another one.
  await nextTurn();
  throwIfAborted(signal);
  return new Promise((resolve, reject) => {
    // What is asked between two attempts of an upload would hand each of them a connection that has been used.
    const isFresh = request.atOnce === true && connections.wantsFresh(url);
    let controller: Dispatcher.DispatchController | undefined;
    let body: WireBody | undefined;
    let aborted: { readonly reason: unknown } | undefined;
    let informational = 0;
    const failed = (error: unknown): RootfsError =>
      networkError(error, { method, url, timeoutMs, answerMs, proxy: connections.proxyOf(url) });
    const onAbort = (): void => {
      stop(signal?.reason);
      reject(signal?.reason);
    };
    const stop = (reason: unknown): void => {
      aborted ??= { reason };
      settle();
      if (controller !== undefined && !controller.aborted) controller.abort(new Error('no longer wanted'));
      body?.fail(reason);
    };
    const settle = (): void => signal?.removeEventListener('abort', onAbort);
    signal?.addEventListener('abort', onAbort, { once: true });
    const refused = (error: unknown): void => {
      settle();
      reject(oldDispatcher(error) ?? failed(error));
    };
    try {
      const taken: unknown = dispatcher.dispatch(
        {
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method,
          headers: request.headers,
          // undici would give up the connection after a HEAD; servers that send a body there are found out by the next
          // answer, which cannot be read then and is asked for again.
          ...(isFresh ? { reset: true } : method === 'HEAD' ? { reset: false } : {}),
          headersTimeout: answerMs,
          bodyTimeout: timeoutMs,
          // undici takes any async iterable; its type names Node's streams only.
          body: (request.body === undefined ? null : inPieces(request.body)) as Uint8Array | null,
        },
        {
          onRequestStart(started) {
            controller = started;
            if (aborted !== undefined) started.abort(new Error('no longer wanted'));
          },
          onResponseStart(started, status, headers) {
            if (status < 200) {
              if (++informational > MAX_INFORMATIONAL) {
                const reason = neverEnding(request);
                stop(reason);
                reject(reason);
              }
              return;
            }
            started.pause();
            body = new WireBody({
              resume: () => started.resume(),
              pause: () => started.pause(),
              cancel: () => stop(new Error('no longer wanted')),
            });
            resolve({
              status: status === MENDED_BY_PROXY ? 200 : status,
              url,
              headers: new WireHeaders(headers),
              body,
              timeoutMs,
            });
          },
          onResponseData(_started, chunk) {
            body?.data(chunk);
          },
          onResponseEnd() {
            settle();
            body?.end();
          },
          onResponseError(_started, error) {
            settle();
            const reason = aborted === undefined ? failed(error) : aborted.reason;
            const isHangUp =
              aborted === undefined && body === undefined && (reason as RootfsError).code === 'ERR_NETWORK';
            if (isHangUp && request.atOnce === true) connections.hungUp(url);
            body?.fail(reason);
            reject(reason);
          },
        },
      );
      // One that is async, whatever its type says, fails where nobody else would hear it.
      Promise.resolve(taken).catch(refused);
    } catch (error) {
      refused(error);
    }
  });
}

/** undici 6 and older ask for other handlers, and say so before anything is sent. */
function oldDispatcher(error: unknown): RootfsError | undefined {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (code !== 'UND_ERR_INVALID_ARG' || !/^invalid on[A-Z]\w+ method$/.test(String(message))) return undefined;
  return new RootfsError(
    'ERR_OPTION_INVALID',
    `option dispatcher: it is of undici 6 or older (${message}); give one of undici 7 or newer`,
    { cause: error, detail: { option: 'dispatcher' } },
  );
}

function neverEnding({ method, url }: WireRequest): RootfsError {
  return new RootfsError(
    'ERR_REGISTRY',
    `${url.host}: more than ${MAX_INFORMATIONAL} informational answers (1xx) and no real one; a proxy in between may be broken`,
    { detail: { host: url.host, method, url: shownUrl(url) } },
  );
}
