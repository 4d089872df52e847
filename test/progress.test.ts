/** Listeners: whatever one does, the work goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProgressEvent, report } from '../src/progress.js';

const EVENT: ProgressEvent = { type: 'warning:raised', message: 'x' };

test('a listener that throws is ignored, one that is async and rejects too', async () => {
  const unheard: unknown[] = [];
  const hear = (reason: unknown): void => void unheard.push(reason);
  process.on('unhandledRejection', hear);
  try {
    const heard: ProgressEvent[] = [];
    report(undefined, EVENT);
    report((event) => {
      heard.push(event);
      throw new Error('now');
    }, EVENT);
    report(async (event) => {
      heard.push(event);
      throw new Error('later');
    }, EVENT);
    await new Promise((turn) => setTimeout(turn, 20));
    assert.deepEqual(heard, [EVENT, EVENT]);
    assert.deepEqual(unheard, []);
  } finally {
    process.removeListener('unhandledRejection', hear);
  }
});
