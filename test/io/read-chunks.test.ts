import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { readChunks } from '../../src/io/read-chunks.js';

const { signal } = new AbortController();
const take = (): undefined => undefined;

test('a stream that was read before is a failure, not a wait for ever', async () => {
  const stream = Readable.from([Buffer.from('bytes')]);
  await stream.toArray();
  await assert.rejects(readChunks(Promise.resolve(stream), signal, take), {
    code: 'ERR_NETWORK',
    message: /must open a new one/,
  });
  const ended = new Readable({ autoDestroy: false, read() {} });
  ended.push(null);
  await new Promise((done) => ended.once('end', done).resume());
  await assert.rejects(readChunks(Promise.resolve(ended), signal, take), { code: 'ERR_NETWORK' });
});

test('a stream that was destroyed before fails, with its own error where it had one', async () => {
  const closed = Readable.from([Buffer.from('bytes')]).destroy();
  await assert.rejects(readChunks(Promise.resolve(closed), signal, take), { code: 'ERR_NETWORK' });
  const failed = Readable.from([Buffer.from('bytes')]);
  const reason = new Error('gone');
  failed.once('error', () => {}).destroy(reason);
  await new Promise((done) => failed.once('close', done));
  await assert.rejects(readChunks(Promise.resolve(failed), signal, take), (error) => error === reason);
});

test('a stream that was paused is read to its end', { timeout: 10_000 }, async () => {
  const stream = new PassThrough();
  stream.pause();
  stream.end('bytes');
  const chunks: Uint8Array[] = [];
  await readChunks(Promise.resolve(stream), signal, (chunk) => void chunks.push(chunk));
  assert.equal(Buffer.concat(chunks).toString(), 'bytes');
});
