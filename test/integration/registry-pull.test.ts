/** Pulling from Debian's docker-registry what skopeo pushed there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createRepository } from '../../src/registry/repository.js';
import { atEnd } from '../support/at-end.js';
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { type LayoutFixture, writeLayout } from '../support/oci-layout-fixture.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip = needs('docker-registry', 'skopeo');

async function served(t: TestContext): Promise<DockerRegistry & { readonly image: LayoutFixture }> {
  const folder = tempDir(t, 'registry');
  const registry = await startDockerRegistry(folder);
  atEnd(t, () => registry.stop());
  const image = writeLayout(join(folder, 'layout'), [100, 70_000, 3_000_000], 'one');
  execFileSync('skopeo', [
    'copy',
    '--dest-tls-verify=false',
    `oci:${image.path}:one`,
    `docker://${registry.host}/tests/image:one`,
  ]);
  return { ...registry, image };
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('a tag is resolved, its manifest and every blob come byte for byte', { skip }, async (t) => {
  const { host, image } = await served(t);
  const repository = createRepository(`${host}/tests/image`);
  const expected = { mediaType: image.manifest.mediaType, digest: image.manifest.digest, size: image.manifest.size };
  assert.deepEqual(await repository.resolve('one'), expected);
  const { descriptor, content } = await repository.fetchReference(`${host}/tests/image:one`);
  assert.deepEqual(descriptor, expected);
  assert.deepEqual(await collect(content), image.bytes.get(image.manifest.digest));
  for (const target of [image.manifest, image.config, ...image.layers]) {
    assert.equal(await repository.exists(target), true);
    assert.deepEqual(await collect(await repository.fetch(target)), image.bytes.get(target.digest));
  }
});

test('a range gives exactly its bytes, one outside the blob is refused', { skip }, async (t) => {
  const { host, image } = await served(t);
  const repository = createRepository(`${host}/tests/image`);
  const layer = image.layers[2];
  assert.ok(layer);
  const whole = image.bytes.get(layer.digest);
  for (const [start, end] of [
    [0, 1],
    [5, 5],
    [1_000, 2_000_000],
    [layer.size - 1, undefined],
  ] as const) {
    const got = await collect(await repository.fetch(layer, { range: { start, end } }));
    assert.deepEqual(got, whole?.subarray(start, end));
  }
  await assert.rejects(repository.fetch(layer, { range: { start: 0, end: layer.size + 1 } }), {
    code: 'ERR_RANGE_INVALID',
  });
});

test('a pull asks for nothing that it does not need', { skip }, async (t) => {
  const { host, image, stop, log } = await served(t);
  const repository = createRepository(`${host}/tests/image`);
  await collect((await repository.fetchReference('one')).content);
  for (const target of [image.config, ...image.layers]) await collect(await repository.fetch(target));
  await stop();
  const own = log().matchAll(/"([A-Z]+) \/v2\/[^"]* HTTP\/1\.1" [^"]*"" "rootfs-kit/g);
  assert.deepEqual(
    [...own].map((match) => match[1]),
    ['GET', 'GET', 'GET', 'GET', 'GET'],
  );
});

test('what is not there is not found, in words that users know', { skip }, async (t) => {
  const { host, image } = await served(t);
  const repository = createRepository(`${host}/tests/image`);
  const absent = { ...image.config, digest: `sha256:${'0'.repeat(64)}` } as const;
  await assert.rejects(repository.resolve('two'), { code: 'ERR_NOT_FOUND', message: /^manifest for .*:two not found/ });
  await assert.rejects(repository.fetchReference('two'), { code: 'ERR_NOT_FOUND' });
  await assert.rejects(repository.fetch(absent), { code: 'ERR_NOT_FOUND', message: /^blob / });
  assert.equal(await repository.exists(absent), false);
});
