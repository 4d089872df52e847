/** Headers that lie: the cache believes the bytes, as everything else does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../src/content/memory.js';
import { ImageCache } from '../../src/engine/image-cache.js';
import { openImageCache } from '../../src/engine/open-image-cache.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { createRepository } from '../../src/registry/repository.js';
import { formatReference } from '../../src/spec/reference.js';
import { type Fault, image, startRegistry } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const app = image()
  .layer((layer) => layer.file('etc/base', 'base'))
  .build();

const LIES: readonly (readonly [name: string, set: Readonly<Record<string, string>>])[] = [
  ['digest', { 'docker-content-digest': `sha256:${'a'.repeat(64)}` }],
  ['length', { 'content-length': '77' }],
];

for (const [name, set] of LIES) {
  for (const pull of ['missing', 'always'] as const) {
    test(`pull "${pull}": a HEAD that lies about the ${name} is not believed`, async () => {
      const lie: Fault = { on: 'manifest', method: 'HEAD', do: 'headers', set };
      await using registry = await startRegistry({ faults: [lie] });
      registry.add('team/app', 'v1', app);
      const localStore = new MemoryStore();
      const cache = new ImageCache({
        localStore,
        pull,
        remoteRepository: (reference) => createRepository(formatReference(reference), { retry: 0 }),
      });
      const reference = `${registry.host}/team/app:v1`;
      assert.equal((await cache.resolve(reference)).digest, app.descriptor.digest);
      const fetched = await fetchImage(cache, reference, { platform: 'linux/amd64' });
      assert.deepEqual(Buffer.from(fetched.manifest.bytes), app.manifestBytes);
      assert.equal(await localStore.exists(app.descriptor), true);
    });
  }
}

test('a HEAD that finds nothing is not believed', async () => {
  await using registry = await startRegistry({
    faults: [{ on: 'manifest', method: 'HEAD', do: 'answer', status: 404 }],
  });
  registry.add('team/app', 'v1', app);
  const cache = new ImageCache({ localStore: new MemoryStore() });
  assert.equal((await cache.resolve(`${registry.host}/team/app:v1`)).digest, app.descriptor.digest);
  await assert.rejects(cache.resolve(`${registry.host}/team/app:v2`), { code: 'ERR_NOT_FOUND' });
});

test('a manifest that is damaged on its way is asked for again, and not kept', async () => {
  for (const times of [1, 100]) {
    const flip: Fault = { on: 'manifest', method: 'GET', do: 'flip', at: 10, times };
    await using registry = await startRegistry({ faults: [flip] });
    registry.add('team/app', 'v1', app);
    const localStore = new MemoryStore();
    const resolved = new ImageCache({ localStore }).resolve(`${registry.host}/team/app:v1`);
    if (times === 1) assert.equal((await resolved).digest, app.descriptor.digest);
    else await assert.rejects(resolved, { code: 'ERR_DIGEST_MISMATCH' });
  }
});

test('a manifest is asked for once; where it is held, "always" asks for its headers alone', async () => {
  await using registry = await startRegistry();
  registry.add('team/app', 'v1', app);
  const localStore = new MemoryStore();
  const reference = `${registry.host}/team/app:v1`;
  const methods = (): readonly string[] => registry.log.of('manifest').map(({ method }) => method);
  const asked = async (pull: 'missing' | 'always'): Promise<readonly string[]> => {
    registry.log.reset();
    await fetchImage(new ImageCache({ localStore, pull }), reference, { platform: 'linux/amd64' });
    return methods();
  };
  assert.deepEqual(await asked('missing'), ['HEAD', 'GET']);
  assert.deepEqual(await asked('always'), ['HEAD']);
  assert.deepEqual(await asked('missing'), []);
});

test('many that ask at once for one name fetch its manifest once', async (t) => {
  await using registry = await startRegistry();
  registry.add('team/app', 'v1', app);
  const folder = tempDir(t);
  const caches = await Promise.all(Array.from({ length: 5 }, () => openImageCache({ folder })));
  await Promise.all(caches.map((cache) => cache.resolve(`${registry.host}/team/app:v1`)));
  assert.equal(registry.log.of('manifest').filter(({ method }) => method === 'GET').length, 1);
  await Promise.all(caches.map((cache) => cache.close()));
});

test('without a store a manifest is asked for once, too', async () => {
  await using registry = await startRegistry();
  registry.add('team/app', 'v1', app);
  const cache = new ImageCache({ localStore: null });
  await fetchImage(cache, `${registry.host}/team/app:v1`, { platform: 'linux/amd64' });
  const methods = registry.log.of('manifest').map(({ method }) => method);
  assert.deepEqual(methods, ['HEAD', 'GET']);
});
