/** Pull and push with the default parts, against a registry. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { chainIdOf } from '../../src/engine/layer-chain.js';
import { pull } from '../../src/engine/pull.js';
import { push } from '../../src/engine/push.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import type { ProgressEvent } from '../../src/progress.js';
import { createRepository } from '../../src/registry/repository.js';
import { openRootFS } from '../../src/rootfs/open-rootfs.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { type BuiltImage, digestOf, image, index } from '../../src/testing/testing.js';
import { engineImage, engineParts, engineRegistry, ownTemporaryFolder } from '../support/engine-parts.js';
import { tempDir } from '../support/temp-dir.js';

test('pull: layers, manifests, config, sightings and the name each come to their part', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  const both = index().add(app).add(engineImage('other'), { platform: 'linux/arm64' }).build();
  registry.add('team/app', 'v1', both);
  const parts = await engineParts(t);
  const events: unknown[] = [];
  const progress: ProgressEvent[] = [];
  const name = `${registry.host}/team/app:v1`;
  const pulled = await pull(name, {
    ...parts,
    eventLogger: (...event) => void events.push(event),
    onProgress: (event) => void progress.push(event),
  });
  assert.equal(pulled.id, app.manifest.config.digest);
  assert.equal(pulled.target.digest, both.descriptor.digest);
  assert.equal(pulled.manifest.digest, app.descriptor.digest);
  assert.deepEqual(
    pulled.diffIds,
    app.layers.map(({ diffId }) => diffId),
  );
  assert.deepEqual(Buffer.from(await parts.imageStore.get(pulled.id)), app.configBytes);
  for (const { descriptor } of [app, both]) assert.equal(await parts.contentStore.exists(descriptor), true);
  assert.equal(await parts.referenceStore.get(name), pulled.id);
  assert.deepEqual(await parts.referenceStore.references(pulled.id), [name]);
  for (const { diffId, descriptor, tar } of app.layers) {
    const path = join(parts.folder, 'layers', diffId.replace(':', '/'));
    assert.deepEqual(readFileSync(path), tar);
    const [seen] = await parts.metadataStore.get(diffId);
    assert.deepEqual(seen, { ...descriptor, repository: `${registry.host}/team/app` });
  }
  assert.deepEqual(events, [[name, `${registry.host}/team/app`, 'pull']]);
  assert.equal(progress.filter(({ type }) => type === 'layer:finished').length, 3);
});

test('pull by digest names the image by its digest; without a reference store nothing is tagged', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  const parts = await engineParts(t);
  const name = `${registry.host}/team/app`;
  const { id } = await pull(`${name}:v1@${app.descriptor.digest}`, parts);
  assert.deepEqual(await parts.referenceStore.references(id), [`${name}@${app.descriptor.digest}`]);
  const others = await engineParts(t);
  await pull(`${name}:v1`, { ...others, referenceStore: undefined });
  assert.deepEqual(await others.referenceStore.references(id), []);
});

test('what was pulled is pushed elsewhere as an image that pulls back the same', async (t) => {
  const [from, to] = [await engineRegistry(t), await engineRegistry(t)];
  const app = engineImage();
  from.add('team/app', 'v1', app);
  const parts = await engineParts(t);
  const source = `${from.host}/team/app:v1`;
  const { id } = await pull(source, parts);
  const target = `${to.host}/copies/app:v2`;
  await parts.referenceStore.set(target, id);
  const temporary = ownTemporaryFolder(t);
  const events: unknown[] = [];
  const pushed = await push(target, { ...parts, eventLogger: (...event) => void events.push(event) });
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(events, [[target, `${to.host}/copies/app`, 'push']]);
  const repository = createRepository(target);
  assert.equal((await repository.resolve('v2')).digest, pushed.manifest.digest);
  const image = await fetchImage(repository, 'v2', { platform: 'linux/amd64' });
  assert.equal(image.config.descriptor.digest, id);
  const rootfs = await openRootFS(repository, image, tempDir(t));
  for (const [at, { path }] of rootfs.layers.entries()) assert.deepEqual(readFileSync(path), app.layers[at]?.tar);
  await rootfs.close();
  // Compressing is the same each time: the second repository needs no new blob, and mounts what the first one has.
  const again = await push(`${to.host}/copies/again:v1`, { ...parts, id, metadataStore: undefined });
  // Callers without a type checker leave a part out as null, too.
  const none: object = { contentStore: null, metadataStore: null, referenceStore: null, uploadManager: null };
  assert.equal((await pull(source, { ...parts, ...none })).id, id);
  assert.ok(await push(`${to.host}/copies/null:v1`, { ...parts, ...none, id }));
  assert.deepEqual(again.layers, pushed.layers);
});

test('an image whose config is named by sha512 is pulled and pushed; a store gives it a name of its own', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  const config = {
    ...app.manifest.config,
    digest: `sha512:${createHash('sha512').update(app.configBytes).digest('hex')}` as const,
  };
  const bytes = Buffer.from(JSON.stringify({ ...app.manifest, config }));
  const manifest = { ...app.descriptor, digest: digestOf(bytes) };
  const repository = createRepository(`${registry.host}/team/app`);
  await repository.push(config, Readable.from([app.configBytes]));
  await repository.pushTagged({ ...manifest, size: bytes.length }, Readable.from([bytes]), 'long');
  const parts = await engineParts(t);
  const { id } = await pull(`${registry.host}/team/app:long`, parts);
  assert.equal(id, app.manifest.config.digest);
  const own = { put: async () => config.digest, get: async () => app.configBytes };
  const pulled = await pull(`${registry.host}/team/app:long`, { ...parts, imageStore: own });
  const pushed = await push(`${registry.host}/copies/app:v1`, { ...parts, id: pulled.id, imageStore: own });
  assert.deepEqual([pulled.id, pushed.config.digest], [config.digest, config.digest]);
});

test('a layer that must not be handed on is not sent: the manifest says where it may be had', async (t) => {
  const [from, to] = [await engineRegistry(t), await engineRegistry(t)];
  const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
  const url = 'https://layers.example/base';
  const built = (urls?: readonly string[]): BuiltImage =>
    image()
      .platform('linux/amd64')
      .layer((layer) => layer.file('base', urls === undefined ? 'without' : 'with'), { mediaType, urls })
      .layer((layer) => layer.file('own', 'own'))
      .build();
  const [app, bare] = [built([url]), built()];
  from.add('team/app', 'v1', app);
  from.add('team/bare', 'v1', bare);
  const parts = await engineParts(t);
  const { id } = await pull(`${from.host}/team/app:v1`, parts);
  const { layers } = await push(`${to.host}/copies/app:v1`, { ...parts, id });
  const base = app.layers[0]?.descriptor;
  assert.deepEqual(layers[0], { mediaType, digest: base?.digest, size: base?.size, urls: [url] });
  assert.equal(layers.length, 2);
  const copy = createRepository(`${to.host}/copies/app`);
  assert.equal(await copy.exists(layers[0] as Descriptor), false);
  assert.equal(await copy.exists(layers[1] as Descriptor), true);
  const other = await pull(`${from.host}/team/bare:v1`, parts);
  await assert.rejects(push(`${to.host}/copies/bare:v1`, { ...parts, id: other.id }), {
    code: 'ERR_UNSUPPORTED',
    message: /must not be handed on/,
  });
});

test('configMediaType: a docker config makes a docker manifest with docker layers', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  const parts = await engineParts(t);
  const { id } = await pull(`${registry.host}/team/app:v1`, parts);
  const configMediaType = 'application/vnd.docker.container.image.v1+json';
  const { manifest, layers } = await push(`${registry.host}/docker/app:v1`, { ...parts, id, configMediaType });
  assert.equal(manifest.mediaType, 'application/vnd.docker.distribution.manifest.v2+json');
  assert.ok(layers.every(({ mediaType }) => mediaType === 'application/vnd.docker.image.rootfs.diff.tar.gzip'));
  const image = await fetchImage(createRepository(`${registry.host}/docker/app`), 'v1', { platform: 'linux/amd64' });
  assert.equal(image.config.descriptor.mediaType, configMediaType);
});

test('a layer that another repository of the registry has is mounted; one that is there is not sent', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  const parts = await engineParts(t);
  const { id } = await pull(`${registry.host}/team/app:v1`, parts);
  const target = `${registry.host}/team/fork:v1`;
  registry.log.reset();
  const pushed = await push(target, { ...parts, id });
  assert.deepEqual(
    pushed.layers.map(({ digest }) => digest),
    app.layers.map(({ descriptor }) => descriptor.digest),
  );
  const mounts = registry.log.requests.filter(({ url }) => url.includes('mount='));
  assert.equal(mounts.length, 3);
  const sent = registry.log.requests.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0);
  assert.ok(sent < 10_000, `${sent} bytes were sent`);
  registry.log.reset();
  await push(target, { ...parts, id });
  assert.equal(registry.log.requests.filter(({ url }) => url.includes('mount=')).length, 0);
});

test('a sighting that is not true any more is forgotten, and the layer is sent', async (t) => {
  const [from, to] = [await engineRegistry(t), await engineRegistry(t)];
  const app = engineImage('app', 1);
  from.add('team/app', 'v1', app);
  const parts = await engineParts(t);
  const { id } = await pull(`${from.host}/team/app:v1`, parts);
  const layer = app.layers[0] ?? assert.fail();
  await parts.metadataStore.add(layer.diffId, { ...layer.descriptor, repository: `${to.host}/gone/app` });
  const { layers } = await push(`${to.host}/team/app:v1`, { ...parts, id });
  assert.deepEqual(
    (await parts.metadataStore.get(layer.diffId)).map(({ repository }) => repository),
    [`${to.host}/team/app`, `${from.host}/team/app`],
  );
  assert.equal(await createRepository(`${to.host}/team/app`).exists(layers[0] as Descriptor), true);
});

test('an image without layers goes both ways', async (t) => {
  const registry = await engineRegistry(t);
  const empty = engineImage('empty', 0);
  registry.add('team/empty', 'v1', empty);
  const parts = await engineParts(t);
  const { id } = await pull(`${registry.host}/team/empty:v1`, parts);
  const pushed = await push(`${registry.host}/copies/empty:v1`, { ...parts, id });
  assert.deepEqual(pushed.layers, []);
});

test('push says what is missing: a name, a config, a layer; and what is no target', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  const parts = await engineParts(t);
  const target = `${registry.host}/team/app:v1`;
  await assert.rejects(push(target, parts), { code: 'ERR_NOT_FOUND', message: /no image has this name/ });
  await assert.rejects(push(`${target}@${app.descriptor.digest}`, parts), { code: 'ERR_REFERENCE_INVALID' });
  await assert.rejects(push(target, { ...parts, id: app.manifest.config.digest }), { code: 'ERR_NOT_FOUND' });
  const id = await parts.imageStore.put(app.configBytes);
  await assert.rejects(push(target, { ...parts, id }), { code: 'ERR_NOT_FOUND', message: /chain of layers/ });
  await parts.layerProvider.register(app.layers.map(({ diffId }) => diffId));
  await assert.rejects(push(target, { ...parts, id }), { code: 'ERR_NOT_FOUND', message: /no such blob/ });
  assert.equal(registry.log.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD').length, 0);
});

test('config types: what is not accepted is refused before a layer is fetched', async (t) => {
  const registry = await engineRegistry(t);
  registry.add('team/app', 'v1', engineImage());
  const parts = await engineParts(t);
  const configMediaTypes = ['application/vnd.docker.container.image.v1+json'];
  await assert.rejects(pull(`${registry.host}/team/app:v1`, { ...parts, configMediaTypes }), {
    code: 'ERR_MEDIA_TYPE_UNSUPPORTED',
  });
  assert.equal(registry.log.of('blob').length, 1);
});

test('metaHeaders go to the registry; an abort ends a pull with its own reason and no name', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  const parts = await engineParts(t);
  const name = `${registry.host}/team/app:v1`;
  await pull(name, { ...parts, metaHeaders: { 'X-Meta': ['a', 'b'], 'x-one': 'c' } });
  assert.ok(registry.log.requests.every(({ headers }) => headers['x-meta'] === 'a, b' && headers['x-one'] === 'c'));
  const others = await engineParts(t);
  registry.fault({ on: 'blob', reference: app.layers[1]?.descriptor.digest, do: 'stall', after: 5 });
  registry.log.reset();
  const stop = new AbortController();
  const pulling = pull(name, { ...others, signal: stop.signal });
  await registry.log.until((log) =>
    log.of('blob', app.layers[1]?.descriptor.digest).some(({ bytesSent }) => bytesSent === 5),
  );
  const reason = new Error('enough');
  stop.abort(reason);
  await assert.rejects(pulling, (error) => error === reason);
  assert.equal(await others.referenceStore.get(name), undefined);
});

test('two pulls of one image through one manager fetch each layer once', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  registry.add('team/app', 'v2', app);
  const parts = await engineParts(t);
  await Promise.all(['v1', 'v2', 'v1'].map((tag) => pull(`${registry.host}/team/app:${tag}`, parts)));
  for (const { descriptor } of app.layers) assert.equal(registry.log.of('blob', descriptor.digest).length, 1);
  assert.equal((await parts.referenceStore.references(app.manifest.config.digest)).length, 2);
});

test('chainIdOf follows the specification', () => {
  const [a, b] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`] as const;
  assert.equal(chainIdOf([a]), a);
  // printf 'sha256:aaa… sha256:bbb…' | sha256sum
  assert.equal(chainIdOf([a, b]), 'sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c');
  assert.notEqual(chainIdOf([a, b]), chainIdOf([b, a]));
  assert.throws(() => chainIdOf([]), { code: 'ERR_OPTION_INVALID' });
});
