/** Opening by the first bytes, and the guards against bombs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type InflateLimits, openInflater } from '../../src/codec/open-inflater.js';
import { MediaType } from '../../src/spec/media-types.js';
import { CollectingOutput, pushAll } from './inflate-all.js';

const LIMITS: InflateLimits = { maxBytes: 1_000_000, maxRatio: 1000 };

async function inflate(bytes: Buffer, limits: InflateLimits = LIMITS): Promise<Buffer> {
  const output = new CollectingOutput(16384);
  const options = { subject: 'sha256:x', mediaType: MediaType.ociLayerGzip, prefix: bytes.subarray(0, 16), output };
  pushAll(await openInflater({ ...options, ...limits }), bytes, 4096);
  return output.bytes();
}

test('no bytes are an empty layer, whatever the media type', async () => {
  assert.equal((await inflate(Buffer.alloc(0))).length, 0);
});

test('bytes without a magic number come through unchanged', async () => {
  const tar = Buffer.from('x'.repeat(100_000));
  assert.ok((await inflate(tar)).equals(tar));
  assert.deepEqual(await inflate(Buffer.from('a')), Buffer.from('a'));
});

test('gzip of nothing is an empty layer', async () => {
  assert.equal((await inflate(gzipSync(Buffer.alloc(0)))).length, 0);
});

test('a layer over the absolute limit is refused, one at the limit is not', async () => {
  for (const pack of [gzipSync, (bytes: Buffer) => bytes]) {
    assert.equal((await inflate(pack(Buffer.alloc(1_000_000, 'a')))).length, 1_000_000);
    await assert.rejects(inflate(pack(Buffer.alloc(1_000_001, 'a'))), {
      code: 'ERR_LIMIT_EXCEEDED',
      message: /^sha256:x: .*1000000 bytes/,
    });
  }
});

test('a ratio over the limit is refused once enough came out', async () => {
  const bomb = gzipSync(Buffer.alloc(900_000));
  const limits = { maxBytes: 1_000_000, maxRatio: 500 };
  await assert.rejects(inflate(bomb, { ...limits, ratioFloorBytes: 500_000 }), {
    code: 'ERR_LIMIT_EXCEEDED',
    detail: { limit: 'maxRatio', maxRatio: 500, subject: 'sha256:x', compressedBytes: bomb.length },
  });
  assert.equal((await inflate(bomb, { ...limits, ratioFloorBytes: 900_000 })).length, 900_000);
  assert.equal((await inflate(bomb, { ...limits, maxRatio: 1500, ratioFloorBytes: 0 })).length, 900_000);
});
