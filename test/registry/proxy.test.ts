/** Through a proxy: which requests go there, and what it sees. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsSocketServer } from 'node:tls';
import type { RootfsError } from '../../src/errors.js';
import { proxyFor } from '../../src/registry/proxy-environment.js';
import { createRepository } from '../../src/registry/repository.js';
import { closedPort, createCertificate, image, startRegistry } from '../../src/testing/testing.js';
import { listen } from '../support/listen.js';
import { tempDir } from '../support/temp-dir.js';
import { tunnelsTo } from '../support/tunnels.js';

const built = image()
  .layer((l) => l.file('a', 'x'))
  .build();

function setEnvironment(t: TestContext, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    process.env[name] = value;
    t.after(() => delete process.env[name]);
  }
}

test('plain http goes through the proxy with the whole URL, and the login for the proxy', async (t) => {
  const seen: IncomingMessage[] = [];
  const proxy = createServer((request, response) => {
    seen.push(request);
    const headers = { 'content-type': built.descriptor.mediaType, 'docker-content-digest': built.descriptor.digest };
    response.writeHead(200, { ...headers, 'content-length': built.manifestBytes.length });
    response.end(request.method === 'HEAD' ? undefined : built.manifestBytes);
  });
  const host = await listen(t, proxy);
  setEnvironment(t, { http_proxy: `http://me:p%40ss@${host}` });
  const repository = createRepository('registry.example:5000/app', { plainHttp: true });
  assert.deepEqual(await repository.resolve('v1'), built.descriptor);
  assert.equal(seen[0]?.url, 'http://registry.example:5000/v2/app/manifests/v1');
  assert.equal(seen[0]?.headers['host'], 'registry.example:5000');
  assert.equal(seen[0]?.headers['proxy-authorization'], `Basic ${Buffer.from('me:p@ss').toString('base64')}`);
});

const oddAnswer = Buffer.concat([
  Buffer.from(
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nContent-Type: ${built.descriptor.mediaType}\nContent-Length: ${built.manifestBytes.length}\n\n`,
  ),
  built.manifestBytes,
]);

test('odd answers of a proxy, and through one, are read as others are', async (t) => {
  const certificate = createCertificate({ hosts: ['registry.example'] });
  const answer = (socket: Duplex): void => {
    socket.on('error', () => socket.destroy());
    socket.on('data', () => socket.write(oddAnswer));
  };
  const inner = createTlsSocketServer(certificate, answer);
  const proxy = createServer();
  tunnelsTo(proxy, { host: await listen(t, inner) });
  proxy.on('request', ({ socket }: IncomingMessage) => void socket.write(oddAnswer));
  const host = await listen(t, proxy);
  setEnvironment(t, { http_proxy: `http://${host}`, HTTPS_PROXY: `http://${host}` });
  for (const settings of [{ plainHttp: true }, { plainHttp: false, tlsVerify: false }]) {
    const repository = createRepository('registry.example/app', { ...settings, retry: 0, timeoutMs: 2_000 });
    for (let at = 0; at < 2; at += 1) {
      assert.deepEqual((await repository.fetchReference('v1')).descriptor, built.descriptor);
    }
  }
});

test('https goes through a tunnel; the proxy sees the host and nothing else', async (t) => {
  const authority = createCertificate();
  const tls = createCertificate({ issuer: authority, hosts: ['registry.example'] });
  const registry = await startRegistry({ tls });
  t.after(() => registry.close());
  registry.add('app', 'v1', built);
  const proxy = createServer((_, response) => response.writeHead(500).end());
  const seen = tunnelsTo(proxy, registry);
  const host = await listen(t, proxy);
  setEnvironment(t, { HTTPS_PROXY: host });
  const caFile = join(tempDir(t, 'proxy'), 'ca.pem');
  writeFileSync(caFile, authority.cert);
  const repository = createRepository('registry.example/app', { caFile });
  assert.deepEqual(await repository.resolve('v1'), built.descriptor);
  assert.deepEqual((await repository.fetchReference('v1')).descriptor, built.descriptor);
  assert.equal(seen.length, 1, 'one tunnel for both');
  assert.equal(seen[0]?.url, 'registry.example:443');
  assert.equal(seen[0]?.headers.authorization, undefined);
});

test('a proxy that speaks TLS and is given by its address is shown no name, and Node has nothing to warn of', async (t) => {
  const certificate = createCertificate();
  const caFile = join(tempDir(t), 'ca.pem');
  writeFileSync(caFile, certificate.cert);
  const warnings: string[] = [];
  const note = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', note);
  t.after(() => process.off('warning', note));
  const proxy = await listen(
    t,
    createTlsServer(certificate).on('connect', (_, socket) => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')),
  );
  setEnvironment(t, { HTTPS_PROXY: `https://${proxy}` });
  const repository = createRepository('registry.invalid/app', { caFile, retry: 0, timeoutMs: 2_000 });
  await assert.rejects(repository.resolve('v1'), {
    code: 'ERR_NETWORK',
    message: /refused the connection with status 502/,
  });
  assert.deepEqual(warnings, []);
});

test('a proxy that wants a login is told apart from a registry', async (t) => {
  const server = createServer();
  server.on('connect', (_, socket) => socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'));
  setEnvironment(t, { HTTPS_PROXY: `http://${await listen(t, server)}` });
  await assert.rejects(createRepository('registry.example/app', { retry: 0 }).resolve('v1'), {
    code: 'ERR_NETWORK',
    message: /proxy refused the connection with status 407; it wants a login/,
  });
});

test('a proxy that cannot be reached is named, not the registry', async (t) => {
  const port = await closedPort();
  for (const [address, reason] of [
    [`127.0.0.1:${port}`, 'connection refused'],
    ['proxy.invalid:3128', 'no such host'],
  ]) {
    setEnvironment(t, { HTTPS_PROXY: `http://me:secret@${address}`, HTTP_PROXY: `http://me:secret@${address}` });
    for (const plainHttp of [false, true]) {
      const repository = createRepository('registry.example/app', { retry: 0, plainHttp });
      await assert.rejects(repository.resolve('v1'), (error: RootfsError) => {
        const advice = 'check HTTPS_PROXY, HTTP_PROXY and NO_PROXY';
        assert.equal(error.message, `registry.example, by the proxy ${address}: ${reason}; ${advice}`);
        assert.deepEqual([error.code, error.detail['proxy']], ['ERR_NETWORK', address]);
        return true;
      });
    }
  }
});

test('loopback is never proxied', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('app', 'v1', built);
  setEnvironment(t, { http_proxy: 'http://127.0.0.1:1', HTTP_PROXY: 'http://127.0.0.1:1' });
  assert.deepEqual(await createRepository(`${registry.host}/app`).resolve('v1'), built.descriptor);
});

for (const [url, environment, expected] of [
  ['https://r.example/', {}, undefined],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1' }, 'http://p:1/'],
  ['https://r.example/', { HTTP_PROXY: 'http://p:1' }, undefined],
  ['http://r.example/', { HTTP_PROXY: 'p:1' }, 'http://p:1/'],
  ['https://r.example/', { https_proxy: 'http://low:1', HTTPS_PROXY: 'http://up:1' }, 'http://low:1/'],
  ['https://r.example/', { https_proxy: '', HTTPS_PROXY: 'http://up:1' }, 'http://up:1/'],
  ['http://r.example/', { HTTP_PROXY: 'http://p:1', REQUEST_METHOD: 'GET' }, undefined],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '*' }, undefined],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'a, r.example' }, undefined],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1', no_proxy: 'EXAMPLE' }, undefined],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1', no_proxy: '.example' }, undefined],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1', no_proxy: '*.example' }, undefined],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1', no_proxy: '.r.example' }, 'http://p:1/'],
  ['https://notr.example/', { HTTPS_PROXY: 'http://p:1', no_proxy: 'r.example' }, 'http://p:1/'],
  ['https://r.example:8443/', { HTTPS_PROXY: 'http://p:1', no_proxy: 'r.example:443' }, 'http://p:1/'],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1', no_proxy: 'r.example:443' }, undefined],
  ['https://10.1.2.3/', { HTTPS_PROXY: 'http://p:1', no_proxy: '10.0.0.0/8' }, undefined],
  ['https://11.1.2.3/', { HTTPS_PROXY: 'http://p:1', no_proxy: '10.0.0.0/8' }, 'http://p:1/'],
  ['https://[fd00::1]/', { HTTPS_PROXY: 'http://p:1', no_proxy: 'fd00::/8' }, undefined],
  ['https://[fd00::1]:8443/', { HTTPS_PROXY: 'http://p:1', no_proxy: '[fd00::1]:8443' }, undefined],
  ['https://10.1.2.3/', { HTTPS_PROXY: 'http://p:1', no_proxy: '10.1.2.3/32' }, undefined],
  ['https://10.1.2.4/', { HTTPS_PROXY: 'http://p:1', no_proxy: '10.1.2.3/32' }, 'http://p:1/'],
  ['https://[fd00::1]/', { HTTPS_PROXY: 'http://p:1', no_proxy: 'fd00::1/128' }, undefined],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1', no_proxy: 'r.example/8' }, 'http://p:1/'],
  ['https://r.example/', { HTTPS_PROXY: 'http://p:1', no_proxy: '10.0.0.0/99,/,::/200,[' }, 'http://p:1/'],
  ['https://localhost:5000/', { HTTPS_PROXY: 'http://p:1' }, undefined],
  ['https://[::1]:5000/', { HTTPS_PROXY: 'http://p:1' }, undefined],
] as const) {
  test(`${url} with ${JSON.stringify(environment)} goes ${expected ?? 'directly'}`, () => {
    assert.equal(proxyFor(new URL(url), environment)?.href, expected);
  });
}

test('a proxy that is no URL is named by its variable, not by its value', () => {
  assert.throws(
    () => proxyFor(new URL('https://r.example/'), { HTTPS_PROXY: 'socks9://me:secret@p' }),
    (error: Error) => {
      assert.match(error.message, /HTTPS_PROXY/);
      assert.ok(!error.message.includes('secret'));
      return true;
    },
  );
});
