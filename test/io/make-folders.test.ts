import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolders } from '../../src/io/make-folders.js';
import { tempDir } from '../support/temp-dir.js';

test('what is missing is made, the outermost first, with the mode that was asked for', (t) => {
  const folder = tempDir(t);
  const made: string[] = [];
  const path = join(folder, 'a', 'b');
  assert.equal(makeFolders(path, { mode: 0o700, made: (one) => made.push(one) }), 2);
  assert.deepEqual(made, [join(folder, 'a'), path]);
  assert.equal(lstatSync(path).mode & 0o777, 0o700);
  assert.equal(makeFolders(path), 0);
});

test("what stands in the way is the system's error", (t) => {
  const folder = tempDir(t);
  writeFileSync(join(folder, 'file'), '');
  assert.throws(() => makeFolders(join(folder, 'file')), { code: 'EEXIST' });
  assert.throws(() => makeFolders(join(folder, 'file', 'below')), { code: 'EEXIST', path: join(folder, 'file') });
});

test('a place that takes no folder is told at once', { skip: existsSync('/proc/self') ? false : 'needs /proc' }, () => {
  assert.throws(() => makeFolders('/proc/no/such'), { code: 'ENOENT' });
});

test('a folder that another process makes meanwhile is as good', (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'a', 'b');
  const made = (): void => {
    if (!existsSync(path)) mkdirSync(path);
  };
  assert.equal(makeFolders(path, { made }), 1);
});
