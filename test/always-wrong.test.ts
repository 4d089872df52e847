/** A source that always brings wrong bytes and always says that it could do better: it is asked a few times, not for ever. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { validateImage } from '../src/client/validate-image.js';
import { readVerified } from '../src/content/fetch-verified.js';
import { MemoryStore } from '../src/content/memory.js';
import { copyImage } from '../src/image/copy-image.js';
import { fetchImage } from '../src/image/fetch-image.js';
import { writeArchive } from '../src/image/write-archive.js';
import { extractLayers } from '../src/layer/extract-layers.js';
import type { ProgressEvent } from '../src/progress.js';
import type { Descriptor } from '../src/spec/descriptor.js';
import type { Digest } from '../src/spec/digest.js';
import { image } from '../src/testing/testing.js';
import { memoryWith } from './support/memory-with.js';
import { tempDir } from './support/temp-dir.js';

const ATTEMPTS = 9;
const built = image()
  .layer((layer) => layer.file('a', 'content'))
  .build();
const [layer] = built.layers;
assert.ok(layer);

/** Counts how often it was asked for what it has wrong. */
interface AlwaysWrong extends MemoryStore {
  asked: number;
  distrust(): boolean;
}

async function alwaysWrong(digest: Digest): Promise<AlwaysWrong> {
  const store = await memoryWith(built);
  const { fetch } = store;
  return Object.assign(store, {
    asked: 0,
    distrust: () => true,
    async fetch(this: AlwaysWrong, target: Descriptor): Promise<Readable> {
      if (target.digest !== digest) return fetch.call(store, target);
      this.asked += 1;
      return Readable.from([Buffer.alloc(target.size)]);
    },
  });
}

const refused = { code: 'ERR_DIGEST_MISMATCH' };

test('a document', async () => {
  for (const { digest, size, mediaType } of [built.descriptor, built.manifest.config]) {
    const source = await alwaysWrong(digest);
    await assert.rejects(fetchImage(source, 'v1', { platform: 'linux/amd64' }), refused);
    assert.equal(source.asked, ATTEMPTS);
    source.asked = 0;
    await assert.rejects(readVerified(source, { digest, size, mediaType }), refused);
    assert.equal(source.asked, ATTEMPTS);
  }
});

test('a layer that is copied, into a store and into an archive', async (t) => {
  const { digest } = layer.descriptor;
  const source = await alwaysWrong(digest);
  const to = new MemoryStore();
  const told: string[] = [];
  const onProgress = (event: ProgressEvent): void => {
    if (event.type === 'warning:raised') told.push(event.message);
  };
  await assert.rejects(copyImage(source, 'v1', to, 'v1', { onProgress }), refused);
  assert.equal(source.asked, ATTEMPTS);
  const again = `${digest}: the bytes that came were wrong; fetching it from elsewhere`;
  assert.deepEqual(told, Array(ATTEMPTS - 1).fill(again));
  await assert.rejects(to.resolve('v1'), { code: 'ERR_NOT_FOUND' });
  source.asked = 0;
  const folder = tempDir(t);
  const place = { form: 'oci-archive', path: join(folder, 'image.tar') } as const;
  await assert.rejects(writeArchive(source, [{ reference: 'v1' }], place), refused);
  assert.equal(source.asked, ATTEMPTS);
  assert.deepEqual(readdirSync(folder), []);
});

test('a layer that is validated', async () => {
  const source = await alwaysWrong(layer.descriptor.digest);
  await assert.rejects(validateImage(source, 'v1'), refused);
  assert.equal(source.asked, ATTEMPTS);
});

test('a layer that is extracted', async (t) => {
  const source = await alwaysWrong(layer.descriptor.digest);
  const store = join(tempDir(t), 'store');
  mkdirSync(store);
  await assert.rejects(extractLayers(source, [{ descriptor: layer.descriptor, diffId: layer.diffId }], store), refused);
  assert.equal(source.asked, ATTEMPTS - 1);
});
