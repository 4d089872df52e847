/** One download for many callers, cached layers, equal layers, and what a store is told. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BlobDir } from '../../src/content/blob-dir.js';
import { tryLock } from '../../src/io/lock.js';
import { processMark } from '../../src/io/process-mark.js';
import { claimLayer } from '../../src/layer/claim-layer.js';
import { extractLayer } from '../../src/layer/extract-layer.js';
import { extractLayers } from '../../src/layer/extract-layers.js';
import type { ProgressEvent } from '../../src/progress.js';
import { MediaType } from '../../src/spec/media-types.js';
import { digestOf } from '../../src/testing/testing.js';
import { openFilesUnder } from '../support/open-files.js';
import { tempDir } from '../support/temp-dir.js';
import { blobSource, type CountingSource, gzipLayer, makeLayer, seededTar } from './layer-source.js';

const layers = [
  gzipLayer(seededTar(51, 4_000_000)),
  gzipLayer(seededTar(52, 20_000)),
  gzipLayer(seededTar(53, 5_000_000)),
  makeLayer(Buffer.alloc(0), Buffer.alloc(0), MediaType.ociLayer),
];
const inputs = layers.map(({ layer }) => layer);

async function close(handles: readonly { close(): Promise<void> }[]): Promise<void> {
  for (const handle of handles) await handle.close();
}

test('many callers in one process fetch each layer once', async (t) => {
  const dst = tempDir(t);
  const source = blobSource(layers);
  const all = await Promise.all(Array.from({ length: 6 }, () => extractLayers(source, inputs, dst)));
  for (const handles of all) {
    for (const [index, handle] of handles.entries()) {
      assert.ok((await handle.file.readFile()).equals(layers[index]?.tar ?? Buffer.alloc(1)));
    }
    await close(handles);
  }
  assert.deepEqual(
    source.fetched.map(({ digest }) => digest).sort(),
    inputs.map(({ descriptor }) => descriptor.digest).sort(),
  );
  assert.deepEqual(readdirSync(`${dst}/ingest`), []);
  assert.deepEqual(openFilesUnder(dst), []);
});

test('when the first caller is interrupted the next one takes over', async (t) => {
  const dst = tempDir(t);
  const [made] = layers;
  assert.ok(made !== undefined);
  const plain = blobSource(layers);
  const controller = new AbortController();
  const reason = new Error('interrupted');
  const source: CountingSource = {
    ...plain,
    async fetch(target, options) {
      // The first transfer never brings anything.
      if (plain.fetched.length > 0) return plain.fetch(target, options);
      const stream = await plain.fetch(target, options);
      stream.read = () => null;
      return stream;
    },
  };
  const first = extractLayer(source, made.layer, dst, { signal: controller.signal });
  while (plain.fetched.length === 0) await nextTurn();
  const others = [1, 2, 3].map(() => extractLayer(source, made.layer, dst));
  controller.abort(reason);
  await assert.rejects(first, reason);
  await close(await Promise.all(others));
  assert.equal(plain.fetched.length, 2);
});

test('the lock of a dead process is taken over, and its partial continued', async (t) => {
  const dst = tempDir(t);
  const made = gzipLayer(seededTar(54, 9_000_000));
  const store = await BlobDir.open(dst);
  const { digest } = made.layer.descriptor;
  mkdirSync(store.ingestFolder);
  const [host] = processMark().split('-');
  writeFileSync(store.lockPath(digest), `${host}-${process.pid}-1 0000000000000000\n`);
  writeFileSync(store.partialPath(digest), made.blob.subarray(0, 1_000_000));
  const source = blobSource([made]);
  await (await extractLayer(source, made.layer, dst)).close();
  assert.deepEqual(source.fetched, [{ digest, start: 1_000_000 }]);
  assert.deepEqual(readdirSync(store.ingestFolder), []);
});

test('a layer that somebody else brings while we wait for the lock is taken as it is', async (t) => {
  const dst = tempDir(t);
  const [made] = layers;
  assert.ok(made !== undefined);
  const store = await BlobDir.open(dst);
  mkdirSync(store.ingestFolder);
  const release = await tryLock(store.lockPath(made.layer.descriptor.digest));
  assert.ok(release !== undefined);
  const source = blobSource([made]);
  const waiting = extractLayer(source, made.layer, dst);
  const temporary = store.temporaryPath();
  writeFileSync(temporary, made.tar);
  await store.commitFile(temporary, made.layer.diffId, made.tar.length);
  const handle = await waiting;
  assert.ok((await handle.file.readFile()).equals(made.tar));
  await handle.close();
  await release();
  assert.deepEqual(source.fetched, []);
});

test('who waits without seeing progress goes on alone, and leaves the partial to its owner', async (t) => {
  const dst = tempDir(t);
  const [made] = layers;
  assert.ok(made !== undefined);
  const store = await BlobDir.open(dst);
  mkdirSync(store.ingestFolder);
  const release = await tryLock(store.lockPath(made.layer.descriptor.digest));
  assert.ok(release !== undefined);
  const asked: boolean[] = [];
  const layer = { diffId: made.layer.diffId, path: 'x', tarBytes: 1 };
  const extract = async (locked: boolean): Promise<typeof layer> => {
    asked.push(locked);
    return layer;
  };
  const { signal } = new AbortController();
  assert.deepEqual(await claimLayer(store, made.layer, signal, extract, 0), { layer, cached: false });
  await release();
  assert.deepEqual(await claimLayer(store, made.layer, signal, extract, 0), { layer, cached: false });
  assert.deepEqual(asked, [false, true]);
});

test('equal layers are fetched once and give a handle each', async (t) => {
  const dst = tempDir(t);
  const [a, b] = layers;
  assert.ok(a !== undefined && b !== undefined);
  const source = blobSource([a, b]);
  const handles = await extractLayers(source, [a.layer, b.layer, a.layer], dst);
  assert.deepEqual(
    handles.map(({ diffId }) => diffId),
    [a.layer.diffId, b.layer.diffId, a.layer.diffId],
  );
  assert.equal(source.fetched.length, 2);
  await handles[0]?.close();
  await handles[0]?.close();
  assert.ok((await handles[2]?.file.readFile())?.equals(a.tar));
  await close(handles);
});

test('what the store has is not fetched; with verify: always it is hashed again, and replaced when it is bad', async (t) => {
  const dst = tempDir(t);
  await close(await extractLayers(blobSource(layers), inputs, dst));
  const again = blobSource(layers);
  const events: ProgressEvent[] = [];
  await close(await extractLayers(again, inputs, dst, { onProgress: (event) => events.push(event), verify: 'always' }));
  assert.deepEqual(again.fetched, []);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['layers:planned', ...inputs.map(() => 'layer:finished')],
  );
  const path = (await BlobDir.open(dst)).path(inputs[0]?.diffId ?? digestOf(Buffer.alloc(0)));
  chmodSync(path, 0o644);
  const bad = readFileSync(path);
  bad[5] = (bad[5] ?? 0) ^ 1;
  writeFileSync(path, bad);
  await close(await extractLayers(again, inputs, dst));
  assert.equal(again.fetched.length, 1);
  assert.ok(readFileSync(path).equals(layers[0]?.tar ?? Buffer.alloc(0)));
});

test('a layer without a diffId is named by what comes out', async (t) => {
  const dst = tempDir(t);
  const [made] = layers;
  assert.ok(made !== undefined);
  const handle = await extractLayer(blobSource([made]), { descriptor: made.layer.descriptor }, dst);
  assert.equal(handle.diffId, made.layer.diffId);
  assert.ok(existsSync(handle.path));
  await handle.close();
});

test('content that stands in the descriptor is used without asking the source', async (t) => {
  const dst = tempDir(t);
  const made = gzipLayer(seededTar(60, 5000));
  const source = blobSource([made]);
  const descriptor = { ...made.layer.descriptor, data: made.blob.toString('base64') };
  await (await extractLayer(source, { ...made.layer, descriptor }, dst)).close();
  assert.deepEqual(source.fetched, []);
  const wrong = { ...descriptor, data: Buffer.alloc(made.blob.length).toString('base64') };
  await assert.rejects(extractLayer(source, { ...made.layer, descriptor: wrong }, tempDir(t)), {
    code: 'ERR_DIGEST_MISMATCH',
  });
});

test('progress tells the plan, each layer from start to end, and never goes back', async (t) => {
  const events: ProgressEvent[] = [];
  await close(
    await extractLayers(blobSource(layers), inputs, tempDir(t), {
      onProgress: (event) => {
        events.push(event);
        throw new Error('a display that fails');
      },
    }),
  );
  assert.deepEqual(events[0], {
    type: 'layers:planned',
    layers: layers.length,
    compressedBytes: inputs.reduce((sum, { descriptor }) => sum + descriptor.size, 0),
  });
  for (const { layer, tar, blob } of layers) {
    const own = events.filter((event) => 'digest' in event && event.digest === layer.descriptor.digest);
    assert.deepEqual([own[0]?.type, own.at(-1)?.type], ['layer:started', 'layer:finished']);
    assert.deepEqual(own.at(-1), {
      type: 'layer:finished',
      digest: layer.descriptor.digest,
      diffId: layer.diffId,
      compressedBytes: blob.length,
      tarBytes: tar.length,
      cached: false,
    });
    let last = { fetchedBytes: 0, tarBytes: 0 };
    for (const event of own) {
      if (event.type !== 'layer:progressed') continue;
      assert.ok(event.fetchedBytes >= last.fetchedBytes && event.tarBytes >= last.tarBytes);
      last = event;
    }
    if (tar.length > 0) assert.deepEqual([last.fetchedBytes, last.tarBytes], [blob.length, tar.length]);
  }
});

test('no more than `jobs` transfers run at once', async (t) => {
  const plain = blobSource(layers);
  let open = 0;
  let most = 0;
  const source: CountingSource = {
    ...plain,
    async fetch(target, options) {
      const stream = await plain.fetch(target, options);
      most = Math.max(most, ++open);
      stream.once('close', () => open--);
      return stream;
    },
  };
  await close(await extractLayers(source, inputs, tempDir(t), { jobs: 1, workers: 1 }));
  assert.equal(plain.fetched.length, layers.length);
  assert.equal(most, 1);
});

test('old partials are swept, whoever left them', async (t) => {
  const dst = tempDir(t);
  const store = await BlobDir.open(dst);
  const stranger = store.partialPath(digestOf(Buffer.from('stranger')));
  mkdirSync(dirname(stranger));
  writeFileSync(stranger, 'x');
  utimesSync(stranger, new Date(0), new Date(0));
  const young = store.partialPath(digestOf(Buffer.from('young')));
  writeFileSync(young, 'x');
  await close(await extractLayers(blobSource(layers), inputs.slice(1, 2), dst));
  assert.deepEqual(readdirSync(store.ingestFolder), [young.split('/').pop()]);
});
