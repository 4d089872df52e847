/** What is waited for at most until an abort: the reason comes out at once, and nothing of the work is left. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { eachUntilAborted, throwIfAborted, untilAborted } from '../../src/io/abort.js';

const REASON = new Error('enough');

/** Aborts in a moment. */
function soon(): AbortController {
  const controller = new AbortController();
  setTimeout(() => controller.abort(REASON), 10);
  return controller;
}

function assertUnheard({ signal }: AbortController): void {
  assert.equal(getEventListeners(signal, 'abort').length, 0);
}

test('what comes in time is handed on, errors too', async () => {
  const controller = new AbortController();
  assert.equal(await untilAborted(Promise.resolve(1), undefined), 1);
  assert.equal(await untilAborted(Promise.resolve(1), controller.signal), 1);
  assert.equal(await untilAborted(2, controller.signal), 2);
  await assert.rejects(untilAborted(Promise.reject(new Error('mine')), controller.signal), /mine/);
  assertUnheard(controller);
});

test('work that hangs ends with the reason; what it brings or fails with later is let go of', async () => {
  const controller = soon();
  const late: number[] = [];
  let bring = (_: number): void => {};
  const work = new Promise<number>((resolve) => {
    bring = resolve;
  });
  await assert.rejects(
    untilAborted(work, controller.signal, (result) => void late.push(result)),
    (error) => error === REASON,
  );
  bring(7);
  const failed = Promise.reject(new Error('too late'));
  await assert.rejects(untilAborted(failed, controller.signal), (error) => error === REASON);
  await new Promise((turn) => setImmediate(turn));
  assert.deepEqual(late, [7]);
  assertUnheard(controller);
});

/** Counts from one; hangs after `last`. */
function counter(last: number, ended: string[] = []): AsyncIterable<number> {
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for (let at = 1; at <= last; at++) yield at;
        if (last < 5) await new Promise(() => {});
      } finally {
        ended.push('ended');
      }
    },
  };
}

test('items come one by one; who stops early ends the source, who fails does not hide it', async () => {
  const controller = new AbortController();
  for (const signal of [undefined, controller.signal]) {
    const ended: string[] = [];
    const all: number[] = [];
    for await (const item of eachUntilAborted(counter(5, ended), signal)) all.push(item);
    assert.deepEqual([all, ended], [[1, 2, 3, 4, 5], ['ended']]);
    for await (const item of eachUntilAborted(counter(5, ended), signal)) if (item === 2) break;
    assert.equal(ended.length, 2);
  }
  const listed: string[] = [];
  for await (const item of eachUntilAborted(['a', 'b'], controller.signal)) listed.push(item);
  assert.deepEqual(listed, ['a', 'b']);
  const broken = (async function* (): AsyncGenerator<number> {
    yield 1;
    throw new Error('mine');
  })();
  await assert.rejects(async () => {
    for await (const _ of eachUntilAborted(broken, controller.signal));
  }, /mine/);
  assertUnheard(controller);
});

test('a source that only takes a moment has ended when the abort comes out', async () => {
  const ended: string[] = [];
  const slow = (async function* (): AsyncGenerator<number> {
    try {
      yield 1;
      await new Promise((turn) => setTimeout(turn, 60));
    } finally {
      ended.push('ended');
    }
  })();
  await assert.rejects(
    async () => {
      for await (const _ of eachUntilAborted(slow, soon().signal));
    },
    (error) => error === REASON,
  );
  assert.deepEqual(ended, ['ended']);
});

test('a source that hangs is left, a stream is destroyed', async () => {
  const stream = new Readable({ read() {} });
  stream.push('x');
  for (const source of [counter(2), stream] as readonly AsyncIterable<unknown>[]) {
    const controller = soon();
    await assert.rejects(
      async () => {
        for await (const _ of eachUntilAborted(source, controller.signal));
      },
      (error) => error === REASON,
    );
    assertUnheard(controller);
  }
  assert.ok(stream.destroyed);
});

test('any number of calls may share one signal: no warning of a leak', async (t) => {
  const warnings: Error[] = [];
  const listen = (warning: Error): void => void warnings.push(warning);
  process.on('warning', listen);
  t.after(() => process.removeListener('warning', listen));
  const controller = new AbortController();
  throwIfAborted(controller.signal);
  const calls = Array.from({ length: 40 }, () => untilAborted(new Promise(() => {}), controller.signal));
  controller.abort(REASON);
  await Promise.allSettled(calls);
  await new Promise((turn) => setTimeout(turn, 20));
  assert.deepEqual(warnings, []);
});
