/** Content on its way up: read from anywhere, checked once. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { ContentFailure, UploadContent } from '../../src/registry/upload-content.js';
import { digestOf } from '../../src/testing/testing.js';
import { seededBytes } from '../support/oci-layout-fixture.js';

const bytes = seededBytes(300_000, 1);
const expected = { digest: digestOf(bytes), size: bytes.length };

async function* once(content: Buffer, step = 10_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += step) yield content.subarray(at, at + step);
}

function again(content: Buffer): AsyncIterable<Buffer> & { starts: number } {
  return {
    starts: 0,
    [Symbol.asyncIterator]() {
      this.starts++;
      return once(content);
    },
  };
}

async function read(content: UploadContent, start: number, end: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.slice(start, end)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('slices give exactly their bytes, forwards and back inside the window', async () => {
  const content = new UploadContent(once(bytes), expected, 'it');
  for (const [start, end] of [
    [0, 1],
    [1, 25_000],
    [24_999, 25_001],
    [0, 300_000],
    [299_999, 300_000],
    [5, 5],
  ] as const) {
    assert.deepEqual(await read(content, start, end), bytes.subarray(start, end));
  }
  await content.verify();
  await content.verify();
});

test('a reader that is given up loses no bytes for its successor', async () => {
  const content = new UploadContent(once(bytes), expected, 'it');
  for await (const chunk of content.slice(0, bytes.length)) {
    assert.ok(chunk.length > 0);
    break;
  }
  const half = content.slice(0, bytes.length);
  const pending = half.next();
  assert.deepEqual(await read(content, 0, bytes.length), bytes);
  await pending;
  await content.verify();
});

test('what lies behind the window is read again where that is possible', async () => {
  const big = seededBytes(20 * 1024 * 1024, 2);
  const wanted = { digest: digestOf(big), size: big.length };
  const source = again(big);
  const content = new UploadContent(source, wanted, 'it');
  await read(content, 0, big.length);
  assert.equal(content.canReadFrom(0), true);
  assert.deepEqual(await read(content, 100, 200), big.subarray(100, 200));
  assert.equal(source.starts, 2);
  await content.verify();
  const single = new UploadContent(once(big, 1_000_000), wanted, 'it');
  await read(single, 0, big.length);
  assert.equal(single.canReadFrom(0), false);
  assert.equal(single.canReadFrom(big.length - 1_000_000), true);
  await assert.rejects(read(single, 100, 200), { code: 'ERR_UNSUPPORTED', message: /cannot be read again/ });
});

test('streams and generators are not taken for content that can be read again', () => {
  for (const source of [Readable.from([bytes]), once(bytes), new Blob([bytes]).stream() as AsyncIterable<Uint8Array>]) {
    const content = new UploadContent(source, expected, 'it');
    assert.equal(content.canReadFrom(0), true);
    assert.equal(content.canReadFrom(1), false);
  }
});

for (const [title, source, code] of [
  ['too short', bytes.subarray(1), 'ERR_DIGEST_MISMATCH'],
  ['too long', Buffer.concat([bytes, Buffer.from('x')]), 'ERR_SIZE_MISMATCH'],
  ['another one', seededBytes(300_000, 3), 'ERR_DIGEST_MISMATCH'],
] as const) {
  test(`content that is ${title} fails, and is known to have failed`, async () => {
    const content = new UploadContent(once(source), expected, 'it');
    const reading = async (): Promise<void> => {
      await read(content, 0, bytes.length);
      await content.verify();
    };
    // The place that the content goes to has done nothing wrong.
    await assert.rejects(reading(), { code, message: new RegExp(`^${expected.digest}: `) });
    assert.throws(() => content.throwIfFailed(), ContentFailure);
  });
}

test('what the content fails with is kept and thrown again', async () => {
  const reason = new Error('the source broke');
  const content = new UploadContent(
    (async function* () {
      yield bytes.subarray(0, 10);
      throw reason;
    })(),
    expected,
    'it',
  );
  await assert.rejects(read(content, 0, 100), (error) => error === reason);
  await assert.rejects(read(content, 0, 100), (error) => error === reason);
});

test('closing ends the content', async () => {
  let ended = false;
  const source = (async function* () {
    try {
      yield* once(bytes);
    } finally {
      ended = true;
    }
  })();
  const content = new UploadContent(source, expected, 'it');
  await read(content, 0, 5);
  await content.close();
  assert.equal(ended, true);
});

test('closing does not wait for a read that hangs', { timeout: 10_000 }, async () => {
  const source = (async function* () {
    yield bytes.subarray(0, 10);
    await new Promise(() => {});
  })();
  const content = new UploadContent(source, expected, 'it');
  const reading = read(content, 0, 100).catch(() => undefined);
  await new Promise(setImmediate);
  await content.close();
  assert.equal(await Promise.race([reading, 'left to itself']), 'left to itself');
});

test('small chunks are looked at no more often the more of them are kept', async () => {
  let looks = 0;
  class Chunk extends Uint8Array {
    override get byteLength(): number {
      looks += 1;
      return super.byteLength;
    }
  }
  const chunks = Array.from({ length: 3_000 }, (_, at) => new Chunk(bytes.subarray(at * 100, (at + 1) * 100)));
  const content = new UploadContent(Readable.from(chunks), expected, 'it');
  assert.deepEqual(await read(content, 0, bytes.length), bytes);
  assert.ok(looks < 30 * chunks.length, String(looks));
});

test('of content that can be read once, as much as is promised is kept for going back', async () => {
  const big = seededBytes(20 * 1024 * 1024, 4);
  const content = new UploadContent(once(big), { digest: digestOf(big), size: big.length }, 'it');
  for (let end = 0; end <= big.length; end += 1024 * 1024) {
    await read(content, Math.max(0, end - 16 * 1024 * 1024), end);
  }
  assert.equal(content.canReadFrom(big.length - 16 * 1024 * 1024), true);
  assert.equal(content.canReadFrom(big.length - 19 * 1024 * 1024), false);
});
