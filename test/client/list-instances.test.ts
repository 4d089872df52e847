/** The images of layouts, archives and folders; what registries list is in registry-client.test.ts. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { MAX_MEASURED } from '../../src/client/instance-reader.js';
import { listInstances } from '../../src/client/list-instances.js';
import { MemoryStore } from '../../src/content/memory.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { Instance } from '../../src/registry/listed-instances.js';
import {
  type BuiltImage,
  describe,
  digestOf,
  document,
  image,
  index,
  startRegistry,
  writeLayout,
} from '../../src/testing/testing.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { datedImage, imageBytes } from '../support/dated-image.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const young = datedImage('young', '2022-01-01T00:00:00Z');
const old = datedImage('old', '2020-01-01T00:00:00Z');
const unnamed = datedImage('unnamed', '2021-01-01T00:00:00Z');

async function listed(folder: string): Promise<{ list: readonly Instance[]; warnings: readonly string[] }> {
  const { warnings, onProgress } = collectWarnings();
  const found = await listInstances(await OciLayout.open(folder), { onProgress });
  return { list: [...found.values()], warnings };
}

test('a layout: every name of an image, and images without one, oldest first', async (t) => {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, { b: young, a: young, old, unnamed });
  const list = join(folder, 'index.json');
  const parsed = JSON.parse(readFileSync(list, 'utf8'));
  for (const entry of parsed.manifests) if (entry.digest === unnamed.descriptor.digest) delete entry.annotations;
  writeFileSync(list, JSON.stringify(parsed));
  const found = await listInstances(await OciLayout.open(folder));
  assert.deepEqual(
    [...found.values()],
    [
      { digest: old.descriptor.digest, size: imageBytes(old), tags: ['old'], created: new Date('2020-01-01') },
      { digest: unnamed.descriptor.digest, size: imageBytes(unnamed), tags: [], created: new Date('2021-01-01') },
      { digest: young.descriptor.digest, size: imageBytes(young), tags: ['a', 'b'], created: new Date('2022-01-01') },
    ],
  );
  assert.deepEqual(
    [...found.keys()],
    [...found.values()].map(({ digest }) => digest),
  );
});

test('a manifest that is not here, or is none, is left out with a warning', async (t) => {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, { young, old });
  rmSync(join(folder, 'blobs', old.descriptor.digest.replace(':', '/')));
  const events: ProgressEvent[] = [];
  const source = await OciLayout.open(folder);
  const found = await listInstances(source, { onProgress: (event) => void events.push(event) });
  assert.deepEqual([...found.keys()], [young.descriptor.digest]);
  const warnings = events.flatMap((event) => (event.type === 'warning:raised' ? [event.message] : []));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', new RegExp(`${old.descriptor.digest}.*; left out \\(old\\)$`));
});

test('one odd tag of a registry hides none of the others', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('app', 'good', young);
  registry.add('app', 'odd', document('application/vnd.oci.image.manifest.v1+json', { schemaVersion: 2 }));
  const { code, stdout, stderr } = await runRootfs(['instances', `${registry.host}/app`]);
  assert.equal(code, 0, stderr);
  assert.match(stdout.toString(), /good/);
  assert.match(stderr, /left out \(odd\)/);
});

test('an index whose images were not all copied counts those by their manifests', async (t) => {
  const folder = join(tempDir(t), 'layout');
  const both = index().add(young).add(old).build();
  await writeLayout(folder, { both });
  rmSync(join(folder, 'blobs', old.descriptor.digest.replace(':', '/')));
  const [instance] = [...(await listInstances(await OciLayout.open(folder))).values()];
  const size = both.descriptor.size + imageBytes(young) + old.manifestBytes.length;
  assert.deepEqual([instance?.digest, instance?.size], [both.descriptor.digest, size]);
});

test('an index is listed with a time whatever its platforms are, and whichever of its images are here', async (t) => {
  const folder = join(tempDir(t), 'layout');
  const partial = index()
    .attestation(old)
    .add(young, { platform: 'linux/amd64', missing: true })
    .add(old, { platform: 'linux/s390x' })
    .add(unnamed, { platform: 'linux/riscv64' })
    .build();
  await writeLayout(folder, { partial });
  const [instance] = [...(await listInstances(await OciLayout.open(folder))).values()];
  assert.deepEqual([instance?.tags, instance?.created], [['partial'], new Date('2020-01-01')]);
});

test('an index that lists no manifests, as caches of builds do, counts what it lists', async (t) => {
  const folder = join(tempDir(t), 'layout');
  const layer = describe('application/vnd.oci.image.layer.v1.tar+gzip', Buffer.from('layer'));
  const config = describe('application/vnd.buildkit.cacheconfig.v0', Buffer.from('{}'));
  const cache = index().entry(layer).entry(config).build();
  await writeLayout(folder, { cache, nested: index().add(cache).build() });
  for (const text of ['layer', '{}']) {
    writeFileSync(join(folder, 'blobs', digestOf(Buffer.from(text)).replace(':', '/')), text);
  }
  const { list, warnings } = await listed(folder);
  const { digest } = cache.descriptor;
  const size = cache.indexBytes.length + layer.size + config.size;
  assert.deepEqual(
    list.find((one) => one.digest === digest),
    { digest, size, tags: ['cache'] },
  );
  assert.deepEqual([list.length, warnings], [2, []]);
});

test('an image whose config is missing, or is none, is listed without a time', async (t) => {
  const folder = join(tempDir(t), 'layout');
  const nonsense = image().manifestFields({ config: describe(old.manifest.config.mediaType, Buffer.from('[]')) });
  await writeLayout(folder, { young, nonsense: nonsense.build() });
  rmSync(join(folder, 'blobs', young.manifest.config.digest.replace(':', '/')));
  writeFileSync(join(folder, 'blobs', digestOf(Buffer.from('[]')).replace(':', '/')), '[]');
  const { list, warnings } = await listed(folder);
  assert.deepEqual(list.map(({ tags, created }) => [tags, created]).sort(), [
    [['nonsense'], undefined],
    [['young'], undefined],
  ]);
  assert.equal(warnings.length, 2, warnings.join('\n'));
  assert.match(warnings[0] ?? '', /no such blob .*; listed without a time \(young\)$/);
  assert.match(warnings[1] ?? '', /not a JSON object.*; listed without a time \(nonsense\)$/);
});

test('what cannot be read by its size, its digest or its kind hides nothing else; wrong bytes end the list', async (t) => {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, {
    young,
    schema1: document('application/vnd.docker.distribution.manifest.v1+json', '{"schemaVersion":1}'),
  });
  const list = join(folder, 'index.json');
  const parsed = JSON.parse(readFileSync(list, 'utf8'));
  const { mediaType } = young.descriptor;
  parsed.manifests.push(
    { mediaType, digest: `sha256:${'a'.repeat(64)}`, size: 4 * 1024 * 1024 + 1 },
    { mediaType, digest: `sha384:${'a'.repeat(96)}`, size: 2 },
  );
  writeFileSync(list, JSON.stringify(parsed));
  const { warnings, onProgress } = collectWarnings();
  const source = await OciLayout.open(folder);
  assert.deepEqual([...(await listInstances(source, { onProgress })).keys()], [young.descriptor.digest]);
  assert.equal(warnings.length, 3, warnings.join('\n'));
  for (const [at, pattern] of [
    /schema 1.*left out \(schema1\)$/,
    /limit of 4194304.*left out$/,
    /sha384.*left out$/,
  ].entries()) {
    assert.match(warnings[at] ?? '', pattern);
  }
  const path = join(folder, 'blobs', young.descriptor.digest.replace(':', '/'));
  writeFileSync(path, readFileSync(path).fill(0x20));
  await assert.rejects(listInstances(source), { code: 'ERR_DIGEST_MISMATCH' });
});

test(`of an index ${MAX_MEASURED} manifests are read, the others count as it says`, async (t) => {
  const folder = join(tempDir(t), 'layout');
  const many = index();
  for (let entry = 0; entry < MAX_MEASURED - 1; entry += 1) many.add(unnamed);
  const built = many.add(old).add(young).build();
  await writeLayout(folder, { built });
  const { list, warnings } = await listed(folder);
  const [instance] = list;
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(
    warnings[0] ?? '',
    new RegExp(`^${built.descriptor.digest}: of its 1001 manifests 1000 are read; .* \\(built\\)$`),
  );
  const others = (MAX_MEASURED - 1) * imageBytes(unnamed) + imageBytes(old) + young.manifestBytes.length;
  assert.equal(instance?.size, built.indexBytes.length + others);
});

test('manifests and configs that many images share are read once', async (t) => {
  const folder = join(tempDir(t), 'layout');
  const labelled = (at: number): BuiltImage =>
    image()
      .manifestFields({ ...old.manifest, annotations: { at: `${at}` } })
      .build();
  const pair = (at: number) => {
    const both = index().fields({ annotations: { at: `${at}` } });
    for (let entry = 0; entry < 20; entry += 1) both.add(young);
    return both.build();
  };
  const images = Array.from({ length: 10 }, (_, at) => [
    [`i${at}`, pair(at)],
    [`m${at}`, labelled(at)],
  ]).flat();
  await writeLayout(folder, { old, ...Object.fromEntries(images) });
  const source = await OciLayout.open(folder);
  const { fetch } = source;
  const fetched = new Map<string, number>();
  source.fetch = (target, options) => {
    fetched.set(target.digest, (fetched.get(target.digest) ?? 0) + 1);
    return fetch.call(source, target, options);
  };
  const found = await listInstances(source);
  assert.equal(found.size, 21);
  for (const [digest, times] of fetched) assert.equal(times, 1, digest);
  for (const { created } of found.values()) assert.ok(created);
});

test('a layout of many entries reads its index once, not for each of them', async (t) => {
  const folder = join(tempDir(t), 'layout');
  // One of them is in the index alone.
  await writeLayout(folder, { young, old, inner: index().add(unnamed).build() });
  const source = await OciLayout.open(folder);
  const { entries } = source;
  source.entries = async function* (...args) {
    yield* entries.apply(source, args);
    rmSync(join(folder, 'index.json'));
  };
  assert.equal((await listInstances(source)).size, 3);
});

test('a store in memory, by its names', async () => {
  const store = new MemoryStore();
  for (const [digest, bytes] of young.blobs) {
    await store.push({ mediaType: 'application/octet-stream', digest, size: bytes.length }, Readable.from([bytes]));
  }
  await store.tag(young.descriptor, 'b');
  await store.tag(young.descriptor, 'a');
  const [instance] = [...(await listInstances(store)).values()];
  assert.deepEqual([instance?.digest, instance?.tags], [young.descriptor.digest, ['a', 'b']]);
});

test('an abort is heard while an own source hangs in its list, or in a name', async () => {
  const never = (): Promise<never> => new Promise(() => {});
  const endless = new MemoryStore();
  endless.tags = async function* () {
    yield* [];
    await never();
  };
  const deaf = new MemoryStore();
  deaf.tags = async function* () {
    yield 'v1';
  };
  deaf.resolve = never;
  const silent = Object.assign(new MemoryStore(), {
    async *listing() {
      yield* [await never()];
    },
  });
  for (const source of [endless, deaf, silent]) {
    const abort = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => abort.abort(reason), 20);
    await assert.rejects(listInstances(source, { signal: abort.signal }), (error) => error === reason);
  }
});
