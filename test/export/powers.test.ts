/** What a process may do is asked without a trace. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPowers } from '../../src/export/powers.js';
import { processStatus } from '../../src/io/process-status.js';

const skip = processStatus('Umask') === undefined ? 'the system does not tell the mask' : false;

test('the mask of modes is never written to be read: other threads make files meanwhile', { skip }, (t) => {
  const before = process.umask(0o027);
  t.after(() => process.umask(before));
  const { mock } = t.mock.method(process, 'umask');
  const { umask } = readPowers();
  assert.deepEqual([umask, mock.callCount()], [0o027, 0]);
});
