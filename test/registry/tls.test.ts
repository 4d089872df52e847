/** Certificates that are good and certificates that are not, and ports that speak something else than expected. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Endpoint } from '../../src/registry/endpoint.js';
import type { RegistryOptions } from '../../src/registry/registry-options.js';
import { createRepository } from '../../src/registry/repository.js';
import { createCertificate, image, startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { listen } from '../support/listen.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const built = image()
  .layer((l) => l.file('a', 'x'))
  .build();
const authority = createCertificate();
/** Issued by an authority, and none itself. */
const noAuthority = createCertificate({ issuer: authority, name: 'no authority' });

async function serve(t: TestContext, tls: Parameters<typeof startRegistry>[0]): Promise<TestRegistry> {
  const registry = await startRegistry(tls);
  t.after(() => registry.close());
  registry.add('app', 'v1', built);
  return registry;
}

function resolve(registry: TestRegistry, options: RegistryOptions): Promise<unknown> {
  return createRepository(`${registry.host}/app`, { retry: 0, timeoutMs: 2_000, ...options }).resolve('v1');
}

function file(t: TestContext, name: string, content: string): string {
  const path = join(tempDir(t, 'tls'), name);
  writeFileSync(path, content);
  return path;
}

test('a certificate is trusted by its authority, which a file names', async (t) => {
  const registry = await serve(t, { tls: createCertificate({ issuer: authority }) });
  const caFile = file(t, 'ca.pem', `a comment\n${authority.cert}`);
  assert.deepEqual(await resolve(registry, { caFile }), built.descriptor);
  const trusted = authority.cert.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE');
  assert.deepEqual(await resolve(registry, { caFile: file(t, 'ca.pem', trusted) }), built.descriptor);
});

test('any certificate will do where that is said', async (t) => {
  const registry = await serve(t, { tls: createCertificate({ issuer: authority, expired: true }) });
  assert.deepEqual(await resolve(registry, { tlsVerify: false }), built.descriptor);
});

for (const [title, certificate, message] of [
  ['a self-signed certificate', createCertificate(), /self-signed; trust it with --ca-file FILE/],
  [
    'an unknown authority',
    createCertificate({ issuer: authority }),
    /issue.*; trust (the authority|it) with --ca-file/,
  ],
] as const) {
  test(`${title} is refused with advice`, async (t) => {
    const registry = await serve(t, { tls: certificate });
    await assert.rejects(resolve(registry, { tlsVerify: true }), { code: 'ERR_TLS', message });
    assert.equal(registry.log.requests.length, 0);
  });
}

for (const [title, certificate, message] of [
  ['an expired certificate', createCertificate({ issuer: authority, expired: true }), /has expired/],
  ["another host's certificate", createCertificate({ issuer: authority, hosts: ['example.org'] }), /another name/],
  // OpenSSL has dozens of such reasons, and Node a name for some: weak keys and digests are UNSPECIFIED.
  ['what no authority issued', createCertificate({ issuer: noAuthority }), /: its certificate is refused: .+; have it/],
] as const) {
  test(`${title} is refused with advice, once`, async (t) => {
    const registry = await serve(t, { tls: certificate });
    const caFile = file(t, 'ca.pem', `${authority.cert}${noAuthority.cert}`);
    await assert.rejects(resolve(registry, { caFile, retry: 3 }), { code: 'ERR_TLS', message });
    assert.equal(registry.log.requests.length, 0);
  });
}

for (const [title, settings, message] of [
  ['HTTP/2 only', { ALPNProtocols: ['h2'] }, 'the port speaks HTTP/2 only; ask who runs it to offer HTTP/1.1 too'],
  [
    'TLS 1.1 only',
    { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
    'the port speaks TLS before version 1.2 only; ask who runs it for a later one',
  ],
] as const) {
  test(`a port that speaks ${title} is told as that`, async (t) => {
    const host = await listen(t, createTlsServer({ ...createCertificate(), ...settings }));
    const repository = createRepository(`${host}/app`, { retry: 0, timeoutMs: 2_000, tlsVerify: false });
    await assert.rejects(repository.resolve('v1'), { code: 'ERR_TLS', message: `${host}: ${message}` });
  });
}

test('a registry that misses a client certificate is told as one, though TLS 1.3 misses it after the handshake only', async (t) => {
  const { cert, key } = createCertificate({ issuer: authority });
  const server = createTlsServer({ cert, key, requestCert: true, rejectUnauthorized: true });
  const host = await listen(t, server);
  const caFile = file(t, 'ca.pem', authority.cert);
  await assert.rejects(createRepository(`${host}/app`, { retry: 0, plainHttp: false, caFile }).resolve('v1'), {
    code: 'ERR_TLS',
    message: /: the registry refused the TLS handshake; it may want a client certificate \(certs\.d\)$/,
  });
});

test('a client certificate is shown to the endpoint it is for, and not to where that redirects', async (t) => {
  const client = createCertificate({ issuer: authority, name: 'me' });
  const tls = { ...createCertificate({ issuer: authority }), clientCa: authority.cert };
  const registry = await serve(t, { tls });
  const endpoint: Endpoint = {
    baseUrl: `https://${registry.host}`,
    repository: 'app',
    credentialHost: registry.host,
    capabilities: ['pull', 'resolve'],
    tls: { ca: [authority.cert], cert: client.cert, key: client.key },
    source: 'the test',
  };
  const endpoints = { endpoints: async () => [endpoint] };
  assert.deepEqual(await resolve(registry, { endpoints }), built.descriptor);
  const bare = { endpoints: async () => [{ ...endpoint, tls: { ca: [authority.cert] } }] };
  await assert.rejects(resolve(registry, { endpoints: bare }), (error: { code: string }) =>
    ['ERR_TLS', 'ERR_NETWORK'].includes(error.code),
  );
  registry.fault({ on: 'manifest', do: 'redirect' });
  await assert.rejects(resolve(registry, { endpoints }), (error: { code: string }) =>
    ['ERR_TLS', 'ERR_NETWORK'].includes(error.code),
  );
});

test('a certificate whose key is another one is an error of this machine', async (t) => {
  const registry = await serve(t, { tls: createCertificate({ issuer: authority }) });
  const tls = { cert: createCertificate({ issuer: authority }).cert, key: createCertificate().key };
  const endpoint: Endpoint = {
    baseUrl: `https://${registry.host}`,
    repository: 'app',
    credentialHost: registry.host,
    capabilities: ['pull', 'resolve'],
    tls,
    source: 'the test',
  };
  const endpoints = { endpoints: async () => [endpoint] };
  await assert.rejects(resolve(registry, { endpoints }), { code: 'ERR_TLS', message: /belong together/ });
});

test('plain http at a port that speaks TLS is told as such', async (t) => {
  const polite = await serve(t, { tls: createCertificate({ issuer: authority }) });
  await assert.rejects(resolve(polite, {}), {
    code: 'ERR_TLS',
    message: /speaks TLS, not plain http; use --plain-http=false/,
  });
  const host = await listen(
    t,
    createTlsServer(createCertificate({ issuer: authority }), (_, answer) => answer.end()),
  );
  await assert.rejects(createRepository(`${host}/app`, { retry: 0 }).resolve('v1'), {
    code: 'ERR_TLS',
    message: /speaks TLS, not plain http/,
  });
});

test('CVE-2014-5277 (docker): TLS at a port that speaks plain http is told as such', async (t) => {
  const host = await listen(
    t,
    createServer((_, answer) => answer.end()),
  );
  await assert.rejects(createRepository(`${host}/app`, { plainHttp: false, retry: 0 }).resolve('v1'), {
    code: 'ERR_TLS',
    message: /does not speak TLS; .*--plain-http/,
  });
});

test('a CA file that is not there or holds nothing is named', async (t) => {
  const registry = await serve(t, { tls: createCertificate({ issuer: authority }) });
  await assert.rejects(resolve(registry, { caFile: '/nowhere/ca.pem' }), {
    code: 'ERR_FILESYSTEM',
    message: /^CA file \/nowhere\/ca.pem: /,
  });
  const caFile = file(t, 'empty.pem', 'nothing');
  await assert.rejects(resolve(registry, { caFile }), { code: 'ERR_TLS', message: /holds no PEM certificate/ });
});

test('SSL_CERT_FILE names whom to trust', async (t) => {
  const registry = await serve(t, { tls: createCertificate({ issuer: authority }) });
  const module = fileURLToPath(new URL('../../src/registry/repository.js', import.meta.url));
  const script = `
    const { createRepository } = await import(${JSON.stringify(module)});
    const repository = createRepository(${JSON.stringify(`${registry.host}/app`)}, { plainHttp: false, retry: 0 });
    console.log((await repository.resolve('v1')).digest);`;
  const env = { ...process.env, SSL_CERT_FILE: file(t, 'ca.pem', authority.cert) };
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env });
  assert.equal(stdout.trim(), built.descriptor.digest);
});

test('an SSL_CERT_FILE that is none is said, by the command too', async (t) => {
  for (const [path, said] of [
    [
      '/nowhere/ca.pem',
      /^rootfs: SSL_CERT_FILE \/nowhere\/ca\.pem: ENOENT.*; name a readable PEM file \[ERR_FILESYSTEM\]\n$/,
    ],
    [file(t, 'none.pem', 'nothing'), /^rootfs: SSL_CERT_FILE .*: holds no PEM certificate; .* \[ERR_TLS\]\n$/],
  ] as const) {
    const words = ['digest', '--plain-http=false', '--retry', '0', 'localhost:1/app'];
    assert.match((await runRootfs(words, { env: { SSL_CERT_FILE: path } })).stderr, said);
  }
});
