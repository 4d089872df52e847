import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type ContentInfo, ContentStore } from '../../src/content/content-store.js';
import { readVerified } from '../../src/content/fetch-verified.js';
import { type IngestStatus, ingestPath } from '../../src/content/ingest-state.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { describe } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const bytes = Buffer.from('the bytes of a blob that comes in pieces');
const blob = describe('application/octet-stream', bytes);
const [head, tail] = [bytes.subarray(0, 11), bytes.subarray(11)];

const opened = async (t: TestContext): Promise<ContentStore> => ContentStore.open(tempDir(t));

async function add(store: ContentStore, content: string): Promise<Descriptor> {
  const descriptor = describe('application/octet-stream', Buffer.from(content));
  await store.blobs.push(descriptor, Readable.from([Buffer.from(content)]));
  return descriptor;
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

test('an ingest becomes a blob, and leaves nothing else', async (t) => {
  const store = await opened(t);
  const writer = await store.ingest('layer-1', { expected: blob });
  assert.equal(writer.status().offset, 0);
  await Promise.all([writer.write(head), writer.write(tail)]);
  assert.equal(writer.status().offset, bytes.length);
  assert.equal(await store.blobs.exists(blob), false);
  assert.equal(await writer.commit({ labels: { from: 'here' } }), blob.digest);
  await writer.close();
  assert.deepEqual(await readVerified(store.blobs, blob), bytes);
  assert.deepEqual((await store.info(blob.digest)).labels, { from: 'here' });
  assert.deepEqual(readdirSync(store.blobs.ingestFolder), []);
  await assert.rejects(writer.write(head), { code: 'ERR_INTERNAL' });
});

test('a link that somebody planted where an ingest keeps its state is not written through', async (t) => {
  const store = await opened(t);
  const theirs = join(store.blobs.root, 'theirs');
  writeFileSync(theirs, 'theirs');
  const path = ingestPath(store.blobs.ingestFolder, 'layer-1');
  mkdirSync(path, { recursive: true });
  symlinkSync(theirs, join(path, 'state.json'));
  await assert.rejects(store.ingest('layer-1', { expected: blob }), { code: 'ERR_FILESYSTEM' });
  assert.equal(readFileSync(theirs, 'utf8'), 'theirs');
});

test('an ingest is resumed where it stopped, in this process and in another', async (t) => {
  const store = await opened(t);
  const first = await store.ingest('layer-1', { expected: blob });
  await first.write(head.subarray(0, 5));
  await first.close();
  const module = fileURLToPath(new URL('../../src/content/content-store.js', import.meta.url));
  const script = `
    import { ContentStore } from ${JSON.stringify(module)};
    const store = await ContentStore.open(${JSON.stringify(store.blobs.root)});
    const writer = await store.ingest('layer-1');
    if (writer.status().offset !== 5) throw new Error('offset ' + writer.status().offset);
    await writer.write(Buffer.from(${JSON.stringify(head.subarray(5).toString())}));
    process.kill(process.pid, 'SIGKILL');
  `;
  assert.throws(() => execFileSync(process.execPath, ['--input-type=module', '-e', script], { stdio: 'pipe' }), {
    signal: 'SIGKILL',
  });
  assert.equal((await store.status('layer-1')).offset, head.length);
  const last = await store.ingest('layer-1', { expected: blob });
  assert.equal(last.status().offset, head.length);
  assert.deepEqual(last.status().expected?.digest, blob.digest);
  await last.write(tail);
  assert.equal(await last.commit(), blob.digest);
  assert.deepEqual(await readVerified(store.blobs, blob), bytes);
});

test('one writer at a time', async (t) => {
  const store = await opened(t);
  const writer = await store.ingest('layer-1');
  await assert.rejects(store.ingest('layer-1'), { code: 'ERR_BUSY' });
  await assert.rejects(store.abort('layer-1'), { code: 'ERR_BUSY' });
  await (await store.ingest('layer-2')).abort();
  await writer.abort();
  await (await store.ingest('layer-1')).abort();
  assert.deepEqual(readdirSync(store.blobs.ingestFolder), []);
});

test('without anything expected the bytes name themselves; sha512 where it is expected', async (t) => {
  const store = await opened(t);
  const writer = await store.ingest('any');
  await writer.write(bytes);
  assert.equal(await writer.commit(), blob.digest);
  const digest = `sha512:${createHash('sha512').update(bytes).digest('hex')}` as const;
  const long = await store.ingest('long', { expected: { digest } });
  await long.write(bytes);
  assert.equal(await long.commit(), digest);
  assert.deepEqual(
    (await all(store.walk())).map((info) => info.digest),
    [blob.digest, digest],
  );
});

test('other content under a ref: said when it is opened, found when it is committed', async (t) => {
  const store = await opened(t);
  const first = await store.ingest('layer-1', { expected: blob });
  await first.write(head);
  await first.close();
  const other = `sha256:${'0'.repeat(64)}` as const;
  const { digest, size } = blob;
  await assert.rejects(store.ingest('layer-1', { expected: { digest: other } }), {
    code: 'ERR_OPTION_INVALID',
    message: `layer-1: this ingest shall become ${digest} of ${size} bytes, not ${other}; abort it first`,
  });
  await assert.rejects(store.ingest('layer-1', { expected: { digest, size: size + 1 } }), {
    code: 'ERR_OPTION_INVALID',
    message: `layer-1: this ingest shall become ${digest} of ${size} bytes, not ${digest} of ${size + 1} bytes; abort it first`,
  });
  const second = await store.ingest('layer-1');
  await second.write(Buffer.alloc(tail.length, 'x'));
  await assert.rejects(second.commit(), { code: 'ERR_DIGEST_MISMATCH', message: /^layer-1: / });
  assert.deepEqual(readdirSync(store.blobs.ingestFolder), []);
  assert.equal(await store.blobs.exists(blob), false);
});

test('more than expected is not written; less is found at the end', async (t) => {
  const store = await opened(t);
  const writer = await store.ingest('layer-1', { expected: blob });
  await writer.write(head);
  await assert.rejects(writer.write(bytes), { code: 'ERR_SIZE_MISMATCH' });
  assert.equal(writer.status().offset, head.length);
  await writer.write(tail);
  await assert.rejects(writer.commit({ expected: { digest: blob.digest, size: 3 } }), { code: 'ERR_SIZE_MISMATCH' });
  await assert.rejects(store.status('layer-1'), { code: 'ERR_NOT_FOUND' });
});

test('bad names and digests', async (t) => {
  const store = await opened(t);
  await assert.rejects(store.ingest(''), { code: 'ERR_OPTION_INVALID' });
  await assert.rejects(store.ingest('x'.repeat(5000)), { code: 'ERR_OPTION_INVALID' });
  await assert.rejects(store.ingest('x', { expected: { digest: 'md5:00' } }), { code: 'ERR_DIGEST_UNSUPPORTED' });
  await (await store.ingest('../../etc/passwd')).abort();
  assert.deepEqual(readdirSync(store.blobs.root), ['ingest']);
});

test('statuses are listed; sweeping spares what is young or held', async (t) => {
  const store = await opened(t);
  for (const ref of ['young', 'old', 'held']) {
    const writer = await store.ingest(ref, { expected: blob });
    await writer.write(head);
    if (ref !== 'held') await writer.close();
    else t.after(() => writer.close());
  }
  const names = (statuses: IngestStatus[]): string[] => statuses.map(({ ref }) => ref).sort();
  assert.deepEqual(names(await all(store.listStatuses())), ['held', 'old', 'young']);
  assert.deepEqual(names(await all(store.listStatuses(({ ref }) => ref.startsWith('h')))), ['held']);
  const hash = (ref: string): string => `ref-${createHash('sha256').update(ref).digest('hex').slice(0, 32)}`;
  for (const ref of ['old', 'held']) utimesSync(join(store.blobs.ingestFolder, hash(ref), 'data'), 1, 1);
  assert.deepEqual(await store.sweep(), [hash('old')]);
  assert.deepEqual(names(await all(store.listStatuses())), ['held', 'young']);
});

test('the moments of an ingest are whole milliseconds', async (t) => {
  const store = await ContentStore.open(tempDir(t));
  await using writer = await store.ingest('x');
  await writer.write(Buffer.from('abc'));
  utimesSync(join(store.blobs.ingestFolder, readdirSync(store.blobs.ingestFolder).sort()[0] ?? '', 'data'), 5, 5.0005);
  const { startedAt, updatedAt } = await store.status('x');
  assert.ok(Number.isSafeInteger(startedAt));
  assert.equal(updatedAt, 5000);
});

test('an ingest whose state is broken is begun anew', async (t) => {
  const store = await opened(t);
  const writer = await store.ingest('layer-1', { expected: blob });
  await writer.write(Buffer.from('stale bytes'));
  await writer.close();
  const [folder = ''] = readdirSync(store.blobs.ingestFolder);
  for (const text of ['', 'null', '{"ref":1}', '{"ref":"layer-1","startedAt":1,"expected":{"digest":"x"}}']) {
    writeFileSync(join(store.blobs.ingestFolder, folder, 'state.json'), text);
    writeFileSync(join(store.blobs.ingestFolder, folder, 'data'), 'stale bytes');
    const again = await store.ingest('layer-1', { expected: blob });
    assert.equal(again.status().offset, 0, text);
    await again.close();
  }
});

test('an ingest that died in its commit is taken up again, and never writes to the blob that it became', async (t) => {
  const store = await opened(t);
  const ref = 'fetch-1';
  const begun = await store.ingest(ref);
  await begun.write(bytes);
  await begun.close();
  const data = join(ingestPath(store.blobs.ingestFolder, ref), 'data');
  // Sealed, and not named yet: its bytes are as good as before.
  chmodSync(data, 0o444);
  const sealed = await store.ingest(ref);
  assert.equal(sealed.status().offset, bytes.length);
  assert.equal(statSync(data).mode & 0o777, 0o600);
  await sealed.close();
  // Named: the two are one file.
  chmodSync(data, 0o444);
  mkdirSync(join(store.blobs.root, 'sha256'));
  linkSync(data, store.blobs.path(blob.digest));
  const named = await store.ingest(ref);
  assert.equal(named.status().offset, 0);
  await named.write(Buffer.from('more'));
  await named.close();
  assert.deepEqual(await readVerified(store.blobs, blob), bytes);
});

test('update changes the named labels and nothing else', async (t) => {
  const store = await opened(t);
  const { digest } = await add(store, 'labelled');
  const before = await store.update({
    digest,
    labels: { a: '1', 'b.c': '2', __proto__: '3' } as ContentInfo['labels'],
  });
  assert.deepEqual(before.labels, { a: '1', 'b.c': '2' });
  const after = await store.update({ digest, labels: { a: 'new', 'b.c': 'new', d: 'new' } }, [
    'labels.b.c',
    'labels.d',
  ]);
  assert.deepEqual(after.labels, { a: '1', 'b.c': 'new', d: 'new' });
  assert.equal(after.createdAt, before.createdAt);
  assert.equal(after.size, before.size);
  assert.deepEqual((await store.update({ digest, labels: {} }, ['labels.a'])).labels, { 'b.c': 'new', d: 'new' });
  assert.deepEqual((await store.update({ digest, labels: {} })).labels, {});
  for (const path of ['size', 'digest', 'labels.', 'labelsx', '']) {
    await assert.rejects(store.update({ digest, labels: {} }, [path]), { code: 'ERR_OPTION_INVALID' }, path);
  }
  await assert.rejects(store.update({ digest: blob.digest, labels: {} }), { code: 'ERR_NOT_FOUND' });
});

test('labels that are no texts are refused, and nothing is changed', async (t) => {
  const store = await opened(t);
  const { digest } = await add(store, 'labelled');
  await store.update({ digest, labels: { a: '1' } });
  for (const labels of [{ a: 2 }, { a: '1', b: null }, undefined, null, 'a', ['a']]) {
    const bad = { digest, labels } as never;
    for (const paths of [['labels'], ['labels.a']]) {
      await assert.rejects(store.update(bad, paths), { code: 'ERR_OPTION_INVALID', message: /^labels: / });
    }
    if (labels === undefined) continue;
    await using writer = await store.ingest('other');
    await writer.write(Buffer.from('x'));
    await assert.rejects(writer.commit(bad), { code: 'ERR_OPTION_INVALID', message: /^labels: / });
    assert.equal((await store.status('other')).offset, 1);
    await writer.abort();
  }
  assert.deepEqual((await store.info(digest)).labels, { a: '1' });
});

test('labels given at once are all kept', async (t) => {
  const store = await opened(t);
  const { digest } = await add(store, 'labelled');
  await Promise.all(
    Array.from({ length: 10 }, (_, at) => store.update({ digest, labels: { [`k${at}`]: 'v' } }, [`labels.k${at}`])),
  );
  assert.equal(Object.keys((await store.info(digest)).labels).length, 10);
});

test('walk, info, delete', async (t) => {
  const store = await opened(t);
  const blobs = await Promise.all(['one', 'two', 'three'].map((content) => add(store, content)));
  writeFileSync(join(store.blobs.root, 'sha256', 'not-a-digest'), '');
  const digests = blobs.map(({ digest }) => digest).sort();
  assert.deepEqual(
    (await all(store.walk())).map(({ digest }) => digest),
    digests,
  );
  assert.deepEqual(
    (await all(store.walk(({ size }) => size === 5))).map(({ digest }) => digest),
    [blobs[2]?.digest],
  );
  const [first = blob] = blobs;
  await store.delete(first.digest);
  await store.delete(first.digest);
  await assert.rejects(store.info(first.digest), { code: 'ERR_NOT_FOUND' });
  assert.equal((await all(store.walk())).length, 2);
});

test('readerAt reads at any place', async (t) => {
  const store = await opened(t);
  await store.blobs.push(blob, Readable.from([bytes]));
  const reader = await store.readerAt(blob.digest);
  assert.equal(reader.size, bytes.length);
  const buffer = Buffer.alloc(10);
  assert.equal(await reader.read(buffer, 4), 10);
  assert.deepEqual(buffer, bytes.subarray(4, 14));
  assert.equal(await reader.read(buffer, bytes.length - 3), 3);
  assert.equal(await reader.read(buffer, bytes.length), 0);
  for (const position of [-1, Number.NaN, 1.5]) {
    await assert.rejects(reader.read(buffer, position), { code: 'ERR_RANGE_INVALID', message: /is not a position/ });
  }
  await reader.close();
  await reader.close();
  await assert.rejects(store.readerAt(`sha256:${'0'.repeat(64)}`), { code: 'ERR_NOT_FOUND' });
});
