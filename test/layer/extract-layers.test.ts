/** Extracting layers: what comes out, and what is left when it fails. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { extractLayers } from '../../src/layer/extract-layers.js';
import { MediaType } from '../../src/spec/media-types.js';
import { openFilesUnder } from '../support/open-files.js';
import { NO_MOUNT, smallDisk } from '../support/small-disk.js';
import { tempDir } from '../support/temp-dir.js';
import { blobSource, gzipLayer, makeLayer, seededTar } from './layer-source.js';

test('layers come out in input order, named by their own bytes, open at the start', async (t) => {
  const dst = tempDir(t);
  const layers = [seededTar(1, 3_000_000), seededTar(2, 10_000), seededTar(3, 8_000_000)].map((tar) => gzipLayer(tar));
  for (const local of [false, true]) {
    const folder = join(dst, local ? 'local' : 'streamed');
    mkdirSync(folder);
    const source = blobSource(layers, local ? tempDir(t) : undefined);
    const handles = await extractLayers(
      source,
      layers.map((layer) => layer.layer),
      folder,
    );
    try {
      assert.deepEqual(
        handles.map((handle) => handle.diffId),
        layers.map(({ layer }) => layer.diffId),
      );
      for (const [index, handle] of handles.entries()) {
        assert.equal(handle.path, join(folder, handle.diffId.replace(':', '/')));
        const bytes = await handle.file.readFile();
        assert.ok(bytes.equals(layers[index]?.tar ?? Buffer.alloc(0)));
        assert.equal(handle.tarBytes, bytes.length);
      }
    } finally {
      for (const handle of handles) await handle.close();
    }
    assert.deepEqual(readdirSync(join(folder, 'ingest')), []);
  }
});

test('an abort ends the workers of a layer, one or two, and leaves nothing of a local blob', async (t) => {
  const made = gzipLayer(seededTar(70, 60_000_000));
  for (const workers of [1, 2]) {
    const dst = tempDir(t);
    const controller = new AbortController();
    const reason = new Error('interrupted');
    await assert.rejects(
      extractLayers(blobSource([made], tempDir(t)), [made.layer], dst, {
        workers,
        signal: controller.signal,
        onProgress: (event) => {
          if (event.type === 'layer:progressed' && event.tarBytes > 0) controller.abort(reason);
        },
      }),
      reason,
    );
    assert.deepEqual(readdirSync(join(dst, 'ingest')), []);
    assert.deepEqual(openFilesUnder(dst), []);
    // The same workers serve the next layer.
    const handles = await extractLayers(blobSource([made], tempDir(t)), [made.layer], dst, { workers });
    assert.equal(handles[0]?.tarBytes, made.tar.length);
    await handles[0]?.close();
  }
});

test('a layer in two workers comes out as it does in one', async (t) => {
  for (const tar of [seededTar(71, 20_000_000), Buffer.alloc(40_000_000)]) {
    const made = makeLayer(tar, gzipSync(tar, { level: 0 }), MediaType.ociLayerGzip);
    for (const workers of [1, 2, 3]) {
      const dst = tempDir(t);
      const [handle] = await extractLayers(blobSource([made]), [made.layer], dst, { workers });
      assert.ok(handle !== undefined && (await handle.file.readFile()).equals(tar), `${workers} workers`);
      await handle.close();
    }
  }
});

test('a layer whose tar is the blob of another is not taken for it', async (t) => {
  const inner = gzipLayer(seededTar(80, 10_000));
  const outer = gzipLayer(inner.blob);
  const unnamed = { descriptor: inner.layer.descriptor };
  for (const layers of [
    [outer.layer, unnamed],
    [unnamed, outer.layer],
  ]) {
    const handles = await extractLayers(blobSource([inner, outer]), layers, tempDir(t));
    assert.deepEqual(
      handles.map(({ diffId }) => diffId),
      layers.map((layer) => (layer === unnamed ? inner.layer.diffId : outer.layer.diffId)),
    );
    for (const handle of handles) await handle.close();
  }
});

test('a full disk still serves the layers it holds, whatever their blobs are now', async (t) => {
  const dst = smallDisk(t, 'size=1m');
  if (dst === undefined) return t.skip(NO_MOUNT);
  const made = gzipLayer(seededTar(81, 10_000));
  const plain = makeLayer(made.tar, made.tar, MediaType.ociLayer);
  for (const { layer } of [made, plain]) {
    const [handle] = await extractLayers(blobSource([made]), [layer], dst);
    await handle?.close();
    assert.throws(() => writeFileSync(join(dst, 'full'), Buffer.alloc(2 ** 21)), { code: 'ENOSPC' });
  }
});
