/** What tests look with sees what is there: a look that finds nothing would let everything pass. */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openFilesUnder } from './open-files.js';
import { realTrees } from './real-tree.js';
import { tempDir } from './temp-dir.js';
import { needs } from './tools.js';

const linux = process.platform === 'linux' ? false : 'needs Linux';

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

test('a tree that is not there is no empty one', { skip: needs('python3') }, (t) => {
  const folder = tempDir(t);
  const [empty] = realTrees([folder]);
  assert.deepEqual([...(empty?.keys() ?? [])], ['']);
  assert.throws(() => realTrees([join(folder, 'nowhere')]), /No such file/);
});
