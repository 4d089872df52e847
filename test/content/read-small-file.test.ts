import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readSmallFile } from '../../src/content/read-small-file.js';
import { tempDir } from '../support/temp-dir.js';

test('a small file is read as a whole; one that is not there is no error', async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'document');
  writeFileSync(path, 'document');
  assert.equal(String(await readSmallFile(path, 8)), 'document');
  writeFileSync(path, '');
  assert.equal((await readSmallFile(path, 8))?.length, 0);
  assert.equal(await readSmallFile(join(folder, 'none'), 8), undefined);
  assert.equal(await readSmallFile(join(path, 'below'), 8), undefined);
});

test('one that is too long is refused before memory is taken for it; links and folders are not read', async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'document');
  writeFileSync(path, '');
  for (const bytes of [9, 64 * 1024 ** 3]) {
    truncateSync(path, bytes);
    await assert.rejects(readSmallFile(path, 8), { code: 'ERR_LIMIT_EXCEEDED' });
  }
  symlinkSync('document', join(folder, 'link'));
  mkdirSync(join(folder, 'folder'));
  for (const name of ['link', 'folder']) {
    await assert.rejects(readSmallFile(join(folder, name), 8), { code: 'ERR_LAYOUT_INVALID' });
  }
});
