import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { BlobDir } from '../../src/content/blob-dir.js';
import type { ChunkSource } from '../../src/content/chunk-source.js';
import { tryLock } from '../../src/io/lock.js';
import { readChunks } from '../../src/io/read-chunks.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { digestOf } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const bytes = Buffer.from('a layer that is no layer');
const blob = describe(bytes);

function describe(content: Buffer): Descriptor {
  const digest = digestOf(content);
  return { mediaType: 'application/octet-stream', digest, size: content.length };
}

async function storeWith(root: string, content = bytes): Promise<BlobDir> {
  const store = await BlobDir.open(root);
  await store.push(describe(content), Readable.from([content]));
  return store;
}

test('a pushed blob has its name, mode 0444 and a record, and nothing else is left', async (t) => {
  const root = tempDir(t);
  const store = await storeWith(root);
  const path = store.path(blob.digest);
  assert.equal(path, join(root, 'sha256', blob.digest.slice(7)));
  assert.deepEqual(readFileSync(path), bytes);
  assert.equal(statSync(path).mode & 0o7777, 0o444);
  assert.equal(statSync(path).nlink, 1);
  assert.deepEqual(readdirSync(join(root, 'ingest')), []);
  assert.deepEqual(readdirSync(root).sort(), ['ingest', 'meta', 'sha256']);
  const record = await store.record(blob.digest);
  assert.equal(record?.size, bytes.length);
  assert.equal(record?.mtimeNs, statSync(path, { bigint: true }).mtimeNs);
  assert.deepEqual(await store.find(blob.digest), { path, size: bytes.length });
});

test('commitFile gives a temporary its name; a second one is success and removes its temporary', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  const other = `sha256:${'ab'.repeat(32)}` as const;
  for (const compressed of [[blob.digest], [other]] as const) {
    const temporary = store.temporaryPath();
    writeFileSync(temporary, bytes, { flag: 'wx' });
    assert.equal(await store.commitFile(temporary, blob.digest, bytes.length, { compressed }), store.path(blob.digest));
    assert.equal(existsSync(temporary), false);
  }
  assert.deepEqual((await store.record(blob.digest))?.compressed, [blob.digest, other]);
});

test('a temporary of another size than promised is not committed', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  const temporary = store.temporaryPath();
  writeFileSync(temporary, bytes);
  await assert.rejects(store.commitFile(temporary, blob.digest, 3), { code: 'ERR_SIZE_MISMATCH' });
  assert.equal(existsSync(temporary), false);
  assert.equal(await store.find(blob.digest), undefined);
});

test('a temporary is gone also where the digest to name it by is none, or cannot be verified', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  for (const [digest, code] of [
    ['sha256:short', 'ERR_DIGEST_INVALID'],
    ['md5:d41d8cd98f00b204e9800998ecf8427e', 'ERR_DIGEST_UNSUPPORTED'],
  ] as const) {
    const temporary = store.temporaryPath();
    writeFileSync(temporary, bytes);
    await assert.rejects(store.commitFile(temporary, digest, bytes.length), { code });
    assert.equal(existsSync(temporary), false, digest);
  }
});

test('what another process remembers of a blob meanwhile is kept by a commit of the same', async (t) => {
  const root = tempDir(t);
  const store = await storeWith(root);
  const theirs = `sha256:${'aa'.repeat(32)}` as const;
  const ours = `sha256:${'bb'.repeat(32)}` as const;
  await store.note(blob.digest, { compressed: [theirs] });
  const record = join(root, 'meta/sha256', `${blob.digest.slice(7)}.json`);
  const changed = readFileSync(record);
  // As it is for the two of them before either has given the name.
  unlinkSync(record);
  unlinkSync(store.path(blob.digest));
  const release = await tryLock(join(root, 'ingest', `${blob.digest.replace(':', '-')}.commit.lock`));
  const temporary = store.temporaryPath();
  writeFileSync(temporary, bytes);
  const committing = store.commitFile(temporary, blob.digest, bytes.length, { compressed: [ours] });
  await new Promise((resolve) => setTimeout(resolve, 50));
  writeFileSync(record, changed);
  await release?.();
  await committing;
  assert.deepEqual((await store.record(blob.digest))?.compressed, [theirs, ours]);
});

test('find throws the reason of an abort that came before, also where nothing has to be hashed', async (t) => {
  const store = await storeWith(tempDir(t));
  const reason = new Error('enough');
  await assert.rejects(store.find(blob.digest, { signal: AbortSignal.abort(reason) }), reason);
});

const DAMAGE: Readonly<Record<string, (path: string) => void>> = {
  'a flipped byte': (path) => {
    chmodSync(path, 0o644);
    writeFileSync(path, Buffer.concat([Buffer.from('A'), bytes.subarray(1)]));
    chmodSync(path, 0o444);
  },
  'a cut file': (path) => {
    chmodSync(path, 0o644);
    writeFileSync(path, bytes.subarray(1));
  },
  'a symbolic link to the right bytes': (path) => {
    writeFileSync(`${path}.real`, bytes);
    unlinkSync(path);
    symlinkSync(`${path}.real`, path);
  },
};
for (const [name, damage] of Object.entries(DAMAGE)) {
  test(`${name} is said, removed, and healed by the next push`, async (t) => {
    const store = await storeWith(tempDir(t));
    damage(store.path(blob.digest));
    const events: ProgressEvent[] = [];
    assert.equal(await store.find(blob.digest, { onProgress: (event) => events.push(event) }), undefined);
    assert.equal(events.length, 1);
    assert.equal(existsSync(store.path(blob.digest)), false);
    await store.push(blob, Readable.from([bytes]));
    assert.equal((await store.find(blob.digest, { verify: 'always' }))?.size, bytes.length);
  });
}

test('damage that keeps size, mode and time is found by verify: always, and by nothing else', async (t) => {
  const folder = tempDir(t);
  const store = await storeWith(folder);
  const path = store.path(blob.digest);
  const before = join(folder, 'before');
  // Node's own times are too coarse to be put back.
  execFileSync('touch', ['-r', path, before]);
  DAMAGE['a flipped byte']?.(path);
  assert.notEqual(statSync(path, { bigint: true }).mtimeNs, statSync(before, { bigint: true }).mtimeNs);
  execFileSync('touch', ['-r', before, path]);
  assert.notEqual(await store.find(blob.digest), undefined);
  assert.equal(await store.find(blob.digest, { verify: 'always' }), undefined);
});

test('who waits to remove a bad blob can be told to stop', { timeout: 20_000 }, async (t) => {
  const root = tempDir(t);
  const store = await storeWith(root);
  DAMAGE['a cut file']?.(store.path(blob.digest));
  const release = await tryLock(join(root, 'ingest', `sha256-${blob.digest.slice(7)}.commit.lock`));
  const reason = new Error('enough');
  const controller = new AbortController();
  const waiting = store.find(blob.digest, { signal: controller.signal });
  setTimeout(() => controller.abort(reason), 50);
  await assert.rejects(waiting, (error) => error === reason);
  await release?.();
});

test('good bytes without a record, or with another time or mode, are hashed once and recorded', async (t) => {
  const root = tempDir(t);
  const store = await storeWith(root);
  const path = store.path(blob.digest);
  unlinkSync(join(root, 'meta', 'sha256', `${blob.digest.slice(7)}.json`));
  chmodSync(path, 0o600);
  utimesSync(path, 5, 5);
  assert.deepEqual(await store.find(blob.digest), { path, size: bytes.length });
  assert.equal((await store.record(blob.digest))?.mtimeNs, 5_000_000_000n);
  assert.equal(statSync(path).mode & 0o7777, 0o444);
});

test('a record that is no record is written anew', async (t) => {
  const root = tempDir(t);
  const store = await storeWith(root);
  const meta = join(root, 'meta', 'sha256', `${blob.digest.slice(7)}.json`);
  for (const text of ['', '{', '[]', 'null', '{"size":1,"mtimeNs":"x"}', '{"__proto__":{"size":24}}']) {
    writeFileSync(meta, text);
    assert.equal(await store.record(blob.digest), undefined);
    assert.equal((await store.find(blob.digest))?.size, bytes.length);
    assert.equal((await store.record(blob.digest))?.size, bytes.length);
  }
});

test('bad content leaves nothing behind', async (t) => {
  const root = tempDir(t);
  const store = await BlobDir.open(root);
  await assert.rejects(store.push(blob, Readable.from([bytes.subarray(1)])), { code: 'ERR_DIGEST_MISMATCH' });
  await assert.rejects(store.push(blob, Readable.from([bytes, bytes])), { code: 'ERR_SIZE_MISMATCH' });
  const reason = new Error('enough');
  await assert.rejects(
    store.push(blob, Readable.from([bytes]), { signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
  assert.deepEqual(readdirSync(join(root, 'ingest')), []);
  assert.equal(existsSync(store.path(blob.digest)), false);
});

test('content that is there already is not read, and its stream is ended', async (t) => {
  const store = await storeWith(tempDir(t));
  const again = new Readable({
    read() {
      assert.fail('must not be read');
    },
  });
  await store.push(blob, again);
  assert.ok(again.destroyed);
});

test('roots that cannot be: missing, a file, under a file, a folder where a blob belongs', async (t) => {
  const root = tempDir(t);
  writeFileSync(join(root, 'file'), '');
  await assert.rejects(BlobDir.open(join(root, 'missing')), { code: 'ERR_NOT_FOUND' });
  for (const path of [join(root, 'file'), join(root, 'file', 'below')]) {
    await assert.rejects(BlobDir.open(path), (error: { code: string; message: string }) => {
      return error.code === 'ERR_FILESYSTEM' && error.message.startsWith(path);
    });
  }
  // What is in the way is told, not that a folder was to be given.
  await assert.rejects(BlobDir.open(join(root, 'file', 'below')), {
    message: /; something on this path is no folder; remove it, or choose another path$/,
  });
  const store = await BlobDir.open(root);
  mkdirSync(store.path(blob.digest), { recursive: true });
  await assert.rejects(store.push(blob, Readable.from([bytes])), { code: 'ERR_FILESYSTEM' });
});

test('a digest never becomes a path unchecked', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  assert.throws(() => store.path('sha256:../../x'), { code: 'ERR_DIGEST_INVALID' });
  assert.throws(() => store.path('md5:abc'), { code: 'ERR_DIGEST_UNSUPPORTED' });
  assert.throws(() => store.path('..:abc'), { code: 'ERR_DIGEST_INVALID' });
});

test('sweep removes what dead processes left and what nobody continues, and nothing else', async (t) => {
  const root = tempDir(t);
  const store = await storeWith(root);
  const alive = store.temporaryPath();
  writeFileSync(alive, 'mine');
  const dead = alive.replace(/-\d+-\d+-/, '-4194303-77-');
  writeFileSync(dead, 'of nobody');
  const foreign = alive.replace(/tmp-[0-9a-f]{8}/, 'tmp-00000000');
  writeFileSync(foreign, 'of another machine');
  const young = store.partialPath(`sha256:${'1'.repeat(64)}`);
  const old = store.partialPath(`sha256:${'2'.repeat(64)}`);
  const present = store.partialPath(blob.digest);
  const source = `sha256:${'3'.repeat(64)}` as const;
  const extracted = store.partialPath(source);
  await store.note(blob.digest, { compressed: [source] });
  const [note, oldNote, youngNote] = [present, old, young].map((path) => `${path}.gapless`) as [string, string, string];
  const unknown = join(store.ingestFolder, 'of-somebody');
  for (const path of [young, old, present, extracted, note, oldNote, youngNote, unknown]) writeFileSync(path, 'half');
  for (const path of [old, oldNote, unknown]) utimesSync(path, 1, 1);
  const [host = ''] = alive.slice(store.ingestFolder.length + 5).split('-');
  const lock = store.lockPath(`sha256:${'4'.repeat(64)}`);
  symlinkSync(`${host}-4194303-77 00`, lock);
  const held = await tryLock(store.lockPath(`sha256:${'5'.repeat(64)}`));
  t.after(() => held?.());
  const removed = await store.sweep();
  assert.deepEqual(
    [...removed].sort(),
    [dead, old, oldNote, present, note, extracted, lock]
      .map((path) => path.slice(store.ingestFolder.length + 1))
      .sort(),
  );
  for (const path of [alive, foreign, young, youngNote, unknown]) assert.ok(existsSync(path), path);
});

test('many at once commit the same blob', async (t) => {
  const root = tempDir(t);
  const store = await BlobDir.open(root, { fsync: 'none' });
  await Promise.all(Array.from({ length: 20 }, () => store.push(blob, Readable.from([bytes]))));
  assert.deepEqual(readdirSync(join(root, 'ingest')), []);
  assert.equal((await store.find(blob.digest, { verify: 'always' }))?.size, bytes.length);
});

test('ranges are exact or refused', async (t) => {
  const store = await storeWith(tempDir(t));
  for (const [start, end] of [
    [0, 0],
    [0, 5],
    [3, 3],
    [5, undefined],
    [bytes.length, undefined],
  ] as const) {
    const stream = await store.fetch(blob, { range: { start, end } });
    assert.deepEqual(Buffer.concat(await stream.toArray()), bytes.subarray(start, end));
  }
  for (const range of [{ start: -1 }, { start: 5, end: 4 }, { start: 0, end: bytes.length + 1 }, { start: 0.5 }]) {
    await assert.rejects(store.fetch(blob, { range }), { code: 'ERR_RANGE_INVALID' });
  }
});

/** Content that hands over chunks itself, as a copy does: from the size of `large` on another thread writes it. */
function chunksOf(content: Buffer, piece = 65_536): ChunkSource {
  const chunks = Array.from({ length: Math.ceil(content.length / piece) }, (_, index) =>
    content.subarray(index * piece, (index + 1) * piece),
  );
  return {
    async *[Symbol.asyncIterator]() {
      yield* chunks;
    },
    readChunks: (take, signal = new AbortController().signal) =>
      readChunks(Promise.resolve(Readable.from(chunks, { objectMode: false })), signal, take),
  };
}

const large = Buffer.alloc(5_000_000, 'a large blob that is no layer either ');

test('large content is stored as small content is', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  const target = describe(large);
  await store.push(target, chunksOf(large));
  assert.deepEqual(readFileSync(store.path(target.digest)), large);
  assert.deepEqual(readdirSync(join(store.root, 'ingest')), []);
});

test('large content that is not what was promised leaves nothing', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  const target = describe(large);
  const flipped = Buffer.from(large);
  flipped[4_000_000] = (flipped[4_000_000] ?? 0) ^ 1;
  const more = Buffer.concat([large, Buffer.alloc(700_000, 'x')]);
  const cases: readonly (readonly [Buffer, string])[] = [
    [flipped, 'ERR_DIGEST_MISMATCH'],
    [large.subarray(0, 4_999_999), 'ERR_DIGEST_MISMATCH'],
    [more, 'ERR_SIZE_MISMATCH'],
    [more.subarray(0, large.length + 1), 'ERR_SIZE_MISMATCH'],
  ];
  for (const [content, code] of cases) {
    await assert.rejects(store.push(target, chunksOf(content, 99_991)), { code });
    assert.deepEqual(readdirSync(join(store.root, 'ingest')), []);
  }
  assert.equal(await store.find(target.digest), undefined);
});

test('an abort in the middle of large content ends with its reason and leaves nothing', async (t) => {
  const store = await BlobDir.open(tempDir(t));
  const reason = new Error('enough of it');
  const controller = new AbortController();
  let seen = 0;
  const content = chunksOf(large);
  const aborting: ChunkSource = {
    [Symbol.asyncIterator]: () => content[Symbol.asyncIterator](),
    readChunks: (take, signal) =>
      content.readChunks((chunk) => {
        seen += chunk.length;
        if (seen > 2_000_000) controller.abort(reason);
        return take(chunk);
      }, signal),
  };
  await assert.rejects(store.push(describe(large), aborting, { signal: controller.signal }), reason);
  assert.deepEqual(readdirSync(join(store.root, 'ingest')), []);
});
