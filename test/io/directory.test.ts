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

test('what another process moves or replaces while it is removed', (t) => {
  const folder = tempDir(t);
  mkdirSync(join(folder, 'in'));
  mkdirSync(join(folder, 'outside', 'kept'), { recursive: true });
  const real = Directory.open(join(folder, 'in'));
  const path = join(folder, 'in', 'd');
  /** Does `change` once, just before the directory is opened or just after. */
  const disturbed = (when: 'before' | 'after', change: () => void): Directory => {
    let done = false;
    const child = (name: string): Directory => {
      const opened = when === 'after' ? real.child(name) : undefined;
      if (!done) change();
      done = true;
      return opened ?? real.child(name);
    };
    return { at: (name: string) => real.at(name), child } as unknown as Directory;
  };
  const moved = (): void => renameSync(path, `${path}~`);
  const linked = (): void => {
    moved();
    symlinkSync(join(folder, 'outside'), path);
  };
  try {
    for (const when of ['before', 'after'] as const) {
      for (const change of [moved, linked, () => rmSync(path, { recursive: true })]) {
        mkdirSync(join(path, 'deep'), { recursive: true });
        removeEntry(disturbed(when, change), 'd');
        assert.ok(!readdirSync(real.self).includes('d'));
        removeEntry(real, 'd~');
      }
    }
    mkdirSync(join(path, 'new'), { recursive: true });
    mkdirSync(join(folder, 'in', 'empty'));
    let opened = 0;
    const endless = {
      at: (name: string) => real.at(name),
      child: () => {
        opened++;
        return real.child('empty');
      },
    } as unknown as Directory;
    assert.throws(() => removeEntry(endless, 'd'), { code: 'ENOTEMPTY' });
    assert.equal(opened, 20);
  } finally {
    real.close();
  }
  assert.deepEqual(readdirSync(join(folder, 'outside')), ['kept']);
});
