/** Pushing to Debian's docker-registry what skopeo pulls from there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { createRegistry } from '../../src/registry/registry.js';
import type { RegistryOptions } from '../../src/registry/registry-options.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { digestOf } from '../../src/testing/testing.js';
import { atEnd } from '../support/at-end.js';
import { type DockerRegistryOptions, startDockerRegistry } from '../support/docker-registry.js';
import { type LayoutFixture, seededBytes, writeLayout } from '../support/oci-layout-fixture.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip = needs('docker-registry', 'skopeo');
const run = promisify(execFile);

interface Place {
  readonly folder: string;
  readonly host: string;
  readonly storage: string;
}

async function start(t: TestContext, options: DockerRegistryOptions = {}): Promise<Place> {
  const folder = tempDir(t, 'push');
  const registry = await startDockerRegistry(folder, options);
  atEnd(t, () => registry.stop());
  return { folder, host: registry.host, storage: registry.storage };
}

async function pushImage(repository: RegistryRepository, image: LayoutFixture, tag: string): Promise<void> {
  for (const target of [...image.layers, image.config, image.manifest]) {
    const bytes = image.bytes.get(target.digest);
    assert.ok(bytes);
    await repository.push(target, Readable.from([bytes]));
  }
  await repository.tag(image.manifest, tag);
}

function descriptorOf(bytes: Buffer, mediaType = 'application/octet-stream'): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

for (const [title, options] of [
  ['streamed', {}],
  ['in pieces', { uploadChunkBytes: 1_000_000 }],
] as const satisfies readonly (readonly [string, RegistryOptions])[]) {
  test(`an image pushed ${title} is pulled by skopeo with the same digest`, { skip }, async (t) => {
    const { folder, host } = await start(t);
    const image = writeLayout(join(folder, 'layout'), [10, 300_000, 5_500_000]);
    await pushImage(createRepository(`${host}/a/b`, options), image, 'v1');
    await run('skopeo', ['copy', '--src-tls-verify=false', `docker://${host}/a/b:v1`, `dir:${join(folder, 'got')}`]);
    const inspect = ['inspect', '--tls-verify=false', '--format', '{{.Digest}}', `docker://${host}/a/b:v1`];
    assert.equal((await run('skopeo', inspect)).stdout.trim(), image.manifest.digest);
    assert.deepEqual(await createRepository(`${host}/a/b`).resolve('v1'), image.manifest);
  });
}

test('content that is there is success and is not sent again', { skip }, async (t) => {
  const { host } = await start(t);
  const bytes = seededBytes(100_000, 7);
  const target = descriptorOf(bytes);
  const repository = createRepository(`${host}/twice`);
  await repository.push(target, Readable.from([bytes]));
  const untouched = Readable.from([bytes]);
  await repository.push(target, untouched);
  assert.equal(untouched.destroyed, true);
});

test('wrong bytes, too few and too many are refused and leave nothing', { skip }, async (t) => {
  const { host } = await start(t);
  const repository = createRepository(`${host}/wrong`);
  for (const size of [1_000, 6_000_000]) {
    const bytes = seededBytes(size, 3);
    const target = descriptorOf(bytes);
    const flipped = Buffer.from(bytes);
    flipped[size - 1] = (flipped[size - 1] ?? 0) ^ 1;
    await assert.rejects(repository.push(target, inChunks(flipped, 65_536)), { code: 'ERR_DIGEST_MISMATCH' });
    await assert.rejects(repository.push(target, inChunks(bytes.subarray(1), 65_536)), {
      code: 'ERR_DIGEST_MISMATCH',
    });
    await assert.rejects(repository.push(target, inChunks(Buffer.concat([bytes, Buffer.from('x')]), 65_536)), {
      code: 'ERR_SIZE_MISMATCH',
    });
    assert.equal(await repository.exists(target), false);
  }
});

test('what the content fails with comes out as it is', { skip }, async (t) => {
  const { host } = await start(t);
  const bytes = seededBytes(6_000_000, 5);
  const reason = new TypeError('the source broke');
  const broken = async function* (): AsyncGenerator<Buffer> {
    yield bytes.subarray(0, 5_000_000);
    throw reason;
  };
  await assert.rejects(
    createRepository(`${host}/broken`).push(descriptorOf(bytes), broken()),
    (error) => error === reason,
  );
});

test('an empty blob is pushed and fetched', { skip }, async (t) => {
  const { host } = await start(t);
  const repository = createRepository(`${host}/empty`);
  const target = descriptorOf(Buffer.alloc(0));
  await repository.push(target, Readable.from([]));
  assert.equal(await repository.exists(target), true);
  assert.equal((await all(await repository.fetch(target))).length, 0);
});

test('a blob is mounted from another repository, an unknown one is not', { skip }, async (t) => {
  const { host } = await start(t);
  const bytes = seededBytes(100_000, 9);
  const target = descriptorOf(bytes);
  await createRepository(`${host}/from`).push(target, Readable.from([bytes]));
  const to = createRepository(`${host}/to`);
  assert.equal(await to.mount(target, 'from'), true);
  assert.equal(await to.exists(target), true);
  assert.equal(await to.mount({ ...target, digest: `sha256:${'1'.repeat(64)}` }, 'from'), false);
  await assert.rejects(to.mount(target, 'From'), { code: 'ERR_REFERENCE_INVALID' });
});

test('tags and repositories are listed in pages', { skip }, async (t) => {
  const { folder, host } = await start(t);
  const image = writeLayout(join(folder, 'layout'), [10]);
  const registry = createRegistry(host);
  const repository = registry.repository('many/tags');
  await pushImage(repository, image, 'v0');
  const wanted = Array.from({ length: 30 }, (_, index) => `v${index}`);
  for (const tag of wanted) await repository.tag(image.manifest, tag);
  assert.deepEqual((await all(repository.tags())).sort(), wanted.sort());
  // docker-registry's catalog comes in pages of 100.
  for (let index = 0; index < 105; index++) {
    await registry.repository(`r${index}`).push(image.config, Readable.from([image.bytes.get(image.config.digest)]));
  }
  assert.equal((await all(registry.repositories())).length, 106);
  await assert.rejects(all(registry.repository('absent').tags()), { code: 'ERR_NOT_FOUND' });
});

test('a manifest is deleted by digest, and deleting nothing is success', { skip }, async (t) => {
  const { folder, host } = await start(t);
  const image = writeLayout(join(folder, 'layout'), [10]);
  const repository = createRepository(`${host}/gone`);
  await pushImage(repository, image, 'v1');
  await repository.delete(image.manifest.digest);
  await repository.delete(image.manifest);
  await assert.rejects(repository.resolve('v1'), { code: 'ERR_NOT_FOUND' });
});

test('deletion that is switched off and a read-only registry are told as such', { skip }, async (t) => {
  const first = await start(t, { deletes: false });
  const image = writeLayout(join(first.folder, 'layout'), [10]);
  await pushImage(createRepository(`${first.host}/a`), image, 'v1');
  await assert.rejects(createRepository(`${first.host}/a`).delete(image.manifest), { code: 'ERR_UNSUPPORTED' });
  const second = await start(t, { readOnly: true, storage: first.storage });
  const other = createRepository(`${second.host}/a`);
  const bytes = seededBytes(50, 1);
  await assert.rejects(other.push(descriptorOf(bytes), Readable.from([bytes])), {
    code: 'ERR_UNSUPPORTED',
    message: /takes no uploads/,
  });
  await assert.rejects(other.tag(image.manifest, 'v2'), { code: 'ERR_UNSUPPORTED' });
  await assert.rejects(other.resolve('v2'), { code: 'ERR_NOT_FOUND' });
});

test('referrers are kept under a tag where the registry has no API for them', { skip }, async (t) => {
  const { folder, host } = await start(t);
  const image = writeLayout(join(folder, 'layout'), [10]);
  const repository = createRepository(`${host}/signed`);
  await pushImage(repository, image, 'v1');
  assert.deepEqual(await all(repository.referrers(image.manifest)), []);
  const artifacts: Descriptor[] = [];
  for (const artifactType of ['application/x.signature', 'application/x.bill']) {
    const document = {
      schemaVersion: 2,
      mediaType: image.manifest.mediaType,
      artifactType,
      config: image.config,
      layers: image.layers,
      subject: image.manifest,
    };
    const bytes = Buffer.from(JSON.stringify(document));
    const target = descriptorOf(bytes, image.manifest.mediaType);
    await repository.push(target, Readable.from([bytes]));
    artifacts.push({ ...target, artifactType });
  }
  const names = (list: readonly Descriptor[]): string[] => list.map(({ digest }) => digest);
  assert.deepEqual(names(await all(repository.referrers(image.manifest))), names(artifacts));
  assert.deepEqual(await all(repository.referrers(image.manifest, 'application/x.bill')), artifacts.slice(1));
});
