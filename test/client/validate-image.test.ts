/** What `validateImage` finds beyond bytes that are not what a digest says. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { validateImage } from '../../src/client/validate-image.js';
import type { ErrorCode } from '../../src/errors.js';
import type { Endpoint } from '../../src/registry/endpoint.js';
import { createRepository } from '../../src/registry/repository.js';
import { MediaType } from '../../src/spec/media-types.js';
import { type BuiltImage, image, index, startRegistry, writeLayout } from '../../src/testing/testing.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { memoryWith } from '../support/memory-with.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const sound = image()
  .layer((layer) => layer.file('a', 'one'))
  .layer((layer) => layer.file('b', 'two'), { compression: 'none' })
  .build();
const [first, second] = sound.layers;
assert.ok(first !== undefined && second !== undefined);
const text = Buffer.from('this is no tar, however long it may be. '.repeat(40));
const D = `sha256:${'d'.repeat(64)}` as const;

/** What it shows, the image, the code and the message. Every byte of each is what its digest says. */
const UNSOUND: readonly (readonly [string, BuiltImage, ErrorCode, RegExp])[] = [
  [
    'a layer that unpacks to something else than the config promises',
    image().layer(first.tar, { diffId: D }).build(),
    'ERR_DIFFID_MISMATCH',
    /its uncompressed bytes are sha256:.*, the image's config promises sha256:d+; ask who publishes it$/,
  ],
  [
    'a layer with a promise in another algorithm that does not hold',
    image()
      .layer(first.tar, { diffId: `sha512:${'e'.repeat(128)}` })
      .build(),
    'ERR_DIFFID_MISMATCH',
    /its uncompressed bytes are sha512:/,
  ],
  [
    'a gzip stream that is cut',
    image()
      .layer(first.tar, { blob: gzipSync(first.tar).subarray(0, -5) })
      .build(),
    'ERR_DECOMPRESS',
    /gzip stream is damaged/,
  ],
  ['a layer that is no tar', image().layer(text).build(), 'ERR_TAR_INVALID', /^sha256:[0-9a-f]{64}: tar at byte 0: /],
  [
    'a layer that is no tar, nor what the config promises: the latter says more',
    image().layer(text, { diffId: D }).build(),
    'ERR_DIFFID_MISMATCH',
    /promises sha256:d+/,
  ],
  [
    'a layer that was compressed twice',
    image().layer(gzipSync(first.tar)).build(),
    'ERR_TAR_INVALID',
    /expected a whole header/,
  ],
  [
    'more diffIDs than layers',
    image()
      .layer(first.tar)
      .configFields({ rootfs: { type: 'layers', diff_ids: [first.diffId, second.diffId] } })
      .build(),
    'ERR_CONFIG_INVALID',
    /: sha256:[0-9a-f]{64}: the manifest has 1 layers, but the config has 2 diffIDs/,
  ],
  [
    'a config that is none',
    image()
      .configFields({ rootfs: { type: 'other' } })
      .build(),
    'ERR_CONFIG_INVALID',
    /rootfs\.type of the image config is wrong/,
  ],
];

for (const [what, built, code, message] of UNSOUND) {
  test(`${what}: ${code}, also beside a sound image, unless only digests are asked about`, async () => {
    for (const one of [built, index().add(sound).add(built).build()]) {
      const store = await memoryWith(one);
      await assert.rejects(validateImage(store, 'v1'), { code, message });
      const { blobs } = await validateImage(store, 'v1', { digestsOnly: true });
      assert.equal(blobs, one.blobs.size - one.documents.size);
    }
  });
}

test('sound: two images that share a layer, one twice, an empty one, a promise of two algorithms', async () => {
  const sha512 = image().digestAlgorithm('sha512').layer(first.tar).build().layers[0]?.diffId;
  const built = index()
    .add(sound)
    .add(image().platform('linux/arm64').layer(first.tar).layer(first.tar).layer(Buffer.alloc(0)).build())
    .add(image().platform('linux/arm').layer(first.tar, { diffId: sha512 }).build())
    .build();
  const found = await validateImage(await memoryWith(built), 'v1');
  assert.equal(found.manifests, 4);
  assert.equal(found.blobs, built.blobs.size - built.documents.size);
});

test('one layer of two images, of which one promises something else', async () => {
  const wrong = image().platform('linux/arm64').layer(first.tar, { diffId: D }).build();
  const store = await memoryWith(index().add(sound).add(wrong).build());
  await assert.rejects(validateImage(store, 'v1'), { code: 'ERR_DIFFID_MISMATCH' });
  await validateImage(store, 'v1', { platform: 'linux/amd64' });
});

test('artifacts are not looked into; layers that are not read are checked for their bytes, and said', async () => {
  const chart = image()
    .manifestFields({ config: { ...sound.manifest.config, mediaType: 'application/vnd.cncf.helm.config.v1+json' } })
    .layer(text, { mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip', diffId: D })
    .build();
  const store = await memoryWith(chart);
  const config = sound.manifest.config;
  await store.push(config, Readable.from([sound.configBytes]));
  const warnings: string[] = [];
  const onProgress = (event: { type: string; message?: string }): unknown =>
    event.type === 'warning:raised' && warnings.push(event.message ?? '');
  await validateImage(store, 'v1', { onProgress });
  assert.deepEqual(warnings, []);

  const encrypted = image()
    .layer(text, { mediaType: `${MediaType.ociLayerGzip}+encrypted`, blob: text, diffId: D })
    .build();
  await validateImage(await memoryWith(encrypted), 'v1', { onProgress });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /^only its bytes are checked: sha256:.*: the layer is encrypted/);
});

test('what an index says is no image is not looked into, whatever types its manifest and config have', async () => {
  const layer = { blob: text, mediaType: 'application/vnd.example.build-type+json' };
  const builder = image().layer(text, layer).configFields({ rootfs: undefined }).build();
  const besides = index().add(sound).add(builder, { platform: 'unknown/unknown' }).build();
  assert.equal((await validateImage(await memoryWith(besides), 'v1')).manifests, 3);
  const claimed = index().add(sound).add(builder, { platform: 'linux/arm64' }).build();
  await assert.rejects(validateImage(await memoryWith(claimed), 'v1'), { code: 'ERR_CONFIG_INVALID' });
});

test('a wrong byte is told as such, whatever it makes of the tar and of the compression', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('a', 'v1', sound);
  for (const layer of [first, second]) {
    registry.fault({ on: 'blob', reference: layer.descriptor.digest, do: 'flip' });
    await assert.rejects(validateImage(createRepository(`${registry.host}/a`), 'v1'), {
      code: 'ERR_DIGEST_MISMATCH',
      message: new RegExp(layer.descriptor.digest),
    });
  }
});

test('a mirror that has a blob wrong says nothing of the image', async (t) => {
  const [registry, mirror] = await Promise.all([startRegistry(), startRegistry()]);
  t.after(() => Promise.all([registry.close(), mirror.close()]));
  for (const one of [registry, mirror]) one.add('a', 'v1', sound);
  mirror.fault({ on: 'blob', do: 'flip' });
  const capabilities = ['pull', 'resolve'] as const;
  const place = { repository: 'a', credentialHost: registry.host, capabilities, source: 'the test' };
  const endpoints: readonly Endpoint[] = [
    { ...place, baseUrl: mirror.url, mirrorOf: registry.host },
    { ...place, baseUrl: registry.url },
  ];
  const repository = createRepository(`${registry.host}/a`, { endpoints: { endpoints: async () => endpoints } });
  const { warnings, onProgress } = collectWarnings();
  for (const digestsOnly of [false, true]) await validateImage(repository, 'v1', { digestsOnly, onProgress });
  assert.ok(
    warnings.includes(`${first.descriptor.digest}: the bytes that came were wrong; fetching it from elsewhere`),
  );
  registry.fault({ on: 'blob', reference: second.descriptor.digest, do: 'flip' });
  await assert.rejects(validateImage(repository, 'v1'), { code: 'ERR_DIGEST_MISMATCH' });
});

test('limits of layers hold, and an abort ends with its own reason', async () => {
  const store = await memoryWith(sound);
  await assert.rejects(validateImage(store, 'v1', { maxLayerSize: 100 }), { code: 'ERR_LIMIT_EXCEEDED' });
  const reason = new Error('enough');
  await assert.rejects(validateImage(store, 'v1', { signal: AbortSignal.abort(reason) }), reason);
});

test('the command: exit code 5 and the layer, nothing wrong with --digests-only', async (t) => {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, { v1: image().layer(first.tar, { diffId: D }).build() });
  const found = await runRootfs(['validate', `oci:${folder}:v1`]);
  assert.equal(found.code, 5);
  assert.match(found.stderr.toString(), /promises sha256:d+; ask who publishes it \[ERR_DIFFID_MISMATCH\]/);
  assert.equal((await runRootfs(['validate', '--digests-only', `oci:${folder}:v1`])).code, 0);
  const limited = await runRootfs(['validate', '--max-layer-size', '1KiB', `oci:${folder}:v1`]);
  assert.match(limited.stderr.toString(), /ERR_LIMIT_EXCEEDED/);
});
