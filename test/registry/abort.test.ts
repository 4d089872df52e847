/** A caller that gives up: at once, with its own reason, and with no connection left behind. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import {
  type RequestRecord,
  startRegistry,
  type RegistryOptions as TestOptions,
  type TestRegistry,
} from '../../src/testing/testing.js';
import { big, blobFault, built } from '../support/fault-case.js';
import { scriptedRegistry } from '../support/scripted-registry.js';

const REASON = { why: 'the caller has had enough' };

async function serve(t: TestContext, options: TestOptions): Promise<[TestRegistry, RegistryRepository]> {
  const registry = await startRegistry(options);
  t.after(() => registry.close());
  registry.add('app', 'v1', built);
  return [registry, createRepository(`${registry.host}/app`)];
}

/** Resolves when every answer is over, whole or not: no client waits for one any more. */
async function over(registry: TestRegistry): Promise<void> {
  while (registry.log.requests.some(({ done }) => !done)) await new Promise((next) => setImmediate(next));
}

const isReason = (error: unknown): boolean => error === REASON;

test('aborted before it starts: nothing is asked', async (t) => {
  const [registry, repository] = await serve(t, {});
  const signal = AbortSignal.abort(REASON);
  await assert.rejects(repository.resolve('v1', { signal }), isReason);
  await assert.rejects(repository.fetchReference('v1', { signal }), isReason);
  await assert.rejects(repository.fetch(big.descriptor, { signal }), isReason);
  await assert.rejects(repository.exists(big.descriptor, { signal }), isReason);
  await assert.rejects(repository.tags({ signal }).next(), isReason);
  assert.equal(registry.log.requests.length, 0);
});

test('aborted between the names of one page: no further name comes', async (t) => {
  const [registry, repository] = await serve(t, {});
  registry.add('app', 'v2', built);
  const controller = new AbortController();
  const tags = repository.tags({ signal: controller.signal });
  assert.equal((await tags.next()).done, false);
  controller.abort(REASON);
  await assert.rejects(tags.next(), isReason);
});

for (const [title, options, count, isThere = () => true] of [
  ['while the headers are waited for', { faults: [{ on: 'manifest', do: 'silence' }] }, 1],
  [
    'while the body is waited for',
    { faults: [{ on: 'manifest', do: 'stall', after: 3 }] },
    1,
    (last) => last?.bytesSent === 3,
  ],
  [
    'while a retry is waited for',
    { faults: [{ on: 'manifest', do: 'retry-later', seconds: 30 }] },
    1,
    (last) => last?.done === true,
  ],
  ['while the token is waited for', { auth: { kind: 'bearer' }, faults: [{ on: 'token', do: 'silence' }] }, 2],
] as const satisfies readonly (readonly [string, TestOptions, number, ((last?: RequestRecord) => boolean)?])[]) {
  test(`aborted ${title}`, async (t) => {
    const [registry, repository] = await serve(t, options);
    const controller = new AbortController();
    const call = repository.fetchReference('v1', { signal: controller.signal });
    call.catch(() => undefined);
    await registry.log.until(({ requests: seen }) => seen.length === count && isThere(seen.at(-1)));
    controller.abort(REASON);
    await assert.rejects(call, isReason);
    await over(registry);
    assert.equal(registry.log.requests.length, count);
  });
}

for (const [title, faults, asked] of [
  ['while bytes come', blobFault({ do: 'slow', bytesPerSecond: 50_000 }), 1],
  ['while no byte comes', blobFault({ do: 'stall', after: 10 }), 1],
  ['while the blob is asked for again', blobFault({ do: 'cut', after: 10 }), 2],
] as const) {
  test(`a blob is aborted ${title}`, async (t) => {
    const [registry, repository] = await serve(t, { faults });
    const controller = new AbortController();
    const stream = await repository.fetch(big.descriptor, { signal: controller.signal });
    await once(stream, 'readable');
    await registry.log.until((log) => log.of('blob').length === asked);
    controller.abort(REASON);
    await assert.rejects(stream.toArray(), isReason);
    await over(registry);
  });
}

test('a blob that is destroyed lets its connection go', async (t) => {
  const [registry, repository] = await serve(t, { faults: blobFault({ do: 'stall', after: 10 }) });
  const stream = await repository.fetch(big.descriptor);
  stream.destroy();
  await over(registry);
});

test('one caller of a shared token gives up, the other gets it', async (t) => {
  const [registry, repository] = await serve(t, {
    auth: { kind: 'bearer' },
    faults: [{ on: 'token', do: 'latency', ms: 100 }],
  });
  const controller = new AbortController();
  const first = repository.resolve('v1', { signal: controller.signal });
  first.catch(() => undefined);
  const second = repository.resolve('v1');
  while (registry.log.of('token').length < 1) await new Promise((next) => setImmediate(next));
  controller.abort(REASON);
  await assert.rejects(first, isReason);
  assert.deepEqual(await second, built.descriptor);
  assert.equal(registry.log.of('token').length, 1);
});

test('a push is aborted while the registry is silent', async (t) => {
  const [registry, repository] = await serve(t, { faults: [{ on: 'upload', method: 'PUT', do: 'silence' }] });
  const controller = new AbortController();
  const bytes = Buffer.from('pushed');
  const digest = 'sha256:e3b24d9f9b4a2f2d1b0d7a5ad1a5a1d2bb2ac7c4a1cdd5ac12f8a87b0eafd0d2';
  const target = { mediaType: 'application/octet-stream', digest, size: 6 } as const;
  await assert.rejects(
    repository.push(
      target,
      (async function* () {
        yield bytes;
      })(),
    ),
    { code: 'ERR_DIGEST_MISMATCH' },
  );
  const layer = { ...big.descriptor };
  registry.content.repository('empty');
  const other = createRepository(`${registry.host}/empty`);
  const call = other.push(
    layer,
    (async function* () {
      yield big.blob;
    })(),
    { signal: controller.signal },
  );
  call.catch(() => undefined);
  while (registry.log.requests.every(({ method }) => method !== 'PUT')) await new Promise((next) => setImmediate(next));
  controller.abort(REASON);
  await assert.rejects(call, isReason);
});

test('aborted while an upload that is not wanted is taken back', async (t) => {
  const { descriptor, blob } = built.layers[0] ?? assert.fail();
  let isTakenBack = (): void => {};
  const registry = await scriptedRegistry(t, ({ method }) => {
    if (method === 'POST') return { status: 202, headers: { location: '/v2/app/blobs/uploads/1' } };
    if (method !== 'DELETE') return { status: method === 'HEAD' ? 404 : 403 };
    isTakenBack();
    return new Promise(() => {});
  });
  const repository = createRepository(`${registry.host}/app`, { retry: 0 });
  for (const work of [
    (signal: AbortSignal) => repository.mount(descriptor, 'other', { signal }),
    (signal: AbortSignal) => repository.push(descriptor, [blob] as never, { signal }),
  ]) {
    const controller = new AbortController();
    let began = 0;
    isTakenBack = (): void => {
      began = performance.now();
      controller.abort(REASON);
    };
    await assert.rejects(work(controller.signal), isReason);
    assert.ok(performance.now() - began < 1_500);
  }
});
