/** Layers that come under a Content-Encoding and without a length: compressed on their way, or only called so. */
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { fetchVerified } from '../../src/content/fetch-verified.js';
import type { ProgressEvent } from '../../src/progress.js';
import { createRepository } from '../../src/registry/repository.js';
import { listen } from '../../src/testing/listen.js';
import { image } from '../../src/testing/testing.js';

const ENCODERS = { gzip: gzipSync, 'x-gzip': gzipSync, deflate: deflateSync, br: brotliCompressSync } as const;
const content = Buffer.from(Array.from({ length: 40_000 }, (_, at) => (at * at * 7919) >> 5));

function layerOf(compression: 'gzip' | 'zstd' | 'none') {
  const [layer] = image()
    .compression(compression)
    .layer((l) => l.file('a', content))
    .build().layers;
  assert.ok(layer);
  return layer;
}

/** Reads a layer from a server that sends `body` in pieces of `step` bytes, without a length. */
async function read(
  t: TestContext,
  layer: ReturnType<typeof layerOf>,
  headers: Readonly<Record<string, string>>,
  body: (nth: number, response: ServerResponse) => Buffer | undefined,
  step = 7_000,
  onProgress?: (event: ProgressEvent) => void,
): Promise<Buffer> {
  let nth = 0;
  const server = createServer(async (_request, response) => {
    response.writeHead(200, headers);
    const bytes = body(++nth, response);
    if (bytes === undefined) return;
    for (let at = 0; at < bytes.length; at += step) {
      response.write(bytes.subarray(at, at + step));
      if (at < 4 * step) await nextTurn();
    }
    response.end();
  });
  const { port, close } = await listen(server);
  t.after(close);
  const repository = createRepository(`127.0.0.1:${port}/app`, { timeoutMs: 2_000, retry: 1 });
  return Buffer.concat(await (await fetchVerified(repository, layer.descriptor, { onProgress })).toArray());
}

for (const compression of ['gzip', 'zstd', 'none'] as const) {
  const layer = layerOf(compression);
  for (const [encoding, encode] of Object.entries(ENCODERS)) {
    // Nothing tells these two from a tar.
    if (compression === 'none' && !encoding.includes('gzip')) continue;
    test(`a layer (${compression}) that was compressed on its way (${encoding}) is what it was`, async (t) => {
      for (const step of [1, 7_000]) {
        const came = await read(t, layer, { 'content-encoding': encoding }, () => encode(layer.blob), step);
        assert.deepEqual(came, layer.blob);
      }
    });
  }
  for (const encoding of Object.keys(ENCODERS)) {
    test(`a layer (${compression}) that is only called compressed (${encoding}) is what it is`, async (t) => {
      for (const step of [1, 7_000]) {
        assert.deepEqual(await read(t, layer, { 'content-encoding': encoding }, () => layer.blob, step), layer.blob);
      }
    });
  }
}

test('one that breaks in the middle goes on, and one that ends at once is told as short', async (t) => {
  const layer = layerOf('gzip');
  const whole = gzipSync(layer.blob);
  const headers = { 'content-encoding': 'gzip' };
  const came = await read(t, layer, headers, (nth, response) => {
    if (nth > 1) return whole;
    response.write(whole.subarray(0, 300), () => response.destroy());
    return undefined;
  });
  assert.deepEqual(came, layer.blob);
  await assert.rejects(
    read(t, layer, headers, () => Buffer.alloc(0)),
    { code: 'ERR_SIZE_MISMATCH', message: /ended after 0 of \d+ bytes, and came with Content-Encoding: gzip/ },
  );
});

test('a web page in the place of a blob is told as one, however long it is', async (t) => {
  const layer = layerOf('gzip');
  const headers = { 'content-type': 'text/html; charset=utf-8' };
  const page = Buffer.from('<html>Welcome</html>');
  await assert.rejects(
    read(t, layer, headers, () => page),
    { code: 'ERR_NETWORK', message: /ended after 20 of \d+ bytes, which 127\S+ calls a web page; check the host, and/ },
  );
  for (const [length, said] of [
    [20, /what came are 20 bytes, which 127\S+ calls a web page; check the host, and/],
    [layer.blob.length + 9, /longer than \d+ bytes, and 127\S+ calls it a web page; check the host, and/],
  ] as const) {
    const warnings: string[] = [];
    const body = Buffer.concat([page, Buffer.alloc(length - page.length, 32)]);
    const reading = read(
      t,
      layer,
      { ...headers, 'content-length': `${length}` },
      () => body,
      7_000,
      (event) => {
        if (event.type === 'warning:raised') warnings.push(event.message);
      },
    );
    await assert.rejects(reading, { code: 'ERR_DIGEST_MISMATCH' });
    assert.match(warnings.join(), said);
  }
});

test('a blob of its length is none, whatever it is called', async (t) => {
  const layer = layerOf('gzip');
  const headers = { 'content-type': 'text/html', 'content-length': `${layer.blob.length}` };
  const warnings: string[] = [];
  const onProgress = (event: ProgressEvent): void => void (event.type === 'warning:raised' && warnings.push('told'));
  assert.deepEqual(await read(t, layer, headers, () => layer.blob, 7_000, onProgress), layer.blob);
  assert.deepEqual(warnings, []);
});
