/** What a failed exchange means: undici's, the socket's and OpenSSL's words turned into the house's codes. */
import { type ErrorCode, RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';

const TIMEOUTS: Readonly<Record<string, string>> = {
  UND_ERR_CONNECT_TIMEOUT: 'no connection',
  UND_ERR_HEADERS_TIMEOUT: 'no answer',
  UND_ERR_BODY_TIMEOUT: 'no further byte',
  ETIMEDOUT: 'no connection',
};

const NETWORK: Readonly<Record<string, readonly [reason: string, advice: string]>> = {
  ENOTFOUND: ['no such host', 'check the name, and the DNS of this machine'],
  EAI_AGAIN: ['the name could not be looked up', 'check the DNS and the network of this machine'],
  ECONNREFUSED: ['connection refused', 'check host and port, and that the registry runs'],
  ECONNRESET: ['connection reset', 'try again; if it stays, a proxy or firewall may be in the way'],
  EPIPE: ['connection closed while sending', 'try again; if it stays, a proxy or firewall may be in the way'],
  EHOSTUNREACH: ['host unreachable', 'check the network and the proxy settings'],
  ENETUNREACH: ['network unreachable', 'check the network and the proxy settings'],
  EADDRNOTAVAIL: ['no local address left', 'check the network of this machine'],
  UND_ERR_SOCKET: ['connection closed before the answer was complete', 'try again'],
};

const CERTIFICATES: Readonly<Record<string, readonly [reason: string, advice: string]>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: ['its certificate is self-signed', 'trust it with --ca-file FILE'],
  SELF_SIGNED_CERT_IN_CHAIN: [
    'its certificate was issued by an authority that this machine does not trust',
    'trust the authority with --ca-file FILE',
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    'its certificate was issued by an authority that this machine does not trust',
    'trust the authority with --ca-file FILE',
  ],
  UNABLE_TO_GET_ISSUER_CERT: ['the issuer of its certificate is not known', 'trust it with --ca-file FILE'],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['the issuer of its certificate is not known', 'trust it with --ca-file FILE'],
  CERT_HAS_EXPIRED: ['its certificate has expired', 'the registry must renew it; check the clock of this machine too'],
  CERT_NOT_YET_VALID: ['its certificate is not valid yet', 'check the clock of this machine'],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'its certificate is for another name',
    'use the name that the certificate is for, or have it reissued',
  ],
};

/** Every reason against a certificate, by Node's names of OpenSSL's; one that Node has no name for is `UNSPECIFIED`. */
const REFUSED_CERTIFICATE =
  /CERT|CRL|SELF_SIGNED|UNABLE_TO|^(?:INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH|UNSPECIFIED)$/;

/** Whether an `ERR_TLS` is about a certificate: its host speaks TLS. */
export function isCertificateError({ code, detail }: RootfsError): boolean {
  return code === 'ERR_TLS' && REFUSED_CERTIFICATE.test(String(detail['errno']));
}

/** What the request was, as far as an error may tell. */
export interface FailedRequest {
  readonly method: string;
  readonly url: URL;
  readonly timeoutMs: number;
  /** How long it waited for an answer, where that is another time. */
  readonly answerMs?: number | undefined;
  /** The proxy that it went through. */
  readonly proxy?: URL | undefined;
}

/** What a system call fails with that makes a connection; behind a proxy it is the proxy that cannot be reached. */
const CONNECTING: ReadonlySet<unknown> = new Set(['connect', 'getaddrinfo']);

/** The URL as it may be shown: no user, no query (signed URLs are keys), no fragment. */
export function shownUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/**
 * Wraps what an exchange failed with: `ERR_TIMEOUT`, `ERR_TLS`, `ERR_NETWORK`, `ERR_REGISTRY` for an answer that is
 * not HTTP, `ERR_PERMISSION` where Node allows no network, or `ERR_INTERNAL` where there is no memory for it.
 * `detail.host` names the other side, `detail.errno` the system's or undici's code, and `detail.proxy` the proxy where
 * it is the one that could not be reached.
 */
export function networkError(error: unknown, request: FailedRequest): RootfsError {
  if (error instanceof RootfsError) return error;
  const root = innermost(error);
  const errno = systemErrorCode(root) ?? systemErrorCode(error) ?? (isParserError(root) ? 'HPE_INVALID' : '');
  const { host, protocol } = request.url;
  // Node 25 and later, under --permission: no second try is allowed what the first was not.
  if (errno === 'ERR_ACCESS_DENIED') return wrapSystemError(root, host);
  const isConnecting =
    CONNECTING.has((root as { syscall?: unknown } | undefined)?.syscall) || errno === 'UND_ERR_CONNECT_TIMEOUT';
  const proxy = isConnecting ? request.proxy?.host : undefined;
  const make = (code: ErrorCode, reason: string, advice: string): RootfsError => {
    const told = `${reason}; ${proxy === undefined ? advice : 'check HTTPS_PROXY, HTTP_PROXY and NO_PROXY'}`;
    return new RootfsError(code, `${host}${proxy === undefined ? '' : `, by the proxy ${proxy}`}: ${told}`, {
      cause: errno.startsWith('HPE_') ? withoutData(root, errno) : error,
      detail: {
        host,
        method: request.method,
        url: shownUrl(request.url),
        ...(errno === '' ? {} : { errno }),
        ...(proxy === undefined ? {} : { proxy }),
      },
    });
  };

  const silence = TIMEOUTS[errno];
  if (silence !== undefined) {
    const withinMs = errno === 'UND_ERR_HEADERS_TIMEOUT' ? request.answerMs : undefined;
    return make(
      'ERR_TIMEOUT',
      `${silence} within ${withinMs ?? request.timeoutMs} ms`,
      'check the network, or allow a longer --timeout',
    );
  }
  const certificate = CERTIFICATES[errno];
  if (certificate !== undefined) {
    return make('ERR_TLS', certificate[0], `${certificate[1]} (--tls-verify=false accepts any certificate)`);
  }
  const message = root instanceof Error ? root.message : String(root);
  const proxyStatus = /Proxy response \((\d{3})\)/.exec(message)?.[1] ?? (/\(407\)/.test(message) ? '407' : undefined);
  if (proxyStatus !== undefined) {
    const advice =
      proxyStatus === '407'
        ? 'it wants a login: HTTPS_PROXY=http://user:password@host:port'
        : 'check HTTPS_PROXY and NO_PROXY';
    return make('ERR_NETWORK', `the proxy refused the connection with status ${proxyStatus}`, advice);
  }
  if (
    errno.startsWith('ERR_SSL_') ||
    errno === 'EPROTO' ||
    errno.startsWith('ERR_TLS_') ||
    errno.startsWith('ERR_OSSL_')
  ) {
    return tlsError(make, errno, message);
  }
  if (REFUSED_CERTIFICATE.test(errno)) {
    return make(
      'ERR_TLS',
      `its certificate is refused: ${message.slice(0, 200)}`,
      'have it reissued, or its authority (--tls-verify=false accepts any certificate)',
    );
  }
  if (errno.startsWith('HPE_')) {
    if (protocol === 'http:' && startsLikeTls(root)) return make('ERR_TLS', ...TLS_PORT);
    return make('ERR_REGISTRY', `the answer is not HTTP (${errno})`, 'check that a registry answers on this port');
  }
  if (errno === 'UND_ERR_HEADERS_OVERFLOW') {
    return make('ERR_REGISTRY', 'the headers are too long', 'check that a registry answers on this port');
  }
  const known = NETWORK[errno];
  if (known !== undefined) return make('ERR_NETWORK', known[0], known[1]);
  // The parser of HTTP is WebAssembly, for which V8 reserves gigabytes of addresses.
  if (root instanceof RangeError && /out of memory|allocation failed/i.test(message)) {
    return make(
      'ERR_INTERNAL',
      `this process may take no more memory: ${message.slice(0, 200)}`,
      'allow more (ulimit -v, which counts addresses that are only reserved, or a larger limit of the container)',
    );
  }
  return make('ERR_NETWORK', `the exchange failed: ${message.slice(0, 200)}`, 'try again');
}

/** Reason and advice where plain http met a port that speaks TLS. */
export const TLS_PORT = ['the port speaks TLS, not plain http', 'use --plain-http=false'] as const;

function tlsError(
  make: (code: ErrorCode, reason: string, advice: string) => RootfsError,
  errno: string,
  message: string,
): RootfsError {
  if (
    /wrong.version.number|packet.length.too.long|http.request|unknown.protocol|record.layer.failure/i.test(
      `${errno} ${message}`,
    )
  ) {
    return make(
      'ERR_TLS',
      'the port does not speak TLS',
      'if the registry is served over plain http, use --plain-http',
    );
  }
  if (/certificate.required|handshake.failure|bad.certificate|unknown.ca/i.test(`${errno} ${message}`)) {
    return make('ERR_TLS', 'the registry refused the TLS handshake', 'it may want a client certificate (certs.d)');
  }
  if (/no.application.protocol/i.test(errno)) {
    return make('ERR_TLS', 'the port speaks HTTP/2 only', 'ask who runs it to offer HTTP/1.1 too');
  }
  if (/protocol.version|unsupported.protocol|version.too.low/i.test(errno)) {
    return make('ERR_TLS', 'the port speaks TLS before version 1.2 only', 'ask who runs it for a later one');
  }
  return make('ERR_TLS', `TLS failed (${errno})`, 'check the certificates on both sides');
}

/** undici's parser errors do not always carry a code. */
function isParserError(error: unknown): boolean {
  return error instanceof Error && error.name === 'HTTPParserError';
}

/** undici keeps the answer that it could not read, which may quote what was sent; a cause is shown. */
function withoutData(error: unknown, code: string): Error {
  const { name, message } = error as Error;
  return Object.assign(new Error(message), { name, code });
}

function startsLikeTls(error: unknown): boolean {
  const { data } = error as { data?: unknown };
  // llhttp hands over the bytes that it could not read: a TLS alert (21) or handshake (22) record, version 3.
  return typeof data === 'string' && [21, 22].includes(data.charCodeAt(0)) && data.charCodeAt(1) === 3;
}

/** AggregateError (several addresses tried) and undici's wrappers hide the error that counts. */
function innermost(error: unknown): unknown {
  let current = error;
  for (let depth = 0; depth < 5; depth++) {
    if (current instanceof AggregateError && current.errors.length > 0) current = current.errors[0];
    else if (
      current instanceof Error &&
      current.cause instanceof Error &&
      (systemErrorCode(current) === undefined || systemErrorCode(current) === 'UND_ERR_PRX_TLS')
    ) {
      current = current.cause;
    } else return current;
  }
  return current;
}
