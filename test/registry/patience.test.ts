/** How long a registry may make a client wait, over all requests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RegistryError } from '../../src/errors.js';
import { Patience } from '../../src/registry/patience.js';
import { RetryBudget } from '../../src/registry/retry-budget.js';

test('waits one after another add up, waits at the same time count once', () => {
  const patience = new Patience(100);
  assert.equal(patience.take(400, 0), true);
  assert.equal(patience.take(400, 0), true);
  assert.equal(patience.take(500, 100), true, 'up to 600');
  assert.equal(patience.take(400, 700), true, 'all of it');
  assert.equal(patience.take(1, 1_200), false);
  assert.equal(patience.take(0, 1_200), true);
});

test('waits that are each short enough end, whatever comes between them', async () => {
  const patience = new Patience(10);
  const later = new RegistryError(
    'ERR_RATE_LIMITED',
    'it: no; later',
    { status: 429, method: 'GET', url: 'http://r/' },
    { detail: { retryAfterMs: 10 } },
  );
  const call = async (): Promise<void> => {
    const budget = new RetryBudget({ retry: 5, maxRetryAfterMs: 10 }, 'it', {}, true, patience);
    await budget.next(later);
    budget.progressed();
  };
  let waits = 0;
  await assert.rejects(
    (async () => {
      for (; waits < 50; waits++) await call();
    })(),
    { code: 'ERR_RATE_LIMITED', message: /this waits in all/ },
  );
  assert.equal(waits, 10);
});
