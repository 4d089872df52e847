import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { OwnershipRecords } from '../../src/export/ownership-file.js';

const host = { uid: 1000, gid: 1000 };

function linesOf(records: OwnershipRecords): Record<string, unknown>[] {
  const text = [...records.chunks(host)].join('');
  return text
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('the line of another name says all that the line of the first one says', () => {
  const records = new OwnershipRecords();
  records.add({ path: 'a', uid: 1, gid: 2 });
  records.add({ path: 'a', mode: 0o2755 });
  records.add({ path: 'a', xattrs: [['trusted.x', 'v']] });
  records.add({ path: 'a', xattrs: [['trusted.y', 'w']] });
  records.addName('b', 'a');
  const [a, b] = linesOf(records);
  assert.deepEqual(a, {
    path: 'a',
    uid: 1,
    gid: 2,
    mode: 0o2755,
    xattrs: { 'trusted.x': 'dg==', 'trusted.y': 'dw==' },
  });
  assert.deepEqual(b, { ...a, path: 'b' });
});

test('copies of one attribute are kept once, however many files lack it', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const records = new OwnershipRecords();
  const before = heap();
  for (let at = 0; at < 500; at += 1) {
    records.add({ path: String(at), xattrs: [['trusted.x', Buffer.alloc(100_000, 'v').toString('latin1')]] });
  }
  const grown = heap() - before;
  assert.ok(grown < 5_000_000, `${grown} bytes`);
  assert.equal(linesOf(records).length, 500);
});
