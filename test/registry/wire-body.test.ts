/** The time that a body may take: a document that drips ends, a reader that pauses is not hurried. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WireBody } from '../../src/registry/wire-body.js';

const control = (seen: string[]) => ({
  resume: () => void seen.push('resume'),
  pause: () => void seen.push('pause'),
  cancel: () => void seen.push('cancel'),
});

test('a body that its reader waits for fails once its time is over, and its connection is closed', async () => {
  const seen: string[] = [];
  const body = new WireBody(control(seen));
  body.limitTime(20, 'x/config');
  const failed = new Promise((resolve) => {
    body.attach({ data: () => true, end: () => resolve('ended'), fail: resolve });
  });
  body.data(Buffer.from('abc'));
  const alive = setTimeout(() => undefined, 5_000);
  const error = (await failed) as { code: string; detail: object; message: string };
  clearTimeout(alive);
  assert.equal(error.code, 'ERR_TIMEOUT');
  assert.deepEqual(error.detail, { withinMs: 20, received: 3 });
  assert.match(error.message, /^x\/config: the answer is not complete after 20 ms, 3 bytes have come;/);
  assert.deepEqual(seen, ['resume', 'cancel']);
});

test('no time passes for a body whose reader has enough for now, nor for one that is complete', async () => {
  const heard: unknown[] = [];
  const body = new WireBody(control([]));
  body.limitTime(10, 'x/config');
  body.attach({ data: () => false, end: () => heard.push('ended'), fail: (reason) => heard.push(reason) });
  body.data(Buffer.from('abc'));
  await sleep(50);
  assert.deepEqual(heard, []);
  body.resume();
  body.end();
  await sleep(30);
  assert.deepEqual(heard, ['ended']);
});
