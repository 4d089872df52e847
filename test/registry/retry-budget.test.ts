/** When to try again, and when to stop. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RegistryError, RootfsError } from '../../src/errors.js';
import type { ProgressEvent } from '../../src/progress.js';
import { isTransient, RetryBudget, retryAfterMs } from '../../src/registry/retry-budget.js';

const cut = new RootfsError('ERR_NETWORK', 'cut');

function budget(retry: number, everWorked = true): { budget: RetryBudget; events: ProgressEvent[] } {
  const events: ProgressEvent[] = [];
  const call = { onProgress: (event: ProgressEvent) => void events.push(event) };
  return { events, budget: new RetryBudget({ retry, maxRetryAfterMs: 100 }, 'it', call, everWorked) };
}

function answered(status: number, retryAfter?: number): RegistryError {
  const detail = retryAfter === undefined ? {} : { retryAfterMs: retryAfter };
  return new RegistryError('ERR_REGISTRY', 'it: no; later', { status, method: 'GET', url: 'http://r/' }, { detail });
}

for (const [value, expected] of [
  [undefined, undefined],
  ['', undefined],
  ['0', 0],
  ['120', 120_000],
  ['1.5', 1_500],
  ['-1', undefined],
  ['1e9', undefined],
  ['9999999999', 9_999_999_999_000],
  ['99999999999', 9_999_999_999_000],
  [`1${'0'.repeat(400)}`, 9_999_999_999_000],
  ['1.12345', 1_123.45],
  ['soon', undefined],
  ['Sat, 21 Nov 2026 10:00:30 GMT', 30_000],
  ['Sat, 21 Nov 2026 09:00:00 GMT', 0],
  ['Saturday, 21-Nov-26 10:00:30 GMT', 30_000],
  [`Sat, ${'x'.repeat(10_000)}`, undefined],
] as const) {
  test(`Retry-After ${String(value).slice(0, 40)}`, () => {
    assert.equal(retryAfterMs(value, Date.UTC(2026, 10, 21, 10, 0, 0)), expected);
  });
}

test('only what may go away by itself is tried again', async () => {
  for (const status of [408, 425, 429, 500, 502, 503, 504]) assert.equal(isTransient(answered(status)), true);
  for (const status of [400, 401, 403, 404, 405, 413, 416, 501]) assert.equal(isTransient(answered(status)), false);
  assert.equal(isTransient(cut), true);
  assert.equal(isTransient(new RootfsError('ERR_TLS', 'x')), false);
  assert.equal(isTransient(new Error('x')), false);
  const other = new RootfsError('ERR_DIGEST_MISMATCH', 'x');
  await assert.rejects(budget(5).budget.next(other), (error) => error === other);
});

test('so many attempts in a row without progress, and progress counts anew', async () => {
  const { budget: one, events } = budget(2);
  await one.next(cut);
  one.progressed();
  await one.next(cut);
  await one.next(cut);
  await assert.rejects(one.next(cut), (error) => error === cut);
  assert.equal(events.length, 3);
  assert.ok(events.every((event) => event.type === 'request:retried' && event.waitMs <= 500 && event.reason === 'cut'));
});

test('what is sent again is no progress, nor are a few bytes more', async () => {
  const { budget: one } = budget(2);
  one.reached(1_000, 100);
  await one.next(cut);
  one.reached(1_000, 100);
  one.reached(1_099, 100);
  await one.next(cut);
  await assert.rejects(one.next(cut), (error) => error === cut);
  one.reached(1_100, 100);
  await one.next(cut);
});

test('no second attempt where the first says all', async () => {
  for (const errno of ['ENOTFOUND', 'ECONNREFUSED', 'HPE_INVALID']) {
    const error = new RootfsError('ERR_NETWORK', 'x', { detail: { errno } });
    await assert.rejects(budget(5, false).budget.next(error), (thrown) => thrown === error);
    await budget(5, true).budget.next(error);
  }
});

test('a wait that is asked for is kept within the cap in all', async () => {
  const { budget: one, events } = budget(5);
  await one.next(answered(503, 60));
  assert.ok(events[0]?.type === 'request:retried' && events[0].waitMs >= 60);
  await assert.rejects(one.next(answered(503, 60)), (error: RegistryError) => {
    assert.equal(error.code, 'ERR_RATE_LIMITED');
    assert.equal(error.status, 503);
    assert.match(error.message, /^it: no; the registry asks to come back in 1 s, at \d{4}-\d\d-\d\dT/);
    assert.equal(isTransient(error), false);
    return true;
  });
});

test('no attempt is made for a caller that has given up', async () => {
  const call = { signal: AbortSignal.abort('enough') };
  const one = new RetryBudget({ retry: 5, maxRetryAfterMs: 0 }, 'it', call, true);
  await assert.rejects(one.next(cut), (error) => error === 'enough');
});
