/** Listing, verifying and pruning the caches. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { ContentStore } from '../../src/content/content-store.js';
import { takeLease, withoutNewLeases } from '../../src/content/lease.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { listCache } from '../../src/engine/list-cache.js';
import { openImageCache } from '../../src/engine/open-image-cache.js';
import { pruneCache } from '../../src/engine/prune-cache.js';
import { verifyCache } from '../../src/engine/verify-cache.js';
import { FORMS } from '../../src/export/forms.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { prepareRootfs } from '../../src/prepare-rootfs.js';
import { openRootFS } from '../../src/rootfs/open-rootfs.js';
import type { Digest } from '../../src/spec/digest.js';
import { MediaType } from '../../src/spec/media-types.js';
import { type BuiltImage, digestOf, image, index, startRegistry } from '../../src/testing/testing.js';
import { NO_MOUNT, smallDisk } from '../support/small-disk.js';
import { tempDir } from '../support/temp-dir.js';

interface Caches {
  readonly images: string;
  readonly layers: string;
  readonly host: string;
}

const BASE = Buffer.alloc(40_000, 'base');

function app(name: string): BuiltImage {
  return image()
    .layer((layer) => layer.file('base', BASE))
    .layer((layer) => layer.file(name, Buffer.alloc(20_000, name)))
    .build();
}

/** Both caches filled with images; the first one was used longest ago. */
async function filled(t: TestContext, apps: Readonly<Record<string, BuiltImage>>): Promise<Caches> {
  const registry = await startRegistry();
  t.after(() => registry.close());
  const places = { images: tempDir(t), layers: tempDir(t), host: registry.host };
  let age = Object.keys(apps).length;
  for (const [name, built] of Object.entries(apps)) {
    registry.add(name, 'v1', built);
    const cache = await openImageCache({ folder: places.images });
    const fetched = await fetchImage(cache, `${registry.host}/${name}:v1`, { platform: 'linux/amd64' });
    await (await openRootFS(cache, fetched, places.layers)).close();
    await cache.close();
    const then = new Date(Date.now() - age * 3_600_000);
    utimesSync(join(places.images, 'blobs', built.descriptor.digest.replace(':', '/')), then, then);
    for (const { diffId } of built.layers) {
      utimesSync(join(places.layers, 'meta', `${diffId.replace(':', '/')}.json`), then, then);
    }
    age -= 1;
  }
  return places;
}

function has(places: Caches, digest: Digest): boolean {
  return existsSync(join(places.images, 'blobs', digest.replace(':', '/')));
}

const [first, second] = [app('first'), app('second')];
const shared = first.layers[0]?.descriptor.digest ?? assert.fail();
const own = first.layers[1]?.descriptor.digest ?? assert.fail();

test('ls: images by name with their bytes, layers, leases; nothing where nothing is', async (t) => {
  const places = await filled(t, { first, second });
  const lease = await takeLease(places.images, { purpose: 'test', digests: [first.descriptor.digest] });
  const listing = await listCache(places);
  assert.deepEqual(
    listing.images.map(({ names, digest, missingBlobs }) => [names, digest, missingBlobs]),
    [
      [[`${places.host}/second:v1`], second.descriptor.digest, 0],
      [[`${places.host}/first:v1`], first.descriptor.digest, 0],
    ],
  );
  const blobs = new Map([...first.blobs, ...second.blobs]);
  assert.equal(
    listing.imageBytes,
    [...blobs.values()].reduce((sum, { length }) => sum + length, 0),
  );
  assert.equal(
    listing.images[1]?.bytes,
    [...first.blobs.values()].reduce((sum, { length }) => sum + length, 0),
  );
  assert.deepEqual(
    new Set(listing.layers.map(({ diffId }) => diffId)),
    new Set([...first.layers, ...second.layers].map(({ diffId }) => diffId)),
  );
  assert.deepEqual(
    listing.leases.map(({ purpose }) => purpose),
    ['test'],
  );
  await lease.release();
  const empty = await listCache({ images: join(tempDir(t), 'no'), layers: join(tempDir(t), 'no') });
  assert.deepEqual([empty.images, empty.layers, empty.imageBytes, empty.layerBytes], [[], [], 0, 0]);
});

test('a damaged or missing list of images is told of, by verify too, with the way out', async (t) => {
  const places = await filled(t, { first });
  const list = join(places.images, 'index.json');
  const text = readFileSync(list, 'utf8');
  const opening = async (): Promise<unknown> => (await openImageCache({ folder: places.images })).close();
  for (const [damage, code] of [
    [() => writeFileSync(list, text.slice(1)), 'ERR_MANIFEST_INVALID'],
    [() => writeFileSync(list, text.replace('sha256:', 'sha256;')), 'ERR_MANIFEST_INVALID'],
    [() => rmSync(list), 'ERR_LAYOUT_INVALID'],
  ] as const) {
    damage();
    const refusal = { code, message: /: this image cache's list .* is damaged or gone; remove the folder: / };
    await assert.rejects(verifyCache(places), refusal);
    await assert.rejects(listCache(places), refusal);
    await assert.rejects(pruneCache(places), refusal);
    await assert.rejects(opening(), refusal);
  }
  rmSync(places.images, { recursive: true });
  await opening();
  assert.deepEqual((await verifyCache(places)).damaged, []);
});

test('verify: a flipped byte is found in either cache, removed, and healed by the next use', async (t) => {
  const places = await filled(t, { first });
  assert.deepEqual((await verifyCache(places)).damaged, []);
  const diffId = first.layers[1]?.diffId ?? assert.fail();
  const damagedFiles = [
    join(places.images, 'blobs', own.replace(':', '/')),
    join(places.layers, diffId.replace(':', '/')),
  ];
  for (const path of damagedFiles) {
    const bytes = readFileSync(path);
    chmodSync(path, 0o644);
    bytes[7] = (bytes[7] ?? 0) ^ 4;
    writeFileSync(path, bytes);
  }
  const warnings: string[] = [];
  const found = await verifyCache(places, {
    onProgress: (event) => void (event.type === 'warning:raised' && warnings.push(event.message)),
  });
  assert.deepEqual(
    found.damaged.map(({ kind, digest }) => [kind, digest]),
    [
      ['image', own],
      ['layer', diffId],
    ],
  );
  assert.equal(warnings.length, 2);
  const cache = await openImageCache({ folder: places.images });
  const fetched = await fetchImage(cache, `${places.host}/first:v1`, { platform: 'linux/amd64' });
  await (await openRootFS(cache, fetched, places.layers)).close();
  await cache.close();
  for (const path of damagedFiles) assert.ok(existsSync(path), path);
  assert.deepEqual((await verifyCache(places)).damaged, []);
});

test('verify: what is pruned meanwhile is no damage, and is not counted', async (t) => {
  const layers = tempDir(t);
  const store = await ContentStore.open(layers, { fsync: 'none' });
  const digests: Digest[] = [];
  for (let at = 0; at < 40; at += 1) {
    const bytes = Buffer.alloc(1000, `layer ${at}`);
    const digest = digestOf(bytes);
    await store.blobs.push({ mediaType: 'test', digest, size: bytes.length }, Readable.from([bytes]));
    digests.push(digest);
  }
  const [bad, ...others] = digests.sort();
  const path = store.blobs.path(bad ?? assert.fail());
  chmodSync(path, 0o644);
  writeFileSync(path, Buffer.alloc(1000, 'damage'));
  const gone = others.slice(-10);
  // The first one tells that the work has begun; the last ones wait for their turn.
  const onProgress = (): void => {
    for (const digest of gone) unlinkSync(store.blobs.path(digest));
  };
  const found = await verifyCache({ images: join(layers, 'none'), layers }, { onProgress });
  assert.deepEqual(
    found.damaged.map(({ digest }) => digest),
    [bad],
  );
  assert.deepEqual([found.checkedBlobs, found.checkedBytes], [30, 30_000]);
});

test('a pipe in the place of the index of the image cache is not waited for', async (t) => {
  const places = await filled(t, { first });
  const index = join(places.images, 'index.json');
  unlinkSync(index);
  execFileSync('mkfifo', [index]);
  let isWaitedFor = false;
  const late = setInterval(() => {
    isWaitedFor = true;
    closeSync(openSync(index, 'r+'));
  }, 5_000);
  t.after(() => clearInterval(late));
  const refused = { code: 'ERR_LAYOUT_INVALID', message: new RegExp(`^${index}: not a regular file; `) };
  await assert.rejects(listCache(places), refused);
  await assert.rejects(pruneCache(places), refused);
  assert.equal(isWaitedFor, false);
});

test('prune: what was used longest ago goes first, what others share stays', async (t) => {
  const places = await filled(t, { first, second });
  const dry = await pruneCache({ ...places, olderThanMs: 5_400_000, dryRun: true });
  assert.ok(has(places, own));
  const pruned = await pruneCache({ ...places, olderThanMs: 5_400_000 });
  assert.deepEqual(pruned, dry);
  assert.deepEqual(
    new Set(pruned.removed.map(({ kind, digest }) => `${kind} ${digest}`)),
    // The base layer was used again, an hour later.
    new Set([`image ${first.descriptor.digest}`, `layer ${first.layers[1]?.diffId}`]),
  );
  assert.equal(has(places, own), false);
  assert.equal(has(places, shared), true);
  const after = await listCache(places);
  assert.equal(pruned.keptBytes, after.imageBytes + after.layerBytes);
  const offline = await openImageCache({ folder: places.images, pull: 'never' });
  t.after(() => offline.close());
  await assert.rejects(offline.resolve(`${places.host}/first:v1`), { code: 'ERR_NOT_FOUND' });
  await offline.resolve(`${places.host}/second:v1`);
});

test('prune --max-size: until it fits; 0 empties both, but for what is in use', async (t) => {
  const places = await filled(t, { first, second });
  const { imageBytes, layerBytes } = await listCache(places);
  const some = await pruneCache({ ...places, maxSize: imageBytes + layerBytes - 1 });
  assert.equal(some.removed.length, 1);
  const lease = await takeLease(places.images, { purpose: 'test', digests: [second.descriptor.digest] });
  const most = await pruneCache({ ...places, maxSize: 0 });
  assert.equal(most.protectedItems, 1);
  for (const digest of second.blobs.keys()) assert.ok(has(places, digest), digest);
  assert.deepEqual((await listCache(places)).layers, []);
  await lease.release();
  await pruneCache({ ...places, maxSize: 0 });
  const left = await listCache(places);
  assert.deepEqual([left.images, left.imageBytes, left.layerBytes], [[], 0, 0]);
});

test('prune changes the index of the image cache once, however many images go', async (t) => {
  const places = await filled(t, { first, second, third: app('third') });
  const changes = [
    t.mock.method(OciLayout.prototype, 'delete').mock,
    t.mock.method(OciLayout.prototype, 'deleteAll').mock,
  ];
  await pruneCache({ ...places, maxSize: 0, dryRun: true });
  assert.deepEqual(
    changes.map((mock) => mock.callCount()),
    [0, 0],
  );
  const { removed } = await pruneCache({ ...places, maxSize: 0 });
  assert.equal(removed.filter(({ kind }) => kind === 'image').length, 3);
  assert.deepEqual(
    changes.map((mock) => mock.callCount()),
    [0, 1],
  );
  assert.deepEqual(readdirSync(join(places.images, 'blobs', 'sha256')), []);
});

test('an open root file system keeps its layers; when it is closed they can go', async (t) => {
  const places = await filled(t, { first });
  const cache = await openImageCache({ folder: places.images });
  const fetched = await fetchImage(cache, `${places.host}/first:v1`, { platform: 'linux/amd64' });
  const rootfs = await openRootFS(cache, fetched, places.layers);
  const pruned = await pruneCache({ ...places, maxSize: 0 });
  assert.deepEqual(pruned.removed, []);
  assert.equal(pruned.protectedItems, 3);
  for (const { path } of rootfs.layers) assert.ok(existsSync(path));
  await rootfs.close();
  await cache.close();
  assert.equal((await pruneCache({ ...places, maxSize: 0 })).protectedItems, 0);
  assert.deepEqual((await listCache(places)).layers, []);
});

test('blobs that no image names go without being asked for; an index keeps what it lists', async (t) => {
  const folder = tempDir(t);
  const layout = await OciLayout.open(folder, { create: true });
  const both = index().add(first).add(second, { platform: 'linux/arm64' }).build();
  for (const [digest, bytes] of both.blobs) {
    await layout.push({ mediaType: 'application/octet-stream', digest, size: bytes.length }, [bytes] as never);
  }
  await layout.tag(both.descriptor, 'registry.example/both:v1');
  // A manifest that has an entry of its own and is named by the index: it goes with the index, not before.
  await layout.tag(first.descriptor, '');
  const stray = Buffer.from('nobody names this');
  const digest = digestOf(stray);
  await layout.push({ mediaType: 'text/plain', digest, size: stray.length }, [stray] as never);
  const places = { images: folder, layers: join(folder, 'none'), host: '' };
  const pruned = await pruneCache(places);
  assert.deepEqual(
    pruned.removed.map((item) => [item.kind, item.digest, item.bytes]),
    [['blob', digest, stray.length]],
  );
  // It was used longer ago than the index: looked at first, it is still needed then.
  utimesSync(join(folder, 'blobs', first.descriptor.digest.replace(':', '/')), 1, 1);
  const all = await pruneCache({ ...places, maxSize: 0 });
  assert.equal(all.keptBytes, 0);
  assert.deepEqual(
    all.removed.map((item) => item.digest),
    [both.descriptor.digest, first.descriptor.digest],
  );
  assert.deepEqual(readdirSync(join(folder, 'blobs', 'sha256')), []);
  assert.equal(await layout.resolve('').catch((error: Error & { code: string }) => error.code), 'ERR_NOT_FOUND');
});

test('as deep as indexes may lie in each other, what the innermost manifest names is kept', async (t) => {
  const folder = tempDir(t);
  const layout = await OciLayout.open(folder, { create: true });
  let root = first.descriptor;
  const blobs = new Map(first.blobs);
  for (let depth = 0; depth < 8; depth += 1) {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [root] }));
    root = { mediaType: MediaType.ociIndex, digest: digestOf(bytes), size: bytes.length };
    blobs.set(root.digest, bytes);
  }
  for (const [digest, bytes] of blobs) {
    await layout.push({ mediaType: 'application/octet-stream', digest, size: bytes.length }, Readable.from([bytes]));
  }
  await layout.tag(root, 'registry.example/deep:v1');
  const places = { images: folder, layers: join(folder, 'none') };
  assert.deepEqual((await pruneCache(places)).removed, []);
  const { images, imageBytes } = await listCache(places);
  assert.deepEqual(
    images.map(({ bytes }) => bytes),
    [imageBytes],
  );
});

test('an image that names what cannot be verified is no reason to list and prune nothing', async (t) => {
  const folder = tempDir(t);
  const layout = await OciLayout.open(folder, { create: true });
  const layer = { mediaType: MediaType.ociLayerGzip, digest: `blake3:${'b'.repeat(64)}`, size: 10 };
  const bytes = Buffer.from(JSON.stringify({ ...JSON.parse(first.manifestBytes.toString()), layers: [layer] }));
  const target = { mediaType: MediaType.ociManifest, digest: digestOf(bytes), size: bytes.length };
  await layout.push(target, Readable.from([bytes]));
  await layout.tag(target, 'registry.example/odd:v1');
  const places = { images: folder, layers: join(folder, 'none') };
  const [listed] = (await listCache(places)).images;
  // Its config, which was not fetched, and that layer.
  assert.equal(listed?.missingBlobs, 2);
  const { removed } = await pruneCache({ ...places, maxSize: 0 });
  assert.deepEqual(
    removed.map(({ kind, digest }) => `${kind} ${digest}`),
    [`image ${target.digest}`],
  );
});

test('root file systems that are kept beside the layers are told, and stay', async (t) => {
  const places = await filled(t, { first });
  const { store, form } = { store: places.layers, form: 'directory' };
  const reference = `${places.host}/first:v1`;
  const made = await prepareRootfs(reference, { store, form, platform: 'linux/amd64' });
  linkSync(join(made.path, 'base'), join(made.path, 'again'));
  const mounted = join(store, 'erofs', 'image.erofs');
  mkdirSync(dirname(mounted));
  writeFileSync(mounted, 'mounted');
  writeFileSync(join(store, 'erofs', 'image.json'), '{}');
  mkdirSync(join(dirname(made.path), '.being-written'));
  const record = `${first.layers[0]?.diffId.replace(':', '/')}.json`;
  const blob = join(places.images, 'blobs', first.descriptor.digest.replace(':', '/'));
  mkdirSync(join(store, 'mounts'), { recursive: true });
  const mount = join(store, 'mounts', 'a.json');
  writeFileSync(mount, '{}');
  // Seconds, with half a millisecond.
  for (const path of [mounted, join(store, 'meta', record), blob, mount]) utimesSync(path, 1_000.0005, 1_000.0005);
  const listing = await listCache(places);
  const { images, layers, forms, leases } = listing;
  const times = [...images, ...layers, ...forms, ...leases].flatMap((one) => [
    'usedAt' in one ? one.usedAt : 0,
    'createdAt' in one ? one.createdAt : 0,
  ]);
  assert.equal(times.filter((time) => time === 1_000_000).length, 4);
  assert.deepEqual(times.map(Math.floor), times);
  assert.deepEqual(
    listing.forms.map(({ form: kind, path, bytes }) => [kind, path, bytes]),
    [
      ['directory', made.path, 60_000],
      ['erofs', mounted, 7],
    ],
  );
  assert.equal(listing.formBytes, 60_007);
  const pruned = await pruneCache({ ...places, maxSize: 0 });
  assert.deepEqual([pruned.keptBytes, pruned.formBytes], [0, 60_007]);
  assert.deepEqual((await listCache(places)).forms, listing.forms);
});

test('no form is forgotten among those that are kept', async (t) => {
  const store = tempDir(t);
  const names = FORMS.map(({ name }) => name).sort();
  for (const name of names) {
    mkdirSync(join(store, name));
    writeFileSync(join(store, name, 'kept'), name);
  }
  const { forms } = await listCache({ images: join(store, 'none'), layers: store });
  assert.deepEqual(forms.map(({ form }) => form).sort(), names);
});

test('prune --dry-run tells what would go also while somebody prunes', async (t) => {
  const places = await filled(t, { first });
  const names = (): readonly string[] => readdirSync(places.images, { recursive: true, encoding: 'utf8' }).sort();
  const before = names();
  const told = await withoutNewLeases(places.images, async () =>
    withoutNewLeases(places.layers, async () =>
      pruneCache({ ...places, maxSize: 0, dryRun: true, signal: AbortSignal.timeout(10_000) }),
    ),
  );
  assert.deepEqual(
    told.removed.map(({ kind }) => kind),
    ['image', 'layer', 'layer'],
  );
  assert.deepEqual(names(), before);
});

test('two at once remove everything once', async (t) => {
  const places = await filled(t, { first, second });
  const both = await Promise.all([pruneCache({ ...places, maxSize: 0 }), pruneCache({ ...places, maxSize: 0 })]);
  const counts = both.map(({ removed }) => removed.length).sort((a, b) => a - b);
  assert.equal(counts[0], 0);
  assert.equal(counts[1], 5);
});

test('one folder may be both, by one path or by two', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('first', 'v1', first);
  const images = tempDir(t);
  const link = join(tempDir(t), 'link');
  symlinkSync(images, link);
  for (const layers of [images, link]) {
    const cache = await openImageCache({ folder: images });
    const fetched = await fetchImage(cache, `${registry.host}/first:v1`, { platform: 'linux/amd64' });
    const rootfs = await openRootFS(cache, fetched, layers);
    await cache.close();
    const places = { images, layers, signal: AbortSignal.timeout(10_000) };
    const { leases } = await listCache(places);
    assert.equal(new Set(leases.map(({ id }) => id)).size, leases.length);
    for (const { path } of rootfs.layers) assert.ok(existsSync(path));
    await pruneCache({ ...places, maxSize: 0 });
    for (const { path } of rootfs.layers) assert.ok(existsSync(path), 'it is in use');
    await rootfs.close();
    assert.equal((await pruneCache({ ...places, maxSize: 0 })).keptBytes, 0);
    const after = await listCache(places);
    assert.deepEqual([after.images, after.layers, after.imageBytes, after.layerBytes], [[], [], 0, 0]);
  }
});

for (const where of ['both', 'the images']) {
  test(`a full disk is no reason not to prune, with ${where} on it`, async (t) => {
    const places = await filled(t, { first, second });
    const disk = smallDisk(t, 'size=1m');
    if (disk === undefined) return t.skip(NO_MOUNT);
    const images = join(disk, 'images');
    const layers = where === 'both' ? join(disk, 'layers') : places.layers;
    cpSync(places.images, images, { recursive: true });
    if (where === 'both') cpSync(places.layers, layers, { recursive: true, preserveTimestamps: true });
    const fill = openSync(join(disk, 'fill'), 'w');
    t.after(() => closeSync(fill));
    assert.throws(() => {
      for (;;) writeSync(fill, Buffer.alloc(4096, 'x'));
    }, /ENOSPC/);
    assert.equal((await pruneCache({ images, layers, maxSize: 0 })).keptBytes, 0);
    const left = await listCache({ images, layers });
    assert.deepEqual([left.images, left.imageBytes, left.layers], [[], 0, []]);
  });
}

test('numbers are checked', async (t) => {
  const places = { images: tempDir(t), layers: tempDir(t) };
  for (const wrong of [{ maxSize: -1 }, { maxSize: 0.5 }, { olderThanMs: Number.NaN }]) {
    await assert.rejects(pruneCache({ ...places, ...wrong }), { code: 'ERR_OPTION_INVALID' });
  }
});

test('a cache that has become too full to note who uses it still serves what it holds', async (t) => {
  const places = await filled(t, { first });
  const disk = smallDisk(t, 'size=1m');
  if (disk === undefined) return t.skip(NO_MOUNT);
  const images = join(disk, 'images');
  cpSync(places.images, images, { recursive: true });
  const cache = await openImageCache({ folder: images });
  t.after(() => cache.close());
  const fill = openSync(join(disk, 'fill'), 'w');
  t.after(() => closeSync(fill));
  assert.throws(() => {
    for (;;) writeSync(fill, Buffer.alloc(4096, 'x'));
  }, /ENOSPC/);
  const fetched = await fetchImage(cache, `${places.host}/first:v1`, { platform: 'linux/amd64' });
  assert.equal(fetched.manifest.descriptor.digest, first.descriptor.digest);
});
