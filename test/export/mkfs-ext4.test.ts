import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeExt4 } from '../../src/export/mkfs-ext4.js';
import { writeContentTree } from '../../src/export/mkfs-ext4-tree.js';
import { type HandEntry, handTree } from '../support/hand-tree.js';
import { REPOSITORY, ROOTFS_BIN } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import { findTool, needs } from '../support/tools.js';
import { turnsDuring } from '../support/turns-during.js';

test('what ext4 cannot hold is said before any tool is looked for, and nothing is left', async (t) => {
  const folder = tempDir(t);
  const cases: readonly (readonly [HandEntry, RegExp])[] = [
    // mke2fs 1.47.4 puts these over its own directory, which makes a corrupt image
    [{ path: 'lost+found', content: 'x' }, /^lost\+found: ext4 has a directory of this name, found a file/],
    [{ path: 'lost+found', target: 'bin' }, /found a symlink; write an erofs image/],
    [{ path: 'dev', type: 'char', rdev: [4096, 0] }, /^dev: device 4096:0; Linux has up to 4095:1048575/],
  ];
  const before = process.env['PATH'];
  process.env['PATH'] = folder;
  try {
    for (const [entry, message] of cases) {
      const { tree, layers } = handTree(folder, [entry]);
      await assert.rejects(writeExt4(tree, layers, join(folder, 'image')), { code: 'ERR_UNSUPPORTED', message });
    }
    const names = Array.from({ length: 65_001 }, (_, at) => ({ path: `f${at}`, linkTo: 'f0' }));
    const { tree, layers } = handTree(folder, [{ path: 'f0', content: 'x' }, ...names.slice(1)]);
    await assert.rejects(writeExt4(tree, layers, join(folder, 'image')), {
      code: 'ERR_UNSUPPORTED',
      message: /^f0: a file with 65001 names; ext4 holds 65000, write an erofs image/,
    });
  } finally {
    process.env['PATH'] = before;
  }
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
});

test('a question mark in the path of the image is refused: debugfs would open another file', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'x' }]);
  const out = join(folder, 'image?offset=512');
  await assert.rejects(writeExt4(tree, layers, out), {
    code: 'ERR_OPTION_INVALID',
    message: `${out}: debugfs opens no path that holds a ?; choose a name and a folder without one`,
  });
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
});

test('a path that is too long below the folder mke2fs reads is said', async (t) => {
  const folder = tempDir(t);
  const path = [...Array.from({ length: 250 }, () => 'p'.repeat(15)), 'f'.repeat(95)].join('/');
  const { tree, layers } = handTree(folder, [{ path, content: 'x' }]);
  const content = join(folder, 'content');
  mkdirSync(content);
  await assert.rejects(writeContentTree(tree, layers, content, undefined), {
    code: 'ERR_UNSUPPORTED',
    message:
      /: a path of \d+ bytes, too long below .*\/content, from where mke2fs reads it; write an erofs image instead$/,
  });
  rmSync(content, { recursive: true });
});

test('others have their turn, and an abort is heard, while one large file is written for mke2fs', async (t) => {
  const folder = tempDir(t);
  const large = Buffer.alloc(40 * 1024 * 1024, 'large');
  const runs = Array.from({ length: 400 }, (_, at) => ({ at: at * 8192, data: `run ${at}` }));
  const { tree, layers } = handTree(folder, [
    { path: 'large', content: large },
    { path: 'sparse', sparse: { size: 400 * 8192, runs } },
  ]);
  const content = join(folder, 'content');
  mkdirSync(content);
  const turns = await turnsDuring(t, () => writeContentTree(tree, layers, content, undefined));
  assert.ok(turns >= 30, `${turns} turns`);
  assert.ok(readFileSync(join(content, 'large')).equals(large));
  const sparse = Buffer.alloc(400 * 8192);
  for (const { at, data } of runs) sparse.write(data, at);
  assert.ok(readFileSync(join(content, 'sparse')).equals(sparse));
  rmSync(content, { recursive: true });
  mkdirSync(content);
  const controller = new AbortController();
  setImmediate(() => controller.abort(new Error('enough')));
  await assert.rejects(
    turnsDuring(t, () => writeContentTree(tree, layers, content, controller.signal)),
    { message: 'enough' },
  );
  assert.ok(readFileSync(join(content, 'large')).length < large.length);
});

test('what mke2fs says is told, also where what it was to read cannot be removed', { skip: needs('prlimit') }, (t) => {
  const folder = tempDir(t);
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  // It leaves the command no file to open.
  const refusing = `#!/bin/sh\ncase " $* " in *" -d /"*) ${findTool('prlimit')} --pid $PPID --nofile=3 ;; esac\necho refused >&2\nexit 1\n`;
  for (const name of ['mke2fs', 'debugfs']) writeFileSync(join(bin, name), refusing, { mode: 0o755 });
  const image = ['-o', join(folder, 'image'), `oci:${join(REPOSITORY, 'fixtures/hello')}`];
  const run = spawnSync(process.execPath, [ROOTFS_BIN, 'mkfs', '--no-store', '--format', 'ext4', '-q', ...image], {
    encoding: 'utf8',
    env: { PATH: bin, HOME: folder, TMPDIR: folder },
  });
  assert.match(run.stderr, /^rootfs: mke2fs: exit 1: refused; .*\[ERR_\w+\]$/m);
  assert.equal(run.status, 1);
});
