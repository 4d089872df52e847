/** What a file system may do in the middle of a commit: refuse links, lose a race, run full, fail to sync. */
import assert from 'node:assert/strict';
import fs, {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { BlobDir } from '../../src/content/blob-dir.js';
import { describe } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const bytes = Buffer.from('a blob under difficulties');
const blob = describe('application/octet-stream', bytes);

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: as the test wants it`), { code });
}

/** Puts another function in the place of one of node:fs until the test ends. */
function replace<K extends 'linkSync' | 'renameSync'>(t: TestContext, name: K, by: (typeof fs)[K]): void {
  const original = fs[name];
  fs[name] = by;
  syncBuiltinESMExports();
  t.after(() => {
    fs[name] = original;
    syncBuiltinESMExports();
  });
}

async function check(store: BlobDir): Promise<void> {
  const path = store.path(blob.digest);
  assert.deepEqual(readFileSync(path), bytes);
  assert.equal(statSync(path).mode & 0o7777, 0o444);
  assert.equal((await store.record(blob.digest))?.mtimeNs, statSync(path, { bigint: true }).mtimeNs);
  assert.deepEqual(readdirSync(store.ingestFolder), []);
}

for (const code of ['EPERM', 'EOPNOTSUPP', 'EMLINK']) {
  test(`hard links refused with ${code}: the temporary is moved`, async (t) => {
    const store = await BlobDir.open(tempDir(t));
    replace(t, 'linkSync', () => {
      throw systemError(code);
    });
    await store.push(blob, Readable.from([bytes]));
    await check(store);
    await Promise.all(Array.from({ length: 5 }, () => store.push(blob, Readable.from([bytes]))));
    await check(store);
  });
}

test('hard links refused, and a bad blob in the way: it is replaced', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  replace(t, 'linkSync', (_from, to) => {
    if (!existsSync(to)) writeFileSync(to, 'bad');
    throw systemError('EPERM');
  });
  await store.push(blob, Readable.from([bytes]));
  await check(store);
});

test('the name is taken by a sound blob at the last moment: that one stays, and the record is about it', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  let inode: number | undefined;
  replace(t, 'linkSync', (_from, to) => {
    writeFileSync(to, bytes);
    chmodSync(to, 0o444);
    inode = statSync(to).ino;
    throw systemError('EEXIST');
  });
  await store.push(blob, Readable.from([bytes]));
  await check(store);
  assert.equal(statSync(store.path(blob.digest)).ino, inode);
});

test('the name is taken by a bad blob at the last moment: it is replaced', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  const original = fs.linkSync;
  let attempts = 0;
  replace(t, 'linkSync', (from, to) => {
    if (attempts++ === 0) writeFileSync(to, 'bad bytes of any kind');
    return original(from, to);
  });
  await store.push(blob, Readable.from([bytes]));
  assert.equal(attempts, 2);
  await check(store);
});

test('the name is taken by bad blobs again and again: ours wins in the end', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  replace(t, 'linkSync', (_from, to) => {
    writeFileSync(to, 'bad bytes of any kind');
    throw systemError('EEXIST');
  });
  await store.push(blob, Readable.from([bytes]));
  await check(store);
});

for (const [code, expected] of [
  ['ENOSPC', 'ERR_NO_SPACE'],
  ['EDQUOT', 'ERR_NO_SPACE'],
  ['EIO', 'ERR_FILESYSTEM'],
  ['EACCES', 'ERR_PERMISSION'],
] as const) {
  test(`${code} when the name is given is ${expected}, and leaves neither blob, temporary nor record`, async (t) => {
    const store = await BlobDir.open(tempDir(t));
    replace(t, 'linkSync', () => {
      throw systemError(code);
    });
    await assert.rejects(store.push(blob, Readable.from([bytes])), { code: expected });
    assert.equal(existsSync(store.path(blob.digest)), false);
    assert.equal(await store.record(blob.digest), undefined);
    assert.deepEqual(readdirSync(store.ingestFolder), []);
  });

  test(`${code} when the record is written is ${expected}, and leaves nothing`, async (t) => {
    const store = await BlobDir.open(tempDir(t));
    replace(t, 'renameSync', () => {
      throw systemError(code);
    });
    await assert.rejects(store.push(blob, Readable.from([bytes])), { code: expected });
    assert.equal(existsSync(store.path(blob.digest)), false);
    assert.deepEqual(readdirSync(store.ingestFolder), []);
  });
}

for (const code of ['EROFS', 'EDQUOT', 'ENOSPC']) {
  test(`a sound blob that somebody touched is served where its record cannot be renewed: ${code}`, async (t) => {
    const store = await BlobDir.open(tempDir(t));
    await store.push(blob, Readable.from([bytes]));
    const before = await store.record(blob.digest);
    utimesSync(store.path(blob.digest), 1, 1);
    replace(t, 'renameSync', () => {
      throw systemError(code);
    });
    assert.deepEqual(await store.find(blob.digest), { path: store.path(blob.digest), size: bytes.length });
    assert.deepEqual(await store.record(blob.digest), before);
    assert.deepEqual(readdirSync(store.ingestFolder), []);
  });
}

test('a record that cannot be removed keeps its blob: no record is ever left without one', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  await store.push(blob, Readable.from([bytes]));
  const record = join(store.root, 'meta', 'sha256', `${blob.digest.slice('sha256:'.length)}.json`);
  rmSync(record);
  // A folder cannot be unlinked, whoever asks.
  mkdirSync(record);
  await assert.rejects(store.delete(blob.digest), { code: /^ERR_(?:FILESYSTEM|PERMISSION)$/ });
  assert.deepEqual(readFileSync(store.path(blob.digest)), bytes);
  rmdirSync(record);
  await store.delete(blob.digest);
  assert.equal(existsSync(store.path(blob.digest)), false);
});

test('no file stays open, whatever happens', { skip: process.platform !== 'linux' }, async (t) => {
  const open = (): number => readdirSync('/proc/self/fd').length;
  const store = await BlobDir.open(join(tempDir(t)));
  await store.push(blob, Readable.from([bytes]));
  const before = open();
  for (let round = 0; round < 10; round++) {
    await assert.rejects(store.push({ ...blob, digest: `sha256:${'0'.repeat(64)}` }, Readable.from([bytes])));
    await assert.rejects(store.fetch(blob, { range: { start: 99 } }));
    const dropped = await store.fetch(blob);
    const closed = new Promise((resolve) => dropped.once('close', resolve));
    dropped.destroy();
    await closed;
    await (await store.fetch(blob)).toArray();
    await (await store.fetch(blob, { range: { start: 3, end: 3 } })).toArray();
    await store.find(blob.digest, { verify: 'always' });
    await store.blobPath(blob);
  }
  assert.equal(open(), before);
});
