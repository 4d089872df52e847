/** What a name points at, by its bytes. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { MemoryStore } from '../../src/content/memory.js';
import { fetchDescriptor } from '../../src/image/fetch-descriptor.js';
import { createRepository } from '../../src/registry/repository.js';
import { digestOf, document, image, startRegistry, type TestRegistry } from '../../src/testing/testing.js';

const built = image()
  .layer((layer) => layer.file('a', 'b'))
  .build();

async function serve(t: TestContext): Promise<TestRegistry> {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('app', 'v1', built);
  return registry;
}

test('a registry that lies about the digest of a tag is not believed', async (t) => {
  const registry = await serve(t);
  const lie = digestOf(Buffer.from('lie'));
  registry.fault({ on: 'manifest', do: 'headers', set: { 'docker-content-digest': lie } });
  const repository = createRepository(`${registry.host}/app`);
  assert.equal((await repository.resolve('v1')).digest, lie, 'HEAD alone is believed');
  assert.deepEqual(await fetchDescriptor(repository, 'v1'), built.descriptor);
});

test('a digest that is asked for is checked', async (t) => {
  const registry = await serve(t);
  const repository = createRepository(`${registry.host}/app`);
  assert.equal((await fetchDescriptor(repository, built.descriptor.digest)).digest, built.descriptor.digest);
  registry.fault({ on: 'manifest', do: 'flip' });
  await assert.rejects(fetchDescriptor(repository, built.descriptor.digest), { code: 'ERR_DIGEST_MISMATCH' });
});

test('what is no image has a digest too', async (t) => {
  const registry = await serve(t);
  const artifact = document('application/vnd.oci.artifact.manifest.v1+json', { artifactType: 'x/y' });
  registry.add('app', 'artifact', artifact);
  const found = await fetchDescriptor(createRepository(`${registry.host}/app`), 'artifact');
  assert.equal(found.digest, artifact.descriptor.digest);
});

test('a source without that power is asked as ever', async () => {
  const store = new MemoryStore();
  for (const [digest, bytes] of built.blobs) {
    const mediaType = built.documents.get(digest) ?? 'application/octet-stream';
    await store.push({ mediaType, digest, size: bytes.length }, Readable.from([bytes], { objectMode: false }));
  }
  await store.tag(built.descriptor, 'v1');
  assert.equal((await fetchDescriptor(store, 'v1')).digest, built.descriptor.digest);
  await assert.rejects(fetchDescriptor(store, 'v2'), { code: 'ERR_NOT_FOUND' });
});
