/** Extracting layers: what comes out, and what is left when it fails. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { extractLayers } from '../../src/layer/extract-layers.js';
import { tempDir } from '../support/temp-dir.js';
import { blobSource, gzipLayer, seededTar } from './layer-source.js';

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
