/** The default stores: what they keep, what they bear, several writers at once. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryStore } from '../../src/content/memory.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { LayerDownloadManager } from '../../src/engine/download-manager.js';
import { imageConfigStoreFromStore } from '../../src/engine/image-config-store.js';
import { FileMetadataStore, type LayerSighting } from '../../src/engine/metadata-store.js';
import { FileReferenceStore } from '../../src/engine/reference-store.js';
import { LayerUploadManager } from '../../src/engine/upload-manager.js';
import { RootfsError } from '../../src/errors.js';
import { processMark } from '../../src/io/process-mark.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import type { Digest } from '../../src/spec/digest.js';
import { image } from '../../src/testing/testing.js';
import { memoryWith } from '../support/memory-with.js';
import { tempDir } from '../support/temp-dir.js';

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;

test('references: set, replaced, listed, deleted; names that objects have are only names', async (t) => {
  const folder = tempDir(t);
  const store = new FileReferenceStore(folder);
  assert.equal(await store.get('a'), undefined);
  assert.equal(await store.delete('a'), false);
  assert.deepEqual(readdirSync(folder), []);
  for (const name of ['a', '__proto__', 'constructor']) await store.set(name, digest('1'));
  await store.set('a', digest('2'));
  const other = new FileReferenceStore(folder);
  assert.equal(await other.get('a'), digest('2'));
  assert.equal(await other.get('__proto__'), digest('1'));
  assert.equal(await other.get('toString'), undefined);
  assert.deepEqual([...(await other.references(digest('1')))].sort(), ['__proto__', 'constructor']);
  assert.equal(await other.delete('constructor'), true);
  assert.equal(await store.get('constructor'), undefined);
});

test('what forgets makes no folder where nothing was kept, and writes nothing', async (t) => {
  const folder = join(tempDir(t), 'none', 'yet');
  assert.equal(await new FileReferenceStore(folder).delete('a'), false);
  const sighting = { digest: digest('b'), size: 1, mediaType: 'x/y', repository: 'docker.io/library/a' };
  await new FileMetadataStore(folder).remove(digest('a'), sighting);
  assert.equal(existsSync(folder), false);
  const reason = new Error('enough');
  const aborted = { signal: AbortSignal.abort(reason) };
  await assert.rejects(new FileReferenceStore(folder).delete('a', aborted), reason);
  await assert.rejects(new FileMetadataStore(folder).remove(digest('a'), sighting, aborted), reason);
});

test('references: many writers at once lose nothing; a file that is no JSON is an error that names it', async (t) => {
  const folder = tempDir(t);
  const names = Array.from({ length: 20 }, (_, at) => `name-${at}`);
  await Promise.all(names.map((name) => new FileReferenceStore(folder).set(name, digest('1'))));
  assert.equal((await new FileReferenceStore(folder).references(digest('1'))).length, 20);
  assert.deepEqual(readdirSync(folder), ['references.json']);
  writeFileSync(join(folder, 'references.json'), '{');
  await assert.rejects(new FileReferenceStore(folder).get('a'), {
    code: 'ERR_FILESYSTEM',
    message: /references\.json/,
  });
  writeFileSync(join(folder, 'references.json'), '{"references":[["a"],["b","no digest"],7,["c","x","y"]]}');
  assert.equal(await new FileReferenceStore(folder).get('b'), undefined);
});

test('references: what a writer that was killed left is gone with the next change', async (t) => {
  const folder = tempDir(t);
  const dead = processMark().replace(/-\d+-\d+$/, '-4194303-77');
  writeFileSync(join(folder, `.rootfs-kit-${dead}-0123456789ab`), '{');
  await new FileReferenceStore(folder).set('a', digest('1'));
  assert.deepEqual(readdirSync(folder), ['references.json']);
});

test('references: a pipe in the place of the file is not waited for', async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'references.json');
  execFileSync('mkfifo', [path]);
  let isWaitedFor = false;
  const late = setInterval(() => {
    isWaitedFor = true;
    closeSync(openSync(path, 'r+'));
  }, 5_000);
  const refused = { code: 'ERR_FILESYSTEM', message: `${path}: not a regular file; remove it` };
  await assert.rejects(new FileReferenceStore(folder).get('a'), refused);
  await assert.rejects(new FileReferenceStore(folder).set('a', digest('1')), refused);
  clearInterval(late);
  assert.equal(isWaitedFor, false);
});

test('sightings: the latest first, each once, at most fifty, broken ones passed over', async (t) => {
  const folder = tempDir(t);
  const store = new FileMetadataStore(folder);
  const sighting = (repository: string): LayerSighting => ({
    digest: digest('b'),
    size: 7,
    mediaType: 'm',
    repository,
  });
  for (let at = 0; at < 60; at += 1) await store.add(digest('a'), sighting(`host/${at}`));
  await store.add(digest('a'), sighting('host/30'));
  const seen = await new FileMetadataStore(folder).get(digest('a'));
  assert.equal(seen.length, 50);
  assert.deepEqual(
    seen.slice(0, 2).map(({ repository }) => repository),
    ['host/30', 'host/59'],
  );
  await store.remove(digest('a'), sighting('host/30'));
  await store.remove(digest('a'), sighting('host/never'));
  assert.equal((await store.get(digest('a'))).length, 49);
  writeFileSync(
    join(folder, 'sha256', `${'c'.repeat(64)}.json`),
    JSON.stringify({ sightings: [null, { digest: 'x' }, { ...sighting('host/x'), size: -1 }, sighting('host/good')] }),
  );
  assert.deepEqual(
    (await store.get(digest('c'))).map(({ repository }) => repository),
    ['host/good'],
  );
  await assert.rejects(store.get('sha256:../../x' as Digest), { code: 'ERR_DIGEST_INVALID' });
});

test('a config store of any store gives back the same bytes, verified', async (t) => {
  const config = Buffer.from('{"architecture":"amd64","os":"linux"}');
  for (const store of [new MemoryStore(), await OciLayout.open(tempDir(t), { create: true })]) {
    const configs = imageConfigStoreFromStore(store);
    const id = await configs.put(config);
    assert.deepEqual(Buffer.from(await configs.get(id)), config);
    await assert.rejects(configs.get(digest('0')), { code: 'ERR_NOT_FOUND' });
  }
  const liar = new MemoryStore();
  const id = await imageConfigStoreFromStore(liar).put(config);
  const { fetch } = liar;
  liar.fetch = async (target, options) => {
    const stream = await fetch.call(liar, target, options);
    return stream.map((chunk: Buffer) => Buffer.from(chunk.toString().replace('amd64', 'arm64')));
  };
  await assert.rejects(imageConfigStoreFromStore(liar).get(id), { code: 'ERR_DIGEST_MISMATCH' });
});

test('a config that could not be given back is not taken', async () => {
  const store = new MemoryStore();
  const configs = imageConfigStoreFromStore(store);
  const most = Buffer.alloc(4 * 1024 * 1024, ' ');
  assert.deepEqual(await configs.get(await configs.put(most)), most);
  await assert.rejects(configs.put(Buffer.concat([most, most.subarray(0, 1)])), { code: 'ERR_LIMIT_EXCEEDED' });
});

test('names and sightings that could not be given back are not taken', async (t) => {
  const folder = join(tempDir(t), 'none', 'yet');
  const references = new FileReferenceStore(folder);
  for (const reference of [undefined, null, 5] as never[]) {
    await assert.rejects(references.set(reference, digest('1')), { code: 'ERR_REFERENCE_INVALID' });
  }
  for (const id of [undefined, null, 5, 'x', '1'.repeat(64)] as never[]) {
    await assert.rejects(references.set('a', id), { code: 'ERR_DIGEST_INVALID' });
  }
  const sightings = new FileMetadataStore(folder);
  const sound = { digest: digest('b'), size: 1, mediaType: 'x/y', repository: 'docker.io/library/a' };
  for (const part of [{ digest: 'x' }, { size: -1 }, { size: '1' }, { mediaType: null }, { urls: [5] }]) {
    await assert.rejects(sightings.add(digest('a'), { ...sound, ...part } as never), { code: 'ERR_OPTION_INVALID' });
  }
  for (const sighting of [undefined, null, 'x'] as never[]) {
    await assert.rejects(sightings.add(digest('a'), sighting), { code: 'ERR_OPTION_INVALID' });
  }
  assert.equal(existsSync(folder), false);
});

test('managers: the limit is checked, and can be changed while they run', async (t) => {
  for (const concurrency of [0, 65, 1.5]) {
    assert.throws(() => new LayerUploadManager({ concurrency }), { code: 'ERR_OPTION_INVALID' });
    assert.throws(() => new LayerDownloadManager(tempDir(t), { concurrency }), { code: 'ERR_OPTION_INVALID' });
  }
  const manager = new LayerUploadManager({ concurrency: 1 });
  let now = 0;
  let most = 0;
  const uploads = (names: readonly string[]): { key: string; upload(): Promise<Descriptor> }[] =>
    names.map((key) => ({
      key,
      async upload() {
        now += 1;
        most = Math.max(most, now);
        await new Promise((resolve) => setImmediate(resolve));
        now -= 1;
        return { mediaType: key, digest: digest('a'), size: 1 };
      },
    }));
  const found = await manager.upload(uploads(['a', 'b', 'c', 'a']));
  assert.deepEqual(
    found.map(({ mediaType }) => mediaType),
    ['a', 'b', 'c', 'a'],
  );
  assert.equal(most, 1);
  manager.setConcurrency(3);
  await manager.upload(uploads(['a', 'b', 'c']));
  assert.equal(most, 3);
  // What waits goes by the new limit, too.
  manager.setConcurrency(1);
  const begun: string[] = [];
  const waiting = ['x', 'y'].map((key) => ({
    key,
    async upload() {
      begun.push(key);
      while (begun.length < 2) await new Promise((resolve) => setImmediate(resolve));
      return { mediaType: key, digest: digest('a'), size: 1 };
    },
  }));
  const both = manager.upload(waiting);
  while (begun.length === 0) await new Promise((resolve) => setImmediate(resolve));
  manager.setConcurrency(2);
  await both;
  assert.deepEqual(begun, ['x', 'y']);
});

test('a layer that two want at once from different sources: one that fails is no failure of the other', async (t) => {
  const app = image()
    .layer((layer) => layer.file('a', 'a'))
    .build();
  const source = await memoryWith(app);
  const manager = new LayerDownloadManager(tempDir(t));
  const broken = {
    async fetch(): Promise<never> {
      await new Promise((resolve) => setImmediate(resolve));
      throw new RootfsError('ERR_DENIED', 'nobody may read this');
    },
  };
  const layers = app.layers.map(({ descriptor, diffId }) => ({ descriptor, diffId }));
  const [refused, brought] = await Promise.allSettled([
    manager.download(broken, layers),
    manager.download(source, layers),
  ]);
  assert.equal(refused.status === 'rejected' && refused.reason.code, 'ERR_DENIED');
  assert.deepEqual(brought.status === 'fulfilled' && brought.value, [layers[0]?.diffId]);
});
