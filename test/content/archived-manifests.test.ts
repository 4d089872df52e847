/** All images of a docker-archive at once: what they share is read once, and one that is broken hides none. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { ArchiveEntries } from '../../src/content/archive-entries.js';
import { openArchiveFile } from '../../src/content/archive-file.js';
import { makeManifest } from '../../src/content/archived-manifest.js';
import {
  ArchivedManifests,
  MAX_ARCHIVED_DOCUMENT_BYTES,
  MAX_ARCHIVED_DOCUMENTS,
} from '../../src/content/archived-manifests.js';
import type { HeldEntry, ReadOnlyTarget } from '../../src/content/content.js';
import { DockerArchive } from '../../src/content/docker-archive.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import type { Digest } from '../../src/spec/digest.js';
import { type BuiltImage, image, index } from '../../src/testing/testing.js';
import { dockerArchive } from '../support/archives.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { memoryWith } from '../support/memory-with.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage } from './target-contract.js';

const app = (at: number): BuiltImage =>
  image()
    .config({ User: `user${at}` })
    .layer((layer) => layer.file('app', `app ${at}`))
    .build();

async function fileOf(t: TestContext, bytes: Buffer): Promise<string> {
  const path = join(tempDir(t), 'image.tar');
  writeFileSync(path, bytes);
  return path;
}

async function entriesOf(archive: DockerArchive): Promise<{ found: HeldEntry[]; warnings: readonly string[] }> {
  const found: HeldEntry[] = [];
  const { warnings, onProgress } = collectWarnings();
  for await (const entry of archive.entries({ onProgress })) found.push(entry);
  return { found, warnings };
}

test('each image under each of its names; one that is not whole is left out with a warning', async (t) => {
  const [good, cut, unnamed, bare] = [app(0), app(1), app(2), app(3)];
  const images = [
    { built: good, tags: ['x:1', 'y:2'] },
    { built: cut, tags: ['cut:1'] },
    { built: bare, tags: null },
    { built: unnamed, tags: null },
  ];
  const gone = [cut.layers[0]?.diffId, bare.manifest.config.digest].map((digest) => digest?.slice(7, 60) ?? 'none');
  const bytes = dockerArchive(images, { without: (name) => gone.some((hex) => name.includes(hex)) });
  const archive = await DockerArchive.open(await fileOf(t, bytes));
  t.after(() => archive.close());
  const { found, warnings } = await entriesOf(archive);
  const first = await archive.resolve('x:1');
  const last = await archive.resolve('@3');
  assert.deepEqual(
    found.map(({ tag, descriptor }) => [tag, descriptor.digest]),
    [
      ['x:1', first.digest],
      ['y:2', first.digest],
      [undefined, last.digest],
    ],
  );
  assert.equal(warnings.length, 2, warnings.join('\n'));
  assert.match(warnings[0] ?? '', /not in the archive.*; left out \(cut:1\)$/);
  assert.match(warnings[1] ?? '', /not in the archive.*; left out \(@2\)$/);
  await assert.rejects(archive.resolve('cut:1'), { code: 'ERR_ARCHIVE_INVALID' });
});

test('a link that leads out of the archive spoils one image, and a digest is found beside it', async (t) => {
  const [cut, good] = [app(1), app(0)];
  const images = [
    { built: cut, tags: ['cut:1'] },
    { built: good, tags: ['x:1'] },
  ];
  const gone = `${cut.layers[0]?.diffId.slice(7)}.tar`;
  const bytes = dockerArchive(images, { style: 'symlinks', without: (name) => name === gone });
  const archive = await DockerArchive.open(await fileOf(t, bytes));
  t.after(() => archive.close());
  const { found, warnings } = await entriesOf(archive);
  assert.deepEqual(
    found.map(({ tag }) => tag),
    ['x:1'],
  );
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(warnings[0] ?? '', /is a link to .*; left out \(cut:1\)$/);
  const digest = found[0]?.descriptor.digest ?? '';
  assert.deepEqual(await archive.resolve(digest), found[0]?.descriptor);
  // The one that cannot be read may be the one that is meant.
  await assert.rejects(archive.resolve(`sha256:${'a'.repeat(64)}`), { message: /is a link to/ });
});

function counted(target: ReadOnlyTarget): Map<string, number> {
  const { fetch } = target;
  const read = new Map<string, number>();
  target.fetch = (descriptor, options) => {
    read.set(descriptor.digest, (read.get(descriptor.digest) ?? 0) + 1);
    return fetch.call(target, descriptor, options);
  };
  return read;
}

test("the images' own manifests are found in any order, each document read once", async () => {
  const images = Array.from({ length: 8 }, (_, at) => app(at));
  const list = index();
  for (const one of images) list.add(one);
  const built = list.build();
  const store = await memoryWith(built);
  const read = counted(store);
  const manifests = new ArchivedManifests(store, [built.descriptor]);
  const found = await Promise.all([...images].reverse().map((one) => manifests.find(one.manifest.config.digest)));
  assert.deepEqual(
    found.map((one) => one?.digest),
    [...images].reverse().map(({ descriptor }) => descriptor.digest),
  );
  assert.equal(await manifests.find(contractImage().manifest.config.digest), undefined);
  assert.equal(read.size, 9);
  for (const [digest, times] of read) assert.equal(times, 1, digest);
});

test('a manifest whose layers are not all here, or cannot be told to be, is not the one', async () => {
  const whole = app(1);
  const [layer] = whole.manifest.layers;
  const absent = { ...layer, digest: `sha256:${'a'.repeat(64)}` };
  const other = { ...layer, digest: `sha384:${'a'.repeat(96)}` };
  const like = (layers: readonly unknown[]): BuiltImage =>
    image()
      .manifestFields({ ...whole.manifest, layers })
      .build();
  const built = index()
    .add(like([absent]))
    .add(like([other]))
    .add(whole)
    .build();
  const manifests = new ArchivedManifests(await memoryWith(built), [built.descriptor]);
  for (const _ of [1, 2]) {
    assert.equal((await manifests.find(whole.manifest.config.digest))?.digest, whole.descriptor.digest);
  }
});

test('a document with wrong bytes is passed over with a warning', async () => {
  const [changed, other] = [app(1), app(2)];
  const built = index().add(changed).add(other).build();
  const store = await memoryWith(built);
  const { fetch } = store;
  store.fetch = (target, options) =>
    target.digest === changed.descriptor.digest
      ? Promise.resolve(Readable.from([Buffer.alloc(target.size)]))
      : fetch.call(store, target, options);
  const manifests = new ArchivedManifests(store, [built.descriptor]);
  const { warnings, onProgress } = collectWarnings();
  assert.equal(await manifests.find(changed.manifest.config.digest, { onProgress }), undefined);
  assert.equal((await manifests.find(other.manifest.config.digest, { onProgress }))?.digest, other.descriptor.digest);
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(warnings[0] ?? '', new RegExp(`${changed.descriptor.digest}.*; passed over$`));
});

test('a search that is given up hides nothing from the next', async () => {
  const built = index().add(app(1)).add(app(2)).build();
  const store = await memoryWith(built);
  const { fetch } = store;
  const abort = new AbortController();
  const reason = new Error('enough');
  store.fetch = (target, options) => {
    if (target.digest === app(2).descriptor.digest) abort.abort(reason);
    return fetch.call(store, target, options);
  };
  const manifests = new ArchivedManifests(store, [built.descriptor]);
  const { digest } = app(2).manifest.config;
  await assert.rejects(manifests.find(digest, { signal: abort.signal }), (error) => error === reason);
  assert.equal((await manifests.find(digest))?.digest, app(2).descriptor.digest);
});

test(`no more than ${MAX_ARCHIVED_DOCUMENTS} documents are read, whatever is searched`, async () => {
  const built = contractImage();
  const { mediaType } = built.descriptor;
  const absent = Array.from({ length: MAX_ARCHIVED_DOCUMENTS }, (_, at) => ({
    mediaType,
    digest: `sha256:${String(at).padStart(64, '0')}` as Digest,
    size: 2,
  }));
  const store = await memoryWith(built);
  const read = counted(store);
  const last = new ArchivedManifests(store, [...absent.slice(1), built.descriptor]);
  assert.equal((await last.find(built.manifest.config.digest))?.digest, built.descriptor.digest);
  const beyond = new ArchivedManifests(store, [...absent, built.descriptor]);
  for (const _ of [1, 2]) assert.equal(await beyond.find(built.manifest.config.digest), undefined);
  assert.deepEqual([read.get(absent[0]?.digest ?? ''), read.get(built.descriptor.digest)], [1, 1]);
});

test('256 MiB of documents are read, and not a byte more; what is listed again is read once', async () => {
  const built = contractImage();
  const { mediaType, digest, size } = built.descriptor;
  const store = await memoryWith(built);
  const read = counted(store);
  const full = 4 * 1024 * 1024;
  const absent = (at: number, bytes: number): Descriptor => {
    return { mediaType, digest: `sha256:${String(at).padStart(64, '0')}` as Digest, size: bytes };
  };
  const roots = (bytes: number): Descriptor[] => {
    const others = Array.from({ length: MAX_ARCHIVED_DOCUMENT_BYTES / full - 1 }, (_, at) => absent(at, full));
    return [...others, ...others, absent(others.length, bytes), built.descriptor, built.descriptor];
  };
  const { config } = built.manifest;
  const most = new ArchivedManifests(store, roots(full - size));
  assert.equal((await most.find(config.digest))?.digest, digest);
  assert.deepEqual([...new Set(read.values())], [1]);
  const more = new ArchivedManifests(store, roots(full - size + 1));
  for (const _ of [1, 2]) assert.equal(await more.find(config.digest), undefined);
  assert.equal(read.get(digest), 1);
});

test('each of 300 images comes out of its archive under its own digest', async (t) => {
  const images = Array.from({ length: 300 }, (_, at) => ({ built: app(at), tags: [`app:t${at}`] }));
  const path = await fileOf(t, dockerArchive(images, { style: 'blobs', compressed: true }));
  const archive = await DockerArchive.open(path);
  t.after(() => archive.close());
  const { found } = await entriesOf(archive);
  assert.deepEqual(
    found.map(({ descriptor }) => descriptor.digest),
    images.map(({ built }) => built.descriptor.digest),
  );
});

test('a compressed layer that several images have is hashed once', async (t) => {
  const built = app(1);
  const archive = await openArchiveFile(
    await fileOf(t, dockerArchive([{ built }], { style: 'crane', compressed: true })),
  );
  t.after(() => archive.close());
  const entries = await ArchiveEntries.read(archive);
  const hex = (digest: string | undefined): string => digest?.slice(7) ?? '';
  const [layer] = built.manifest.layers;
  const listed = {
    config: `sha256:${hex(built.manifest.config.digest)}`,
    tags: [],
    layers: [`${hex(layer?.digest)}.tar.gz`],
  };
  const hashes = new Map<number, Digest>();
  const digestNow = async (): Promise<Digest> => {
    const { manifest } = await makeManifest(listed, entries, 'image.tar', hashes);
    return JSON.parse(manifest.bytes.toString()).layers[0].digest;
  };
  assert.equal(await digestNow(), layer?.digest);
  assert.deepEqual([...hashes.values()], [layer?.digest]);
  // What was hashed is believed: no byte of the layer is read again.
  const known: Digest = `sha256:${'b'.repeat(64)}`;
  for (const offset of hashes.keys()) hashes.set(offset, known);
  assert.equal(await digestNow(), known);
});
