/** Registries that say 404 to nobody, and ask who is there at the root of their API only. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import type { Credential, CredentialProvider } from '../../src/registry/credentials.js';
import { createRegistry } from '../../src/registry/registry.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import { digestOf, image } from '../../src/testing/testing.js';
import {
  type ScriptedAnswer,
  type ScriptedRegistry,
  type ScriptedRequest,
  scriptedRegistry,
} from '../support/scripted-registry.js';

const built = image()
  .layer((l) => l.file('a', 'b'))
  .build();
const blobs = new Map(built.layers.map(({ descriptor, blob }) => [descriptor.digest, blob]));
const referrer = { mediaType: built.descriptor.mediaType, digest: `sha256:${'5'.repeat(64)}`, size: 7 };

const found = (credential: Credential): CredentialProvider => ({
  credential: async () => ({ credential, source: 'the test' }),
});
const somebody = found({ username: 'user', password: 'secret' });

interface Hiding {
  /** What is said to nobody. */
  readonly status?: number;
  readonly challenge?: string;
  /** What the root says; default 401 with the challenge. */
  readonly root?: (origin: string) => ScriptedAnswer;
  /** What the realm says. */
  readonly realm?: (authorization: string | undefined) => ScriptedAnswer;
}

/** A registry with one image `app:v1` and a referrer of it, for those who bring the token `good`. */
function hiding(t: TestContext, options: Hiding = {}): Promise<ScriptedRegistry> {
  return scriptedRegistry(t, ({ url, headers }, origin) => {
    const path = url.pathname;
    if (path === '/token')
      return (options.realm ?? (() => ({ status: 200, body: { token: 'good' } })))(headers.authorization);
    if (path === '/v2/') {
      const challenge = options.challenge ?? `Bearer realm="${origin}/token",service="s"`;
      if (options.root !== undefined) return options.root(origin);
      return { status: 401, headers: { 'www-authenticate': challenge } };
    }
    const isIn = ['Bearer good', `Basic ${Buffer.from('user:secret').toString('base64')}`].includes(
      headers.authorization ?? '',
    );
    if (!isIn) return { status: options.status ?? 404, body: { errors: [{ code: 'NAME_UNKNOWN' }] } };
    const { mediaType, digest } = built.descriptor;
    if (path === '/v2/app/manifests/v1' || path === `/v2/app/manifests/${digest}`) {
      return {
        status: 200,
        headers: {
          'content-type': mediaType,
          'docker-content-digest': digest,
          'content-length': String(built.manifestBytes.length),
        },
        body: built.manifestBytes,
      };
    }
    if (path === '/v2/app/tags/list') return { status: 200, body: { name: 'app', tags: ['v1'] } };
    if (path === '/v2/_catalog') return { status: 200, body: { repositories: ['app'] } };
    if (path === `/v2/app/referrers/${digest}`)
      return { status: 200, body: { schemaVersion: 2, manifests: [referrer] } };
    const blob = blobs.get(path.replace('/v2/app/blobs/', '') as `sha256:${string}`);
    return blob === undefined ? { status: 404 } : { status: 200, body: blob };
  });
}

function open({ host }: ScriptedRegistry, credentials?: CredentialProvider, name = 'app'): RegistryRepository {
  return createRepository(`${host}/${name}`, { timeoutMs: 500, retry: 0, credentials });
}

async function names(list: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const one of list) all.push(one);
  return all;
}

const layer = built.layers[0]?.descriptor ?? built.descriptor;
const READS: Readonly<Record<string, (repository: RegistryRepository) => Promise<unknown>>> = {
  resolve: (repository) => repository.resolve('v1'),
  fetchReference: (repository) => repository.fetchReference('v1'),
  'exists, of a manifest': async (repository) => assert.equal(await repository.exists(built.descriptor), true),
  'fetch, of a blob': async (repository) => (await repository.fetch(layer)).toArray(),
  tags: async (repository) => assert.deepEqual(await names(repository.tags()), ['v1']),
  referrers: async (repository) => assert.deepEqual(await names(repository.referrers(built.descriptor)), [referrer]),
};

for (const [what, read] of Object.entries(READS)) {
  for (const [who, credentials] of [
    ['nobody', undefined],
    ['somebody', somebody],
  ] as const) {
    for (const status of [404, 403, 405]) {
      test(`${what} as ${who}, hidden behind ${status}: the root says where a token is got`, async (t) => {
        const registry = await hiding(t, { status });
        const repository = open(registry, credentials);
        await read(repository);
        await read(repository);
        const { asked } = registry;
        assert.equal(asked.filter((line) => line === 'GET /v2/').length, 1, asked.join('\n'));
        assert.equal(asked.filter((line) => line.startsWith('GET /token')).length, 1, asked.join('\n'));
        assert.match(asked.find((line) => line.startsWith('GET /token')) ?? '', /scope=repository%3Aapp%3Apull/);
      });
    }
  }
}

test('the catalog is hidden too', async (t) => {
  const registry = await hiding(t);
  assert.deepEqual(await names(createRegistry(registry.host).repositories()), ['app']);
});

test('a login that the root asks for as Basic', async (t) => {
  const registry = await hiding(t, { challenge: 'Basic realm="x"' });
  await open(registry, somebody).resolve('v1');
  assert.deepEqual(registry.asked, ['HEAD /v2/app/manifests/v1', 'GET /v2/', 'HEAD /v2/app/manifests/v1']);
});

test('twenty hidden blobs at once ask the root once', async (t) => {
  const registry = await hiding(t);
  const repository = open(registry);
  await Promise.all(Array.from({ length: 20 }, async () => (await repository.fetch(layer)).toArray()));
  assert.equal(registry.asked.filter((line) => line === 'GET /v2/').length, 1);
});

test('a push is hidden too: as nobody it is let in where the realm lets anybody in, else told that a login may help', async (t) => {
  const blob = Buffer.from('pushed');
  const target = { mediaType: layer.mediaType, digest: digestOf(blob), size: blob.length };
  const push = (registry: ScriptedRegistry): Promise<void> => open(registry).push(target, Readable.from([blob]));
  const script =
    (realm: number) =>
    ({ method, url, headers }: ScriptedRequest, origin: string): ScriptedAnswer => {
      const challenge = `Bearer realm="${origin}/token"`;
      if (url.pathname === '/token') return { status: realm, body: { token: 'good' } };
      if (url.pathname === '/v2/') return { status: 401, headers: { 'www-authenticate': challenge } };
      if (headers.authorization !== 'Bearer good') return { status: 404, body: { errors: [{ code: 'NAME_UNKNOWN' }] } };
      if (method === 'POST') return { status: 202, headers: { location: '/v2/app/blobs/uploads/1' } };
      return { status: 201 };
    };
  const lenient = await scriptedRegistry(t, script(200));
  await push(lenient);
  assert.deepEqual(
    lenient.asked.map((line) => line.replace(/\?.*/, '')),
    [
      `HEAD /v2/app/blobs/${target.digest}`,
      'POST /v2/app/blobs/uploads/',
      'GET /v2/',
      'GET /token',
      'POST /v2/app/blobs/uploads/',
      'PUT /v2/app/blobs/uploads/1',
    ],
  );
  const closed = await scriptedRegistry(t, script(401));
  await assert.rejects(push(closed), {
    code: 'ERR_NOT_FOUND',
    message: `repository ${closed.host}/app not found (name unknown); make it at ${closed.host} first, or check the name, or run: rootfs login ${closed.host}, where it is private`,
  });
});

test('what is missing is missing, whatever the root and the realm do', async (t) => {
  const cases: Readonly<Record<string, Hiding>> = {
    'the token changes nothing': { realm: () => ({ status: 200, body: { token: 'other' } }) },
    'the root is open': { root: () => ({ status: 200 }) },
    'the root is not there': { root: () => ({ status: 404 }) },
    'the root fails': { root: () => ({ status: 500 }) },
    'the root hangs up': { root: () => undefined },
    'the root says 401 and nothing else': { root: () => ({ status: 401 }) },
    'the root redirects': { root: (origin) => ({ status: 302, headers: { location: `${origin}/login` } }) },
    'the root wants what nobody has': { challenge: 'Negotiate' },
    'the root wants a password': { challenge: 'Basic realm="x"' },
    'the realm is no URL': { challenge: 'Bearer realm="nowhere"' },
    'the realm is not there': { realm: () => ({ status: 404 }) },
    'the realm knows nobody': { realm: () => ({ status: 401 }) },
    'the realm fails': { realm: () => ({ status: 503 }) },
    'the realm hangs up': { realm: () => undefined },
    'the realm talks nonsense': { realm: () => ({ status: 200, body: '<html>' }) },
  };
  for (const [name, options] of Object.entries(cases)) {
    await t.test(name, async (inner) => {
      const registry = await hiding(inner, options);
      for (const read of [READS['resolve'], READS['fetchReference'], READS['tags']]) {
        await assert.rejects(async () => read?.(open(registry)), { code: 'ERR_NOT_FOUND', status: 404 });
      }
      const repository = open(registry);
      await assert.rejects(repository.resolve('v1'), { code: 'ERR_NOT_FOUND' });
      const before = registry.asked.filter((line) => line === 'GET /v2/').length;
      await assert.rejects(repository.resolve('v2'), { code: 'ERR_NOT_FOUND' });
      assert.equal(registry.asked.filter((line) => line === 'GET /v2/').length, before);
    });
  }
});

for (const [what, broken] of [
  ['hangs up', undefined],
  ['is too busy (503)', { status: 503 }],
] as const) {
  test(`a root that ${what} once is asked once more, and never a third time`, async (t) => {
    for (const [times, ends] of [
      [1, 'found'],
      [99, 'ERR_NOT_FOUND'],
    ] as const) {
      let asked = 0;
      const registry = await hiding(t, {
        root: (origin) =>
          ++asked <= times
            ? broken
            : { status: 401, headers: { 'www-authenticate': `Bearer realm="${origin}/token",service="s"` } },
      });
      const repository = open(registry, somebody);
      await assert.rejects(names(repository.tags()), { code: 'ERR_NOT_FOUND' });
      for (let at = 0; at < 3; at++) {
        const told = await names(repository.tags()).then(
          () => 'found',
          (error: RootfsError) => error.code,
        );
        assert.equal(told, ends);
      }
      assert.equal(asked, 2);
    }
  });
}

test('a silent root costs one patience', { timeout: 5_000 }, async (t) => {
  const registry = await hiding(t, { root: () => new Promise(() => {}) as never });
  const repository = open(registry);
  await assert.rejects(repository.resolve('v1'), { code: 'ERR_NOT_FOUND' });
  await assert.rejects(repository.resolve('v2'), { code: 'ERR_NOT_FOUND' });
});

test('a login that is refused is told: whether something is there is not known then', async (t) => {
  const registry = await hiding(t, { realm: (login) => (login === undefined ? undefined : { status: 401 }) });
  await assert.rejects(open(registry, somebody).resolve('v1'), {
    code: 'ERR_UNAUTHORIZED',
    message: /did not accept the credentials from the test/,
  });
});

test('a message says that a login may help only where one is asked for', async (t) => {
  const wanted = await hiding(t, { challenge: 'Basic realm="x"' });
  await assert.rejects(open(wanted).resolve('v1'), {
    message: new RegExp(
      `^manifest for .*app:v1 not found \\(name unknown\\); check the name and the tag, or run: rootfs login ${wanted.host}, where it is private$`,
    ),
  });
  const open200 = await hiding(t, { root: () => ({ status: 200 }) });
  await assert.rejects(open(open200).fetchReference('v1'), {
    message: /not found \(name unknown\); check the name and the tag$/,
  });
});

test('a blob that is not there before a push, as nobody, costs no question', async (t) => {
  const registry = await scriptedRegistry(t, ({ method, url }) => {
    if (method === 'HEAD') return { status: 404 };
    if (method === 'POST') return { status: 202, headers: { location: '/upload' } };
    return url.pathname === '/upload' ? { status: 201 } : { status: 500 };
  });
  await open(registry).push(layer, Readable.from([blobs.get(layer.digest)]));
  assert.equal(registry.asked.length, 3);
});

test('what is not there where nobody was shown something else costs no question', async (t) => {
  const registry = await scriptedRegistry(t, ({ url }) =>
    url.pathname.endsWith('/v1')
      ? { status: 200, headers: { 'content-type': built.descriptor.mediaType }, body: built.manifestBytes }
      : { status: 404 },
  );
  const repository = open(registry);
  await repository.fetchReference('v1');
  await assert.rejects(repository.resolve('v2'), { code: 'ERR_NOT_FOUND' });
  assert.deepEqual(await names(repository.referrers(built.descriptor)), []);
  assert.ok(!registry.asked.includes('GET /v2/'), registry.asked.join('\n'));
});

test('a mirror that has not got something is believed as nobody, and the registry behind it asked for its root', async (t) => {
  const mirror = await hiding(t);
  const registry = await hiding(t);
  const place = {
    repository: 'app',
    credentialHost: registry.host,
    capabilities: ['pull', 'resolve'],
    source: 'the test',
  } as const;
  const endpoints = {
    endpoints: async () => [
      { ...place, baseUrl: mirror.origin, credentialHost: mirror.host, mirrorOf: registry.host },
      { ...place, baseUrl: registry.origin },
    ],
  };
  await createRepository(`${registry.host}/app`, { timeoutMs: 500, retry: 0, endpoints }).resolve('v1');
  assert.equal(mirror.asked.length, 1, mirror.asked.join('\n'));
  assert.equal(registry.asked.filter((line) => line === 'GET /v2/').length, 1);
});

test('credentials that cannot be read are no matter at a registry that wants none', async (t) => {
  const broken: CredentialProvider = {
    credential: async () => Promise.reject(new RootfsError('ERR_CREDENTIALS', 'broken')),
  };
  const openRoot = await hiding(t, { root: () => ({ status: 200 }) });
  for (const read of [READS['resolve'], READS['tags']]) {
    await assert.rejects(async () => read?.(open(openRoot, broken)), { code: 'ERR_NOT_FOUND' });
  }
  assert.equal(await open(openRoot, broken).exists(layer), false);
  await assert.rejects(open(await hiding(t), broken).resolve('v1'), { code: 'ERR_CREDENTIALS' });
});
