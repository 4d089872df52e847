/** The example runs as it stands. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pullThroughBrokenConnections } from '../examples/testing-registry.js';

test('the example pulls three layers through connections that are all cut', async () => {
  // 200,000 bytes and their headers are four pieces of at most 64 KiB
  assert.deepEqual(await pullThroughBrokenConnections(), { requests: 12, layers: 3 });
});
