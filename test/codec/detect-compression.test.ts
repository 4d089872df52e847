/** Compression by magic bytes first, media type second. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { detectCompression } from '../../src/codec/detect-compression.js';
import { MediaType } from '../../src/spec/media-types.js';

const bytes = (...hex: string[]): Buffer => Buffer.from(hex.join(''), 'hex');
const NAMED: Readonly<Record<string, Buffer>> = {
  gzip: bytes('1f8b0800'),
  zstd: bytes('28b52ffd0458'),
  none: Buffer.from('usr/share/doc/'),
};

test('the bytes decide, whatever the media type says', () => {
  for (const mediaType of [
    MediaType.ociLayer,
    MediaType.ociLayerGzip,
    MediaType.ociLayerZstd,
    MediaType.dockerLayerGzip,
  ]) {
    for (const [expected, prefix] of Object.entries(NAMED)) {
      assert.equal(detectCompression(prefix, mediaType, 'x'), expected, `${expected} called ${mediaType}`);
    }
  }
});

test('a zstd stream may begin with a skippable frame of any number', () => {
  for (let number = 0; number < 16; number++) {
    assert.equal(detectCompression(bytes(`5${number.toString(16)}2a4d1800000000`), MediaType.ociLayer, 'x'), 'zstd');
  }
  assert.equal(detectCompression(bytes('602a4d1800000000'), MediaType.ociLayer, 'x'), 'none');
});

test('every layer type of the specifications is read', () => {
  for (const [name, mediaType] of Object.entries(MediaType)) {
    if (!name.includes('Layer')) continue;
    assert.equal(detectCompression(Buffer.alloc(0), mediaType, 'x'), 'none', mediaType);
  }
});

test('media types are written in any case', () => {
  assert.equal(detectCompression(bytes('1f8b0800'), MediaType.ociLayerGzip.toUpperCase(), 'x'), 'gzip');
});

test('what is not read is refused by name', () => {
  const refused: readonly [Buffer, string, RegExp][] = [
    [bytes('fd377a585a000004'), MediaType.ociLayer, /^x: .*with xz; .*: skopeo copy --dest-compress-format gzip$/],
    [bytes('04224d1864a7'), MediaType.ociLayer, /^x: the layer is compressed with lz4; push it again/],
    [bytes('1f8b'), 'application/vnd.oci.image.layer.v1.tar+gzip+enc', /^x: .*encrypted/],
    [bytes('425a6839314159265359'), MediaType.ociLayerGzip, /^x: .*with bzip2; .*: skopeo copy /],
    [bytes('1f8b'), 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted', /^x: .*encrypted/],
    [bytes('1f8b'), 'application/vnd.oci.image.layer.v1.tar+encrypted', /^x: .*encrypted/],
    [bytes('1f8b'), 'application/vnd.oci.image.layer.v1.tar+lz4', /^x: .*lz4/],
    [
      bytes('1f8b'),
      'application/vnd.wasm.content.layer.v1+wasm',
      /^x: .*wasm.*; nothing else is read, ask who publishes/,
    ],
    [bytes('1f8b'), MediaType.ociConfig, /^x: .*config/],
    [bytes('1f8b'), undefined as unknown as string, /^x: "undefined" is no media type of a tar layer/],
    [bytes('1f8b'), `application/vnd.oci.image.layer.v1.tar+${'a'.repeat(5000)}!`, /^x: /],
  ];
  for (const [prefix, mediaType, message] of refused) {
    assert.throws(() => detectCompression(prefix, mediaType, 'x'), { code: 'ERR_MEDIA_TYPE_UNSUPPORTED', message });
  }
});

test('a text that only looks a little like bzip2 is no bzip2', () => {
  assert.equal(detectCompression(Buffer.from('BZh9 is a name'), MediaType.ociLayer, 'x'), 'none');
});
