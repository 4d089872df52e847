/** listPlatforms: what a reference offers, and what asking costs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { listPlatforms } from '../../src/image/list-platforms.js';
import { MediaType } from '../../src/spec/media-types.js';
import { formatPlatform, parsePlatform } from '../../src/spec/platform.js';
import { DocumentSource, layer, OneRequestSource } from '../support/document-source.js';

const AMD64 = { os: 'linux', architecture: 'amd64' };
const UNKNOWN = { os: 'unknown', architecture: 'unknown' };

test('an index is listed in order, indexes inside it in their place, attestations marked', async () => {
  const source = new OneRequestSource();
  const amd64 = source.image(AMD64, 1, { platform: AMD64 });
  const attestation = source.image(UNKNOWN, 2, { platform: UNKNOWN });
  const v7 = source.image({ os: 'linux', architecture: 'arm' }, 3, { platform: parsePlatform('linux/arm/v7') });
  const silent = source.image(AMD64, 4);
  source.name('app', source.index([amd64, source.index([v7]), attestation, silent]));
  const offers = await listPlatforms(source, 'app');
  assert.deepEqual(
    offers.map(({ platform, digest, attestation }) => [platform && formatPlatform(platform), digest, attestation]),
    [
      ['linux/amd64', amd64.digest, false],
      ['linux/arm/v7', v7.digest, false],
      [undefined, attestation.digest, true],
      [undefined, silent.digest, false],
    ],
  );
  assert.deepEqual(offers[0], {
    platform: AMD64,
    digest: amd64.digest,
    size: amd64.size,
    mediaType: MediaType.ociManifest,
    attestation: false,
    descriptor: amd64,
  });
  assert.equal(source.log.length, 2, 'the index and the index inside it');
});

test('a single manifest is listed by its config, an artifact without platform', async () => {
  const source = new DocumentSource();
  source.name('app', source.image(AMD64)).name('blank', source.image({}));
  const config = source.add('application/vnd.cncf.helm.config.v1+json', '{}');
  source.name('chart', source.add(MediaType.ociManifest, { schemaVersion: 2, config, layers: [layer(1)] }));
  assert.deepEqual((await listPlatforms(source, 'app'))[0]?.platform, AMD64);
  for (const name of ['blank', 'chart']) {
    const [offer, ...others] = await listPlatforms(source, name);
    assert.equal(offer?.digest, source.names.get(name)?.digest);
    assert.equal(offer?.platform, undefined);
    assert.deepEqual(others, []);
  }
});

test('it fails as fetchImage fails', async () => {
  const source = new DocumentSource();
  const code = (wanted: string) => (error: unknown) => error instanceof RootfsError && error.code === wanted;
  await assert.rejects(listPlatforms(source, 'x'), code('ERR_NOT_FOUND'));
  await assert.rejects(listPlatforms(source, 'x', { maxManifestBytes: -1 }), code('ERR_OPTION_INVALID'));
  const reason = new Error('enough');
  await assert.rejects(listPlatforms(source, 'x', { signal: AbortSignal.abort(reason) }), (error) => error === reason);
  source.name('x', source.add(MediaType.ociIndex, '{'));
  await assert.rejects(listPlatforms(source, 'x'), code('ERR_MANIFEST_INVALID'));
});
