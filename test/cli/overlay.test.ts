/** `rootfs overlay` and `prepareRootfs`: written once, used again. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
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
