/** What tests look with sees what is there: a look that finds nothing would let everything pass. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { leftovers, mountFolder } from './mount-place.js';
import { openFilesUnder } from './open-files.js';
import { realTrees } from './real-tree.js';
import { NO_MOUNT } from './small-disk.js';
import { tempDir } from './temp-dir.js';
import { needs } from './tools.js';

const linux = process.platform === 'linux' ? false : 'needs Linux';
const mounts = process.getuid?.() === 0 && linux === false ? needs('mount', 'losetup') : 'needs root on Linux';

test('an open file is seen, also behind a link to its folder', { skip: linux }, (t) => {
  const folder = realpathSync(tempDir(t));
  mkdirSync(join(folder, 'real'));
  symlinkSync('real', join(folder, 'link'));
  const file = openSync(join(folder, 'link', 'file'), 'w');
  try {
    for (const name of ['real', 'link']) {
      assert.deepEqual(openFilesUnder(join(folder, name)), [join(folder, 'real', 'file')], name);
    }
  } finally {
    closeSync(file);
  }
  assert.deepEqual(openFilesUnder(join(folder, 'link')), []);
});

test('a mount is seen, also behind a link to the temporary folder', { skip: mounts }, (t) => {
  const folder = realpathSync(tempDir(t));
  mkdirSync(join(folder, 'real'));
  symlinkSync('real', join(folder, 'link'));
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = join(folder, 'link');
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  const place = mountFolder(t);
  if (spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', place]).status !== 0) return t.skip(NO_MOUNT);
  try {
    assert.equal(leftovers().length, 1);
  } finally {
    execFileSync('umount', [place]);
  }
  assert.deepEqual(leftovers(), []);
});

test('a tree that is not there is no empty one', { skip: needs('python3') }, (t) => {
  const folder = tempDir(t);
  const [empty] = realTrees([folder]);
  assert.deepEqual([...(empty?.keys() ?? [])], ['']);
  assert.throws(() => realTrees([join(folder, 'nowhere')]), /No such file/);
});
