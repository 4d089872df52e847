/** From an image to open layers. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { BlobDir } from '../../src/content/blob-dir.js';
import { MemoryStore } from '../../src/content/memory.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { type ReleaseLock, tryLock } from '../../src/io/lock.js';
import { openRootFS } from '../../src/rootfs/open-rootfs.js';
import { type BuiltImage, image } from '../../src/testing/testing.js';
import { openFilesUnder } from '../support/open-files.js';
import { tempDir } from '../support/temp-dir.js';

async function storeOf(built: BuiltImage, without?: string): Promise<MemoryStore> {
  const store = new MemoryStore();
  const { descriptor } = built;
  for (const [digest, bytes] of built.blobs) {
    if (digest === without) continue;
    const mediaType = digest === descriptor.digest ? descriptor.mediaType : 'application/octet-stream';
    await store.push({ mediaType, digest, size: bytes.length }, Readable.from([bytes]));
  }
  await store.tag(descriptor, 'test');
  return store;
}

const built = image()
  .layer((layer) => layer.file('a', 'base'))
  .layer((layer) => layer.whiteout('a').file('b', 'top'))
  .layer((layer) => layer.file('a', 'base'))
  .build();

test('layers are open base first, the same when they are fresh and when they were there', async (t) => {
  const dst = tempDir(t);
  const source = await storeOf(built);
  const found = await fetchImage(source, 'test');
  for (const round of ['fresh', 'cached']) {
    const rootfs = await openRootFS(source, found, dst);
    assert.equal(rootfs.image, found);
    assert.deepEqual(
      rootfs.layers.map(({ diffId }) => diffId),
      built.layers.map(({ diffId }) => diffId),
      round,
    );
    for (const [index, layer] of rootfs.layers.entries()) {
      assert.ok((await layer.file.readFile()).equals(built.layers[index]?.tar ?? Buffer.alloc(0)));
    }
    await rootfs.close();
    await rootfs.close();
    assert.deepEqual(openFilesUnder(dst), []);
  }
});

test('await using closes every layer', async (t) => {
  const dst = tempDir(t);
  const source = await storeOf(built);
  {
    await using rootfs = await openRootFS(source, await fetchImage(source, 'test'), dst);
    assert.equal(rootfs.layers.length, 3);
  }
  assert.deepEqual(openFilesUnder(dst), []);
});

test('a layer that is missing fails all of it, with nothing left open; what is there stays', async (t) => {
  const dst = tempDir(t);
  const missing = built.layers[1]?.descriptor.digest ?? '';
  const source = await storeOf(built, missing);
  await assert.rejects(openRootFS(source, await fetchImage(source, 'test'), dst), {
    code: 'ERR_NOT_FOUND',
    message: new RegExp(missing),
  });
  assert.deepEqual(openFilesUnder(dst), []);
  const whole = await storeOf(built);
  await (await openRootFS(whole, await fetchImage(whole, 'test'), dst)).close();
  const store = await BlobDir.open(dst);
  for (const { diffId } of built.layers) assert.ok(await store.find(diffId));
});

test('layers that named themselves are closed when their lease cannot be had any more', async (t) => {
  const dst = tempDir(t);
  const source = await storeOf(built);
  const found = await fetchImage(source, 'test');
  const unnamed = { ...found, layers: found.layers.map(({ descriptor }) => ({ descriptor })) };
  const controller = new AbortController();
  const reason = new Error('enough');
  const locks: Promise<ReleaseLock | undefined>[] = [];
  const timer = setInterval(() => {
    if (openFilesUnder(join(dst, 'sha256')).length > 0) controller.abort(reason);
  }, 5);
  const { signal } = controller;
  const opening = openRootFS(source, unnamed, dst, {
    signal,
    // somebody removes things from now on: whoever wants a lease waits
    onProgress: ({ type }) => void (type === 'layers:planned' || locks.push(tryLock(join(dst, 'prune.lock')))),
  });
  await assert.rejects(opening, reason);
  clearInterval(timer);
  assert.deepEqual(openFilesUnder(dst), []);
  for (const release of await Promise.all(locks)) await release?.();
});
