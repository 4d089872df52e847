/** Several endpoints: their order, what each is told, and what happens when one fails or lies. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { fetchVerified } from '../../src/content/fetch-verified.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { CredentialProvider } from '../../src/registry/credentials.js';
import type { Endpoint } from '../../src/registry/endpoint.js';
import type { RegistryOptions } from '../../src/registry/registry-options.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import {
  closedPort,
  startRegistry,
  type RegistryOptions as TestOptions,
  type TestRegistry,
} from '../../src/testing/testing.js';
import { big, blobFault, built } from '../support/fault-case.js';
import { type ScriptedRegistry, scriptedRegistry } from '../support/scripted-registry.js';

interface Pair {
  readonly mirror: TestRegistry;
  readonly registry: TestRegistry;
  readonly repository: RegistryRepository;
}

function endpointOf(url: string, repository: string, mirrorOf?: string): Endpoint {
  return {
    baseUrl: url,
    repository,
    mirrorOf,
    credentialHost: new URL(url).host,
    capabilities: mirrorOf === undefined ? ['pull', 'resolve', 'push'] : ['pull', 'resolve'],
    source: 'the test',
  };
}

async function pair(
  t: TestContext,
  mirrorOptions: TestOptions = {},
  options: RegistryOptions = {},
  registryOptions: TestOptions = {},
): Promise<Pair> {
  const mirror = await startRegistry(mirrorOptions);
  const registry = await startRegistry(registryOptions);
  t.after(() => Promise.all([mirror.close(), registry.close()]));
  mirror.add('cache/app', 'v1', built);
  registry.add('app', 'v1', built);
  const endpoints = {
    endpoints: async () => [endpointOf(mirror.url, 'cache/app', 'registry.example'), endpointOf(registry.url, 'app')],
  };
  const repository = createRepository('registry.example/app', { endpoints, retry: 1, timeoutMs: 300, ...options });
  return { mirror, registry, repository };
}

async function pullAll(repository: RegistryRepository, events: ProgressEvent[] = []): Promise<void> {
  const onProgress = (event: ProgressEvent): void => void events.push(event);
  assert.deepEqual((await repository.fetchReference('v1', { onProgress })).descriptor, built.descriptor);
  for (const { descriptor, blob } of built.layers) {
    const stream = await fetchVerified(repository, descriptor, { onProgress });
    assert.deepEqual(Buffer.concat(await stream.toArray()), blob);
  }
}

test('the mirror is asked first, by its own name and with ?ns=', async (t) => {
  const { mirror, registry, repository } = await pair(t);
  await pullAll(repository);
  assert.equal(registry.log.requests.length, 0);
  assert.equal(mirror.log.requests.length, 3);
  for (const { url } of mirror.log.requests) {
    assert.match(url, /^\/v2\/cache\/app\/.*\?ns=registry\.example$/);
  }
});

test('a mirror of the containers tools, which rename the repository, is not told the registry', async (t) => {
  const { mirror } = await pair(t);
  const named = { ...endpointOf(mirror.url, 'cache/app', 'registry.example'), sendsNamespace: false };
  await pullAll(createRepository('registry.example/app', { endpoints: { endpoints: async () => [named] } }));
  assert.ok(mirror.log.requests.every(({ url }) => /^\/v2\/cache\/app\/[^?]*$/.test(url)));
});

for (const [title, options, asked] of [
  ['has nothing', { faults: [{ on: 'any', do: 'answer', status: 404 }] }, 3],
  // Its root is asked too, once: it may let in who shows a token.
  ['denies', { faults: [{ on: 'any', do: 'answer', status: 403 }] }, 4],
  ['wants a login', { auth: { kind: 'basic', users: { a: 'b' } } }, 3],
  ['fails', { faults: [{ on: 'any', do: 'answer', status: 503 }] }, 1],
  ['hangs up', { faults: [{ on: 'any', do: 'hang-up' }] }, 1],
  ['is silent', { faults: [{ on: 'any', do: 'silence' }] }, 1],
  ['limits the rate', { faults: [{ on: 'any', do: 'retry-later', seconds: 86_400 }] }, 1],
] as const satisfies readonly (readonly [string, TestOptions, number])[]) {
  test(`a mirror that ${title} is passed over`, async (t) => {
    const { mirror, registry, repository } = await pair(t, options);
    await pullAll(repository);
    assert.equal(registry.log.requests.length, 3);
    // One that does not answer is asked last from then on.
    assert.equal(mirror.log.requests.length, asked);
  });
}

test('a mirror that is not there is passed over, and said once', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('app', 'v1', built);
  const url = `http://127.0.0.1:${await closedPort()}`;
  const endpoints = {
    endpoints: async () => [endpointOf(url, 'app', 'registry.example'), endpointOf(registry.url, 'app')],
  };
  const events: ProgressEvent[] = [];
  await pullAll(createRepository('registry.example/app', { endpoints }), events);
  const warnings = events.flatMap((event) => (event.type === 'warning:raised' ? [event.message] : []));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /^mirror 127\.0\.0\.1:\d+ \(the test\) failed: .*connection refused/);
});

test('a blob that a mirror breaks off goes on at the registry', async (t) => {
  const { mirror, registry, repository } = await pair(t, { faults: blobFault({ do: 'cut', after: 100_000 }) });
  mirror.fault({ on: 'blob', nth: 2, do: 'answer', status: 503 });
  await pullAll(repository);
  const [rest] = registry.log.of('blob', big.descriptor.digest);
  assert.ok((rest?.bytesSent ?? 0) <= big.descriptor.size - 90_000);
});

test('a wrong manifest of a mirror is noticed and asked for elsewhere', async (t) => {
  const { registry, repository } = await pair(t, { faults: [{ on: 'manifest', do: 'flip' }] });
  const stream = await fetchVerified(repository, built.descriptor);
  assert.deepEqual(Buffer.concat(await stream.toArray()), built.manifestBytes);
  assert.equal(registry.log.requests.length, 1);
});

test('a mirror whose blob was wrong is not asked for it again, once that is told', async (t) => {
  const { mirror, registry, repository } = await pair(t, { faults: blobFault({ do: 'flip' }) });
  const read = async (): Promise<Buffer> =>
    Buffer.concat(await (await fetchVerified(repository, big.descriptor)).toArray());
  await assert.rejects(read(), { code: 'ERR_DIGEST_MISMATCH' });
  assert.equal(repository.distrust(big.descriptor), true);
  assert.deepEqual(await read(), big.blob);
  assert.deepEqual([mirror.log.requests.length, registry.log.requests.length], [1, 1]);
  assert.equal(repository.distrust(big.descriptor), false);
});

test('when all fail, the registry has the last word and the mirrors stand in the detail', async (t) => {
  const { repository, mirror } = await pair(
    t,
    { faults: [{ on: 'any', do: 'answer', status: 403 }] },
    {},
    { faults: [{ on: 'any', do: 'answer', status: 404 }] },
  );
  await assert.rejects(repository.resolve('v1'), (error: { code: string; detail: { mirrors: unknown } }) => {
    assert.equal(error.code, 'ERR_NOT_FOUND');
    assert.equal((error.detail.mirrors as { url: string }[])[0]?.url, mirror.url);
    return true;
  });
});

test('where the registry itself has another host, what the files name last has the last word, also behind one that is down', async (t) => {
  const { mirror, registry } = await pair(
    t,
    { faults: [{ on: 'any', do: 'answer', status: 500 }] },
    {},
    { faults: [{ on: 'blob', do: 'answer', status: 404 }] },
  );
  registry.add('cache/app', 'v1', built);
  const repository = createRepository('registry.example/app', {
    endpoints: {
      endpoints: async () => [mirror, registry].map(({ url }) => endpointOf(url, 'cache/app', 'registry.example')),
    },
    retry: 1,
  });
  await repository.resolve('v1');
  await assert.rejects(repository.fetch(big.descriptor), { code: 'ERR_NOT_FOUND' });
  assert.equal(registry.log.of('blob').length, 1, 'the registry said so: nobody is asked again');
});

test('each endpoint gets its own credentials and headers, never another one', async (t) => {
  const asked: string[] = [];
  const credentials: CredentialProvider = {
    async credential({ host, repository }) {
      asked.push(`${host}/${repository}`);
      return { credential: { username: 'user', password: `for-${host}` }, source: 'the test' };
    },
  };
  const { mirror, registry, repository } = await pair(
    t,
    { auth: { kind: 'basic', users: { user: 'unknown' } } },
    { credentials, headers: { 'x-key': 'of the registry' } },
    { auth: { kind: 'bearer', users: { user: 'unknown' }, server: 'other' } },
  );
  await assert.rejects(repository.resolve('v1'), { code: 'ERR_UNAUTHORIZED' });
  // What was refused is asked for once more: it may have been replaced meanwhile.
  assert.deepEqual([...new Set(asked)].sort(), [`${mirror.host}/cache/app`, `${registry.host}/app`].sort());
  assert.equal(asked.length, 4);
  const decoded = (log: TestRegistry): string[] =>
    log.log.requests.flatMap(({ headers }) =>
      /^Basic /.test(String(headers['authorization'] ?? ''))
        ? [Buffer.from(String(headers['authorization']).slice(6), 'base64').toString()]
        : [],
    );
  assert.deepEqual([...new Set(decoded(mirror))], [`user:for-${mirror.host}`]);
  assert.deepEqual([...new Set(decoded(registry))], [`user:for-${registry.host}`]);
  assert.ok(mirror.log.requests.every(({ headers }) => headers['x-key'] === undefined));
  const own = registry.log.requests.filter(({ origin }) => origin === 'registry');
  assert.ok(own.every(({ headers }) => headers['x-key'] === 'of the registry'));
  assert.ok(registry.log.requests.every(({ origin, headers }) => origin === 'registry' || !('x-key' in headers)));
});

test('what a file says of an endpoint goes to its origin, tokens too, and to no other one', async (t) => {
  const elsewhere = await scriptedRegistry(t, ({ url, headers }, origin) => {
    if (url.pathname === '/token') return { status: 200, body: { token: 'there' } };
    if (headers.authorization === 'Bearer there') return { status: 200, body: 'blob' };
    return { status: 401, headers: { 'www-authenticate': `Bearer realm="${origin}/token"` } };
  });
  const registry = await scriptedRegistry(t, ({ url, headers }, origin) => {
    if (url.pathname === '/token') return { status: 200, body: { token: 'here' } };
    if (headers.authorization === 'Bearer here')
      return { status: 307, headers: { location: `${elsewhere.origin}/blob` } };
    return { status: 401, headers: { 'www-authenticate': `Bearer realm="${origin}/token"` } };
  });
  for (const mirrorOf of [undefined, 'registry.example']) {
    const named = {
      ...endpointOf(registry.origin, 'app', mirrorOf),
      headers: { 'User-Agent': 'a-file', 'X-File': 'f' },
    };
    const repository = createRepository('registry.example/app', {
      endpoints: { endpoints: async () => [named] },
      headers: { 'x-key': 'mine' },
      retry: 0,
    });
    const blob = { mediaType: 'x', digest: `sha256:${'0'.repeat(64)}`, size: 4 } as const;
    assert.equal(String(Buffer.concat(await (await repository.fetch(blob)).toArray())), 'blob');
    const seen = ({ requests }: ScriptedRegistry): unknown[] =>
      requests
        .slice(-3)
        .map(({ url, headers }) => [
          url.pathname === '/token',
          headers['user-agent'] === 'a-file',
          headers['x-file'],
          headers['x-key'],
        ]);
    const mine = mirrorOf === undefined ? 'mine' : undefined;
    assert.deepEqual(
      seen(registry),
      [false, true, false].map((token) => [token, true, 'f', mine]),
    );
    assert.deepEqual(
      seen(elsewhere),
      [false, true, false].map((token) => [token, false, undefined, undefined]),
    );
  }
});

test('nothing is pushed to a mirror, and lists are asked of the registry itself', async (t) => {
  const { mirror, registry, repository } = await pair(t);
  const target = built.layers[0]?.descriptor ?? assert.fail();
  const other = { ...target, digest: built.layers[1]?.descriptor.digest ?? assert.fail() };
  assert.equal(await repository.mount(other, 'app'), true);
  for await (const tag of repository.tags()) assert.equal(tag, 'v1');
  assert.equal(mirror.log.requests.length, 0);
  assert.equal(registry.log.requests.length, 2);
});

test('what is missing at the registry is pushed, whatever a mirror has of it', async (t) => {
  const { mirror, registry } = await pair(t);
  const both = [endpointOf(mirror.url, 'cache/app', 'registry.example'), endpointOf(registry.url, 'fresh')];
  const open = (): RegistryRepository =>
    createRepository('registry.example/fresh', { endpoints: { endpoints: async () => both }, retry: 0 });
  const [one, two] = built.layers;
  assert.ok(one && two);
  assert.equal(await open().exists(one.descriptor), false);
  for (const { descriptor, blob } of [one, two]) await open().push(descriptor, Readable.from([blob]));
  assert.equal(await open().exists(one.descriptor), true);
  assert.equal(mirror.log.requests.length, 0);
  // Where the registry does not answer, nothing is taken for pushed.
  await registry.close();
  assert.equal(await open().exists(two.descriptor), true);
  await assert.rejects(open().push(two.descriptor, Readable.from([two.blob])), { code: 'ERR_NETWORK' });
});

test('an endpoint with a path and without /v2 is asked as configured', async (t) => {
  const { registry } = await pair(t);
  const endpoint = { ...endpointOf(`${registry.url}/v2`, 'app'), overridePath: true };
  const repository = createRepository('registry.example/app', { endpoints: { endpoints: async () => [endpoint] } });
  assert.deepEqual(await repository.resolve('v1'), built.descriptor);
});

test('a resolver that refuses is heard', async () => {
  const reason = new Error('blocked');
  const endpoints = { endpoints: () => Promise.reject(reason) };
  await assert.rejects(
    createRepository('registry.example/app', { endpoints }).resolve('v1'),
    (error) => error === reason,
  );
  for (const answer of [undefined, null, {}, 'x']) {
    await assert.rejects(
      createRepository('registry.example/app', { endpoints: { endpoints: async () => answer as never } }).resolve('v1'),
      { code: 'ERR_INTERNAL', message: /^the endpoint resolver gave .*, not a list of endpoints; / },
    );
  }
  const none = { endpoints: async () => [] };
  await assert.rejects(createRepository('registry.example/app', { endpoints: none }).resolve('v1'), {
    code: 'ERR_UNSUPPORTED',
  });
});
