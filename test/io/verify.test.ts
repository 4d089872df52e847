import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { Verifier, verifyBytes, verifyChunks, verifyStream } from '../../src/io/verify.js';
import type { Digest } from '../../src/spec/digest.js';
import { digestOf } from '../../src/testing/testing.js';

const bytes = Buffer.from('the bytes of a blob');
const expected = { digest: digestOf(bytes), size: bytes.length };
const flipped = Buffer.from(bytes);
flipped[3] = (flipped[3] ?? 0) ^ 1;

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function inPieces(content: Buffer, length: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < content.length; at += length) pieces.push(content.subarray(at, at + length));
  return pieces;
}

const CASES = [
  { name: 'a flipped bit', content: flipped, code: 'ERR_DIGEST_MISMATCH' },
  { name: 'fewer bytes: the digest outranks the size', content: bytes.subarray(0, 5), code: 'ERR_DIGEST_MISMATCH' },
  { name: 'nothing at all', content: Buffer.alloc(0), code: 'ERR_DIGEST_MISMATCH' },
  { name: 'the right bytes and more', content: Buffer.concat([bytes, bytes]), code: 'ERR_SIZE_MISMATCH' },
  { name: 'wrong bytes and more', content: Buffer.concat([flipped, bytes]), code: 'ERR_DIGEST_MISMATCH' },
];

for (const length of [1, 7, 4096]) {
  test(`good bytes pass, in pieces of ${length}`, async () => {
    assert.deepEqual(await collect(verifyStream(Readable.from(inPieces(bytes, length)), expected)), bytes);
    assert.deepEqual(await collect(verifyChunks(Readable.from(inPieces(bytes, length)), expected)), bytes);
  });
  for (const { name, content, code } of CASES) {
    test(`${name} is refused, in pieces of ${length}`, async () => {
      const stream = Readable.from(inPieces(content, length));
      let passed = 0;
      const checked = verifyStream(stream, expected).on('data', (chunk: Buffer) => {
        passed += chunk.length;
      });
      await assert.rejects(
        new Promise((resolve, reject) => checked.once('end', resolve).once('error', reject)),
        (error: { code: string; message: string }) => error.code === code && error.message.startsWith(expected.digest),
      );
      assert.ok(passed <= expected.size, 'no byte past the promised size is passed on');
      assert.ok(stream.destroyed);
      await assert.rejects(collect(verifyChunks(Readable.from(inPieces(content, length)), expected)), { code });
    });
  }
}

test('the right digest with a wrong promised size is a size mismatch', () => {
  assert.throws(() => verifyBytes(bytes, { ...expected, size: expected.size + 1 }), { code: 'ERR_SIZE_MISMATCH' });
});

test('an empty blob is verified like any other', () => {
  const digest: Digest = `sha256:${createHash('sha256').digest('hex')}`;
  verifyBytes(new Uint8Array(), { digest, size: 0 });
  assert.throws(() => verifyBytes(Buffer.from('x'), { digest, size: 0 }), { code: 'ERR_SIZE_MISMATCH' });
});

test('sha512 is verified', () => {
  const digest: Digest = `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
  verifyBytes(bytes, { digest, size: bytes.length });
  assert.throws(() => verifyBytes(flipped, { digest, size: bytes.length }), { code: 'ERR_DIGEST_MISMATCH' });
});

test('an unknown algorithm and a bad digest are refused before a byte is read', async () => {
  let read = false;
  const source = new Readable({
    read() {
      read = true;
      this.push(null);
    },
  });
  assert.throws(() => verifyStream(source, { digest: 'blake3:abcdef', size: 3 }), { code: 'ERR_DIGEST_UNSUPPORTED' });
  assert.equal(read, false);
  assert.ok(source.destroyed);
  assert.throws(() => new Verifier({ digest: 'sha256:../../etc/passwd', size: 3 }), { code: 'ERR_DIGEST_INVALID' });
});

test('a size that is no size is refused', () => {
  for (const size of [-1, 1.5, Number.NaN, 2 ** 60]) {
    assert.throws(() => new Verifier({ digest: expected.digest, size }), { code: 'ERR_OPTION_INVALID' });
  }
});

test('an error of the source comes out of the checked stream', async () => {
  const source = new Readable({
    read() {
      this.destroy(new Error('the line went dead'));
    },
  });
  await assert.rejects(collect(verifyStream(source, expected)), /the line went dead/);
});

test('a source that closes before its end fails the checked stream in our own words', async () => {
  const source = new Readable({ read() {} });
  setImmediate(() => source.destroy());
  await assert.rejects(collect(verifyStream(source, expected)), {
    name: 'RootfsError',
    code: 'ERR_NETWORK',
    message: `${expected.digest}: the stream closed before its end; try again`,
  });
});

test('destroying the checked stream destroys the source', async () => {
  const source = new Readable({ read() {} });
  const checked = verifyStream(source, expected);
  const closed = new Promise((resolve) => source.once('close', resolve));
  checked.destroy();
  await closed;
  assert.ok(source.destroyed);
});

test('what is no bytes fails the stream, and does not end the process', async () => {
  for (const chunk of [{ not: 'bytes' }, 'text', 5]) {
    const source = Readable.from([bytes.subarray(0, 3), chunk]);
    await assert.rejects(collect(verifyStream(source, expected)), {
      code: 'ERR_INTERNAL',
      message: new RegExp(`^${expected.digest}: .* chunk of type ${typeof chunk} `),
    });
    assert.ok(source.destroyed);
  }
});
