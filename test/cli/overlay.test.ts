/** `rootfs overlay` and `prepareRootfs`: written once, used again. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepareRootfs, RootfsError } from '../../src/index.js';
import { REPOSITORY, rootfs } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const IMAGE = `oci:${join(REPOSITORY, 'fixtures/hello')}`;
const root = process.getuid?.() === 0;
const LINUX = process.platform === 'linux' ? false : 'overlayfs is Linux';

test('one directory a layer, and the mount command', { skip: LINUX }, async (t) => {
  const folder = tempDir(t);
  const dst = join(folder, 'over');
  const done = await rootfs(['overlay', '-q', '--store', join(folder, 'store'), '--dst', dst, IMAGE]);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /^cd .*over && mount -t overlay overlay -o .*lowerdir=l\/2:l\/1:l\/0/);
  assert.deepEqual(
    readdirSync(join(dst, 'layers')).filter((name) => !name.includes('.')),
    ['0', '1', '2'],
  );
  assert.ok(existsSync(join(dst, 'l/1/app/hello')));
  const again = await rootfs(['overlay', '-q', '--store', join(folder, 'store'), '--dst', dst, IMAGE]);
  assert.equal(again.code, 2, 'a directory that is not empty is left alone');
  const missing = await rootfs(['overlay', '-q', IMAGE]);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /--dst is missing/);
});

test('two writable copies of one image do not see each other', { skip: LINUX }, async (t) => {
  const folder = tempDir(t);
  const runs = ['one', 'two'].map((name) => join(folder, name));
  try {
    for (const run of runs) {
      const done = await rootfs(['overlay', '--json', '-q', '--store', join(folder, 'store'), '--rw', run, IMAGE]);
      assert.equal(done.code, 0, done.stderr);
      const copy = JSON.parse(done.stdout) as { merged: string; mounted: boolean; command: string };
      assert.equal(copy.merged, join(run, 'merged'));
      assert.deepEqual(readdirSync(run).sort(), ['merged', 'upper', 'work']);
      if (!root) assert.match(copy.command, /mount -t overlay/);
      if (!copy.mounted) continue;
      assert.equal(readFileSync(join(copy.merged, 'lib/words'), 'utf8'), 'hello\nworld\n');
      assert.equal(existsSync(join(copy.merged, 'etc/motd')), false, 'a later layer removed it');
      assert.equal(existsSync(join(copy.merged, 'tmp/mine')), false);
      writeFileSync(join(copy.merged, 'tmp/mine'), run);
    }
    assert.equal(readdirSync(join(folder, 'store', 'overlay')).length, 1, 'one base for both');
  } finally {
    for (const run of runs) {
      try {
        execFileSync('umount', [join(run, 'merged')], { stdio: 'ignore' });
      } catch {
        // it was not mounted
      }
    }
  }
});

test('four writable copies at once share one base, whoever writes it', { skip: LINUX }, async (t) => {
  const folder = tempDir(t);
  const runs = ['a', 'b', 'c', 'd'].map((name) => join(folder, name));
  try {
    const done = await Promise.all(
      runs.map((run) => rootfs(['overlay', '--json', '-q', '--store', join(folder, 'store'), '--rw', run, IMAGE])),
    );
    assert.deepEqual(
      done.map(({ code, stderr }) => `${code} ${stderr}`.trim()),
      ['0', '0', '0', '0'],
    );
    assert.equal(readdirSync(join(folder, 'store', 'overlay')).length, 1, 'one base for all');
  } finally {
    for (const run of runs) spawnSync('umount', [join(run, 'merged')], { stdio: 'ignore' });
  }
});

test('prepareRootfs: one call, and the second one finds it there', async (t) => {
  const store = join(tempDir(t), 'store');
  const first = await prepareRootfs(IMAGE, { store, platform: 'linux/amd64' });
  assert.equal(first.reused, false);
  assert.equal(first.form, 'directory');
  assert.ok(lstatSync(join(first.path, 'lib')).isSymbolicLink());
  const second = await prepareRootfs(IMAGE, { store, platform: 'linux/amd64' });
  assert.deepEqual([second.path, second.reused], [first.path, true]);
  const dst = join(tempDir(t), 'image.tar');
  const tar = await prepareRootfs(IMAGE, { store, platform: 'linux/amd64', form: 'tar', dst });
  assert.equal(tar.path, dst);
  assert.ok(lstatSync(dst).size > 1024);
  await assert.rejects(prepareRootfs(IMAGE, { store, form: 'floppy' }), (error) => {
    return (
      error instanceof RootfsError && error.code === 'ERR_OPTION_INVALID' && /floppy.*directory/.test(error.message)
    );
  });
});

test('several runs started at once share the base that one of them wrote', { skip: LINUX }, async (t) => {
  const folder = tempDir(t);
  const store = join(folder, 'store');
  const runs = ['one', 'two', 'three'].map((name) => join(folder, name));
  try {
    const ends = await Promise.all(runs.map((run) => rootfs(['overlay', '-q', '--store', store, '--rw', run, IMAGE])));
    for (const { code, stderr } of ends) assert.equal(code, 0, stderr);
    assert.equal(readdirSync(join(store, 'overlay')).length, 1, 'one base, and nothing half written');
  } finally {
    for (const run of runs) spawnSync('umount', [join(run, 'merged')], { stdio: 'ignore' });
  }
});

test('prepareRootfs at once: every caller gets the one that was made', async (t) => {
  const store = join(tempDir(t), 'store');
  const made = await Promise.all([1, 2, 3].map(() => prepareRootfs(IMAGE, { store, platform: 'linux/amd64' })));
  assert.equal(new Set(made.map(({ path }) => path)).size, 1);
  assert.ok(made.some(({ reused }) => !reused));
  assert.equal(readdirSync(join(store, 'directory')).filter((name) => name.startsWith('.')).length, 0);
  const dst = join(tempDir(t), 'own');
  const both = await Promise.allSettled([1, 2].map(() => prepareRootfs(IMAGE, { store, dst, form: 'directory' })));
  const refused = both.filter((one) => one.status === 'rejected').map(({ reason }) => (reason as RootfsError).code);
  for (const code of refused) assert.match(code, /ERR_(BUSY|OPTION_INVALID)/, "a place of their own is nobody else's");
});

test('places that cannot be taken are told before anything is fetched', { skip: LINUX }, async (t) => {
  const folder = tempDir(t);
  const store = join(folder, 'store');
  writeFileSync(join(folder, 'file'), '');
  const wrong: readonly (readonly string[])[] = [
    ['--rw', join(folder, 'file')],
    ['--rw', folder],
    ['--rw', join(folder, 'no', 'parent')],
    ['--dst', folder],
    ['--dst', join(folder, 'over'), '--rw', folder],
  ];
  for (const words of wrong) {
    const { code, stderr } = await rootfs(['overlay', '--store', store, ...words, IMAGE]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /--(rw|dst) .*expected an empty folder.*\[ERR_OPTION_INVALID\]/);
    assert.equal(existsSync(store), false, 'nothing was fetched');
  }
});

test("a failed run leaves neither a store nor a folder in it; the default store is its owner's alone", {
  skip: LINUX,
}, async (t) => {
  const folder = tempDir(t);
  const store = join(folder, 'new', 'store');
  const words = ['overlay', '-q', '--rw', join(folder, 'run'), '--max-layer-size', '1', IMAGE];
  const named = await rootfs([...words, '--store', store]);
  assert.equal(named.code, 5, named.stderr);
  assert.deepEqual(readdirSync(folder), []);
  const env = { HOME: folder };
  const failed = await rootfs(words, { env });
  assert.equal(failed.code, 5, failed.stderr);
  assert.equal(existsSync(join(folder, '.cache', 'rootfs-kit')), false);
  try {
    const done = await rootfs(['overlay', '-q', '--rw', join(folder, 'run'), IMAGE], { env });
    assert.equal(done.code, 0, done.stderr);
    assert.equal(lstatSync(join(folder, '.cache', 'rootfs-kit', 'layers-v1')).mode & 0o777, 0o700);
  } finally {
    spawnSync('umount', [join(folder, 'run', 'merged')], { stdio: 'ignore' });
  }
});

test('a run whose mount was lost says how to mount its changes again', { skip: LINUX }, async (t) => {
  const folder = tempDir(t);
  const run = join(folder, 'a run');
  const words = ['overlay', '-q', '--store', join(folder, 'store'), '--rw', run, IMAGE];
  const umount = (): unknown => spawnSync('umount', [join(run, 'merged')], { stdio: 'ignore' });
  try {
    const first = await rootfs(words);
    assert.equal(first.code, 0, first.stderr);
    const isMounted = first.stdout === `${join(run, 'merged')}\n`;
    if (isMounted) {
      writeFileSync(join(run, 'merged', 'mine'), 'kept');
      const twice = await rootfs(words);
      assert.match(twice.stderr, /a writable copy is mounted there; use it.*\[ERR_BUSY\]/);
      umount();
    }
    const again = await rootfs(words);
    assert.equal(again.code, 2, again.stderr);
    const command = /mount them again: (cd .*) \[ERR_OPTION_INVALID\]/s.exec(again.stderr)?.[1];
    assert.ok(command !== undefined, again.stderr);
    if (!isMounted) return;
    const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(readFileSync(join(run, 'merged', 'mine'), 'utf8'), 'kept');
  } finally {
    umount();
  }
});
