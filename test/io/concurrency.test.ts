/** Many at once: order, bounds, and one end for all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { mapConcurrently, Semaphore } from '../../src/io/concurrency.js';

/** Ends when it is told to, or with the signal's reason. */
function parked(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

test('results come in the order of the items, and never more run than allowed', async () => {
  let running = 0;
  let most = 0;
  const results = await mapConcurrently(
    Array.from({ length: 50 }, (_, index) => index),
    async (item) => {
      most = Math.max(most, ++running);
      for (let turn = 0; turn < 50 - item; turn++) await nextTurn();
      running--;
      return item * 2;
    },
    { concurrency: 7 },
  );
  assert.deepEqual(
    results,
    Array.from({ length: 50 }, (_, index) => index * 2),
  );
  assert.equal(most, 7);
});

test('the first failure is thrown, after every sibling was aborted with it and has ended', async () => {
  const first = new Error('first');
  const reasons: unknown[] = [];
  let ended = 0;
  const started: number[] = [];
  await assert.rejects(
    mapConcurrently(
      [0, 1, 2, 3, 4, 5],
      async (item, signal) => {
        started.push(item);
        if (item === 1) {
          await nextTurn();
          throw first;
        }
        try {
          await parked(signal);
        } catch (error) {
          reasons.push(error);
          for (let turn = 0; turn < 20; turn++) await nextTurn();
          ended++;
          throw new Error(`later, of ${item}`);
        }
      },
      { concurrency: 3 },
    ),
    first,
  );
  assert.deepEqual(started, [0, 1, 2]);
  assert.deepEqual(reasons, [first, first]);
  assert.equal(ended, 2);
});

test('a mapper that throws at once is a failure like any other', async () => {
  const thrown = new Error('at once');
  await assert.rejects(
    mapConcurrently(
      [1, 2],
      () => {
        throw thrown;
      },
      { concurrency: 2 },
    ),
    thrown,
  );
});

test("the caller's abort ends all of it with the caller's reason", async () => {
  const controller = new AbortController();
  const reason = { why: 'enough' };
  let ended = 0;
  const mapped = mapConcurrently(
    [1, 2, 3],
    async (_, signal) => {
      try {
        await parked(signal);
      } finally {
        await nextTurn();
        ended++;
      }
    },
    { concurrency: 2, signal: controller.signal },
  );
  await nextTurn();
  controller.abort(reason);
  await assert.rejects(mapped, (error) => error === reason);
  assert.equal(ended, 2);
  await assert.rejects(
    mapConcurrently([1], async () => 1, { concurrency: 1, signal: controller.signal }),
    (error) => error === reason,
  );
});

test('a bad bound is refused', async () => {
  for (const concurrency of [0, -1, 1.5, Number.NaN]) {
    await assert.rejects(
      mapConcurrently([1], async () => 1, { concurrency }),
      { code: 'ERR_OPTION_INVALID' },
    );
  }
});

test('a semaphore gives its permits out in order, each once', async () => {
  const semaphore = new Semaphore(2);
  const order: string[] = [];
  const first = await semaphore.acquire();
  const second = await semaphore.acquire();
  assert.equal(semaphore.tryAcquire(), undefined);
  const third = semaphore.acquire().then((release) => {
    order.push('third');
    return release;
  });
  const controller = new AbortController();
  const aborted = semaphore.acquire(controller.signal);
  const fourth = semaphore.acquire().then((release) => {
    order.push('fourth');
    return release;
  });
  controller.abort(new Error('not any more'));
  await assert.rejects(aborted, /not any more/);
  first();
  first();
  await nextTurn();
  assert.deepEqual(order, ['third']);
  second();
  await nextTurn();
  assert.deepEqual(order, ['third', 'fourth']);
  (await third)();
  (await fourth)();
  const again = semaphore.tryAcquire();
  assert.ok(again !== undefined && semaphore.tryAcquire() !== undefined && semaphore.tryAcquire() === undefined);
  await assert.rejects(semaphore.acquire(controller.signal), /not any more/);
});

test('of those who wait for a permit the highest priority comes first', async () => {
  const semaphore = new Semaphore(1);
  const order: number[] = [];
  const held = await semaphore.acquire();
  const waiting = [1, 3, 2, 3].map(async (priority, index) => {
    const release = await semaphore.acquire(undefined, priority);
    order.push(index);
    release();
  });
  held();
  await Promise.all(waiting);
  assert.deepEqual(order, [1, 3, 2, 0]);
});

test('permits can become more, for those who wait too, and fewer: then none is given until enough came back', async () => {
  const semaphore = new Semaphore(1);
  const order: string[] = [];
  const take = async (name: string): Promise<() => void> => {
    const release = await semaphore.acquire();
    order.push(name);
    return release;
  };
  const [first, second, third] = [take('first'), take('second'), take('third')];
  const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  await nextTurn();
  semaphore.resize(2);
  await nextTurn();
  assert.deepEqual(order, ['first', 'second']);
  semaphore.resize(1);
  (await first)();
  await nextTurn();
  assert.equal(semaphore.tryAcquire(), undefined);
  assert.deepEqual(order, ['first', 'second']);
  (await second)();
  (await third)();
  assert.deepEqual(order, ['first', 'second', 'third']);
  assert.ok(semaphore.tryAcquire() !== undefined && semaphore.tryAcquire() === undefined);
});
