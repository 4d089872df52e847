/** The command behind a proxy, as in many companies: it brings its own build of the parts that connections are made of. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createCertificate, image, startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { listen } from '../support/listen.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import { tunnelsTo } from '../support/tunnels.js';

const built = image()
  .layer((l) => l.file('a', 'x'.repeat(300_000)))
  .build();
const authority = createCertificate();

async function secureRegistry(t: TestContext): Promise<{ registry: TestRegistry; caFile: string }> {
  const registry = await startRegistry({ tls: createCertificate({ issuer: authority, hosts: ['registry.example'] }) });
  t.after(() => registry.close());
  registry.add('app', 'v1', built);
  const caFile = join(tempDir(t, 'proxy'), 'ca.pem');
  writeFileSync(caFile, authority.cert);
  return { registry, caFile };
}

test('https goes through a tunnel', async (t) => {
  const { registry, caFile } = await secureRegistry(t);
  const server = createServer();
  const seen = tunnelsTo(server, registry);
  const env = { HTTPS_PROXY: `http://me:pass@${await listen(t, server)}` };
  const words = ['extract', '-q', '--ca-file', caFile, '--dst', join(tempDir(t), 'dst'), 'registry.example/app:v1'];
  const { code, stdout, stderr } = await runRootfs(words, { env });
  assert.equal(stderr, '');
  assert.equal(code, 0);
  assert.match(stdout.toString(), new RegExp(`^${built.layers[0]?.diffId}\t`));
  assert.ok(seen.length > 0);
  const login = `Basic ${Buffer.from('me:pass').toString('base64')}`;
  for (const { url, headers } of seen) {
    assert.deepEqual([url, headers['proxy-authorization']], ['registry.example:443', login]);
  }
});

test('https goes through a proxy that speaks TLS itself', async (t) => {
  const { registry, caFile } = await secureRegistry(t);
  const { cert, key } = createCertificate({ issuer: authority, hosts: ['localhost'] });
  const server = createTlsServer({ cert, key });
  const seen = tunnelsTo(server, registry);
  const env = { HTTPS_PROXY: `https://localhost:${(await listen(t, server)).split(':')[1]}` };
  const { code, stdout, stderr } = await runRootfs(['digest', '--ca-file', caFile, 'registry.example/app:v1'], { env });
  assert.equal(stderr, '');
  assert.deepEqual([code, stdout.toString().trim()], [0, built.descriptor.digest]);
  assert.deepEqual(
    seen.map(({ url }) => url),
    ['registry.example:443'],
  );
});

test('plain http goes through the proxy; a body may come with its headers', async (t) => {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '');
    const name = pathname.slice(pathname.lastIndexOf('/') + 1);
    const body = name === 'v1' ? built.manifestBytes : built.blobs.get(name as `sha256:${string}`);
    const type = name === 'v1' ? built.descriptor.mediaType : 'application/octet-stream';
    // No digest is told: it is made from what comes.
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': type, 'content-length': body?.length ?? 0 });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  const env = { http_proxy: `http://${await listen(t, server)}` };
  const app = 'registry.example:5000/app:v1';
  const { code, stdout, stderr } = await runRootfs(['digest', '--plain-http', app], { env });
  assert.deepEqual([stderr, code, stdout.toString().trim()], ['', 0, built.descriptor.digest]);
  const words = ['extract', '-q', '--plain-http', '--dst', join(tempDir(t), 'dst'), app];
  const extracted = await runRootfs(words, { env });
  assert.deepEqual([extracted.stderr, extracted.code], ['', 0]);
});

for (const [name, answer, expected] of [
  ['wants a login', 'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n', /proxy .*status 407; it wants a login/],
  ['refuses', 'HTTP/1.1 503 Service Unavailable\r\n\r\n', /proxy .*status 503/],
  ['is silent', '', /300 ms/],
] as const) {
  test(`a proxy that ${name} is told of`, async (t) => {
    const server = createServer();
    server.on('connect', (_, socket) => void (answer === '' ? socket.on('error', () => {}) : socket.end(answer)));
    const env = { HTTPS_PROXY: `http://${await listen(t, server)}` };
    const words = ['digest', '--retry', '1', '--timeout', '300ms', 'registry.example/app:v1'];
    const { code, stderr } = await runRootfs(words, { env });
    assert.equal(code, 6);
    assert.match(stderr, expected);
  });
}
