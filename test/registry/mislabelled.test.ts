/** CVE-2021-41190 at the registry: a manifest under a digest whose label and whose own word differ is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchImage } from '../../src/image/fetch-image.js';
import { createRepository } from '../../src/registry/repository.js';
import { MediaType } from '../../src/spec/media-types.js';
import { image, index, startRegistry } from '../../src/testing/testing.js';

const built = image()
  .layer((layer) => layer.file('a', 'x'))
  .build();
const list = index().add(built).build();

test('a manifest under its digest, called something else by the registry', async () => {
  await using registry = await startRegistry();
  registry.add('team/app', 'latest', list);
  registry.fault({
    on: 'manifest',
    reference: built.descriptor.digest,
    do: 'headers',
    set: { 'content-type': MediaType.dockerManifest },
  });
  const repository = createRepository(`${registry.host}/team/app`);
  await assert.rejects(fetchImage(repository, 'latest', { platform: 'linux/amd64' }), {
    code: 'ERR_MANIFEST_INVALID',
    message: /calls it application\/vnd\.docker.*calls itself application\/vnd\.oci/,
  });
});

test('a generic label, and one with parameters, are no difference', async () => {
  for (const label of ['application/json', `${MediaType.ociManifest}; charset=utf-8`, 'text/plain']) {
    await using registry = await startRegistry();
    registry.add('team/app', 'latest', list);
    registry.fault({
      on: 'manifest',
      reference: built.descriptor.digest,
      do: 'headers',
      set: { 'content-type': label },
    });
    const repository = createRepository(`${registry.host}/team/app`);
    const found = await fetchImage(repository, 'latest', { platform: 'linux/amd64' });
    assert.equal(found.manifest.descriptor.digest, built.descriptor.digest);
  }
});
