import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import type { Fetcher } from '../../src/content/content.js';
import { fetchVerified, readVerified } from '../../src/content/fetch-verified.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { describe } from '../../src/testing/testing.js';

const bytes = Buffer.from('{"a":"document"}');
const target = describe('application/json', bytes);

function sourceOf(content: Buffer): Fetcher & { asked: number } {
  return {
    asked: 0,
    async fetch() {
      this.asked++;
      return Readable.from([content]);
    },
  };
}

test('data inside the descriptor is used without asking, after it was checked', async () => {
  const source = sourceOf(Buffer.from('not this'));
  const inside: Descriptor = { ...target, data: bytes.toString('base64') };
  assert.deepEqual(await readVerified(source, inside), bytes);
  assert.deepEqual(Buffer.concat(await (await fetchVerified(source, inside)).toArray()), bytes);
  assert.equal(source.asked, 0);
});

test('an abort is heard while the source opens nothing; what it opens afterwards is destroyed', async () => {
  let open = (_: Readable): void => {};
  const source = {
    fetch: () =>
      new Promise<Readable>((resolve) => {
        open = resolve;
      }),
  };
  for (const read of [fetchVerified, readVerified]) {
    const abort = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => abort.abort(reason), 20);
    await assert.rejects(read(source, target, { signal: abort.signal }), (error) => error === reason);
    const late = Readable.from([bytes]);
    open(late);
    await new Promise((turn) => setImmediate(turn));
    assert.ok(late.destroyed);
  }
});

test('data that is not what the descriptor names is refused', async () => {
  const cases: [string, string][] = [
    [Buffer.from('{"b":"document"}').toString('base64'), 'ERR_DIGEST_MISMATCH'],
    [Buffer.concat([bytes, bytes]).toString('base64'), 'ERR_SIZE_MISMATCH'],
    ['not base64!', 'ERR_DIGEST_MISMATCH'],
  ];
  for (const [data, code] of cases) {
    await assert.rejects(readVerified(sourceOf(bytes), { ...target, data }), { code });
  }
});

test('empty data is no data, unless the content is empty', async () => {
  const source = sourceOf(bytes);
  assert.deepEqual(await readVerified(source, { ...target, data: '' }), bytes);
  assert.equal(source.asked, 1);
  const nothing = describe('application/json', Buffer.alloc(0));
  assert.equal((await readVerified(source, { ...nothing, data: '' })).length, 0);
  assert.equal(source.asked, 1);
});

test('too large a document is refused before it is asked for', async () => {
  const source = sourceOf(bytes);
  await assert.rejects(readVerified(source, { ...target, size: 5 * 1024 * 1024 }), { code: 'ERR_LIMIT_EXCEEDED' });
  await assert.rejects(readVerified(source, target, { maxBytes: 3 }), { code: 'ERR_LIMIT_EXCEEDED' });
  await assert.rejects(readVerified(source, target, { maxBytes: -3 }), { code: 'ERR_OPTION_INVALID' });
  assert.equal(source.asked, 0);
});

test('an algorithm that cannot be verified is refused before it is asked for', async () => {
  const source = sourceOf(bytes);
  await assert.rejects(fetchVerified(source, { ...target, digest: 'blake3:00' }), { code: 'ERR_DIGEST_UNSUPPORTED' });
  await assert.rejects(fetchVerified(source, { ...target, digest: 'sha256:short' }), { code: 'ERR_DIGEST_INVALID' });
  assert.equal(source.asked, 0);
});

test('a source that gives other bytes is found', async () => {
  await assert.rejects(readVerified(sourceOf(Buffer.from('{"a":"dokument"}')), target), {
    code: 'ERR_DIGEST_MISMATCH',
  });
  await assert.rejects(readVerified(sourceOf(Buffer.alloc(0)), target), { code: 'ERR_DIGEST_MISMATCH' });
});

test('a document is read from lent chunks, from a source that aborts with nothing, and from one that answers at once', async () => {
  // As a socket that receives into the same memory again.
  const memory = Buffer.alloc(8);
  const lending = Object.assign(new Readable({ read() {} }), {
    giveChunks(take: (chunk: Uint8Array) => boolean): void {
      for (let at = 0; at < bytes.length; at += memory.length) {
        const length = bytes.copy(memory, 0, at, at + memory.length);
        take(memory.subarray(0, length));
      }
      lending.push(null);
      lending.resume();
    },
    goOn() {},
  });
  assert.deepEqual(await readVerified({ fetch: async () => lending }, target), bytes);
  const atOnce = (): Promise<Readable> => Readable.from([bytes]) as unknown as Promise<Readable>;
  assert.deepEqual(await readVerified({ fetch: atOnce }, target), bytes);
  const controller = new AbortController();
  const reading = readVerified({ fetch: async () => new PassThrough() }, target, { signal: controller.signal });
  controller.abort(null);
  await assert.rejects(reading, (reason) => reason === null);
});
