/** Who names a blob that an archive lacks: looked for in so many documents, each read once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPromised } from '../../src/content/promised-blob.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { MediaType } from '../../src/spec/media-types.js';
import { DocumentSource, someDigest } from '../support/document-source.js';

const lost = someDigest(1);

/** A manifest whose one layer is `blob`. */
function manifestOf(source: DocumentSource, blob: Partial<Descriptor>, name = ''): Descriptor {
  const config = { mediaType: MediaType.ociConfig, digest: someDigest(2), size: 2, annotations: { name } };
  const layer = { mediaType: MediaType.ociLayerGzip, digest: lost, size: 3, ...blob };
  return source.add(MediaType.ociManifest, { schemaVersion: 2, config, layers: [layer] });
}

test('what index.json, a config or a layer names is promised; what may be had elsewhere is not', async () => {
  const source = new DocumentSource();
  const manifest = manifestOf(source, {});
  const roots = [manifest];
  assert.equal(await isPromised(lost, roots, source), true);
  assert.equal(await isPromised(lost, [source.index([manifest])], source), true);
  assert.equal(await isPromised(someDigest(2), roots, source), true);
  assert.equal(await isPromised(manifest.digest, roots, source), true);
  assert.equal(await isPromised(someDigest(3), roots, source), false);
  for (const blob of [{ urls: ['https://a.example/b'] }, { mediaType: MediaType.dockerForeignLayer }]) {
    assert.equal(await isPromised(lost, [manifestOf(source, blob)], source), false, JSON.stringify(blob));
  }
});

test('256 documents are read, each once, and nothing else', async () => {
  const source = new DocumentSource();
  const other = { digest: someDigest(9) };
  const others = Array.from({ length: 255 }, (_, at) => manifestOf(source, other, String(at)));
  const last = manifestOf(source, {});
  const twice = others.flatMap((one) => [one, one, { ...last, mediaType: 'application/json' }]);
  assert.equal(await isPromised(lost, [...twice, last], source), true);
  assert.equal(source.log.length, 256);
  source.log.length = 0;
  const more = manifestOf(source, other, 'more');
  assert.equal(await isPromised(lost, [...others, more, last], source), false);
  assert.equal(source.log.length, 256);
  source.log.length = 0;
  assert.equal(await isPromised(lost, [source.index([...others, last])], source), false);
  assert.equal(source.log.length, 256);
});
