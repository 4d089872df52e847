/** Debian's docker-registry behind every kind of door; skopeo with the same login reads the same. */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer as createPort } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { fetchVerified } from '../../src/content/fetch-verified.js';
import type { CredentialProvider } from '../../src/registry/credentials.js';
import { getToken } from '../../src/registry/get-token.js';
import type { RegistryOptions } from '../../src/registry/registry-options.js';
import { createRepository } from '../../src/registry/repository.js';
import { atEnd } from '../support/at-end.js';
import { startDockerRegistry } from '../support/docker-registry.js';
import { type LayoutFixture, writeLayout } from '../support/oci-layout-fixture.js';
import { tempDir } from '../support/temp-dir.js';
import { startTokenServer } from '../support/token-server.js';
import { findTool, needs } from '../support/tools.js';

const run = promisify(execFile);

function login(username: string, password: string): CredentialProvider {
  return { credential: async () => ({ credential: { username, password }, source: 'the test' }) };
}

/** Pushes an image, reads it back, and lets skopeo read it. */
async function roundTrip(
  t: TestContext,
  host: string,
  options: RegistryOptions,
  skopeo: string[],
): Promise<LayoutFixture> {
  const image = writeLayout(join(tempDir(t, 'layout'), 'layout'), [1_000, 200_000]);
  const repository = createRepository(`${host}/team/app`, options);
  for (const target of [...image.layers, image.config, image.manifest]) {
    await repository.push(target, Readable.from([image.bytes.get(target.digest)]));
  }
  await repository.tag(image.manifest, 'v1');
  const fresh = createRepository(`${host}/team/app`, options);
  assert.deepEqual((await fresh.fetchReference('v1')).descriptor, image.manifest);
  for (const target of [...image.layers, image.config]) {
    const stream = await fetchVerified(fresh, target);
    assert.deepEqual(Buffer.concat(await stream.toArray()), image.bytes.get(target.digest));
  }
  const inspect = ['inspect', '--format', '{{.Digest}}', ...skopeo, `docker://${host}/team/app:v1`];
  assert.equal((await run('skopeo', inspect)).stdout.trim(), image.manifest.digest);
  return image;
}

/** An authority with an RSA key, and a certificate of it for loopback, by openssl. */
function certificates(folder: string): { readonly ca: string; readonly certificate: string; readonly key: string } {
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' });
  const rsa = ['-newkey', 'rsa:2048', '-nodes', '-subj'];
  openssl('req', '-x509', ...rsa, '/CN=tests', '-days', '2', '-keyout', path('ca.key'), '-out', path('ca.pem'));
  openssl('req', ...rsa, '/CN=127.0.0.1', '-keyout', path('leaf.key'), '-out', path('leaf.csr'));
  writeFileSync(path('leaf.ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  const authority = ['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial'];
  openssl(
    'x509',
    '-req',
    '-in',
    path('leaf.csr'),
    ...authority,
    '-days',
    '2',
    '-extfile',
    path('leaf.ext'),
    '-out',
    path('leaf.pem'),
  );
  return { ca: path('ca.pem'), certificate: path('leaf.pem'), key: path('leaf.key') };
}

test('a password file (bcrypt)', { skip: needs('docker-registry', 'skopeo', 'htpasswd') }, async (t) => {
  const folder = tempDir(t, 'htpasswd');
  const htpasswd = join(folder, 'htpasswd');
  execFileSync('htpasswd', ['-Bbc', htpasswd, 'gopher', 'b:c d€'], { stdio: 'ignore' });
  const registry = await startDockerRegistry(folder, { htpasswd });
  atEnd(t, () => registry.stop());
  const credentials = login('gopher', 'b:c d€');
  await roundTrip(t, registry.host, { credentials }, ['--tls-verify=false', '--creds', 'gopher:b:c d€']);
  const name = `${registry.host}/team/app`;
  await assert.rejects(createRepository(name).resolve('v1'), {
    code: 'ERR_UNAUTHORIZED',
    message: /^pull access denied/,
  });
  await assert.rejects(createRepository(name, { credentials: login('gopher', 'wrong') }).resolve('v1'), {
    code: 'ERR_UNAUTHORIZED',
    message: /did not accept the credentials from the test/,
  });
  assert.equal(await getToken(name, { credentials }), undefined);
});

test('TLS with an own authority', { skip: needs('docker-registry', 'skopeo', 'openssl') }, async (t) => {
  const folder = tempDir(t, 'tls');
  const { ca, certificate, key } = certificates(folder);
  const registry = await startDockerRegistry(folder, { tls: { certificate, key } });
  atEnd(t, () => registry.stop());
  await roundTrip(t, registry.host, { caFile: ca }, ['--tls-verify=false']);
  const name = `${registry.host}/team/app`;
  await assert.rejects(createRepository(name, { plainHttp: false }).resolve('v1'), { code: 'ERR_TLS' });
  await assert.rejects(createRepository(name).resolve('v1'), { code: 'ERR_TLS', message: /--plain-http=false/ });
});

test('tokens of a token server', { skip: needs('docker-registry', 'skopeo', 'openssl') }, async (t) => {
  const folder = tempDir(t, 'token');
  const { ca, certificate, key } = certificates(folder);
  const server = await startTokenServer({
    key: readFileSync(key, 'utf8'),
    certificate: readFileSync(certificate, 'utf8'),
    issuer: 'tests',
    users: { gopher: 'secret' },
  });
  atEnd(t, () => server.stop());
  const token = { realm: server.realm, service: 'tests', issuer: 'tests', rootcertbundle: ca };
  const registry = await startDockerRegistry(folder, { token });
  atEnd(t, () => registry.stop());
  const credentials = login('gopher', 'secret');
  await roundTrip(t, registry.host, { credentials }, ['--tls-verify=false', '--creds', 'gopher:secret']);
  const name = `${registry.host}/team/app`;
  await assert.rejects(createRepository(name).resolve('v1'), {
    code: 'ERR_UNAUTHORIZED',
    message: /^pull access denied/,
  });
  const given = await getToken(name, { credentials });
  assert.match(given?.token ?? '', /^eyJ/);
  assert.ok((given?.expiresAt ?? 0) > Date.now() + 200_000);
  assert.deepEqual(server.asked.at(-1)?.scopes, ['repository:team/app:pull']);
});

test('blobs redirected to a second origin that refuses Authorization', {
  skip: needs('docker-registry', 'skopeo', 'nginx', 'htpasswd'),
}, async (t) => {
  const folder = tempDir(t, 'nginx');
  const htpasswd = join(folder, 'htpasswd');
  execFileSync('htpasswd', ['-Bbc', htpasswd, 'gopher', 'secret'], { stdio: 'ignore' });
  const open = await startDockerRegistry(join(folder), {});
  atEnd(t, () => open.stop());
  const guarded = await startDockerRegistry(folder, { htpasswd, storage: open.storage });
  atEnd(t, () => guarded.stop());
  const [front, store] = [await freePort(), await freePort()];
  const config = join(folder, 'nginx.conf');
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  writeFileSync(
    config,
    `${process.getuid?.() === 0 ? 'user root; ' : ''}daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log; events {}
     http { access_log off; client_max_body_size 0; ${temp.join(' ')}
       server { listen 127.0.0.1:${front};
         location ~ ^/v2/.*/blobs/sha256: {
           if ($request_method = GET) { return 307 http://127.0.0.1:${store}$request_uri; }
           proxy_set_header Host $http_host; proxy_pass http://${guarded.host}; }
         location / { proxy_set_header Host $http_host; proxy_pass http://${guarded.host}; } }
       server { listen 127.0.0.1:${store};
         location / { if ($http_authorization) { return 400; } proxy_pass http://${open.host}; } } }`,
  );
  const nginx = spawn(findTool('nginx') ?? '', ['-c', config], { stdio: 'ignore' });
  t.after(() => nginx.kill('SIGKILL'));
  await answers(front);
  const credentials = login('gopher', 'secret');
  await roundTrip(t, `127.0.0.1:${front}`, { credentials }, ['--tls-verify=false', '--creds', 'gopher:secret']);
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createPort();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Resolves when something listens at the port. */
async function answers(port: number): Promise<void> {
  for (;;) {
    try {
      await fetch(`http://127.0.0.1:${port}/`);
      return;
    } catch {
      await new Promise((next) => setImmediate(next));
    }
  }
}
