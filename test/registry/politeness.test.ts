/** What a registry sees of a client that behaves. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createRepository } from '../../src/registry/repository.js';
import {
  image,
  startRegistry,
  type RegistryOptions as TestOptions,
  type TestRegistry,
} from '../../src/testing/testing.js';

const builder = image();
for (let at = 0; at < 20; at++) builder.layer((l) => l.file(`f${at}`, `content ${at}`));
const built = builder.build();

async function serve(t: TestContext, options: TestOptions = {}): Promise<TestRegistry> {
  const registry = await startRegistry(options);
  t.after(() => registry.close());
  registry.add('app', 'v1', built);
  return registry;
}

async function pullAtOnce(registry: TestRegistry, options: Parameters<typeof createRepository>[1] = {}): Promise<void> {
  const repository = createRepository(`${registry.host}/app`, options);
  await repository.fetchReference('v1').then(({ content }) => content.toArray());
  await Promise.all(
    built.layers.map(async ({ descriptor, blob }) => {
      const chunks = await (await repository.fetch(descriptor)).toArray();
      assert.deepEqual(Buffer.concat(chunks), blob);
    }),
  );
}

test('twenty layers at once: one token, and no more connections than allowed', async (t) => {
  const registry = await serve(t, { auth: { kind: 'bearer' } });
  await pullAtOnce(registry, { maxConnectionsPerHost: 3 });
  assert.equal(registry.log.of('token').length, 1);
  assert.equal(registry.log.requests.length, 20 + 1 + 2);
  // The token has a connection of its own: those of the content may all be held by readers that wait for it.
  const pulls = registry.log.requests.filter(({ kind }) => kind !== 'token');
  assert.ok(new Set(pulls.map(({ connection }) => connection)).size <= 3);
});

test('twenty first requests at once share one token request', async (t) => {
  const registry = await serve(t, { auth: { kind: 'bearer' }, faults: [{ on: 'token', do: 'latency', ms: 50 }] });
  const repository = createRepository(`${registry.host}/app`);
  await Promise.all(Array.from({ length: 20 }, () => repository.resolve('v1')));
  assert.equal(registry.log.of('token').length, 1);
});

test('refusals with a text on every connection do not keep the token from being asked for', {
  timeout: 20_000,
}, async (t) => {
  const registry = await serve(t, { auth: { kind: 'bearer' } });
  const repository = createRepository(`${registry.host}/app`);
  const pulls = Array.from({ length: 20 }, async () => (await repository.fetch(built.manifest.config)).toArray());
  await Promise.all(pulls);
  assert.equal(registry.log.of('token').length, 1);
});

test('requests after each other share a connection, and clients share it too', async (t) => {
  const registry = await serve(t);
  for (let at = 0; at < 3; at++) {
    const repository = createRepository(`${registry.host}/app`);
    await repository.resolve('v1');
    await repository.exists(built.manifest.config);
    const stream = await repository.fetch(built.manifest.config, { range: { start: 0, end: 10 } });
    await stream.toArray();
    await assert.rejects(repository.resolve('v2'), { code: 'ERR_NOT_FOUND' });
  }
  assert.equal(new Set(registry.log.requests.map(({ connection }) => connection)).size, 1);
});

test('what was missing and has been mounted, or came from elsewhere, is not uploaded', async (t) => {
  const registry = await serve(t);
  const repository = createRepository(`${registry.host}/fresh`);
  const [one, two] = built.layers;
  assert.ok(one && two);
  for (const { descriptor } of [one, two]) assert.equal(await repository.exists(descriptor), false);
  assert.equal(await repository.mount(one.descriptor, 'app'), true);
  registry.add('fresh', 'v1', built);
  assert.equal(await repository.exists(two.descriptor), true);
  const asked = registry.log.requests.length;
  for (const { descriptor, blob } of [one, two]) await repository.push(descriptor, Readable.from([blob]));
  assert.deepEqual(
    registry.log.requests.slice(asked).map(({ method }) => method),
    ['HEAD', 'HEAD'],
  );
});

test('requests say who asks, take bytes as they are, and name every manifest type', async (t) => {
  const registry = await serve(t);
  const repository = createRepository(`${registry.host}/app`);
  await repository.fetchReference('v1');
  await repository.fetch(built.manifest.config).then((stream) => stream.toArray());
  const [manifest, config] = registry.log.requests;
  assert.match(String(manifest?.headers['user-agent']), /^rootfs-kit\/\d+\.\d+\.\d+/);
  assert.equal(manifest?.headers['accept-encoding'], 'identity');
  for (const type of [
    'application/vnd.oci.image.index.v1+json',
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.docker.distribution.manifest.v2+json',
  ]) {
    assert.ok(String(manifest?.headers['accept']).includes(type));
  }
  assert.equal(config?.headers['accept-encoding'], 'identity');
  assert.equal(config?.headers['range'], undefined);
});

test("a name of one's own is sent as it is", async (t) => {
  const registry = await serve(t);
  await createRepository(`${registry.host}/app`, { userAgent: 'mine/1', headers: { 'X-Team': 'blue' } }).resolve('v1');
  assert.equal(registry.log.requests[0]?.headers['user-agent'], 'mine/1');
  assert.equal(registry.log.requests[0]?.headers['x-team'], 'blue');
});

test('idle connections do not keep a process alive', async (t) => {
  const registry = await serve(t);
  const module = fileURLToPath(new URL('../../src/registry/repository.js', import.meta.url));
  const script = `
    const { createRepository } = await import(${JSON.stringify(module)});
    const repository = createRepository(${JSON.stringify(`${registry.host}/app`)});
    console.log((await repository.resolve('v1')).digest);
    process.on('exit', () => console.log(process.getActiveResourcesInfo().filter((name) => /Timeout/.test(name)).length));`;
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 30_000 });
  const { stdout } = await run;
  assert.deepEqual(stdout.trim().split('\n'), [built.descriptor.digest, '0']);
});

test('ranges at once: as many as said, and one where the server ignores Range', async (t) => {
  const registry = await serve(t);
  const layer = { ...(built.layers[0]?.descriptor ?? assert.fail()), size: 64 * 1024 * 1024 };
  const plain = createRepository(`${registry.host}/app`);
  assert.equal(plain.fetchParallelism(layer), 1);
  await plain.fetch(built.manifest.config).then((stream) => stream.toArray());
  assert.equal(plain.fetchParallelism(layer), 1, 'loopback is fast enough');
  const explicit = createRepository(`${registry.host}/app`, { parallelRanges: 3 });
  assert.equal(explicit.fetchParallelism(layer), 3);
  registry.fault({ on: 'blob', do: 'range', as: 'ignored' });
  await explicit.fetch(built.manifest.config, { range: { start: 1, end: 5 } }).then((stream) => stream.toArray());
  assert.equal(explicit.fetchParallelism(layer), 1);
});
