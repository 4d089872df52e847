/** https at the test registry, and the wrong protocol on either port. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { test } from 'node:test';
import { createCertificate, image, startRegistry } from '../../src/testing/testing.js';
import { exchange } from './exchange.js';

const built = image()
  .layer((l) => l.file('a', 'x'.repeat(100_000)), { compression: 'none' })
  .build();
const layer = built.layers[0]?.descriptor.digest;

test('a self-signed certificate is refused, and accepted by those who trust it', async () => {
  await using registry = await startRegistry({ tls: 'self-signed' });
  registry.add('app', 'latest', built);
  assert.match(registry.url, /^https:/);
  const url = `${registry.url}/v2/app/manifests/latest`;
  assert.equal((await exchange(url)).end, 'DEPTH_ZERO_SELF_SIGNED_CERT');
  const ca = registry.certificate?.cert ?? '';
  assert.deepEqual((await exchange(url, { ca })).body, built.manifestBytes);
  assert.equal((await exchange(url.replace('127.0.0.1', 'localhost'), { ca })).status, 200);
});

test('a certificate has its issuer, its names and its end', async () => {
  const authority = createCertificate({ name: 'authority' });
  const leaf = createCertificate({ name: 'leaf', issuer: authority, hosts: ['example.test'] });
  const parsed = new X509Certificate(leaf.cert);
  assert.equal(parsed.issuer, 'CN=authority');
  assert.ok(parsed.verify(new X509Certificate(authority.cert).publicKey));
  assert.ok(parsed.checkIssued(new X509Certificate(authority.cert)));
  assert.equal(parsed.checkHost('example.test'), 'example.test');
  assert.ok(new X509Certificate(authority.cert).ca);
  await using wrong = await startRegistry({ tls: leaf });
  assert.equal((await exchange(`${wrong.url}/v2/`, { ca: authority.cert })).end, 'ERR_TLS_CERT_ALTNAME_INVALID');
  const expired = createCertificate({ issuer: authority, expired: true });
  await using late = await startRegistry({ tls: expired });
  assert.equal((await exchange(`${late.url}/v2/`, { ca: authority.cert })).end, 'CERT_HAS_EXPIRED');
});

test('a client certificate is asked for', async () => {
  const authority = createCertificate();
  const client = createCertificate({ name: 'client', issuer: authority });
  await using registry = await startRegistry({
    tls: { ...createCertificate({ issuer: authority }), clientCa: authority.cert },
  });
  assert.equal((await exchange(`${registry.url}/v2/`, { ca: authority.cert })).status, 0);
  const status = await new Promise((resolve, reject) => {
    request(`${registry.url}/v2/`, { agent: false, ca: authority.cert, ...client }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  assert.equal(status, 200);
});

test('plain http on a TLS port, and the reverse', async () => {
  await using tls = await startRegistry({ tls: 'self-signed' });
  const plain = await exchange(`http://${tls.host}/v2/`);
  assert.equal(plain.status, 400);
  assert.match(plain.body.toString(), /HTTP request to an HTTPS server/);
  await using http = await startRegistry();
  assert.equal((await exchange(`https://${http.host}/v2/`)).end, 'EPROTO');
});

test('a redirect from https to plain http', async () => {
  await using registry = await startRegistry({
    tls: 'self-signed',
    faults: [{ on: 'blob', do: 'redirect', to: 'plain-http' }],
  });
  registry.add('app', 'latest', built);
  const ca = registry.certificate?.cert ?? '';
  const target = String((await exchange(`${registry.url}/v2/app/blobs/${layer}`, { ca })).headers.location);
  assert.match(target, /^http:/);
  assert.deepEqual((await exchange(target)).body, built.layers[0]?.blob);
  registry.clearFaults();
  registry.fault({ on: 'blob', do: 'redirect' });
  registry.fault({ on: 'storage', do: 'cut', after: 70_000 });
  const same = String((await exchange(`${registry.url}/v2/app/blobs/${layer}`, { ca })).headers.location);
  assert.match(same, /^https:/);
  assert.equal((await exchange(same, { ca })).body.length, 70_000);
});
