/** The image builder: what it writes is read back by hand, byte by byte where it matters. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import {
  type CompressionOptions,
  compress,
  digestOf,
  image,
  index,
  LayerBuilder,
  paxRecord,
  writeLayout,
  xxh64,
  zstdFrame,
} from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

test('an image names its parts by their digests', () => {
  const built = image()
    .platform('linux/arm64/v8')
    .config({ Cmd: ['/bin/sh'] })
    .layer((l) => l.dir('etc').file('etc/motd', 'hi'))
    .layer((l) => l.whiteout('etc/motd').opaque('var'), { compression: 'none' })
    .build();
  assert.equal(built.layers.length, 2);
  for (const layer of built.layers) {
    assert.equal(layer.descriptor.digest, digestOf(layer.blob));
    assert.equal(layer.descriptor.size, layer.blob.length);
    assert.equal(layer.diffId, digestOf(layer.tar));
    assert.deepEqual(built.blobs.get(layer.descriptor.digest), layer.blob);
  }
  assert.deepEqual(gunzipSync(built.layers[0]?.blob ?? Buffer.alloc(0)), built.layers[0]?.tar);
  assert.deepEqual(
    built.config.rootfs.diff_ids,
    built.layers.map((layer) => layer.diffId),
  );
  assert.equal(built.config.architecture, 'arm64');
  assert.deepEqual(JSON.parse(built.manifestBytes.toString()), JSON.parse(JSON.stringify(built.manifest)));
  assert.equal(built.descriptor.digest, digestOf(built.manifestBytes));
  assert.ok(built.layers[1]?.tar.includes('etc/.wh.motd'));
  assert.ok(built.layers[1]?.tar.includes('var/.wh..wh..opq'));
});

test('the same calls give the same bytes', () => {
  const make = () =>
    image()
      .layer((l) => l.file('a', 'b', { xattrs: { 'user.x': 'y' }, mtime: 1n }))
      .build();
  assert.equal(make().descriptor.digest, make().descriptor.digest);
});

test('an index holds images, attestations and entries without a platform', () => {
  const amd64 = image()
    .layer((l) => l.file('a'))
    .build();
  const arm64 = image()
    .platform('linux/arm64')
    .layer((l) => l.file('a'))
    .build();
  const nested = index().add(arm64).build();
  const built = index()
    .add(amd64)
    .attestation(amd64)
    .add(nested)
    .add(arm64, { platform: false })
    .mediaTypes('docker')
    .build();
  assert.deepEqual(
    built.index.manifests.map((entry) => entry.platform?.architecture),
    ['amd64', 'unknown', undefined, undefined],
  );
  assert.equal(built.index.manifests[1]?.annotations?.['vnd.docker.reference.digest'], amd64.descriptor.digest);
  for (const entry of built.index.manifests) assert.ok(built.blobs.has(entry.digest));
  assert.equal(
    built.documents.get(built.descriptor.digest),
    'application/vnd.docker.distribution.manifest.list.v2+json',
  );
  assert.equal(built.documents.size, 5);
});

test('a layout holds every blob under its digest', async (t) => {
  const dir = tempDir(t, 'layout');
  const built = image()
    .layer((l) => l.file('a', 'b'))
    .build();
  await writeLayout(dir, { one: built, two: built });
  const entries = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8')).manifests;
  assert.deepEqual(
    entries.map(
      (entry: { annotations: Record<string, string> }) => entry.annotations['org.opencontainers.image.ref.name'],
    ),
    ['one', 'two'],
  );
  for (const [digest, bytes] of built.blobs) {
    assert.deepEqual(readFileSync(join(dir, 'blobs', ...digest.split(':'))), bytes);
  }
});

test('a layer holds what was asked for and nothing else', () => {
  assert.equal(new LayerBuilder().tar().length, 1024);
  assert.equal(new LayerBuilder().end('').tar().length, 0);
  const tar = new LayerBuilder().file(Buffer.from([0x66, 0xff]), 'x', { format: 'gnu' }).tar();
  assert.deepEqual([...tar.subarray(0, 3)], [0x66, 0xff, 0]);
  assert.equal(tar.subarray(257, 265).toString('latin1'), 'ustar  \0');
  const wrong = new LayerBuilder().file('x', '', { header: { checksum: 'wrong' } }).tar();
  const right = new LayerBuilder().file('x', '').tar();
  assert.notDeepEqual(wrong.subarray(148, 156), right.subarray(148, 156));
  assert.deepEqual(wrong.subarray(0, 148), right.subarray(0, 148));
});

test('xxh64 agrees with the published values', () => {
  assert.equal(xxh64(Buffer.alloc(0)), 0xef46db3751d8e999n);
  assert.equal(xxh64(Buffer.from('abc')), 0x44bc2cf5ad770999n);
  assert.equal(zstdFrame(Buffer.alloc(0)).length, 9);
});

test('a layer can be named and stored in every wrong way', () => {
  const blob = Buffer.from('no tar at all');
  const built = image()
    .mediaTypes('docker')
    .layer((l) => l.file('a'), { missing: true, urls: ['https://example.test/a'] })
    .layer((l) => l.file('a'), { inline: true, digestAlgorithm: 'sha512', annotations: { a: 'b' } })
    .layer(blob, { blob, mediaType: 'x/y', diffId: `sha256:${'0'.repeat(64)}`, descriptor: { size: 1 } })
    .history(false)
    .manifestFields({ schemaVersion: 3 })
    .configFields({ os: 'plan9' })
    .annotations({ who: 'me' })
    .build();
  const [first, second, third] = built.manifest.layers;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  assert.equal(first.mediaType, 'application/vnd.docker.image.rootfs.diff.tar.gzip');
  assert.deepEqual(first.urls, ['https://example.test/a']);
  assert.ok(!built.blobs.has(first.digest));
  assert.match(second.digest, /^sha512:/);
  assert.equal(second.data, built.layers[1]?.blob.toString('base64'));
  assert.deepEqual([third.mediaType, third.size, third.digest], ['x/y', 1, digestOf(blob)]);
  assert.equal(built.config.rootfs.diff_ids[2], `sha256:${'0'.repeat(64)}`);
  const written = JSON.parse(built.manifestBytes.toString());
  assert.deepEqual([written.schemaVersion, written.annotations], [3, { who: 'me' }]);
  assert.deepEqual([built.config.os, 'history' in built.config], ['plan9', false]);
});

test('gzip in several members, padded, stored, with a wrong sum, or cut', () => {
  const tar = new LayerBuilder().file('a', 'x'.repeat(200_000)).tar();
  const of = (options: Omit<CompressionOptions, 'algorithm'>): Buffer =>
    compress(tar, { algorithm: 'gzip', ...options });
  for (const options of [
    { members: 3 },
    { stored: true },
    { members: 2, stored: true },
    { level: 0 },
    { padding: 512 },
  ]) {
    assert.deepEqual(gunzipSync(of(options)), tar, JSON.stringify(options));
  }
  assert.ok(of({ stored: true }).length > tar.length);
  assert.throws(() => gunzipSync(of({ checksum: 'wrong' })), { code: 'Z_DATA_ERROR' });
  assert.throws(() => gunzipSync(of({ cut: 20 })), { code: 'Z_BUF_ERROR' });
});

test('PAX records stand as they were given', () => {
  const tar = new LayerBuilder()
    .file('a', '', {
      xattrs: { 'user.x': Buffer.from([10, 255]) },
      pax: [
        ['path', 'b'],
        ['path', 'c'],
      ],
    })
    .file('d', '', { xattrs: { 'user.y': 'z' }, xattrStyle: 'libarchive' })
    .file('e', '', { paxBody: '99 path=short' })
    .tar();
  const record = Buffer.concat([Buffer.from('26 SCHILY.xattr.user.x='), Buffer.from([10, 255, 10])]);
  assert.deepEqual(paxRecord('SCHILY.xattr.user.x', Buffer.from([10, 255])), record);
  assert.ok(tar.includes(record));
  assert.ok(tar.includes('9 path=b\n9 path=c\n'));
  assert.ok(tar.includes('LIBARCHIVE.xattr.user.y=eg\n'));
  assert.ok(tar.includes('99 path=short\0'));
  assert.throws(() => new LayerBuilder().file('a', '', { format: 'gnu', xattrs: { 'user.x': 'y' } }), {
    code: 'ERR_OPTION_INVALID',
  });
});
