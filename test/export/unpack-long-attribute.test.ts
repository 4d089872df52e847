/** An extended attribute that is too long for the file system: `ENOSPC` to it is no full disk. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasRoom } from '../../src/export/has-room.js';
import { unpack } from '../../src/export/unpack.js';
import { loadNative, MountFlag } from '../../src/io/native.js';
import { runningAs, runTestsAs } from '../support/as-user.js';
import { handTree } from '../support/hand-tree.js';
import { listTree } from '../support/list-tree.js';
import { tempDir } from '../support/temp-dir.js';

const native = loadNative();
const root = process.geteuid?.() === 0 && runningAs() === undefined;
const needsRoot = root && native !== undefined ? false : 'needs root and koffi';
const needsUser = root || native === undefined ? 'runs as others, with native calls' : false;

/** Within Linux's 64 KiB; ext4 keeps no more than a block of attributes with a file, and says `ENOSPC`. */
const long = 'v'.repeat(60_000);
const entries = [{ path: 'a', content: 'a', xattrs: { 'user.long': long, 'user.short': 's' } }];

test('all of this as user', { skip: needsRoot }, () => {
  const run = runTestsAs('user', [new URL(import.meta.url)]);
  assert.equal(run.status, 0, run.output);
  assert.ok(run.pass >= 1, run.output);
});

test('as root it is a loss that is named, and one that can be allowed', { skip: needsRoot }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, entries);
  const { losses } = await unpack(tree, layers, join(folder, 'allowed'), { allowLoss: true });
  const found = listTree(join(folder, 'allowed'))['a']?.xattrs;
  assert.equal(found?.['user.short'], Buffer.from('s').toString('hex'));
  // xfs and others keep it
  if (found['user.long'] !== undefined) {
    assert.deepEqual(losses, []);
    return;
  }
  assert.deepEqual(losses, [{ what: 'xattrs', entries: 1, example: 'a' }]);
  const dst = join(folder, 'strict');
  await assert.rejects(unpack(tree, layers, dst), { code: 'ERR_WOULD_LOSE', message: /user\.long.*ENOSPC/ });
  assert.equal(existsSync(dst), false);
});

test('without root it goes to the side file', { skip: needsUser }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, entries);
  const dst = join(folder, 'root');
  await unpack(tree, layers, dst);
  const found = listTree(dst)['a']?.xattrs ?? {};
  const kept = found['user.long'] !== undefined;
  const recorded = readFileSync(`${dst}.ownership`, 'utf8').includes(Buffer.from(long).toString('base64'));
  assert.equal(recorded, !kept);
});

test('a file system without room is told from one that has some', { skip: needsRoot }, (t) => {
  const folder = tempDir(t);
  for (const [size, room] of [
    ['64k', false],
    ['8m', true],
  ] as const) {
    native?.mount('tmpfs', folder, 'tmpfs', MountFlag.noSuid, `size=${size}`);
    try {
      assert.equal(hasRoom(folder), room, size);
    } finally {
      native?.unmount(folder);
    }
  }
  assert.equal(hasRoom(join(folder, 'missing')), false);
});
