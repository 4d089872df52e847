/** Streaming one layer: what comes out, and that nothing is kept open. */
import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { Fetcher } from '../../src/content/content.js';
import { fetchLayer } from '../../src/layer/fetch-layer.js';
import { MediaType } from '../../src/spec/media-types.js';
import { zstdFrame } from '../../src/testing/testing.js';
import { blobSource, gzipLayer, makeLayer, seededTar } from './layer-source.js';

async function read(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

test('gzip, zstd, uncompressed and empty layers come out as their tar', async () => {
  for (const length of [0, 1, 15, 16, 65_536, 3_000_001]) {
    const tar = seededTar(length + 1, length);
    const layers = [
      gzipLayer(tar),
      makeLayer(tar, tar, MediaType.ociLayer),
      makeLayer(tar, zstdFrame(tar), MediaType.ociLayerZstd),
    ];
    for (const made of layers) {
      const stream = await fetchLayer(blobSource([made]), made.layer.descriptor);
      assert.ok((await read(stream)).equals(tar), `${length} bytes, ${made.layer.descriptor.mediaType}`);
    }
  }
});

test('chunks that were given stay as they are', async () => {
  const made = gzipLayer(seededTar(3, 500_000));
  const copies: Buffer[] = [];
  const given: Uint8Array[] = [];
  for await (const chunk of await fetchLayer(blobSource([made]), made.layer.descriptor)) {
    given.push(chunk);
    copies.push(Buffer.from(chunk));
  }
  assert.ok(Buffer.concat(given).equals(Buffer.concat(copies)));
});

test('a bomb is not piled up: it is read only as far as somebody asks', async () => {
  const made = gzipLayer(Buffer.alloc(300_000_000));
  const stream = await fetchLayer(blobSource([made]), made.layer.descriptor);
  for await (const chunk of stream) {
    assert.ok(chunk.length <= 256 * 1024);
    break;
  }
  assert.ok(stream.readableLength < 8 * 1024 ** 2, `${stream.readableLength} bytes are held`);
  assert.ok(stream.destroyed);
});

test('a layer that exceeds its limit is left there, and not read to its end', async () => {
  const made = gzipLayer(Buffer.concat([Buffer.alloc(20_000_000), seededTar(7, 6_000_000)]));
  let taken = 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < made.blob.length; at += 4096) {
      taken++;
      yield made.blob.subarray(at, at + 4096);
    }
  }
  const source: Fetcher = { fetch: async () => Readable.from(pieces(), { highWaterMark: 1 }) };
  const stream = await fetchLayer(source, made.layer.descriptor, { maxLayerSize: 10_000_000 });
  await assert.rejects(read(stream), { code: 'ERR_LIMIT_EXCEEDED' });
  assert.ok(taken * 4096 < made.blob.length / 2, `${taken} pieces of ${made.blob.length} bytes were taken`);
});

test('others have their turn, and an abort is heard, though the source gives the layer in one chunk', async () => {
  const made = gzipLayer(Buffer.alloc(200_000_000));
  const source: Fetcher = { fetch: async () => Readable.from([made.blob]) };
  const stream = await fetchLayer(source, made.layer.descriptor, { signal: AbortSignal.timeout(1) });
  let bytes = 0;
  await assert.rejects(
    async () => {
      for await (const chunk of stream) bytes += chunk.length;
    },
    { name: 'TimeoutError' },
  );
  assert.ok(bytes < 200_000_000, `${bytes} bytes were read`);
});

test("an abort ends the stream with the caller's reason", async () => {
  const made = gzipLayer(seededTar(4, 5_000_000));
  const controller = new AbortController();
  const reason = new Error('enough');
  const stream = await fetchLayer(blobSource([made]), made.layer.descriptor, { signal: controller.signal });
  await assert.rejects(async () => {
    for await (const chunk of stream) {
      assert.ok(chunk.length > 0);
      controller.abort(reason);
    }
  }, reason);
  await assert.rejects(fetchLayer(blobSource([made]), made.layer.descriptor, { signal: controller.signal }), reason);
});

test('a stream that is destroyed before it is read ends its source, and listens to the signal no longer', async () => {
  const made = gzipLayer(seededTar(6, 5_000_000));
  const inner = blobSource([made]);
  for (const end of [undefined, new Error('mine')]) {
    const opened: Readable[] = [];
    const source: Fetcher = {
      async fetch(target, options) {
        const stream = await inner.fetch(target, options);
        opened.push(stream);
        return stream;
      },
    };
    const { signal } = new AbortController();
    const stream = await fetchLayer(source, made.layer.descriptor, { signal });
    const errors: unknown[] = [];
    stream.on('error', (error) => errors.push(error));
    stream.destroy(end);
    await new Promise((done) => setTimeout(done, 50));
    assert.deepEqual(errors, end === undefined ? [] : [end]);
    assert.deepEqual(
      opened.map(({ destroyed }) => destroyed),
      [true],
    );
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  }
});

test('a stream that nobody reads yet fails with an abort and with its source, and ends no process', async () => {
  const made = gzipLayer(seededTar(6, 5_000_000));
  const { layer, blob } = made;
  const reason = new Error('enough');
  const controller = new AbortController();
  const aborted = await fetchLayer(blobSource([made]), layer.descriptor, { signal: controller.signal });
  setTimeout(() => controller.abort(reason), 10);
  assert.deepEqual(await once(aborted, 'error'), [reason]);

  async function* breaking(): AsyncGenerator<Uint8Array> {
    yield blob.subarray(0, 1000);
    throw reason;
  }
  const broken = await fetchLayer({ fetch: async () => Readable.from(breaking()) }, layer.descriptor);
  assert.deepEqual(await once(broken, 'error'), [reason]);
});
