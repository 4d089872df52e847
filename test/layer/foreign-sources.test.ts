/** Sources that others wrote: what they throw is told as what it is. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { imageFailure } from '../../src/image/image-failure.js';
import { extractLayer } from '../../src/layer/extract-layer.js';
import { fetchLayer } from '../../src/layer/fetch-layer.js';
import { tempDir } from '../support/temp-dir.js';
import { gzipLayer, seededTar } from './layer-source.js';

const { layer, blob } = gzipLayer(seededTar(7, 3_000_000));

function failing(code: string): Error {
  return Object.assign(new Error(`my own: ${code}`), { code });
}

for (const [code, expected] of [
  ['NoSuchKey', 'ERR_NETWORK'],
  ['CERT_HAS_EXPIRED', 'ERR_NETWORK'],
  ['ECONNRESET', 'ERR_NETWORK'],
  ['EACCES', 'ERR_PERMISSION'],
  ['EIO', 'ERR_FILESYSTEM'],
] as const) {
  test(`extracting: a source that fails with ${code} is ${expected}, its cause kept`, async (t) => {
    const cause = failing(code);
    const late = async function* (): AsyncGenerator<Buffer> {
      yield blob.subarray(0, blob.length - 10);
      throw cause;
    };
    for (const fetch of [() => Promise.reject(cause), async () => Readable.from(late())]) {
      await assert.rejects(extractLayer({ fetch }, layer, tempDir(t)), (error) => {
        assert.ok(error instanceof RootfsError);
        assert.equal(error.code, expected);
        assert.equal(error.cause, cause);
        return true;
      });
    }
  });
}

for (const [what, give] of [
  [
    'an async generator',
    async function* () {
      yield blob.subarray(0, 1000);
      yield blob.subarray(1000);
    },
  ],
  ['a web stream', () => new Response(new Uint8Array(blob)).body],
] as const) {
  test(`extracting and opening: ${what} is a stream of bytes`, async (t) => {
    const source = { fetch: async () => give() as unknown as Readable };
    const handle = await extractLayer(source, layer, tempDir(t));
    assert.equal(handle.diffId, layer.diffId);
    await handle.close();
    const tar = await fetchLayer(source, layer.descriptor);
    assert.equal(
      (await tar.toArray()).reduce((sum, { length }) => sum + length, 0),
      handle.tarBytes,
    );
  });
}

test('extracting and opening: what is no stream is a defect of the source, not of the network', async (t) => {
  for (const [given, found] of [
    [blob, /Buffer/],
    [undefined, /undefined/],
    [[blob], /Array/],
  ] as const) {
    const source = { fetch: async () => given as unknown as Readable };
    const expected = { code: 'ERR_INTERNAL', message: found };
    await assert.rejects(extractLayer(source, layer, tempDir(t)), expected);
    await assert.rejects(fetchLayer(source, layer.descriptor), expected);
  }
});

test('extracting: chunks that are no bytes are a defect of the source, into memory and into a file', async (t) => {
  const { layer: small } = gzipLayer(seededTar(8, 1_000));
  for (const [chunk, found] of [
    ['text', /a chunk of type string/],
    [new ArrayBuffer(5), /a chunk of type object/],
  ] as const) {
    for (const asked of [small, layer]) {
      const source = { fetch: async () => Readable.from([chunk]) };
      await assert.rejects(extractLayer(source, asked, tempDir(t)), { code: 'ERR_INTERNAL', message: found });
    }
  }
});

test('extracting: a source that gives the same stream again fails', async (t) => {
  const stream = Readable.from([blob]);
  await stream.toArray();
  await assert.rejects(extractLayer({ fetch: async () => stream }, layer, tempDir(t)), { code: 'ERR_NETWORK' });
});

test('an image whose stream closed too early is a failure on the way, not of the file system', () => {
  const failure = imageFailure(failing('ERR_STREAM_PREMATURE_CLOSE'), 'app:v1', undefined);
  assert.ok(failure instanceof RootfsError);
  assert.equal(failure.code, 'ERR_NETWORK');
  assert.match(failure.message, /^app:v1: /);
});

test('an image whose source misuses Node is no failure of the file system', () => {
  const failure = imageFailure(failing('ERR_INVALID_ARG_TYPE'), 'app:v1', undefined);
  assert.ok(failure instanceof RootfsError);
  assert.equal(failure.code, 'ERR_INTERNAL');
});
