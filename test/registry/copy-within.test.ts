/** Content that is copied within one registry: however few connections there are, it does not wait for itself. */
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { type TestContext, test } from 'node:test';
import { copyImage } from '../../src/image/copy-image.js';
import type { CredentialProvider } from '../../src/registry/credentials.js';
import type { RegistryOptions } from '../../src/registry/registry-options.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import {
  type Fault,
  image,
  SeededRandom,
  startRegistry,
  type RegistryOptions as TestOptions,
  type TestRegistry,
} from '../../src/testing/testing.js';
import { user, users } from '../support/fault-case.js';

const LAYERS = 8;
const random = new SeededRandom(7);
const builder = image().compression('none');
for (let at = 0; at < LAYERS; at++) builder.layer((layer) => layer.file(`f${at}`, random.bytes(1_000_000)));
const built = builder.build();

const credentials: CredentialProvider = { credential: async () => ({ credential: user, source: 'the test' }) };

/** One way of copying that needs two connections for each blob. */
interface Way {
  readonly name: string;
  readonly jobs: number;
  readonly client: RegistryOptions;
  readonly server?: TestOptions;
  readonly faults?: readonly Fault[];
}

/** Larger than what is held in memory, smaller than a layer. */
const streamed = { uploadChunkBytes: 900_000 };
const inPieces = { uploadChunkBytes: 100_000 };

async function start(
  t: TestContext,
  { server, faults, client }: Omit<Way, 'name' | 'jobs'>,
): Promise<{ registry: TestRegistry; from: RegistryRepository; to: RegistryRepository }> {
  const registry = await startRegistry({ mounts: false, ...server, faults });
  t.after(() => registry.close());
  registry.add('from', 'v1', built);
  const options = { timeoutMs: 2_000, retry: 10, ...client };
  return {
    registry,
    from: createRepository(`${registry.host}/from`, options),
    to: createRepository(`${registry.host}/to`, options),
  };
}

const ways: readonly Way[] = [
  ...[1, 2, 3, 16].flatMap((maxConnectionsPerHost) =>
    [1, 6, 20].map((jobs) => ({
      name: `${maxConnectionsPerHost} connections, ${jobs} jobs`,
      jobs,
      client: { ...streamed, maxConnectionsPerHost },
    })),
  ),
  { name: 'in pieces', jobs: 20, client: { ...inPieces, maxConnectionsPerHost: 1 } },
  {
    name: 'tokens that run out at once',
    jobs: 20,
    client: { ...inPieces, maxConnectionsPerHost: 1, credentials },
    server: { auth: { kind: 'bearer', users, expiresIn: 1 } },
  },
  {
    name: 'pieces that fail',
    jobs: 20,
    client: { ...inPieces, maxConnectionsPerHost: 1 },
    faults: [{ on: 'upload', method: 'PATCH', times: 5, do: 'answer', status: 503 }],
  },
  {
    name: 'sources that are cut',
    jobs: 20,
    client: { ...streamed, maxConnectionsPerHost: 1 },
    faults: [{ on: 'blob', method: 'GET', times: 5, do: 'hang-up', after: 300_000 }],
  },
];

for (const { name, jobs, ...way } of ways) {
  test(`an image is copied within a registry: ${name}`, async (t) => {
    const { registry, from, to } = await start(t, way);
    const signal = AbortSignal.timeout(30_000);
    const { copiedBlobs } = await copyImage(from, 'v1', to, 'v1', { jobs, signal });
    assert.equal(copiedBlobs, LAYERS + 1);
    for (const { descriptor, blob } of built.layers) {
      assert.deepEqual(registry.content.blob('to', descriptor.digest), blob);
    }
  });
}

test('streams that hold all connections are uploaded, beside content that is opened later', async (t) => {
  const { registry, from, to } = await start(t, { client: { ...streamed, maxConnectionsPerHost: 2 } });
  const signal = AbortSignal.timeout(30_000);
  setMaxListeners(0, signal);
  await Promise.all(
    built.layers.map(async ({ descriptor }, at) => {
      const opened = await from.fetch(descriptor, { signal });
      if (at % 2 === 0) {
        await to.push(descriptor, opened, { signal });
        return;
      }
      opened.destroy();
      const later = {
        async *[Symbol.asyncIterator]() {
          yield* await from.fetch(descriptor, { signal });
        },
      };
      await to.push(descriptor, later, { signal });
    }),
  );
  for (const { descriptor } of built.layers) assert.ok(registry.content.blob('to', descriptor.digest) !== undefined);
});

test('uploads are no more at a time than connections are allowed', async (t) => {
  const { registry, from, to } = await start(t, { client: { ...streamed, maxConnectionsPerHost: 2 } });
  await copyImage(from, 'v1', to, 'v1', { jobs: 20, signal: AbortSignal.timeout(30_000) });
  const connections = (is: (method: string) => boolean): number =>
    new Set(registry.log.requests.filter(({ method }) => is(method)).map(({ connection }) => connection)).size;
  assert.ok(connections((method) => method === 'PATCH') <= 2);
  assert.ok(connections((method) => method === 'GET' || method === 'HEAD') <= 4);
});

/** What is asked of uploads, each thing with how often. */
function asked(registry: TestRegistry): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind, method } of registry.log.requests) {
    if (kind === 'upload') counts[method] = (counts[method] ?? 0) + 1;
  }
  return counts;
}

for (const [name, client, each] of [
  ['whole', {}, { POST: 1, PUT: 1 }],
  ['streamed', streamed, { POST: 1, PUT: 1, PATCH: 2 }],
] as const) {
  test(`an upload that a registry opens in a mount's place is gone on with: ${name}`, async (t) => {
    const { registry, from, to } = await start(t, { client });
    const [layer] = built.layers;
    assert.ok(layer !== undefined);
    assert.equal(await to.exists(layer.descriptor), false);
    assert.equal(await to.mountOrPush(layer.descriptor, 'from', () => [layer.blob] as never), false);
    assert.deepEqual(asked(registry), each);
    assert.deepEqual(registry.content.blob('to', layer.descriptor.digest), layer.blob);
    const { copiedBlobs } = await copyImage(from, 'v1', to, 'v1');
    assert.equal(copiedBlobs, LAYERS);
    const { POST, DELETE } = asked(registry);
    assert.deepEqual([POST, DELETE], [LAYERS + 1, undefined]);
  });
}

test('an upload in a mount’s place that the registry lost is begun anew; one whose content is wrong is taken back', async (t) => {
  const faults: readonly Fault[] = [
    {
      on: 'upload',
      method: 'PUT',
      times: 1,
      do: 'answer',
      status: 404,
      body: { errors: [{ code: 'BLOB_UPLOAD_UNKNOWN' }] },
    },
  ];
  const { registry, to } = await start(t, { client: {}, faults });
  const [layer, other] = built.layers;
  assert.ok(layer !== undefined && other !== undefined);
  assert.equal(await to.mountOrPush(layer.descriptor, 'from', () => [layer.blob] as never), false);
  assert.deepEqual(registry.content.blob('to', layer.descriptor.digest), layer.blob);
  await assert.rejects(
    to.mountOrPush(other.descriptor, 'from', () => [layer.blob] as never),
    { code: 'ERR_DIGEST_MISMATCH' },
  );
  assert.equal(registry.content.repository('to').uploads.size, 0);
});
