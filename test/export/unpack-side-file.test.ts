/** The side file where it cannot be as it should: a disk that is full, a name that is somebody else's. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { unpack } from '../../src/export/unpack.js';
import { runningAs, runTestsAs } from '../support/as-user.js';
import { handTree } from '../support/hand-tree.js';
import { NO_MOUNT, smallDisk } from '../support/small-disk.js';
import { tempDir } from '../support/temp-dir.js';

const outermost = process.geteuid?.() === 0 && runningAs() === undefined;
const disk = process.env['ROOTFS_TEST_DISK'] ?? '';
const inside = disk === '' ? 'runs as another, on a disk of its own' : false;
/** Some 20 KiB of records, in one piece. */
const entries = Array.from({ length: 200 }, (_, at) => ({ path: `a/${'n'.repeat(60)}${at}`, uid: 5, gid: 7 }));

test('all of this as user', { skip: outermost ? false : 'needs root to become another' }, (t) => {
  const place = smallDisk(t, 'size=32k,mode=777');
  if (place === undefined) return t.skip(NO_MOUNT);
  writeFileSync(join(place, 'full'), Buffer.alloc(20_000));
  mkdirSync(join(place, 'shared'));
  chmodSync(join(place, 'shared'), 0o1777);
  writeFileSync(join(place, 'shared', 'root.ownership'), 'theirs');
  const run = runTestsAs('user', [new URL(import.meta.url)], { ROOTFS_TEST_DISK: place });
  assert.equal(run.status, 0, run.output);
  assert.equal(run.pass, 2, run.output);
});

test('half a side file is none: a full disk fails the run, and nothing is left', { skip: inside }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, entries);
  const ownershipFile = join(disk, 'owners');
  await assert.rejects(unpack(tree, layers, join(folder, 'root'), { ownershipFile }), { code: 'ERR_NO_SPACE' });
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
  assert.deepEqual(readdirSync(disk).sort(), ['full', 'shared']);
});

test("somebody else's file in its place stays: asked for by name it fails the run, else that is said", {
  skip: inside,
}, async (t) => {
  const shared = join(disk, 'shared');
  const { tree, layers } = handTree(tempDir(t), [{ path: 'a', uid: 5 }]);
  const dst = join(shared, 'root');
  const ownershipFile = `${dst}.ownership`;
  await assert.rejects(unpack(tree, layers, dst, { ownershipFile }), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'ERR_PERMISSION');
    assert.doesNotMatch(error.message, /cleaning up failed/);
    return true;
  });
  assert.deepEqual(readdirSync(shared), ['root.ownership']);
  const said: string[] = [];
  const result = await unpack(tree, layers, dst, {
    onProgress: (event) => event.type === 'warning:raised' && said.push(event.message),
  });
  assert.equal(result.ownershipFile, undefined);
  assert.match(said.join(), /^owners are not kept in a side file: .*root\.ownership: EPERM/);
  assert.ok(existsSync(join(dst, 'a')));
  assert.deepEqual(readdirSync(shared).sort(), ['root', 'root.ownership']);
  assert.equal(readFileSync(ownershipFile, 'utf8'), 'theirs');
});
