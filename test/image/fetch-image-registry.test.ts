/** fetchImage over the wire: what it costs a registry, and a registry that answers wrongly. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { listPlatforms } from '../../src/image/list-platforms.js';
import { createRepository } from '../../src/registry/repository.js';
import { document, image, index, startRegistry, type TestRegistry } from '../../src/testing/testing.js';

const amd64 = image()
  .platform('linux/amd64')
  .layer((layer) => layer.file('a', 'amd64'))
  .layer((layer) => layer.file('b', 'more'))
  .build();
const arm64 = image()
  .platform('linux/arm64')
  .layer((layer) => layer.file('a', 'arm64'))
  .build();
const both = index().add(arm64).attestation(arm64).add(amd64).attestation(amd64).build();

async function registry(t: TestContext): Promise<TestRegistry> {
  const running = await startRegistry();
  t.after(() => running.close());
  running.add('app', 'v1', both);
  running.add('app', 'single', amd64);
  return running;
}

test('a tag through an index costs three requests, two where there is no index', async (t) => {
  const running = await registry(t);
  const repository = createRepository(`${running.host}/app`);
  const found = await fetchImage(repository, `${running.host}/app:v1`, { platform: 'linux/amd64' });
  assert.equal(found.manifest.descriptor.digest, amd64.descriptor.digest);
  assert.equal(found.target.digest, both.descriptor.digest);
  assert.deepEqual(
    found.layers.map(({ diffId }) => diffId),
    amd64.layers.map(({ diffId }) => diffId),
  );
  assert.deepEqual(
    running.log.requests.filter(({ url }) => url !== '/v2/').map(({ method, reference }) => `${method} ${reference}`),
    [`GET v1`, `GET ${amd64.descriptor.digest}`, `GET ${amd64.manifest.config.digest}`],
  );
  running.log.reset();
  await fetchImage(repository, 'single', { platform: 'linux/amd64' });
  assert.equal(running.log.requests.filter(({ url }) => url !== '/v2/').length, 2);
});

test('a reference by digest is followed, to the index and to one manifest', async (t) => {
  const running = await registry(t);
  const repository = createRepository(`${running.host}/app`);
  const byIndex = await fetchImage(repository, `${running.host}/app@${both.descriptor.digest}`, {
    platform: 'linux/arm64',
  });
  assert.equal(byIndex.manifest.descriptor.digest, arm64.descriptor.digest);
  const name = `${running.host}/app:v1@${arm64.descriptor.digest}`;
  assert.equal((await fetchImage(repository, name, { platform: 'linux/arm64' })).index, undefined);
});

test('the registry is asked once to list what it offers', async (t) => {
  const running = await registry(t);
  const offers = await listPlatforms(createRepository(`${running.host}/app`), 'v1');
  assert.deepEqual(
    offers.map(({ platform, attestation }) => [platform?.architecture, attestation]),
    [
      ['arm64', false],
      [undefined, true],
      ['amd64', false],
      [undefined, true],
    ],
  );
  assert.equal(running.log.requests.filter(({ url }) => url !== '/v2/').length, 1);
});

test('documents that registries keep and no image is: each has its code', async (t) => {
  const running = await registry(t);
  const repository = createRepository(`${running.host}/app`);
  const { config, layers } = amd64.manifest;
  const add = (tag: string, mediaType: string, content: object | string): void => {
    running.add('app', tag, document(mediaType, content, [amd64.configBytes]));
  };
  const OCI = amd64.descriptor.mediaType;
  add('ambiguous', OCI, { schemaVersion: 2, mediaType: OCI, config, layers, manifests: [] });
  add('other', 'application/vnd.oci.image.index.v1+json', amd64.manifest);
  add('html', OCI, '<html>Sign in</html>');
  add('old', 'application/vnd.docker.distribution.manifest.v1+prettyjws', {
    schemaVersion: 1,
    name: 'a',
    fsLayers: [],
  });
  add('chart', OCI, {
    schemaVersion: 2,
    config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' },
    layers,
  });
  add('count', OCI, { schemaVersion: 2, config, layers: layers.slice(1) });
  for (const [tag, code] of [
    ['ambiguous', 'ERR_MANIFEST_INVALID'],
    ['other', 'ERR_MANIFEST_INVALID'],
    ['html', 'ERR_MANIFEST_INVALID'],
    ['old', 'ERR_SCHEMA1_UNSUPPORTED'],
    ['chart', 'ERR_NOT_AN_IMAGE'],
    ['count', 'ERR_CONFIG_INVALID'],
    ['nothing', 'ERR_NOT_FOUND'],
  ] as const) {
    await assert.rejects(fetchImage(repository, tag), (error) => {
      assert.ok(error instanceof RootfsError);
      assert.equal(error.code, code, `${tag}: ${error.message}`);
      return true;
    });
  }
});
