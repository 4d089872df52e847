/** Every way in which a layer can be wrong: its code, and that nothing is left of it. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { extractLayer } from '../../src/layer/extract-layer.js';
import { extractLayers } from '../../src/layer/extract-layers.js';
import { extractSettings } from '../../src/layer/extract-options.js';
import { fetchLayer } from '../../src/layer/fetch-layer.js';
import type { LayerSource } from '../../src/layer/layer-input.js';
import { MediaType } from '../../src/spec/media-types.js';
import { digestOf } from '../../src/testing/testing.js';
import { openFilesUnder } from '../support/open-files.js';
import { tempDir } from '../support/temp-dir.js';
import { blobSource, gzipLayer, type MadeLayer, makeLayer, seededTar } from './layer-source.js';

type Change = (blob: Buffer) => Buffer;

interface Case {
  readonly code: string;
  readonly made: MadeLayer;
  readonly change?: Change;
  /** `fetchLayer` cannot know of it. */
  readonly extractOnly?: boolean;
}

const tar = seededTar(7, 6_000_000);
const small = seededTar(8, 50_000);

function flip(at: (length: number) => number): Change {
  return (blob) => {
    const changed = Buffer.from(blob);
    const index = at(blob.length);
    changed[index] = (changed[index] ?? 0) ^ 0x10;
    return changed;
  };
}

function cases(bytes: Buffer): Record<string, Case> {
  const made = gzipLayer(bytes);
  const gzip = (blob: Buffer): MadeLayer => makeLayer(bytes, blob, MediaType.ociLayerGzip);
  const { layer } = made;
  const sized = (size: number): MadeLayer => ({
    ...made,
    layer: { ...layer, descriptor: { ...layer.descriptor, size } },
  });
  const named = (mediaType: string): MadeLayer => ({
    ...made,
    layer: { ...layer, descriptor: { ...layer.descriptor, mediaType } },
  });
  return {
    'first byte flipped': { made, change: flip(() => 0), code: 'ERR_DIGEST_MISMATCH' },
    'byte in the middle flipped': { made, change: flip((length) => length >> 1), code: 'ERR_DIGEST_MISMATCH' },
    'last byte flipped': { made, change: flip((length) => length - 1), code: 'ERR_DIGEST_MISMATCH' },
    truncated: { made, change: (blob) => blob.subarray(0, blob.length - 1000), code: 'ERR_DIGEST_MISMATCH' },
    'cut to nothing': { made, change: () => Buffer.alloc(0), code: 'ERR_DIGEST_MISMATCH' },
    extended: { made, change: (blob) => Buffer.concat([blob, Buffer.alloc(70_000)]), code: 'ERR_SIZE_MISMATCH' },
    'changed and extended': {
      made,
      change: (blob) => Buffer.concat([flip(() => 20)(blob), Buffer.alloc(10)]),
      code: 'ERR_DIGEST_MISMATCH',
    },
    'a size that is too large': { made: sized(made.blob.length + 5), code: 'ERR_SIZE_MISMATCH' },
    'a size that is too small': { made: sized(made.blob.length - 5), code: 'ERR_DIGEST_MISMATCH' },
    'wrong diffId': {
      made: { ...made, layer: { ...layer, diffId: digestOf(Buffer.from('something else')) } },
      code: 'ERR_DIFFID_MISMATCH',
      extractOnly: true,
    },
    'garbage behind gzip': { made: gzip(Buffer.concat([made.blob, Buffer.from('garbage')])), code: 'ERR_DECOMPRESS' },
    'wrong CRC32 under a right digest': { made: gzip(flip((length) => length - 7)(made.blob)), code: 'ERR_DECOMPRESS' },
    'wrong length under a right digest': {
      made: gzip(flip((length) => length - 2)(made.blob)),
      code: 'ERR_DECOMPRESS',
    },
    'truncated under a right digest': {
      made: gzip(made.blob.subarray(0, made.blob.length - 9)),
      code: 'ERR_DECOMPRESS',
    },
    'half a second member': {
      made: gzip(Buffer.concat([made.blob, made.blob.subarray(0, 40)])),
      code: 'ERR_DECOMPRESS',
    },
    bzip2: {
      made: makeLayer(bytes, Buffer.from('BZh91AY&SY.......'), MediaType.ociLayer),
      code: 'ERR_MEDIA_TYPE_UNSUPPORTED',
    },
    encrypted: { made: named(`${MediaType.ociLayerGzip}+encrypted`), code: 'ERR_MEDIA_TYPE_UNSUPPORTED' },
    'not a layer': { made: named('application/vnd.oci.image.config.v1+json'), code: 'ERR_MEDIA_TYPE_UNSUPPORTED' },
    'digest that is a path': {
      made: { ...made, layer: { ...layer, descriptor: { ...layer.descriptor, digest: 'sha256:../../../etc/passwd' } } },
      code: 'ERR_DIGEST_INVALID',
    },
    'unknown algorithm': {
      made: {
        ...made,
        layer: { ...layer, descriptor: { ...layer.descriptor, digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' } },
      },
      code: 'ERR_DIGEST_UNSUPPORTED',
    },
    'negative size': { made: sized(-1), code: 'ERR_OPTION_INVALID' },
    'size that is no number': { made: sized(Number.NaN), code: 'ERR_OPTION_INVALID' },
  };
}

for (const [kind, bytes] of [
  ['small', small],
  ['large', tar],
] as const) {
  for (const local of [false, true]) {
    test(`a damaged layer is refused and leaves nothing: ${kind}, ${local ? 'a local blob' : 'streamed'}`, async (t) => {
      const blobs = tempDir(t);
      for (const [name, { made, change, code }] of Object.entries(cases(bytes))) {
        const dst = tempDir(t);
        const source = blobSource([made], local ? blobs : undefined, change);
        await assert.rejects(extractLayer(source, made.layer, dst), { code }, name);
        assert.deepEqual(leftIn(dst), [], name);
        assert.deepEqual(openFilesUnder(dst), [], name);
      }
    });
  }

  test(`fetchLayer refuses the same: ${kind}`, async () => {
    for (const [name, { made, change, code, extractOnly }] of Object.entries(cases(bytes))) {
      if (extractOnly === true) continue;
      await assert.rejects(
        async () => {
          for await (const chunk of await fetchLayer(blobSource([made], undefined, change), made.layer.descriptor)) {
            assert.ok(chunk.length > 0);
          }
        },
        { code },
        name,
      );
    }
  });
}

function leftIn(dst: string): string[] {
  return readdirSync(dst, { recursive: true, encoding: 'utf8' }).filter(
    (name) => !['ingest', 'sha256', 'meta'].includes(name),
  );
}

test('a bomb is stopped by each limit, and small limits are said', async (t) => {
  const bomb = makeLayer(Buffer.alloc(0), gzipSync(Buffer.alloc(50_000_000)), MediaType.ociLayerGzip);
  const { diffId: _, ...layer } = bomb.layer;
  const dst = tempDir(t);
  await assert.rejects(extractLayer(blobSource([bomb]), layer, dst, { maxLayerSize: 10_000_000 }), {
    code: 'ERR_LIMIT_EXCEEDED',
    message: /10000000 bytes/,
  });
  assert.deepEqual(leftIn(dst), []);
  await assert.rejects(
    async () => {
      for await (const chunk of await fetchLayer(blobSource([bomb]), layer.descriptor, { maxLayerSize: 10_000_000 })) {
        assert.ok(chunk.length > 0);
      }
    },
    { code: 'ERR_LIMIT_EXCEEDED' },
  );
});

test('a blob that is promised to be larger than any layer may be is not fetched', async (t) => {
  const small = makeLayer(Buffer.alloc(0), gzipSync(Buffer.alloc(1_000)), MediaType.ociLayerGzip);
  const source = { fetch: () => assert.fail('it was fetched') } as unknown as LayerSource;
  const limit = { maxLayerSize: 10_000_000 };
  for (const [size, fetched] of [
    [10_165_536, true],
    [10_165_537, false],
    [Number.MAX_SAFE_INTEGER, false],
  ] as const) {
    const descriptor = { ...small.layer.descriptor, size };
    const refusal = {
      message: fetched
        ? /it was fetched/
        : /bytes, more than a layer of at most 10000000 uncompressed bytes compresses to/,
    };
    const dst = tempDir(t);
    await assert.rejects(extractLayer(source, { descriptor }, dst, limit), refusal);
    await assert.rejects(async () => (await fetchLayer(source, descriptor, limit)).toArray(), refusal);
    assert.deepEqual(leftIn(dst), []);
  }
});

test('the first failure is thrown, the others are ended, what was finished stays', async (t) => {
  const dst = tempDir(t);
  const good = gzipLayer(seededTar(20, 30_000));
  const bad = gzipLayer(seededTar(21, 9_000_000));
  const others = [22, 23, 24, 25].map((seed) => gzipLayer(seededTar(seed, 3_000_000)));
  const all = [good, ...others, bad];
  await (await extractLayer(blobSource([good]), good.layer, dst)).close();
  const source = blobSource(all, undefined, (blob, digest) =>
    digest === bad.layer.descriptor.digest ? flip((n) => n - 9)(blob) : blob,
  );
  await assert.rejects(
    extractLayers(
      source,
      all.map(({ layer }) => layer),
      dst,
      { jobs: 2 },
    ),
    {
      code: 'ERR_DIGEST_MISMATCH',
      message: new RegExp(`^${bad.layer.descriptor.digest}`),
    },
  );
  assert.deepEqual(readdirSync(join(dst, 'ingest')), []);
  assert.ok(readdirSync(join(dst, 'sha256')).includes(good.layer.diffId.slice(7)));
  assert.deepEqual(openFilesUnder(dst), []);
});

test('a store that is not there, under a file, or not a folder', async (t) => {
  const made = gzipLayer(small);
  const folder = tempDir(t);
  mkdirSync(join(folder, 'x'));
  await assert.rejects(extractLayer(blobSource([made]), made.layer, join(folder, 'none')), { code: 'ERR_NOT_FOUND' });
  const handle = await extractLayer(blobSource([made]), made.layer, folder);
  await handle.close();
  await assert.rejects(extractLayer(blobSource([made]), made.layer, handle.path), { code: 'ERR_FILESYSTEM' });
  await assert.rejects(extractLayer(blobSource([made]), made.layer, join(handle.path, 'x')), {
    code: 'ERR_FILESYSTEM',
  });
});

test('bad options are named with their value, before anything happens', async (t) => {
  const dst = tempDir(t);
  const made = gzipLayer(small);
  const bad: readonly [object, RegExp][] = [
    [{ jobs: 0 }, /^jobs: 0 /],
    [{ jobs: 1.5 }, /^jobs: 1.5 /],
    [{ workers: -1 }, /^workers: -1 /],
    [{ verify: 'never' }, /^verify: "never" /],
    [{ fsync: 'all' }, /^fsync: "all" /],
    [{ maxLayerSize: -5 }, /^maxLayerSize: -5 /],
    [{ maxRatio: 0 }, /^maxRatio: 0 /],
    [{ resume: 'yes' }, /^resume: "yes" /],
    [{ parallelRanges: 1000 }, /^parallelRanges: 1000 /],
  ];
  for (const [options, message] of bad) {
    await assert.rejects(extractLayer(blobSource([made]), made.layer, dst, options), {
      code: 'ERR_OPTION_INVALID',
      message,
    });
  }
  assert.deepEqual(readdirSync(dst), []);
});

test('a machine of more cores than may work at once is no bad option', (t) => {
  t.mock.method(os, 'availableParallelism', () => 384);
  syncBuiltinESMExports();
  try {
    assert.equal(extractSettings({}).workers, 256);
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
});

test('a local blob that cannot be read is named, not the store', { skip: process.platform !== 'linux' }, async (t) => {
  const { layer } = gzipLayer(small);
  // A regular file whose first bytes nobody can read.
  const path = '/proc/self/mem';
  const source: LayerSource = {
    fetch: () => assert.fail('it lies here'),
    blobPath: async () => ({ path, offset: 0, size: layer.descriptor.size }),
  };
  const refused = { code: 'ERR_FILESYSTEM', message: /^\/proc\/self\/mem: EIO/ };
  await assert.rejects(extractLayers(source, [layer], tempDir(t)), refused);
});
