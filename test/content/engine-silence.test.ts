import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { test } from 'node:test';
import { ENGINE_WORK_MS, watchSilence } from '../../src/content/engine-silence.js';
import { fakeEngine } from '../support/fake-engine.js';

test('how long an engine may be silent, at each stage of a request', async (t) => {
  assert.equal(ENGINE_WORK_MS, 1_800_000);
  const long = ENGINE_WORK_MS + 1;
  for (const [works, timeoutMs, before, within] of [
    [undefined, 5000, 5000, 5000],
    ['before', 5000, ENGINE_WORK_MS, 5000],
    ['throughout', 5000, ENGINE_WORK_MS, ENGINE_WORK_MS],
    ['before', long, long, long],
  ] as const) {
    let answer = (): void => {};
    let begin = (): void => {};
    const asked = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const host = await fakeEngine(t, (_, response) => {
      answer = () => void response.write('x');
      begin();
    });
    const call = request({ socketPath: host.slice('unix://'.length), path: '/', agent: false });
    call.on('error', () => {});
    watchSilence(call, { timeoutMs, works }, () => assert.fail('it was silent'));
    call.end();
    await once(call, 'socket');
    assert.equal(call.socket?.timeout, timeoutMs);
    await asked;
    assert.equal(call.socket?.timeout, before, works);
    answer();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    assert.equal(call.socket?.timeout, within, works);
    response.destroy();
  }
});
