import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LossList } from '../../src/export/loss-list.js';

test('an entry that loses several things of one kind is one entry', () => {
  const losses = new LossList();
  for (const path of ['', 'a', 'a', 'b']) losses.add('xattrs', path);
  for (const path of ['a', 'b']) losses.add('owners', path);
  losses.add('xattrs', 'b');
  assert.deepEqual(losses.list(), [
    { what: 'xattrs', entries: 3, example: '' },
    { what: 'owners', entries: 2, example: 'a' },
  ]);
});
