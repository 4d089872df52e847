/** copyImage between stores in memory, layouts and the testing registry. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { CallOptions, FetchOptions, ReadOnlyTarget } from '../../src/content/content.js';
import { readVerified } from '../../src/content/fetch-verified.js';
import { MemoryStore } from '../../src/content/memory.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { copyImage } from '../../src/image/copy-image.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { findReferrers } from '../../src/image/find-referrers.js';
import { writeArchive } from '../../src/image/write-archive.js';
import type { ProgressEvent } from '../../src/progress.js';
import { createRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import {
  type Built,
  describe,
  image,
  index,
  startRegistry,
  type TestRegistry,
  writeLayout,
} from '../../src/testing/testing.js';
import { hangingSource } from '../support/hanging-source.js';
import { memoryWith } from '../support/memory-with.js';
import { sampleIndex } from '../support/sample-index.js';
import { tempDir } from '../support/temp-dir.js';

async function registryWith(t: TestContext, built?: Built): Promise<TestRegistry> {
  const registry = await startRegistry();
  t.after(() => registry.close());
  if (built !== undefined) registry.add('from/app', 'v1', built);
  return registry;
}

async function checkWhole(store: { fetch: MemoryStore['fetch'] }, built: Built): Promise<void> {
  for (const [digest, bytes] of built.blobs) {
    const mediaType = built.documents.get(digest) ?? 'application/octet-stream';
    const descriptor: Descriptor = { mediaType, digest, size: bytes.length };
    assert.ok((await readVerified(store, descriptor, { maxBytes: 2 ** 26 })).equals(bytes), digest);
  }
}

test('a whole index goes from a registry through a layout to another registry, every byte the same', async (t) => {
  const { built } = sampleIndex();
  const from = await registryWith(t, built);
  const to = await registryWith(t);
  const layout = await OciLayout.open(join(tempDir(t), 'layout'), { create: true });
  const source = createRepository(`${from.host}/from/app`);
  const copied = await copyImage(source, 'v1', layout, 'v1');
  assert.deepEqual(copied.descriptor, built.descriptor);
  assert.deepEqual([copied.manifests, copied.presentBlobs], [4, 0]);
  assert.equal(copied.copiedBlobs, built.blobs.size - 4);
  await checkWhole(layout, built);
  const target = createRepository(`${to.host}/to/app`);
  await copyImage(layout, 'v1', target, 'v2');
  assert.deepEqual(await target.resolve('v2'), built.descriptor);
  await checkWhole(target, built);
});

test('a registry gets what lies below under its digest, and the root once, under its name', async (t) => {
  const { built } = sampleIndex();
  const from = await registryWith(t, built);
  const to = await registryWith(t);
  to.fault({ on: 'manifest', method: 'PUT', reference: built.descriptor.digest, do: 'answer', status: 405 });
  const target = createRepository(`${to.host}/to/app`);
  await copyImage(createRepository(`${from.host}/from/app`), 'v1', target, 'v2');
  const puts = to.log.of('manifest').filter(({ method }) => method === 'PUT');
  assert.equal(puts.length, 4);
  assert.deepEqual(
    puts.map(({ reference }) => /^sha256:/.test(reference ?? '')),
    [true, true, true, false],
  );
  await checkWhole(target, built);
});

test('what is there is not fetched again', async (t) => {
  const { built } = sampleIndex();
  const from = await registryWith(t, built);
  const store = new MemoryStore();
  const source = createRepository(`${from.host}/from/app`);
  await copyImage(source, 'v1', store, 'v1');
  const before = from.log.requests.filter(({ kind }) => kind === 'blob').length;
  const events: ProgressEvent[] = [];
  const again = await copyImage(source, 'v1', store, 'again', { onProgress: (event) => events.push(event) });
  assert.equal(from.log.requests.filter(({ kind }) => kind === 'blob').length, before);
  assert.deepEqual([again.copiedBlobs, again.copiedBytes, again.presentBlobs], [0, 0, built.blobs.size - 4]);
  const copied = events.filter((event) => event.type === 'blob:copied');
  assert.ok(copied.length > 0 && copied.every(({ skipped }) => skipped));
});

test('a platform narrows to its manifest', async () => {
  const { built, arm64 } = sampleIndex();
  const store = new MemoryStore();
  const copied = await copyImage(await memoryWith(built), 'v1', store, 'arm', { platform: 'linux/arm64' });
  assert.equal(copied.descriptor.digest, arm64.descriptor.digest);
  assert.equal(copied.source.digest, built.descriptor.digest);
  assert.deepEqual([copied.manifests, copied.copiedBlobs], [1, 3]);
  await checkWhole(store, arm64);
  assert.equal((await store.resolve('arm')).platform, undefined);
});

test('nested indexes come whole, children before parents, the tag last', async () => {
  const { built } = sampleIndex();
  const outer = index()
    .add(built)
    .add(
      image()
        .platform('linux/386')
        .layer(() => {})
        .build(),
    )
    .build();
  const pushed: string[] = [];
  class Recorder extends MemoryStore {
    override async push(expected: Descriptor, content: AsyncIterable<Uint8Array>, call?: CallOptions): Promise<void> {
      await super.push(expected, content, call);
      pushed.push(expected.digest);
    }
    override async tag(target: Descriptor, reference: string, call?: CallOptions): Promise<void> {
      await super.tag(target, reference, call);
      pushed.push(`tag ${reference}`);
    }
  }
  const store = new Recorder();
  await copyImage(await memoryWith(outer), 'v1', store, 'v1');
  await checkWhole(store, outer);
  const at = (digest: string): number => pushed.indexOf(digest);
  for (const { digest } of built.index.manifests) assert.ok(at(digest) < at(built.descriptor.digest));
  assert.ok(at(built.descriptor.digest) < at(outer.descriptor.digest));
  assert.equal(pushed.at(-1), 'tag v1');
  assert.equal(new Set(pushed).size, pushed.length);
});

test('many manifests are read at once without a warning, though a signal may end them', async (t) => {
  const many = index();
  for (let at = 0; at < 60; at += 1)
    many.add(
      image()
        .configFields({ author: `${at}` })
        .build(),
    );
  const folder = tempDir(t);
  await writeLayout(folder, { v1: many.build() });
  const warnings: Error[] = [];
  const listen = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', listen);
  const { signal } = new AbortController();
  const copied = await copyImage(await OciLayout.open(folder), 'v1', new MemoryStore(), 'v1', { signal, jobs: 16 });
  // Warnings come in the next turn.
  await new Promise(setImmediate);
  process.off('warning', listen);
  assert.equal(copied.manifests, 61);
  assert.deepEqual(warnings, []);
});

test('indexes lie as deep in each other as they may when one image is fetched', async () => {
  let built = index().add(image().platform('linux/amd64').build()).build();
  for (let depth = 0; depth < 8; depth += 1) built = index().add(built).build();
  const deepest = await memoryWith(built);
  await fetchImage(deepest, 'v1', { platform: 'linux/amd64' });
  assert.equal((await copyImage(deepest, 'v1', new MemoryStore(), 'v1')).manifests, 10);
  const deeper = await memoryWith(index().add(built).build());
  const refused = { code: 'ERR_LIMIT_EXCEEDED', message: /indexes lie over 8 deep in each other/ };
  await assert.rejects(fetchImage(deeper, 'v1', { platform: 'linux/amd64' }), refused);
  await assert.rejects(copyImage(deeper, 'v1', new MemoryStore(), 'v1'), refused);
});

test('4,096 manifests are copied under one name, and not one more', async () => {
  const store = new MemoryStore();
  const put = async (mediaType: string, content: object): Promise<Descriptor> => {
    const bytes = Buffer.from(JSON.stringify(content));
    const descriptor = describe(mediaType, bytes);
    await store.push(descriptor, Readable.from([bytes]));
    return descriptor;
  };
  const config = await put('application/vnd.oci.image.config.v1+json', {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [] },
  });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifests: Descriptor[] = [];
  for (let at = 0; at < 4096; at += 1) {
    manifests.push(
      await put(mediaType, { schemaVersion: 2, mediaType, config, layers: [], annotations: { at: `${at}` } }),
    );
  }
  const indexType = 'application/vnd.oci.image.index.v1+json';
  for (const [tag, list] of [
    ['most', manifests.slice(1)],
    ['more', manifests],
  ] as const) {
    await store.tag(await put(indexType, { schemaVersion: 2, mediaType: indexType, manifests: list }), tag);
  }
  assert.equal((await copyImage(store, 'most', new MemoryStore(), 'v1')).manifests, 4096);
  const to = new MemoryStore();
  await assert.rejects(copyImage(store, 'more', to, 'v1'), {
    code: 'ERR_LIMIT_EXCEEDED',
    message: /over 4096 manifests lie under this name; copy one platform only/,
  });
  await assert.rejects(to.resolve('v1'), { code: 'ERR_NOT_FOUND' });
});

test('256 MiB of manifests are copied under one name, and not a byte more', async () => {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const config = Buffer.from('{}');
  const manifest = (at: number, size: number): Buffer => {
    const value = { schemaVersion: 2, mediaType, config: describe('application/x', config), layers: [] };
    const text = (fill: string): string => JSON.stringify({ ...value, annotations: { at: `${at}`, fill } });
    return Buffer.from(text('x'.repeat(size - text('').length)));
  };
  const full = 4 * 1024 * 1024;
  const places = Array.from({ length: 63 }, (_, at) => describe(mediaType, manifest(at, full)));
  /** Makes each document when it is asked for: together they are as much as the limit. */
  const sourceOf = (last: number): { readonly source: ReadOnlyTarget; readonly bytes: number } => {
    const indexType = 'application/vnd.oci.image.index.v1+json';
    const entries = [...places, describe(mediaType, manifest(63, last))];
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: entries }));
    const root = describe(indexType, index);
    const source: ReadOnlyTarget = {
      resolve: async () => root,
      exists: async () => true,
      fetch: async ({ digest }) => {
        if (digest === root.digest) return Readable.from([index]);
        const at = entries.findIndex((entry) => entry.digest === digest);
        return Readable.from([at < 0 ? config : manifest(at, entries[at]?.size ?? 0)]);
      },
    };
    return { source, bytes: index.length + entries.reduce((sum, { size }) => sum + size, 0) };
  };
  /** Keeps nothing: what is looked at is whether a name is given. */
  class Names extends MemoryStore {
    override async exists(): Promise<boolean> {
      return true;
    }
  }
  const rest = full - (sourceOf(full).bytes - 256 * 1024 * 1024);
  assert.equal(sourceOf(rest).bytes, 256 * 1024 * 1024);
  assert.equal((await copyImage(sourceOf(rest).source, 'v1', new Names(), 'v1')).manifests, 65);
  const to = new Names();
  await assert.rejects(copyImage(sourceOf(rest + 1).source, 'v1', to, 'v1'), {
    code: 'ERR_LIMIT_EXCEEDED',
    message: /its manifests have over 268435456 bytes together/,
  });
  await assert.rejects(to.resolve('v1'), { code: 'ERR_NOT_FOUND' });
});

test('an artifact is copied as it is', async () => {
  const chart = image()
    .manifestFields({ config: undefined })
    .layer(new Uint8Array(), {
      blob: Buffer.from('chart'),
      mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
    })
    .manifestFields({ artifactType: 'application/vnd.cncf.helm.config.v1+json' });
  const withConfig = image()
    .layer(new Uint8Array(), {
      blob: Buffer.from('chart'),
      mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
    })
    .build();
  const store = new MemoryStore();
  await copyImage(await memoryWith(withConfig), 'v1', store, 'v1');
  await checkWhole(store, withConfig);
  await assert.rejects(copyImage(await memoryWith(chart.build()), 'v1', new MemoryStore(), 'v1'), {
    code: 'ERR_MANIFEST_INVALID',
  });
});

test('an artifact manifest beside the images of an index comes with its blobs', async (t) => {
  const app = image()
    .layer((layer) => layer.file('a', 'b'))
    .build();
  const bytes = Buffer.from('an SBOM');
  const blob = describe('text/plain', bytes);
  const mediaType = 'application/vnd.oci.artifact.manifest.v1+json';
  const manifest = (blobs: unknown): Built => {
    const document = Buffer.from(JSON.stringify({ mediaType, artifactType: 'text/plain', blobs }));
    const descriptor = describe(mediaType, document);
    const content = [
      [descriptor.digest, document],
      [blob.digest, bytes],
    ] as const;
    return { descriptor, blobs: new Map(content), documents: new Map([[descriptor.digest, mediaType]]) };
  };
  const built = index()
    .add(app)
    .add(manifest([blob]))
    .build();
  const from = await registryWith(t, built);
  const target = createRepository(`${(await registryWith(t)).host}/to/app`);
  const source = createRepository(`${from.host}/from/app`);
  const copied = await copyImage(source, 'v1', target, 'v1');
  assert.deepEqual([copied.manifests, copied.copiedBlobs], [3, 3]);
  await checkWhole(target, built);
  from.content.repository('from/app').blobs.delete(blob.digest);
  await assert.rejects(copyImage(source, 'v1', new MemoryStore(), 'v1'), { code: 'ERR_NOT_FOUND' });
  const odd = index().add(app).add(manifest({})).build();
  await assert.rejects(copyImage(await memoryWith(odd), 'v1', new MemoryStore(), 'v1'), {
    code: 'ERR_MANIFEST_INVALID',
    message: /blobs of the artifact manifest is wrong/,
  });
});

test('blobs of another repository of the same registry are mounted', async (t) => {
  const { built } = sampleIndex();
  const registry = await registryWith(t, built);
  const copied = await copyImage(
    createRepository(`${registry.host}/from/app`),
    'v1',
    createRepository(`${registry.host}/to/app`),
    'v1',
  );
  assert.deepEqual([copied.copiedBlobs, copied.copiedBytes], [0, 0]);
  assert.equal(copied.mountedBlobs, built.blobs.size - 4);
  assert.equal(registry.log.requests.filter(({ kind, method }) => kind === 'blob' && method === 'GET').length, 0);
  await checkWhole(createRepository(`${registry.host}/to/app`), built);
});

test('foreign layers are not handed on', async (t) => {
  const foreign = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
  const built = image()
    .layer((layer) => layer.file('windows', 'x'), { mediaType: foreign, urls: ['https://example.com/layer'] })
    .layer((layer) => layer.file('ours', 'y'))
    .build();
  const to = await registryWith(t);
  const copied = await copyImage(await memoryWith(built), 'v1', createRepository(`${to.host}/win`), 'v1');
  assert.deepEqual([copied.foreignBlobs, copied.copiedBlobs], [1, 2]);
  const store = new MemoryStore();
  const whole = await copyImage(await memoryWith(built), 'v1', store, 'v1', { foreignLayers: true });
  assert.deepEqual([whole.foreignBlobs, whole.copiedBlobs], [0, 3]);
});

test('a registry that takes no image without its foreign layers is told as what it is', async (t) => {
  const foreign = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
  const built = image()
    .layer((layer) => layer.file('windows', 'x'), { mediaType: foreign })
    .layer((layer) => layer.file('ours', 'y'))
    .build();
  const to = await registryWith(t);
  const target = createRepository(`${to.host}/win`);
  const digest = built.layers[0]?.descriptor.digest;
  await assert.rejects(copyImage(await memoryWith(built), 'v1', target, 'v1'), {
    code: 'ERR_NOT_FOUND',
    status: 404,
    message: new RegExp(
      `^${to.host} refuses the image with status 404, for its foreign layer ${digest} is not .*; hand`,
    ),
  });
  assert.equal((await copyImage(await memoryWith(built), 'v1', target, 'v1', { foreignLayers: true })).foreignBlobs, 0);
});

test('a place on this machine gets the foreign layers that can be had', async (t) => {
  const built = image()
    .layer((layer) => layer.file('windows', 'x'), { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar' })
    .layer((layer) => layer.file('ours', 'y'))
    .build();
  const foreign = built.layers[0]?.descriptor.digest;
  assert.ok(foreign !== undefined);
  const events: ProgressEvent[] = [];
  const copy = async (damage: (registry: TestRegistry) => void): Promise<[MemoryStore, number[]]> => {
    const registry = await registryWith(t, built);
    damage(registry);
    const store = new MemoryStore();
    const onProgress = (event: ProgressEvent): void => void events.push(event);
    const from = createRepository(`${registry.host}/from/app`, { retry: 0 });
    const { copiedBlobs, foreignBlobs } = await copyImage(from, 'v1', store, 'v1', { onProgress });
    return [store, [copiedBlobs, foreignBlobs]];
  };
  const [whole, all] = await copy(() => {});
  assert.deepEqual(all, [3, 0]);
  await checkWhole(whole, built);
  const [partly, left] = await copy(({ content }) => content.repository('from/app').blobs.delete(foreign));
  assert.deepEqual(left, [2, 1]);
  assert.equal((await partly.resolve('v1')).digest, built.descriptor.digest);
  const warnings = events.flatMap((event) => (event.type === 'warning:raised' ? [event.message] : []));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', new RegExp(`left out the foreign layer ${foreign}: .*not found`));
  await assert.rejects(
    copy(({ content }) => content.bytes.set(foreign, Buffer.alloc(content.bytes.get(foreign)?.length ?? 0))),
    { code: 'ERR_DIGEST_MISMATCH' },
  );
});

test('a tag that moves while its image is copied is not mixed in', async (t) => {
  const { built } = sampleIndex();
  const from = await registryWith(t, built);
  const other = image()
    .layer((layer) => layer.file('other', 'other'))
    .build();
  class Mover extends MemoryStore {
    override async push(expected: Descriptor, content: AsyncIterable<Uint8Array>, call?: CallOptions): Promise<void> {
      from.add('from/app', 'v1', other);
      await super.push(expected, content, call);
    }
  }
  const store = new Mover();
  const copied = await copyImage(createRepository(`${from.host}/from/app`), 'v1', store, 'v1');
  assert.equal(copied.descriptor.digest, built.descriptor.digest);
  await checkWhole(store, built);
});

test('a missing blob, a wrong byte and a missing manifest fail, and no name is given', async (t) => {
  const { built, amd64 } = sampleIndex();
  const layer = amd64.layers[1]?.descriptor as Descriptor;
  const cases: [string, (path: string) => Promise<void>, Built][] = [
    ['ERR_NOT_FOUND', async (path) => (await OciLayout.open(path)).delete(layer.digest), built],
    ['ERR_NOT_FOUND', async (path) => (await OciLayout.open(path)).delete(amd64.descriptor.digest), built],
  ];
  for (const [code, damage, whole] of cases) {
    const path = join(tempDir(t), 'layout');
    await writeLayout(path, { v1: whole });
    await damage(path);
    const to = await registryWith(t);
    const target = createRepository(`${to.host}/to`);
    await assert.rejects(copyImage(await OciLayout.open(path), 'v1', target, 'v1'), { code });
    await assert.rejects(target.resolve('v1'), { code: 'ERR_NOT_FOUND' });
  }
  class Flipped extends MemoryStore {
    override async fetch(target: Descriptor, options?: FetchOptions): Promise<Readable> {
      const whole = await super.fetch(target, options);
      if (target.digest !== layer.digest) return whole;
      const bytes = Buffer.concat(await whole.toArray());
      bytes[3] = (bytes[3] ?? 0) ^ 1;
      return Readable.from([bytes]);
    }
  }
  const flipped = new Flipped();
  await copyImage(await memoryWith(built), 'v1', flipped, 'v1');
  for (const to of [await registryWith(t), undefined]) {
    const folder = join(tempDir(t), 'out');
    const target = to ? createRepository(`${to.host}/to`) : await OciLayout.open(folder, { create: true });
    await assert.rejects(copyImage(flipped, 'v1', target, 'v1'), { code: 'ERR_DIGEST_MISMATCH' });
    await assert.rejects(target.resolve('v1'), { code: 'ERR_NOT_FOUND' });
    if (to === undefined) assert.deepEqual(readdirSync(folder).sort(), ['blobs', 'index.json', 'oci-layout']);
  }
});

test('a destination that is a digest must be what is copied', async (t) => {
  const { built } = sampleIndex();
  const to = await registryWith(t);
  const target = createRepository(`${to.host}/to`);
  const source = await memoryWith(built);
  await copyImage(source, 'v1', target, built.descriptor.digest);
  assert.deepEqual(await target.resolve(built.descriptor.digest), built.descriptor);
  await assert.rejects(copyImage(source, 'v1', target, `sha256:${'0'.repeat(64)}`), { code: 'ERR_DIGEST_MISMATCH' });
});

test('options are checked, and an abort ends a copy with its own reason', async (t) => {
  const { built, amd64 } = sampleIndex();
  const source = await memoryWith(built);
  for (const jobs of [0, 65, 1.5]) {
    await assert.rejects(copyImage(source, 'v1', new MemoryStore(), 'v1', { jobs }), { code: 'ERR_OPTION_INVALID' });
  }
  const from = await registryWith(t, built);
  const layer = amd64.layers[1]?.descriptor.digest;
  from.fault({ on: 'blob', reference: layer, do: 'stall', after: 10 });
  const abort = new AbortController();
  const reason = new Error('enough');
  const place = createRepository(`${from.host}/from/app`);
  const copying = copyImage(place, 'v1', new MemoryStore(), 'v1', { signal: abort.signal });
  await from.log.until((log) => log.of('blob', layer).some(({ bytesSent }) => bytesSent === 10));
  abort.abort(reason);
  await assert.rejects(copying, (error) => error === reason);
});

test('an abort is heard while an own source hangs, wherever it is copied to', { timeout: 60_000 }, async (t) => {
  const { built } = sampleIndex();
  const source = await memoryWith(built);
  const to = await registryWith(t);
  const destinations = [
    new MemoryStore(),
    createRepository(`${to.host}/to/app`),
    await OciLayout.open(join(tempDir(t), 'layout'), { create: true }),
  ];
  for (const destination of destinations) {
    for (const place of ['stream', 'fetch', 'resolve'] as const) {
      const hanging = hangingSource(source, place);
      const abort = new AbortController();
      const reason = new Error('enough');
      setTimeout(() => abort.abort(reason), 50);
      const copying = copyImage(hanging, 'v1', destination, 'v1', { signal: abort.signal });
      await assert.rejects(copying, (error) => error === reason, `${destination.constructor.name}: ${place}`);
      for (const stream of hanging.opened) assert.ok(stream.destroyed);
    }
  }
});

test('an abort is heard while an optional power of an own source hangs', { timeout: 60_000 }, async (t) => {
  const { built } = sampleIndex();
  const store = await memoryWith(built);
  const folder = tempDir(t);
  const never = (): Promise<never> => new Promise(() => {});
  const source = Object.assign(store, {
    check: never,
    keptName: never,
    async *referrers() {
      yield* [await never()];
    },
  });
  const verbs: Readonly<Record<string, (signal: AbortSignal) => Promise<unknown>>> = {
    copy: (signal) => copyImage(source, 'v1', new MemoryStore(), 'v1', { signal }),
    archive: (signal) =>
      writeArchive(source, [{ reference: 'v1' }], { form: 'oci-archive', path: join(folder, 'x.tar') }, { signal }),
    content: (signal) => {
      const place = { form: 'oci-archive', path: join(folder, 'x.tar') } as const;
      return writeArchive(source, [{ reference: 'v1', name: 'v1' }], place, { signal });
    },
    async referrers(signal) {
      for await (const _ of findReferrers(source, 'v1', { signal }));
    },
  };
  for (const [name, verb] of Object.entries(verbs)) {
    const abort = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => abort.abort(reason), 50);
    await assert.rejects(verb(abort.signal), (error) => error === reason, name);
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('an abort is heard while a destination of its own does not say what it has', async () => {
  const { built } = sampleIndex();
  const destination = new MemoryStore();
  destination.exists = () => new Promise(() => {});
  const reason = new Error('enough');
  const abort = new AbortController();
  setTimeout(() => abort.abort(reason), 50);
  const copying = copyImage(await memoryWith(built), 'v1', destination, 'v1', { signal: abort.signal });
  await assert.rejects(copying, (error) => error === reason);
});

test('an abort is heard, after a moment to end, while a destination of its own hangs in its work', {
  timeout: 60_000,
}, async (t) => {
  const { built } = sampleIndex();
  const source = await memoryWith(built);
  await Promise.all(
    (['push', 'tag'] as const).map(async (method) => {
      const destination = new MemoryStore();
      destination[method] = () => new Promise(() => {});
      const reason = new Error('enough');
      const abort = new AbortController();
      setTimeout(() => abort.abort(reason), 50);
      // Nothing of a hanging promise keeps the process, and so this test, alive.
      const alive = setInterval(() => {}, 1000);
      t.after(() => clearInterval(alive));
      const copying = copyImage(source, 'v1', destination, 'v1', { signal: abort.signal });
      await assert.rejects(copying, (error) => error === reason);
    }),
  );
});

test('what a destination of its own throws is not told as the failure of the source', async () => {
  const { built } = sampleIndex();
  const destination = new MemoryStore();
  const cause = new Error('no room in the bucket');
  destination.push = () => Promise.reject(cause);
  await assert.rejects(copyImage(await memoryWith(built), 'v1', destination, 'v1'), {
    code: 'ERR_INTERNAL',
    message: /: the source or the destination failed \(no room in the bucket\)/,
    cause,
  });
});

test('an upload that is refused fails with its code and leaves no tag', async (t) => {
  const { built, amd64 } = sampleIndex();
  const layer = amd64.layers[1]?.descriptor.digest;
  const faults = [
    [{ on: 'upload', method: 'PUT', do: 'answer', status: 413 }, 'ERR_LIMIT_EXCEEDED'],
    [{ on: 'upload', method: 'PUT', do: 'code-only', status: 400, code: 'DIGEST_INVALID' }, /^ERR_/],
    [{ on: 'upload', method: 'POST', do: 'code-only', status: 403, code: 'DENIED' }, 'ERR_DENIED'],
    [{ on: 'upload', method: 'POST', do: 'code-only', status: 405, code: 'UNSUPPORTED' }, 'ERR_UNSUPPORTED'],
    [{ on: 'manifest', method: 'PUT', do: 'answer', status: 413 }, 'ERR_LIMIT_EXCEEDED'],
    [{ on: 'manifest', method: 'PUT', do: 'code-only', status: 400, code: 'MANIFEST_INVALID' }, /^ERR_/],
  ] as const;
  const source = await memoryWith(built);
  for (const [fault, code] of faults) {
    const to = await registryWith(t);
    const target = createRepository(`${to.host}/to`, { retry: 0 });
    to.fault(fault);
    const failed = await copyImage(source, 'v1', target, 'v1').then(
      () => undefined,
      (error: { code?: string }) => error.code,
    );
    assert.match(String(failed), typeof code === 'string' ? new RegExp(`^${code}$`) : code);
    to.clearFaults();
    await assert.rejects(target.resolve('v1'), { code: 'ERR_NOT_FOUND' }, JSON.stringify(fault));
    const again = await copyImage(source, 'v1', target, 'v1');
    assert.equal(again.descriptor.digest, built.descriptor.digest);
    assert.ok(layer !== undefined && (await target.exists({ mediaType: 'x/y', digest: layer, size: 1 })));
  }
});

test('a large upload whose connection breaks goes on, from a layout and from another registry', async (t) => {
  const big = image()
    .compression('none')
    .layer((layer) => layer.file('big', Buffer.alloc(12_000_000, 'some text that repeats ')))
    .build();
  const path = join(tempDir(t), 'layout');
  await writeLayout(path, { v1: big });
  const from = await registryWith(t, big);
  for (const source of [await OciLayout.open(path), createRepository(`${from.host}/from/app`)]) {
    const to = await registryWith(t);
    to.fault({ on: 'upload', method: 'PATCH', do: 'hang-up', after: 7_000_000, times: 1 });
    const target = createRepository(`${to.host}/to`);
    await copyImage(source, 'v1', target, 'v1');
    assert.deepEqual(await target.resolve('v1'), big.descriptor);
    await checkWhole(target, big);
  }
});

test('whoever deletes the same image from a layout just before it is named does not make the copy fail', async (t) => {
  const built = image()
    .layer((layer) => layer.file('a', 'a'))
    .build();
  const layout = await OciLayout.open(join(tempDir(t), 'layout'), { create: true });
  const other = await OciLayout.open(layout.place);
  let deletions = 0;
  const name = layout.tag.bind(layout);
  layout.tag = async (target, reference, options) => {
    deletions += 1;
    if (deletions === 1) await other.delete(built.descriptor);
    await name(target, reference, options);
  };
  await copyImage(await memoryWith(built), 'v1', layout, 'v1');
  assert.equal((await layout.resolve('v1')).digest, built.descriptor.digest);
  await checkWhole(layout, built);
});
