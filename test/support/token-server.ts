/** A token server as docker-registry trusts it: RS256 tokens with the certificate in their header. */
import { createSign, randomUUID, X509Certificate } from 'node:crypto';
import { createServer } from 'node:http';
import { listen } from '../../src/testing/listen.js';

/** A running token server. */
export interface TokenServer {
  readonly realm: string;
  /** The queries it got, in order; with `user` where somebody logged in. */
  readonly asked: readonly { readonly user: string | undefined; readonly scopes: readonly string[] }[];
  stop(): Promise<void>;
}

/** What it needs: an RSA key, its certificate, who may log in. */
export interface TokenServerOptions {
  readonly key: string;
  readonly certificate: string;
  readonly issuer: string;
  readonly users: Readonly<Record<string, string>>;
}

/**
 * Starts a token server on loopback. Who logs in may do everything; everybody else gets a token that allows nothing
 * (clients that ask without a login first would be lost with a 401).
 */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const asked: { user: string | undefined; scopes: readonly string[] }[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://token');
    const login = Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString();
    const [name = '', password = ''] = login.split(':');
    const user = options.users[name] === password && password !== '' ? name : undefined;
    if (login !== '' && user === undefined) {
      response.writeHead(401, { 'content-type': 'application/json' }).end('{"details":"wrong login"}');
      return;
    }
    const scopes = url.searchParams.getAll('scope').flatMap((text) => text.split(' '));
    asked.push({ user, scopes });
    const access = user === undefined ? [] : scopes.map(parseScope);
    const token = sign(options, url.searchParams.get('service') ?? '', user ?? '', access);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token, expires_in: 300 }));
  });
  const { port, close: stop } = await listen(server);
  return {
    realm: `http://127.0.0.1:${port}/token`,
    asked,
    stop,
  };
}

function parseScope(text: string): { type: string; name: string; actions: string[] } {
  const [type = '', ...rest] = text.split(':');
  const actions = (rest.pop() ?? '').split(',');
  return { type, name: rest.join(':'), actions };
}

function sign(options: TokenServerOptions, audience: string, subject: string, access: unknown): string {
  const x5c = [new X509Certificate(options.certificate).raw.toString('base64')];
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: options.issuer,
    sub: subject,
    aud: audience,
    exp: now + 300,
    nbf: now - 10,
    iat: now,
    jti: randomUUID(),
    access,
  };
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${encode({ typ: 'JWT', alg: 'RS256', x5c })}.${encode(claims)}`;
  return `${text}.${createSign('RSA-SHA256').update(text).sign(options.key).toString('base64url')}`;
}
