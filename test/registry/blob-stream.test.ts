/** A blob as a stream: what waits in it to be read is bounded in bytes and in chunks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlobStream } from '../../src/registry/blob-stream.js';
import { WireBody } from '../../src/registry/wire-body.js';

const SIZE = 20_000;

/** A stream of a blob whose connection brings one byte at a time, as long as nobody has it pause. */
function dripping(): { stream: BlobStream; brought: () => number; bring: () => void } {
  let flows = false;
  let brought = 0;
  const body = new WireBody({
    resume: () => {
      flows = true;
    },
    pause: () => {
      flows = false;
    },
    cancel: () => {},
  });
  const none = async (): Promise<never> => assert.fail('nothing breaks here');
  const source = { reopen: none, broken: none, short: () => undefined, long: () => {}, closed: () => {} };
  const stream = new BlobStream({ body, skip: 0 }, { start: 0, end: SIZE, limit: SIZE + 1 }, source);
  const bring = (): void => {
    while (flows && brought < SIZE) {
      brought += 1;
      body.data(Buffer.from([brought % 251]));
      if (brought === SIZE) body.end();
    }
  };
  return { stream, bring, brought: () => brought };
}

const whole = Buffer.from(Array.from({ length: SIZE }, (_, at) => (at + 1) % 251));

test('short chunks that nobody reads are not piled up', async () => {
  const { stream, bring, brought } = dripping();
  for (let turn = 0; turn < 10; turn += 1) {
    bring();
    await new Promise(setImmediate);
  }
  assert.ok(brought() <= 4096, String(brought()));
  const timer = setInterval(bring, 1);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  clearInterval(timer);
  assert.ok(Buffer.concat(chunks).equals(whole));
});

test('short chunks come to every kind of reader', { timeout: 20_000 }, async () => {
  const flowing = dripping();
  const pieces = dripping();
  const timer = setInterval(() => {
    flowing.bring();
    pieces.bring();
  }, 1);
  const chunks: Buffer[] = [];
  flowing.stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    if (chunks.length % 1000 !== 0) return;
    flowing.stream.pause();
    setTimeout(() => flowing.stream.resume(), 5);
  });
  await new Promise((resolve) => flowing.stream.once('end', resolve));
  assert.ok(Buffer.concat(chunks).equals(whole));
  // More at once than may wait as chunks.
  const read: Buffer[] = [];
  while (!pieces.stream.readableEnded) {
    const piece = pieces.stream.read(5_000);
    if (piece === null) await new Promise((resolve) => setTimeout(resolve, 1));
    else read.push(piece);
  }
  clearInterval(timer);
  assert.ok(Buffer.concat(read).equals(whole));
});
