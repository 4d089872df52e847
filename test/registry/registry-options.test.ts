/** Options are checked at once, redirects before they are followed, names before anything is asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { parseLoginKey } from '../../src/registry/credential-key.js';
import { redirectTarget } from '../../src/registry/redirect.js';
import { printable } from '../../src/registry/refusal-reason.js';
import { createRegistry } from '../../src/registry/registry.js';
import type { RegistryOptions } from '../../src/registry/registry-options.js';
import { createRepository } from '../../src/registry/repository.js';

for (const [name, options] of [
  ['timeoutMs', { timeoutMs: 0 }],
  ['timeoutMs', { timeoutMs: Number.NaN }],
  ['timeoutMs', { timeoutMs: '30s' }],
  ['timeoutMs', { timeoutMs: 5n }],
  ['retry', { retry: -1 }],
  ['retry', { retry: 1.5 }],
  ['maxRetryAfterMs', { maxRetryAfterMs: -1 }],
  ['maxConnectionsPerHost', { maxConnectionsPerHost: 0 }],
  ['parallelRanges', { parallelRanges: 'many' }],
  ['parallelRanges', { parallelRanges: 0 }],
  ['uploadChunkBytes', { uploadChunkBytes: 1 }],
  ['plainHttp', { plainHttp: 'yes' }],
  ['tlsVerify', { tlsVerify: 0 }],
  ['caFile', { caFile: '' }],
  ['userAgent', { userAgent: 'a\r\nb' }],
  ['headers', { headers: { 'a b': 'c' } }],
  ['headers', { headers: { Authorization: 'Bearer x' } }],
  ['headers', { headers: { Host: 'x' } }],
  ['headers.x', { headers: { x: 'a\nb' } }],
  ['headers.x', { headers: { x: 5 } }],
  ['headers', { headers: 'x: y' }],
  ['headers', { headers: new Headers({ x: 'y' }) }],
  ['headers', { headers: new Map([['x', 'y']]) }],
  ['headers', { headers: [['x', 'y']] }],
  ['dispatcher', { dispatcher: {} }],
  ['dispatcher', { dispatcher: null }],
  ['credentials', { credentials: { username: 'me' } }],
  ['credentials', { credentials: null }],
  ['endpoints', { endpoints: 5 }],
  ['endpoints', { endpoints: null }],
] as const) {
  test(`option ${inspect(options)} is refused by name`, () => {
    assert.throws(() => createRepository('localhost:1/app', options as unknown as RegistryOptions), {
      code: 'ERR_OPTION_INVALID',
      message: new RegExp(`^option ${name}: `),
    });
  });
}

for (const name of ['', 'UPPER', 'http://x/y', 'a/../b', 'x'.repeat(300)]) {
  test(`the repository ${JSON.stringify(name.slice(0, 20))} is refused`, () => {
    assert.throws(() => createRepository(name), { code: 'ERR_REFERENCE_INVALID' });
  });
}

for (const host of [
  '',
  'a b',
  'localhost:5000/x',
  'localhost:5000/library',
  'docker.io/library',
  'library',
  'x'.repeat(10),
  'http://x',
  'localhost:99999',
]) {
  test(`the registry ${JSON.stringify(host)} is refused`, () => {
    assert.throws(() => createRegistry(host), { code: 'ERR_REFERENCE_INVALID', message: /is not a registry/ });
    const withPassword = host.replace(/^(https?:\/\/)?/, '$1me:hunter2@');
    assert.throws(
      () => createRegistry(withPassword),
      (error) => !JSON.stringify(error).includes('hunter2'),
      withPassword,
    );
    // A login is asked for in the same words.
    for (const text of [withPassword, withPassword.replace('hunter2', 'pass/hunter2@')]) {
      assert.throws(
        () => parseLoginKey(text),
        (error) => !JSON.stringify(error).includes('hunter2'),
        text,
      );
    }
  });
}

test('registries have the names that references have', () => {
  for (const [given, host] of [
    ['docker.io', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['localhost', 'localhost'],
    ['[::1]:5000', '[::1]:5000'],
    ['ghcr.io', 'ghcr.io'],
  ] as const) {
    assert.equal(createRegistry(given).host, host);
  }
  assert.equal(createRegistry('docker.io').repository('ubuntu').repository, 'library/ubuntu');
});

test('references to another repository and digests that cannot be verified are refused before anything is asked', async () => {
  const repository = createRepository('localhost:1/app');
  for (const reference of ['localhost:1/other:v1', 'ubuntu:v1', 'a b', '../v1']) {
    await assert.rejects(repository.resolve(reference), { code: 'ERR_REFERENCE_INVALID' });
  }
  await assert.rejects(repository.resolve('md5:d41d8cd98f00b204e9800998ecf8427e'), { code: 'ERR_DIGEST_UNSUPPORTED' });
  const digest = 'sha256:../../../etc/passwd' as const;
  const target = { mediaType: 'x', digest, size: 1 };
  await assert.rejects(repository.fetch(target), { code: 'ERR_DIGEST_INVALID' });
  await assert.rejects(repository.exists(target), { code: 'ERR_DIGEST_INVALID' });
  await assert.rejects(repository.delete(digest), { code: 'ERR_DIGEST_INVALID' });
});

test('a name with a tag is no digest', async () => {
  const asked: string[] = [];
  const endpoints = {
    endpoints: async (_host: string, _repository: string, options?: { readonly reference?: string | undefined }) => {
      asked.push(String(options?.reference));
      return [];
    },
  };
  const hex = 'd41d8cd98f00b204e9800998ecf8427e';
  const repository = createRepository('md5', { endpoints });
  for (const reference of ['md5:v1', `md5:${hex}`, 'docker.io/library/md5', `sha256:${hex}${hex}`]) {
    await assert.rejects(repository.resolve(reference), { code: 'ERR_UNSUPPORTED' });
  }
  assert.deepEqual(asked, ['v1', hex, 'latest', `sha256:${hex}${hex}`]);
});

test('redirects: where to, and where not', () => {
  const from = new URL('https://a.example/v2/x/blobs/y?z');
  for (const [location, to] of [
    ['https://b.example/q?s=1#f', 'https://b.example/q?s=1'],
    ['/p', 'https://a.example/p'],
    ['p', 'https://a.example/v2/x/blobs/p'],
    ['//c.example/p', 'https://c.example/p'],
    ['?q', 'https://a.example/v2/x/blobs/y?q'],
  ] as const) {
    assert.equal(redirectTarget(from, location).href, to);
  }
  for (const location of [
    undefined,
    '',
    'http://a.example/',
    'ftp://a/',
    'data:,x',
    'https://u:p@a/',
    'http://[',
    'x'.repeat(20_000),
  ]) {
    assert.throws(() => redirectTarget(from, location), {
      code: 'ERR_REGISTRY',
      message: /^a\.example: redirect refused: /,
    });
  }
  assert.equal(redirectTarget(new URL('http://a/'), 'http://b/').href, 'http://b/');
});

test('text from the other side cannot move a terminal', () => {
  assert.equal(printable('a\u001b[31mb\r\n\u009bc\u202ed', 100), 'a [31mb c d');
  assert.equal(printable('x'.repeat(50), 10), `${'x'.repeat(10)}…`);
});
