import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Context } from '../../src/cli/command.js';
import { noteUnpacked } from '../../src/cli/unpack-options.js';
import type { UnpackResult } from '../../src/index.js';

/** What is told on stderr of a tree with two devices that are not there. */
function told(ownershipFile: string | undefined): string[] {
  const lines: string[] = [];
  const result: UnpackResult = {
    path: '/root',
    entries: 2,
    dataBytes: 0,
    ownershipFile,
    absent: ['dev/a', 'dev/b'],
    losses: [],
    skippedXattrs: {},
  };
  noteUnpacked(result, { note: (line: string) => lines.push(line) } as unknown as Context);
  return lines;
}

test('devices are said to be recorded only where there is a side file', () => {
  assert.deepEqual(told('/root.ownership'), [
    'rootfs: note: 2 devices are recorded, not made: dev/a, dev/b',
    'rootfs: note: owners are recorded in /root.ownership',
  ]);
  assert.deepEqual(told(undefined), ['rootfs: warning: 2 devices are neither made nor recorded: dev/a, dev/b']);
});
