import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { checkByteLimit, limitChunks, readLimited } from '../../src/io/limit.js';

test('what fits is read, one byte more is refused and its source ended', async () => {
  const pieces = [Buffer.from('abc'), Buffer.from('de')];
  assert.equal(String(await readLimited(Readable.from(pieces), 5, 'it')), 'abcde');
  const source = Readable.from(pieces);
  await assert.rejects(readLimited(source, 4, 'it'), { code: 'ERR_LIMIT_EXCEEDED', message: /^it: .*4 bytes/ });
  assert.ok(source.destroyed);
});

test('an endless source is cut at the limit', async () => {
  let given = 0;
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(1024);
  };
  await assert.rejects(
    async () => {
      for await (const chunk of limitChunks(endless(), 10_000, 'it')) given += chunk.length;
    },
    { code: 'ERR_LIMIT_EXCEEDED' },
  );
  assert.equal(given, 9 * 1024);
});

test('a limit that is none is refused with its value', () => {
  for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => checkByteLimit('maxBytes', value), { code: 'ERR_OPTION_INVALID', message: /^maxBytes: / });
  }
  assert.equal(checkByteLimit('maxBytes', 0), 0);
});
