import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { canPinDirectories, Directory, isEntryName } from '../../src/io/directory.js';
import { emptyDirectory, removeEntry } from '../../src/io/remove-tree.js';
import { tempDir } from '../support/temp-dir.js';

const pinned = canPinDirectories() ? false : 'directories cannot be pinned here';

test('an open directory is itself, also after its path became a link', { skip: pinned }, (t) => {
  const folder = tempDir(t);
  mkdirSync(join(folder, 'in'));
  mkdirSync(join(folder, 'out'));
  const directory = Directory.open(join(folder, 'in'));
  try {
    renameSync(join(folder, 'in'), join(folder, 'moved'));
    symlinkSync('out', join(folder, 'in'));
    writeFileSync(directory.at('file'), 'x');
    assert.deepEqual(readdirSync(join(folder, 'moved')), ['file']);
    assert.deepEqual(readdirSync(join(folder, 'out')), []);
  } finally {
    directory.close();
  }
});

test('a link is no directory to open, nor to make sure of', (t) => {
  const folder = tempDir(t);
  mkdirSync(join(folder, 'real'));
  symlinkSync('real', join(folder, 'link'));
  const directory = Directory.open(folder);
  try {
    assert.throws(() => directory.child('link'), { code: /ENOTDIR|ELOOP/ });
    assert.throws(() => directory.ensureChild('link', 0o700), { code: /ENOTDIR|ELOOP/ });
    assert.throws(() => Directory.open(join(folder, 'link')), { code: /ENOTDIR|ELOOP/ });
    directory.ensureChild('new', 0o700).close();
    directory.ensureChild('new', 0o700).close();
  } finally {
    directory.close();
  }
  assert.deepEqual(readdirSync(folder).sort(), ['link', 'new', 'real']);
});

test('names that are no entries are refused', (t) => {
  const directory = Directory.open(tempDir(t));
  try {
    for (const name of ['', '.', '..', 'a/b', '/', 'a\0', '../x']) {
      assert.equal(isEntryName(name), false);
      assert.throws(() => directory.at(name), TypeError);
      assert.throws(() => directory.child(name), TypeError);
    }
    assert.ok(isEntryName('...') && isEntryName('\xff') && isEntryName(' '));
  } finally {
    directory.close();
  }
});

test('emptying removes links, never what they point at, and closed directories too', (t) => {
  const folder = tempDir(t);
  mkdirSync(join(folder, 'outside', 'kept'), { recursive: true });
  mkdirSync(join(folder, 'in', 'closed', 'deep'), { recursive: true });
  writeFileSync(join(folder, 'in', 'closed', 'deep', 'file'), 'x');
  symlinkSync(join(folder, 'outside'), join(folder, 'in', 'closed', 'link'));
  symlinkSync('../outside/kept', join(folder, 'in', 'link'));
  const directory = Directory.open(join(folder, 'in'));
  try {
    emptyDirectory(directory);
    removeEntry(directory, 'none');
  } finally {
    directory.close();
  }
  assert.deepEqual(readdirSync(join(folder, 'in')), []);
  assert.deepEqual(readdirSync(join(folder, 'outside')), ['kept']);
  rmSync(join(folder, 'in'), { recursive: true });
});
