import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { DockerArchive } from '../../src/content/docker-archive.js';
import { OciArchive } from '../../src/content/oci-archive.js';
import { MediaType } from '../../src/spec/media-types.js';
import { type Built, image, index, LayerBuilder } from '../../src/testing/testing.js';
import { dockerArchive, ociArchive } from '../support/archives.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage, readContract } from './target-contract.js';

async function opened(t: TestContext, bytes: Buffer): Promise<OciArchive> {
  const path = join(tempDir(t), 'image.tar');
  writeFileSync(path, bytes);
  const archive = await OciArchive.open(path);
  t.after(() => archive.close());
  return archive;
}

readContract('OCI archive', async (t, built) => ({
  target: await opened(t, ociArchive({ v1: built, v2: image().build() })),
  reference: 'v1',
}));

readContract('OCI archive, gzip around it, ./ before every name', async (t, built) => ({
  target: await opened(t, gzipSync(ociArchive({ v1: built }, './'))),
  reference: '',
}));

test('an index inside, its images by digest, names and their list', async (t) => {
  const built = contractImage();
  const archive = await opened(t, ociArchive({ all: index().add(built).build(), other: image().build() }));
  assert.equal((await archive.resolve(`@${built.descriptor.digest}`)).digest, built.descriptor.digest);
  await assert.rejects(archive.resolve(''), { code: 'ERR_REFERENCE_INVALID', message: /all, other/ });
  const tags: string[] = [];
  for await (const tag of archive.tags()) tags.push(tag);
  assert.deepEqual(tags, ['all', 'other']);
});

test('archives without a layout, or with another version', async (t) => {
  await assert.rejects(opened(t, dockerArchive([{ built: contractImage() }])), {
    code: 'ERR_ARCHIVE_INVALID',
    message: /try docker-archive:/,
  });
  const other = new LayerBuilder().file('oci-layout', '{"imageLayoutVersion":"2.0.0"}').file('index.json', '{}');
  await assert.rejects(opened(t, other.tar()), { code: 'ERR_LAYOUT_INVALID' });
  for (const [there, missing] of [
    ['oci-layout', 'index.json'],
    ['index.json', 'oci-layout'],
  ] as const) {
    await assert.rejects(opened(t, new LayerBuilder().file(there, '{"imageLayoutVersion":"1.0.0"}').tar()), {
      code: 'ERR_ARCHIVE_INVALID',
      message: new RegExp(`image.tar: no OCI layout inside, ${missing} is missing; give an archive that has one$`),
    });
  }
});

test('an empty list beside Docker’s own, as Docker 25 saves an image without a name, says how to read it', async (t) => {
  const empty = new LayerBuilder()
    .file('oci-layout', '{"imageLayoutVersion":"1.0.0"}')
    .file('index.json', '{"schemaVersion":2,"manifests":null}');
  await assert.rejects((await opened(t, empty.tar())).resolve(''), { message: /it is empty, copy one there first$/ });
  const both = await opened(t, empty.file('manifest.json', '[]').tar());
  await assert.rejects(both.resolve(''), {
    code: 'ERR_NOT_FOUND',
    message: /image\.tar: no image here; it is empty, try docker-archive:.*image\.tar$/,
  });
});

test('an archive of the folder instead of what is in it: the error says where that lies', async (t) => {
  const built = contractImage();
  for (const [open, bytes, missing] of [
    [OciArchive.open, ociArchive({ v1: built }, './my image/'), 'oci-layout'],
    [DockerArchive.open, dockerArchive([{ built }], { prefix: 'my image/' }), 'manifest.json'],
  ] as const) {
    const path = join(tempDir(t), 'image.tar');
    writeFileSync(path, bytes);
    await assert.rejects(open(path), {
      code: 'ERR_ARCHIVE_INVALID',
      message: new RegExp(`${missing} is missing; it lies in the folder "my image", pack what is in that `),
    });
  }
  const path = join(tempDir(t), 'root.tar');
  writeFileSync(path, new LayerBuilder().file('usr/lib/manifest.json', '[]').tar());
  await assert.rejects(DockerArchive.open(path), { message: /manifest\.json is missing; save the image again$/ });
});

test('links that lead out of the archive, as tar packs what Bazel laid out', async (t) => {
  const built = contractImage();
  const layer = built.layers[0]?.descriptor;
  assert.ok(layer);
  const archive = new LayerBuilder()
    .file('oci-layout', '{"imageLayoutVersion":"1.0.0"}')
    .file('index.json', JSON.stringify({ schemaVersion: 2, manifests: [built.descriptor] }));
  for (const [digest, bytes] of built.blobs) {
    const name = `blobs/sha256/${digest.slice(7)}`;
    if (digest === layer.digest) archive.symlink(name, '../../../../cache/layer');
    else archive.file(name, bytes);
  }
  const source = await opened(t, archive.tar());
  assert.equal(await source.exists(layer), false);
  await assert.rejects(source.fetch(layer), {
    code: 'ERR_ARCHIVE_INVALID',
    message: new RegExp(
      `image.tar: blobs/sha256/${layer.digest.slice(7)} is a link to "cache/layer", which is not in the archive; make it again with links followed \\(tar -h\\)$`,
    ),
  });
});

/** An archive of an index that lists `built`, without one of its blobs. */
function without(digest: string, built: Built): Buffer {
  const tar = new LayerBuilder()
    .file('oci-layout', '{"imageLayoutVersion":"1.0.0"}')
    .file('index.json', JSON.stringify({ schemaVersion: 2, manifests: [built.descriptor] }));
  for (const [other, bytes] of built.blobs) if (other !== digest) tar.file(`blobs/${other.replace(':', '/')}`, bytes);
  return tar.tar();
}

test('an archive that was cut between two files is incomplete: what it names is not merely not found', async (t) => {
  const built = contractImage();
  const layers = built.layers.map(({ descriptor }) => descriptor);
  for (const target of [built.descriptor, built.manifest.config, ...layers]) {
    const source = await opened(t, without(target.digest, built));
    await assert.rejects(source.fetch(target), {
      code: 'ERR_ARCHIVE_INVALID',
      message: new RegExp(
        `/image\\.tar: the archive is incomplete, it names ${target.digest} and does not .*; save it again$`,
      ),
    });
    assert.equal(await source.exists(target), false);
  }
});

test('what may honestly be missing is not found: a platform that was not saved, a layer that must not be handed on', async (t) => {
  const built = contractImage();
  const list = index().add(built).build();
  const source = await opened(t, without(built.descriptor.digest, list));
  await assert.rejects(source.fetch(built.descriptor), { code: 'ERR_NOT_FOUND' });
  const foreign = image()
    .layer((layer) => layer.file('a', 'b'), { mediaType: MediaType.ociForeignLayerGzip })
    .build();
  const [layer] = foreign.manifest.layers;
  assert.ok(layer);
  const other = await opened(t, without(layer.digest, foreign));
  await assert.rejects(other.fetch(layer), { code: 'ERR_NOT_FOUND' });
});
