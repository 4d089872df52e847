import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SharedCall, SharedCalls } from '../../src/io/shared-call.js';
import type { ProgressEvent } from '../../src/progress.js';

const event = (message: string): ProgressEvent => ({ type: 'warning:raised', message });

test('every caller hears the progress of the call it joined, and none after its own end', async () => {
  const calls = new SharedCalls<string>();
  const heard: Record<'first' | 'second', string[]> = { first: [], second: [] };
  const listen = (name: 'first' | 'second') => (told: ProgressEvent) =>
    void (told.type === 'warning:raised' && heard[name].push(told.message));
  const controller = new AbortController();
  const reason = new Error('enough');
  let tell: (message: string) => void = () => {};
  let finish: (value: string) => void = () => {};
  let starts = 0;
  const start = ({ onProgress }: { onProgress: (told: ProgressEvent) => void }): Promise<string> => {
    starts += 1;
    tell = (message) => onProgress(event(message));
    return new Promise((done) => {
      finish = done;
    });
  };
  const first = calls.join('key', { signal: controller.signal, onProgress: listen('first') }, start);
  tell('one');
  const second = calls.join('key', { onProgress: listen('second') }, start);
  tell('two');
  controller.abort(reason);
  await assert.rejects(first, (error) => error === reason);
  tell('three');
  finish('done');
  assert.equal(await second, 'done');
  tell('four');
  assert.equal(starts, 1);
  assert.deepEqual(heard, { first: ['one', 'two'], second: ['two', 'three'] });
});

test('two callers with the same options each count: the call goes on while one waits', async () => {
  const calls = new SharedCalls<string>();
  let aborted: AbortSignal | undefined;
  const options = {};
  const start = ({ signal }: { signal: AbortSignal }): Promise<string> => {
    aborted = signal;
    return new Promise((done) => setTimeout(done, 20, 'done'));
  };
  const both = [calls.join('key', options, start), calls.join('key', options, start)];
  assert.deepEqual(await Promise.all(both), ['done', 'done']);
  assert.equal(aborted?.aborted, false);
});

test('the last caller hears of its abort when the call has let go of what it held; one that hangs is not waited for', async () => {
  const calls = new SharedCalls<string>();
  const reason = new Error('enough');
  let released = false;
  const start = async ({ signal }: { signal: AbortSignal }): Promise<string> => {
    await new Promise((done) => signal.addEventListener('abort', done));
    await new Promise((done) => setTimeout(done, 20));
    released = true;
    throw new Error('ended');
  };
  const controllers = [new AbortController(), new AbortController()];
  const waiting = controllers.map(({ signal }) => calls.join('key', { signal }, start));
  controllers[0]?.abort(reason);
  await assert.rejects(waiting[0] as Promise<string>, (error) => error === reason);
  assert.equal(released, false);
  controllers[1]?.abort(reason);
  await assert.rejects(waiting[1] as Promise<string>, (error) => error === reason);
  assert.equal(released, true);

  const hanging = new AbortController();
  const stuck = calls.join('stuck', { signal: hanging.signal }, () => new Promise(() => {}));
  hanging.abort(reason);
  const started = Date.now();
  await assert.rejects(stuck, (error) => error === reason);
  assert.ok(Date.now() - started < 2000);
});

test('what answers at once is an answer, and what throws at once a failure', async () => {
  const calls = new SharedCalls<string>();
  const atOnce = (() => 'done') as unknown as () => Promise<string>;
  const failing = (): never => {
    throw new Error('at once');
  };
  assert.equal(await calls.join('key', {}, atOnce), 'done');
  await assert.rejects(calls.join('key', {}, failing), /at once/);
  assert.equal(await calls.join('key', {}, atOnce), 'done');
});

test('a failure is that of those who came with the same; the others make a call of their own', async () => {
  const calls = new SharedCalls<string>();
  let mine = 0;
  const failing = async (): Promise<string> => {
    mine += 1;
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error('not with this one');
  };
  const [broken, sound] = [{}, {}];
  const found = await Promise.allSettled([
    calls.join('key', { by: broken }, failing),
    calls.join('key', { by: broken }, failing),
    calls.join('key', { by: sound }, async () => 'done'),
  ]);
  assert.deepEqual(
    found.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.message)),
    ['not with this one', 'not with this one', 'done'],
  );
  assert.equal(mine, 1);
  const reason = new Error('not any more');
  const stop = new AbortController();
  const first = calls.join('key', { by: broken }, failing);
  const second = calls.join('key', { by: sound, signal: stop.signal }, () => new Promise(() => {}));
  await assert.rejects(first, /not with this one/);
  stop.abort(reason);
  await assert.rejects(second, (error) => error === reason);
});

test('an abort by the first event of the call itself is heard, and ends the call', { timeout: 20_000 }, async () => {
  const calls = new SharedCalls<string>();
  const controller = new AbortController();
  const reason = new Error('enough');
  const start = ({ signal, onProgress }: SharedCall): Promise<string> => {
    onProgress(event('one'));
    return new Promise((_, failed) => signal.addEventListener('abort', () => failed(signal.reason)));
  };
  const onProgress = (): void => controller.abort(reason);
  const alive = setTimeout(() => {}, 5_000);
  await assert.rejects(
    calls.join('key', { signal: controller.signal, onProgress }, start),
    (error) => error === reason,
  );
  clearTimeout(alive);
});

test('a call with what is not equal to itself fails once, and is not made again without end', async () => {
  const calls = new SharedCalls<string>();
  let made = 0;
  const failing = async (): Promise<string> => {
    made += 1;
    if (made > 5) return 'done';
    throw new Error('refused');
  };
  await assert.rejects(calls.join('key', { by: Number.NaN }, failing), /refused/);
  assert.equal(made, 1);
});
