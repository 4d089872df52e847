/** The image cache: names and content from the store where it has them, from a real registry where it has not. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import fsPromises, { chmod } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { CallOptions, FetchOptions, ReadOnlyTarget } from '../../src/content/content.js';
import { withoutNewLeases } from '../../src/content/lease.js';
import { MemoryStore } from '../../src/content/memory.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { CachedRepository } from '../../src/engine/cached-repository.js';
import { LayerDownloadManager } from '../../src/engine/download-manager.js';
import { ImageCache } from '../../src/engine/image-cache.js';
import { listCache } from '../../src/engine/list-cache.js';
import { openImageCache } from '../../src/engine/open-image-cache.js';
import { RootfsError } from '../../src/errors.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { processMark, threadMark } from '../../src/io/process-mark.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { Endpoint } from '../../src/registry/endpoint.js';
import { createRepository } from '../../src/registry/repository.js';
import { openRootFS } from '../../src/rootfs/open-rootfs.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { digestOf, image, index, startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { memoryWith } from '../support/memory-with.js';
import { tempDir } from '../support/temp-dir.js';

const REF_NAME = 'org.opencontainers.image.ref.name';

function built(text = 'one'): ReturnType<ReturnType<typeof image>['build']> {
  return image()
    .layer((layer) => layer.dir('etc').file('etc/base', Buffer.alloc(50_000, text)))
    .layer((layer) => layer.file('etc/top', text))
    .build();
}

async function served(t: TestContext): Promise<TestRegistry> {
  const registry = await startRegistry();
  t.after(() => registry.close());
  return registry;
}

function collector(): { readonly warnings: string[]; readonly onProgress: (event: ProgressEvent) => void } {
  const warnings: string[] = [];
  return { warnings, onProgress: (event) => void (event.type === 'warning:raised' && warnings.push(event.message)) };
}

async function bytesOf(source: ReadOnlyTarget, target: Descriptor, options: FetchOptions = {}): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of await source.fetch(target, options)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const code =
  (wanted: string) =>
  (error: unknown): boolean =>
    error instanceof RootfsError && error.code === wanted;

test('a resolved name carries its full reference; fetching it brings the whole image, once', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const localStore = new MemoryStore();
  const cache = new ImageCache({ localStore });
  const found = await cache.resolve(`${registry.host}/team/app:v1`);
  assert.equal(found.annotations?.[REF_NAME], `${registry.host}/team/app:v1`);
  assert.equal(found.digest, app.descriptor.digest);
  assert.deepEqual(await bytesOf(cache, found), app.manifestBytes);
  for (const { descriptor, blob } of app.layers) assert.deepEqual(await bytesOf(localStore, descriptor), blob);
  const asked = registry.log.requests.length;
  await registry.close();
  const image = await fetchImage(cache, `${registry.host}/team/app:v1`, { platform: 'linux/amd64' });
  for (const [at, { descriptor }] of image.layers.entries()) {
    assert.deepEqual(await bytesOf(cache, descriptor), app.layers[at]?.blob);
  }
  assert.equal(registry.log.requests.length, asked);
});

test('what one cache object brought, another one serves with the registry gone', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const folder = tempDir(t);
  const name = `${registry.host}/team/app:v1`;
  const first = await openImageCache({ folder });
  await bytesOf(first, await first.resolve(name));
  await registry.close();
  const offline = await openImageCache({ folder, pull: 'never' });
  const fetched = await fetchImage(offline, name, { platform: 'linux/amd64' });
  const rootfs = await openRootFS(offline, fetched, tempDir(t));
  assert.deepEqual(
    rootfs.layers.map(({ diffId }) => diffId),
    app.layers.map(({ diffId }) => diffId),
  );
  await rootfs.close();
  await assert.rejects(offline.resolve(`${registry.host}/team/other:v1`), code('ERR_NOT_FOUND'));
});

test('an image of a registry that has an IPv6 address for its name is kept under its own', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const folder = tempDir(t);
  const cache = await openImageCache({
    folder,
    remoteRepository: () => createRepository(`${registry.host}/team/app`),
  });
  const { warnings, onProgress } = collector();
  const name = '[::1]:5000/team/app:v1';
  await bytesOf(cache, await cache.resolve(name, { onProgress }), { onProgress });
  await cache.close();
  assert.deepEqual(warnings, []);
  const [listed] = (await listCache({ images: folder, layers: tempDir(t) })).images;
  assert.deepEqual(listed?.names, [name]);
  const offline = await openImageCache({ folder, pull: 'never' });
  assert.equal((await offline.resolve(name)).digest, app.descriptor.digest);
  await offline.close();
});

test('a store of null resolves and stores nothing', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const cache = new ImageCache({ localStore: null });
  const name = `${registry.host}/team/app:v1`;
  const image = await fetchImage(cache, name, { platform: 'linux/amd64' });
  assert.equal(image.target.annotations?.[REF_NAME], name);
  const [layer] = app.layers;
  assert.ok(layer);
  for (const round of [1, 2]) {
    assert.deepEqual(await bytesOf(cache, layer.descriptor), layer.blob);
    assert.equal(registry.log.of('blob', layer.descriptor.digest).length, round);
  }
});

test('a digest that is there touches no network, whatever the policy', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const localStore = await OciLayout.open(tempDir(t), { create: true });
  const name = `${registry.host}/team/app@${app.descriptor.digest}`;
  const first = new ImageCache({ localStore });
  await bytesOf(first, await first.resolve(name));
  registry.log.reset();
  for (const pull of ['missing', 'always', 'never'] as const) {
    const cache = new ImageCache({ localStore, pull });
    const found = await cache.resolve(name);
    assert.equal(found.annotations?.[REF_NAME], name);
    assert.deepEqual(await bytesOf(cache, found), app.manifestBytes);
    assert.deepEqual(await bytesOf(cache, app.layers[0]?.descriptor as Descriptor), app.layers[0]?.blob);
  }
  assert.equal(registry.log.requests.length, 0);
});

test('a moved tag: "missing" keeps the old meaning, "always" sees the new one, "never" what came last', async (t) => {
  const registry = await served(t);
  const [one, two] = [built('one'), built('two')];
  registry.add('team/app', 'v1', one);
  const localStore = new MemoryStore();
  const name = `${registry.host}/team/app:v1`;
  const missing = new ImageCache({ localStore });
  await bytesOf(missing, await missing.resolve(name));
  registry.add('team/app', 'v1', two);
  assert.equal((await missing.resolve(name)).digest, one.descriptor.digest);
  const always = new ImageCache({ localStore, pull: 'always' });
  const found = await always.resolve(name);
  assert.equal(found.digest, two.descriptor.digest);
  const never = new ImageCache({ localStore, pull: 'never' });
  assert.equal((await never.resolve(name)).digest, one.descriptor.digest);
  await bytesOf(always, found);
  assert.equal((await never.resolve(name)).digest, two.descriptor.digest);
});

test('exists asks the store, then the repository', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const cache = new ImageCache({ localStore: new MemoryStore() });
  const found = await cache.resolve(`${registry.host}/team/app:v1`);
  const layer = app.layers[0]?.descriptor as Descriptor;
  assert.equal(await cache.exists(layer), true);
  assert.equal(registry.log.of('blob', layer.digest).length, 1);
  await bytesOf(cache, found);
  registry.log.reset();
  assert.equal(await cache.exists(layer), true);
  assert.equal(await cache.exists(built('absent').layers[1]?.descriptor as Descriptor), false);
  assert.equal(registry.log.of('blob', layer.digest).length, 0);
  assert.equal(registry.log.requests.length, 1);
});

test('many at once bring each content once', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const cache = await openImageCache({ folder: tempDir(t) });
  const name = `${registry.host}/team/app:v1`;
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      const image = await fetchImage(cache, name, { platform: 'linux/amd64' });
      await Promise.all(image.layers.map(({ descriptor }) => bytesOf(cache, descriptor)));
    }),
  );
  for (const { descriptor } of app.layers) assert.equal(registry.log.of('blob', descriptor.digest).length, 1);
  assert.equal(registry.log.of('blob', app.manifest.config.digest).length, 1);
});

test('targetPlatform: an index resolves to that image, and nothing of the others is fetched', async (t) => {
  const registry = await served(t);
  const [amd64, arm64] = ['linux/amd64', 'linux/arm64'].map((platform) =>
    image()
      .platform(platform)
      .layer((layer) => layer.file('platform', platform))
      .build(),
  );
  assert.ok(amd64 && arm64);
  const both = index().add(amd64).add(arm64).build();
  registry.add('team/app', 'v1', both);
  const localStore = await OciLayout.open(tempDir(t), { create: true });
  const name = `${registry.host}/team/app:v1`;
  const cache = new ImageCache({ localStore, targetPlatform: 'linux/arm64' });
  const found = await cache.resolve(name);
  assert.equal(found.digest, arm64.descriptor.digest);
  assert.deepEqual(await bytesOf(cache, found), arm64.manifestBytes);
  assert.equal(await localStore.exists(arm64.layers[0]?.descriptor as Descriptor), true);
  assert.equal(await localStore.exists(amd64.layers[0]?.descriptor as Descriptor), false);
  assert.equal((await localStore.resolve(name)).digest, both.descriptor.digest);
  await registry.close();
  const offline = new ImageCache({ localStore, targetPlatform: 'linux/arm64', pull: 'never' });
  assert.equal((await offline.resolve(name)).digest, arm64.descriptor.digest);
  await assert.rejects(
    new ImageCache({ localStore, targetPlatform: 'linux/amd64', pull: 'never' }).resolve(name),
    code('ERR_NOT_FOUND'),
  );
  // The image is whole: it is the cache that has a part of it.
  await assert.rejects(fetchImage(new ImageCache({ localStore, pull: 'never' }), name, { platform: 'linux/amd64' }), {
    code: 'ERR_NOT_FOUND',
    message: /its index names .* for linux\/amd64, .*; run once without --offline but with --cache to fetch it$/,
  });
});

test('fill: "content" looks at an image without its layers', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const folder = tempDir(t);
  const cache = await openImageCache({ folder, fill: 'content' });
  await fetchImage(cache, `${registry.host}/team/app:v1`, { platform: 'linux/amd64' });
  for (const { descriptor } of app.layers) assert.equal(registry.log.of('blob', descriptor.digest).length, 0);
  const offline = await openImageCache({ folder, pull: 'never' });
  await fetchImage(offline, `${registry.host}/team/app:v1`, { platform: 'linux/amd64' });
  await assert.rejects(
    bytesOf(offline, app.layers[0]?.descriptor as Descriptor),
    (error: RootfsError) => error.code === 'ERR_NOT_FOUND' && error.message.includes('--offline'),
  );
});

test('a damaged document is found, said and fetched again; offline it is an error', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const folder = tempDir(t);
  const name = `${registry.host}/team/app:v1`;
  const cache = await openImageCache({ folder });
  await bytesOf(cache, await cache.resolve(name));
  const path = join(folder, 'blobs', 'sha256', app.manifest.config.digest.slice(7));
  await chmod(path, 0o644);
  const bytes = readFileSync(path);
  bytes[10] = (bytes[10] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const offline = await openImageCache({ folder, pull: 'never' });
  await assert.rejects(
    fetchImage(offline, name, { platform: 'linux/amd64' }),
    (error: RootfsError) => error.code === 'ERR_DIGEST_MISMATCH' && error.message.includes('--offline'),
  );
  const { warnings, onProgress } = collector();
  const image = await fetchImage(await openImageCache({ folder }), name, { platform: 'linux/amd64', onProgress });
  assert.deepEqual(image.config.bytes, app.configBytes);
  assert.equal(warnings.filter((text) => text.includes(app.manifest.config.digest)).length, 1);
  assert.deepEqual(readFileSync(path), app.configBytes);
});

test('content that was found wrong is fetched anew where somebody may be asked', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const folder = tempDir(t);
  const cache = await openImageCache({ folder });
  await bytesOf(cache, await cache.resolve(`${registry.host}/team/app:v1`));
  const layer = app.layers[0] ?? assert.fail();
  const path = join(folder, 'blobs', 'sha256', layer.descriptor.digest.slice(7));
  await chmod(path, 0o644);
  writeFileSync(path, Buffer.alloc(layer.blob.length, 1));
  assert.equal(cache.distrust(layer.descriptor), true);
  assert.deepEqual(await bytesOf(cache, layer.descriptor), layer.blob);
  assert.equal(cache.distrust(layer.descriptor), false);
  assert.equal((await openImageCache({ folder, pull: 'never' })).distrust(layer.descriptor), false);
});

test('a store that cannot keep anything serves all the same, and says so once', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  for (const failure of ['ERR_NO_SPACE', 'ERR_PERMISSION'] as const) {
    const localStore = new MemoryStore();
    localStore.push = async () => {
      throw new RootfsError(failure, 'the disk: it takes nothing');
    };
    const { warnings, onProgress } = collector();
    const cache = new ImageCache({ localStore });
    const image = await fetchImage(cache, `${registry.host}/team/app:v1`, { platform: 'linux/amd64', onProgress });
    for (const [at, { descriptor }] of image.layers.entries()) {
      assert.deepEqual(await bytesOf(cache, descriptor, { onProgress }), app.layers[at]?.blob);
    }
    assert.deepEqual(warnings.length, 1);
    assert.match(warnings[0] ?? '', /going on without: the disk: it takes nothing/);
  }
});

test('a layout of a newer version is refused', async (t) => {
  const folder = tempDir(t);
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}');
  writeFileSync(join(folder, 'index.json'), '{"schemaVersion":2,"manifests":[]}');
  await assert.rejects(openImageCache({ folder }), code('ERR_LAYOUT_INVALID'));
});

test("an outsider's factory decides where a name leads; it is asked once for each repository", async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('mirrored/app', 'v1', app);
  const opened: string[] = [];
  const cache = new ImageCache({
    localStore: new MemoryStore(),
    remoteRepository: ({ registry: host, repository }) => {
      opened.push(`${host}/${repository}`);
      return createRepository(`${registry.host}/mirrored/${repository.slice('team/'.length)}`);
    },
  });
  const found = await cache.resolve('registry.example/team/app:v1');
  assert.deepEqual(await bytesOf(cache, found), app.manifestBytes);
  assert.equal(found.annotations?.[REF_NAME], 'registry.example/team/app:v1');
  assert.deepEqual(opened, ['registry.example/team/app']);
});

test('a factory that throws is told with its repository; the next call asks it again', async (t) => {
  const registry = await served(t);
  registry.add('team/app', 'v1', built());
  let calls = 0;
  const cache = new ImageCache({
    localStore: new MemoryStore(),
    remoteRepository: (reference) => {
      calls += 1;
      if (calls === 1) throw new Error('no factory today');
      return createRepository(reference);
    },
  });
  const name = `${registry.host}/team/app:v1`;
  await assert.rejects(cache.resolve(name), { code: 'ERR_INTERNAL', message: /team\/app.*no factory today/ });
  await cache.resolve(name);
});

test('a factory, a repository or a store that answers something else is named', async () => {
  const name = 'registry.example/team/app:v1';
  const wrong = (part: string): object => ({ code: 'ERR_INTERNAL', message: new RegExp(`^${part} gave .*, not `) });
  for (const answer of [undefined, null, 'x', {}] as never[]) {
    const give = async (): Promise<never> => answer;
    const localStore = Object.assign(new MemoryStore(), { resolve: give });
    await assert.rejects(new ImageCache({ localStore }).resolve(name), wrong('the local store'));
    const made = new ImageCache({ localStore: null, remoteRepository: () => answer });
    await assert.rejects(made.resolve(name), wrong('the factory of registry.example/team/app'));
    const remoteRepository = (): ReadOnlyTarget => ({ resolve: give, fetch: give, exists: give });
    const asked = new ImageCache({ localStore: null, remoteRepository });
    await assert.rejects(asked.resolve(name), wrong('the repository'));
  }
});

/** A repository that refuses some content, as registries do, a moment after it was asked. */
function refusing(
  source: ReadOnlyTarget,
  refused: (target: Descriptor) => boolean,
  failure: RootfsError,
): ReadOnlyTarget {
  return {
    resolve: (reference) => source.resolve(reference),
    exists: (target) => source.exists(target),
    async fetch(target) {
      if (!refused(target)) return source.fetch(target);
      await new Promise((resolve) => setTimeout(resolve, 50));
      throw failure;
    },
  };
}

test('a mirror with wrong bytes is not asked again, also where nothing can be kept', async (t) => {
  const [mirror, registry] = [await served(t), await served(t)];
  const app = built();
  for (const server of [mirror, registry]) server.add('team/app', 'v1', app);
  mirror.fault({ on: 'blob', do: 'flip' });
  const endpoint = (server: TestRegistry, more: Partial<Endpoint>): Endpoint => ({
    baseUrl: server.url,
    repository: 'team/app',
    credentialHost: server.host,
    capabilities: ['pull', 'resolve'],
    source: 'the test',
    ...more,
  });
  const endpoints = {
    endpoints: async () => [endpoint(mirror, { mirrorOf: 'registry.example' }), endpoint(registry, {})],
  };
  const full = new MemoryStore();
  full.push = async () => {
    throw new RootfsError('ERR_NO_SPACE', 'the disk is full');
  };
  for (const localStore of [null, full]) {
    const remoteRepository = (): ReadOnlyTarget => createRepository('registry.example/team/app', { endpoints });
    const name = 'registry.example/team/app:v1';
    const picking = new ImageCache({ localStore, remoteRepository, targetPlatform: 'linux/amd64' });
    assert.equal((await picking.resolve(name)).digest, app.descriptor.digest);
    const cache = new ImageCache({ localStore, remoteRepository });
    const fetched = await fetchImage(cache, name, { platform: 'linux/amd64' });
    const rootfs = await openRootFS(cache, fetched, tempDir(t));
    assert.deepEqual(
      rootfs.layers.map(({ diffId }) => diffId),
      app.layers.map(({ diffId }) => diffId),
    );
    await rootfs.close();
  }
});

test('what is here is served though its repository cannot be opened', async () => {
  const app = built();
  const source = await memoryWith(app);
  const localStore = new MemoryStore();
  const first = new ImageCache({ localStore, remoteRepository: () => source });
  await bytesOf(first, await first.resolve('registry.example/app:v1'));
  const cache = new ImageCache({
    localStore,
    remoteRepository: () => {
      throw new Error('hosts.toml cannot be read');
    },
  });
  assert.deepEqual(await bytesOf(cache, await cache.resolve('registry.example/app:v1')), app.manifestBytes);
});

test('what one repository refuses, the next one is asked for', async () => {
  const app = built('app');
  const [right, other] = [await memoryWith(app), await memoryWith(built('other'))];
  const denied = new RootfsError('ERR_DENIED', 'nobody may read this');
  const cache = new ImageCache({
    localStore: null,
    remoteRepository: ({ repository }) => (repository === 'app' ? right : refusing(other, () => true, denied)),
  });
  await cache.resolve('registry.example/app:v1');
  await cache.resolve('registry.example/other:v1');
  const [layer] = app.layers;
  assert.ok(layer);
  assert.deepEqual(await bytesOf(cache, layer.descriptor), layer.blob);
  assert.equal(await cache.exists(layer.descriptor), true);
  await assert.rejects(bytesOf(cache, built('nowhere').descriptor), (error) => error === denied);
  // Where all of them fail, the network does: not each is waited for.
  let asked = 0;
  const counted = refusing(other, () => true, denied);
  const counting = new ImageCache({
    localStore: null,
    remoteRepository: () => ({
      ...counted,
      fetch(target) {
        asked += 1;
        return counted.fetch(target);
      },
    }),
  });
  for (let at = 0; at < 9; at += 1) await counting.resolve(`registry.example/app${at}:v1`);
  await assert.rejects(bytesOf(counting, layer.descriptor), (error) => error === denied);
  assert.equal(asked, 4);
});

test('two repositories with the same layer at once: what one of them refuses, the other one brings', async () => {
  const app = built();
  const source = await memoryWith(app);
  const layer = app.layers[0]?.descriptor.digest;
  const denied = new RootfsError('ERR_DENIED', 'nobody may read this');
  const localStore = new MemoryStore();
  const cache = new ImageCache({
    localStore,
    remoteRepository: ({ repository }) =>
      repository === 'public' ? source : refusing(source, ({ digest }) => digest === layer, denied),
  });
  const [secret, open] = [
    await cache.resolve('registry.example/secret:v1'),
    await cache.resolve('registry.example/public:v1'),
  ];
  const [refused, brought] = await Promise.allSettled([bytesOf(cache, secret), bytesOf(cache, open)]);
  assert.equal(refused.status === 'rejected' && refused.reason, denied);
  assert.deepEqual(brought.status === 'fulfilled' && brought.value, app.manifestBytes);
  for (const { descriptor } of app.layers) assert.equal(await localStore.exists(descriptor), true);
});

test('a repository that fails is not taken for a store that cannot keep anything', async () => {
  const app = built();
  const source = await memoryWith(app);
  const [broken, sound] = app.layers.map(({ descriptor }) => descriptor);
  assert.ok(broken !== undefined && sound !== undefined);
  const failure = new RootfsError('ERR_PERMISSION', '/etc/certs.d/registry.example/client.key: EACCES');
  const localStore = new MemoryStore();
  const remote = refusing(source, ({ digest }) => digest === broken.digest, failure);
  const cache = new ImageCache({ localStore, fill: 'content', remoteRepository: () => remote });
  const { warnings, onProgress } = collector();
  await cache.resolve('registry.example/app:v1');
  await assert.rejects(bytesOf(cache, broken, { onProgress }), (error) => error === failure);
  await bytesOf(cache, sound, { onProgress });
  assert.equal(await localStore.exists(sound), true);
  assert.deepEqual(warnings, []);
});

test('content that stands in its own descriptor is nobody asked for', async () => {
  const layer = Buffer.alloc(1024);
  const inside = (mediaType: string, bytes: Buffer): Descriptor => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
    data: bytes.toString('base64'),
  });
  const layers = [inside('application/vnd.oci.image.layer.v1.tar', layer)];
  const rootfs = { type: 'layers', diff_ids: layers.map(({ digest }) => digest) };
  const text = JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs });
  const config = inside('application/vnd.oci.image.config.v1+json', Buffer.from(text));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers }));
  const { data: _data, ...manifest } = inside('application/vnd.oci.image.manifest.v1+json', bytes);
  const source = new MemoryStore();
  await source.push(manifest, Readable.from([bytes]));
  await source.tag(manifest, 'v1');
  const localStore = new MemoryStore();
  const cache = new ImageCache({ localStore, remoteRepository: () => source });
  assert.deepEqual(await bytesOf(cache, await cache.resolve('registry.example/app:v1')), bytes);
  for (const target of [config, ...layers]) assert.equal(await localStore.exists(target), true);
});

test('a tag that moved before its image was fetched: the name is that of the newer image, with all it holds', async () => {
  const [one, two] = [built('one'), built('two')];
  const source = await memoryWith(one);
  for (const [digest, bytes] of two.blobs) {
    const mediaType = two.documents.get(digest) ?? 'application/octet-stream';
    await source.push({ mediaType, digest, size: bytes.length }, Readable.from([bytes]));
  }
  const name = 'registry.example/app:v1';
  for (const order of ['older first', 'newer first']) {
    await source.tag(one.descriptor, 'v1');
    const localStore = new MemoryStore();
    const cache = new ImageCache({ localStore, pull: 'always', remoteRepository: () => source });
    const older = await cache.resolve(name);
    await source.tag(two.descriptor, 'v1');
    const newer = await cache.resolve(name);
    const targets = order === 'older first' ? [older, newer] : [newer, older];
    for (const target of targets) await bytesOf(cache, target);
    assert.equal((await localStore.resolve(name)).digest, two.descriptor.digest, order);
    for (const { descriptor } of two.layers) assert.equal(await localStore.exists(descriptor), true, order);
  }
});

test('an abort is heard while a factory hangs, and while somebody removes things from the cache', async (t) => {
  const name = 'registry.example/app:v1';
  const hanging = new ImageCache({ localStore: null, remoteRepository: () => new Promise(() => {}) });
  const reason = new Error('enough');
  const soon = (): CallOptions => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(reason), 50);
    return { signal: stop.signal };
  };
  const isReason = (error: unknown): boolean => error === reason;
  await assert.rejects(hanging.resolve(name, soon()), isReason);
  const source = await memoryWith(built());
  const folder = tempDir(t);
  const cache = await openImageCache({ folder, remoteRepository: () => source });
  await withoutNewLeases(folder, () => assert.rejects(cache.resolve(name, soon()), isReason));
  await withoutNewLeases(folder, () => assert.rejects(openImageCache({ folder, ...soon() }), isReason));
  await bytesOf(cache, await cache.resolve(name));
  await withoutNewLeases(folder, () => assert.rejects(cache.resolve(name, soon()), isReason));
  await cache.close();
});

test('an abort ends a fetch with its own reason and leaves no name', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  registry.fault({ on: 'blob', reference: app.layers[0]?.descriptor.digest, do: 'stall', after: 10 });
  const folder = tempDir(t);
  const cache = await openImageCache({ folder });
  const name = `${registry.host}/team/app:v1`;
  const found = await cache.resolve(name);
  const stop = new AbortController();
  const options: CallOptions = { signal: stop.signal };
  const fetching = bytesOf(cache, found, options);
  await registry.log.until((log) =>
    log.of('blob', app.layers[0]?.descriptor.digest).some(({ bytesSent }) => bytesSent === 10),
  );
  const reason = new Error('enough');
  stop.abort(reason);
  await assert.rejects(fetching, (error) => error === reason);
  await assert.rejects((await OciLayout.open(folder)).resolve(name), code('ERR_NOT_FOUND'));
});

test('without a store it is the layout of this user, opened when it is needed and again after it was closed', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const name = `${registry.host}/team/app:v1`;
  const base = tempDir(t);
  const folder = join(base, 'rootfs-kit/images-v1');
  const before = process.env['XDG_CACHE_HOME'];
  t.after(() => {
    if (before === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = before;
  });
  process.env['XDG_CACHE_HOME'] = base;
  const absent = new ImageCache({ pull: 'never' });
  // What could not be opened needs no closing.
  await Promise.all([assert.rejects(absent.resolve(name), code('ERR_NOT_FOUND')), absent.close()]);
  const leases = (): number => (existsSync(join(folder, 'leases')) ? readdirSync(join(folder, 'leases')).length : 0);
  const cache = new ImageCache();
  assert.deepEqual(readdirSync(base), []);
  const chmod = t.mock.method(fsPromises, 'chmod');
  syncBuiltinESMExports();
  await bytesOf(cache, await cache.resolve(name));
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.ok(
    !chmod.mock.calls.some(({ arguments: [path] }) => path === folder),
    'it has its mode from the first moment',
  );
  t.mock.restoreAll();
  syncBuiltinESMExports();
  assert.equal((await OciLayout.open(folder).then((layout) => layout.resolve(name))).digest, app.descriptor.digest);
  assert.equal(leases(), 1);
  assert.ok((await cache.blobPath(app.layers[0]?.descriptor as Descriptor))?.path.startsWith(folder));
  await cache.close();
  assert.equal(leases(), 0);
  await registry.close();
  assert.equal((await cache.resolve(name)).digest, app.descriptor.digest);
  assert.equal(leases(), 1);
  await cache.close();
  await cache.close();
});

test('what a killed process left goes with the next use, also of content that is here already', async (t) => {
  const folder = tempDir(t);
  const cache = await openImageCache({ folder });
  const dead = processMark().replace(/-\d+-\d+$/, '-4194303-77');
  for (const name of ['locks', 'ingest']) mkdirSync(join(folder, name));
  const lock = `sha256-${'ab'.repeat(32)}.lock`;
  symlinkSync(`${dead} 00`, join(folder, 'locks', lock));
  symlinkSync(`${dead} 00`, join(folder, 'index.json.lock'));
  symlinkSync(`${processMark()} ${threadMark()} 00`, join(folder, 'locks', `living-${lock}`));
  writeFileSync(join(folder, 'ingest', `tmp-${dead}-ab`), 'x');
  await cache.close();
  assert.deepEqual(readdirSync(join(folder, 'locks')), [`living-${lock}`]);
  assert.deepEqual(readdirSync(folder).sort(), ['blobs', 'index.json', 'locks', 'oci-layout']);
});

test('options are checked at once', () => {
  const localStore = new MemoryStore();
  for (const options of [{ pull: 'often' }, { fill: 'all' }, { jobs: 0 }, { jobs: 1.5 }]) {
    assert.throws(() => new ImageCache({ localStore, ...options } as never), code('ERR_OPTION_INVALID'));
  }
  assert.throws(() => new ImageCache({ localStore, targetPlatform: 'amd64/linux/x/y' }), code('ERR_PLATFORM_INVALID'));
});

test('the cache as one repository is asked by tags and digests, and is named like it', async (t) => {
  const registry = await served(t);
  const app = built();
  registry.add('team/app', 'v1', app);
  const repository = new CachedRepository(
    new ImageCache({ localStore: new MemoryStore() }),
    `${registry.host}/team/app`,
  );
  assert.equal(`${repository.registry}/${repository.repository}`, `${registry.host}/team/app`);
  for (const reference of ['v1', app.descriptor.digest]) {
    const image = await fetchImage(repository, reference, { platform: 'linux/amd64' });
    assert.equal(image.manifest.descriptor.digest, app.descriptor.digest);
  }
  assert.equal(await repository.exists(app.layers[0]?.descriptor as Descriptor), true);
  assert.equal(await repository.blobPath(app.layers[0]?.descriptor as Descriptor), undefined);
});

/** A source of images whose blobs begin to come, and go on for ever. */
function endless(target: ReadOnlyTarget, begun: () => void): ReadOnlyTarget {
  return {
    resolve: (reference, options) => target.resolve(reference, options),
    exists: (wanted, options) => target.exists(wanted, options),
    async fetch(wanted, options) {
      if (!wanted.mediaType.includes('layer')) return target.fetch(wanted, options);
      return Readable.from(
        (async function* () {
          yield Buffer.alloc(1);
          begun();
          await new Promise((_, reject) => {
            options?.signal?.addEventListener('abort', () => setTimeout(reject, 20, options.signal?.reason));
          });
        })(),
      );
    },
  };
}

test('an aborted transfer holds no lock and no file any more when the cache is closed, or the pull has ended', async (t) => {
  const registry = await served(t);
  registry.add('team/app', 'v1', built());
  const remote = createRepository(`${registry.host}/team/app`);
  const reason = new Error('enough');
  const held = (folder: string): string[] =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.lock') || (/ingest\/./.test(name) && !name.endsWith('.partial')),
    );

  const folder = tempDir(t);
  const first = new AbortController();
  const source = endless(remote, () => setImmediate(() => first.abort(reason)));
  const cache = await openImageCache({ folder, remoteRepository: () => source });
  const fetched = fetchImage(cache, `${registry.host}/team/app:v1`, { signal: first.signal });
  await assert.rejects(fetched, (error) => error === reason);
  await cache.close();
  assert.deepEqual(held(folder), []);

  const store = tempDir(t);
  const { layers } = await fetchImage(remote, 'v1');
  const second = new AbortController();
  const layerSource = endless(remote, () => setImmediate(() => second.abort(reason)));
  const downloaded = new LayerDownloadManager(store).download(layerSource, layers, { signal: second.signal });
  await assert.rejects(downloaded, (error) => error === reason);
  assert.deepEqual(held(store), []);
});
