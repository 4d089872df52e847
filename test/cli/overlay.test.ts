/** `rootfs overlay` and `prepareRootfs`: written once, used again. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { findOverlay, prepareRootfs, RootfsError } from '../../src/index.js';
import { image, LayerBuilder, writeLayout } from '../../src/testing/testing.js';
import { REPOSITORY, rootfs } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const IMAGE = `oci:${join(REPOSITORY, 'fixtures/hello')}`;
const MAPS = ['--uid-map', '0:100000:65536', '--gid-map', '0:100000:65536'];
const root = process.getuid?.() === 0;
const LINUX = process.platform === 'linux' ? false : 'overlayfs is Linux';

/** The overlays of a store, and whatever else lies beside them. */
function basesIn(store: string): string[] {
  const folder = join(store, 'overlay');
  return readdirSync(folder).flatMap((writer) => readdirSync(join(folder, writer)).map((name) => join(writer, name)));
}

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
    assert.equal(basesIn(join(folder, 'store')).length, 1, 'one base for both');
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
    assert.equal(basesIn(join(folder, 'store')).length, 1, 'one base for all');
  } finally {
    for (const run of runs) spawnSync('umount', [join(run, 'merged')], { stdio: 'ignore' });
  }
});

test('--rw takes the overlay in --dst only for the image and the options it was written for', {
  skip: LINUX,
}, async (t) => {
  const folder = tempDir(t);
  const layer = new LayerBuilder().dir('etc').file('etc/other', 'other').tar();
  await writeLayout(join(folder, 'other'), { latest: image().layer(layer).build() });
  const dst = join(folder, 'over');
  const run = (name: string, ...words: readonly string[]): ReturnType<typeof rootfs> =>
    rootfs(['overlay', '-q', '--store', join(folder, 'store'), '--dst', dst, '--rw', join(folder, name), ...words]);
  try {
    for (const name of ['one', 'two']) {
      const done = await run(name, IMAGE);
      assert.equal(done.code, 0, done.stderr);
    }
    const others: readonly (readonly [RegExp, readonly string[]])[] = [
      [/image: expected sha256:\w+, found sha256:\w+;/, [`oci:${join(folder, 'other')}:latest`]],
      [/uidMap: expected 0:100000:65536, found none, gidMap: expected 0:100000:65536, found none;/, [...MAPS, IMAGE]],
      [/sameOwner: expected false, found true;/, ['--no-same-owner', IMAGE]],
      [/allowLoss: expected true, found false;/, ['--allow-loss', IMAGE]],
      [/whiteouts: expected xattr, found device;/, ['--whiteouts', 'xattr', IMAGE]],
      [/userXattr: expected/, [root ? '--user-xattr' : '--no-user-xattr', IMAGE]],
    ];
    for (const [difference, words] of others) {
      const { code, stderr } = await run('three', ...words);
      assert.equal(code, 2, `${words}: ${stderr}`);
      assert.match(stderr, /over: the overlay there is another: .*name another folder, or remove this one/);
      assert.match(stderr, difference);
      assert.equal(existsSync(join(folder, 'three')), false);
    }
    const facts = JSON.parse(readFileSync(join(dst, 'overlay.json'), 'utf8'));
    writeFileSync(join(dst, 'overlay.json'), JSON.stringify({ ...facts, origin: undefined }));
    const older = await run('three', IMAGE);
    assert.equal(older.code, 2, older.stderr);
    assert.match(older.stderr, /an older version wrote it/);
  } finally {
    for (const name of ['one', 'two', 'three'])
      spawnSync('umount', [join(folder, name, 'merged')], { stdio: 'ignore' });
  }
});

test('in a store, what is asked for otherwise has another place', { skip: LINUX }, async (t) => {
  const folder = tempDir(t);
  for (const first of ['plain', 'mapped']) {
    const store = join(folder, `store-${first}`);
    const runs: string[] = [];
    const copy = async (name: string, ...words: readonly string[]): Promise<string> => {
      runs.push(join(folder, `${name}-${first}`));
      const done = await rootfs([
        'overlay',
        '-q',
        '--json',
        '--store',
        store,
        '--rw',
        runs.at(-1) ?? '',
        ...words,
        IMAGE,
      ]);
      assert.equal(done.code, 0, done.stderr);
      return (JSON.parse(done.stdout) as { base: string }).base;
    };
    try {
      const maps = root ? MAPS : ['--no-same-owner'];
      const bases = new Map<string, string>();
      for (const kind of first === 'plain' ? ['plain', 'mapped'] : ['mapped', 'plain']) {
        bases.set(kind, await copy(kind, ...(kind === 'plain' ? [] : maps)));
      }
      const [plain = '', mapped = ''] = [bases.get('plain'), bases.get('mapped')];
      assert.notEqual(plain, mapped);
      assert.equal(await copy('again', ...maps), mapped);
      assert.equal(basesIn(store).length, 2);
      const { path, reused } = await prepareRootfs(IMAGE, { store, form: 'overlay' });
      assert.deepEqual([path, reused], [plain, true], 'the library shares it');
      if (root) {
        assert.equal(lstatSync(join(plain, 'layers/0/lib')).uid, 0);
        assert.equal(lstatSync(join(mapped, 'layers/0/lib')).uid, 100_000);
      }
    } finally {
      for (const run of runs) spawnSync('umount', [join(run, 'merged')], { stdio: 'ignore' });
    }
  }
});

test('an overlay in the hands of somebody else is not used', {
  skip: root ? LINUX : 'needs root to give away',
}, async (t) => {
  const folder = tempDir(t);
  const dst = join(folder, 'over');
  const { path } = await prepareRootfs(IMAGE, {
    store: join(folder, 'store'),
    platform: 'linux/amd64',
    form: 'overlay',
    dst,
  });
  const options = { image: JSON.parse(readFileSync(join(path, 'overlay.json'), 'utf8')).origin.image };
  assert.ok(findOverlay(dst, options) !== undefined);
  chownSync(dst, 65534, 65534);
  assert.throws(() => findOverlay(dst, options), { code: 'ERR_OPTION_INVALID', message: /found one of user 65534/ });
  assert.equal(findOverlay(folder, options), undefined, 'there is none');
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
    assert.equal(basesIn(store).length, 1, 'one base, and nothing half written');
  } finally {
    for (const run of runs) spawnSync('umount', [join(run, 'merged')], { stdio: 'ignore' });
  }
});

test('prepareRootfs at once: every caller gets the one that was made', async (t) => {
  const store = join(tempDir(t), 'store');
  const made = await Promise.all([1, 2, 3].map(() => prepareRootfs(IMAGE, { store, platform: 'linux/amd64' })));
  assert.equal(new Set(made.map(({ path }) => path)).size, 1);
  assert.ok(made.some(({ reused }) => !reused));
  assert.equal(readdirSync(dirname(made[0]?.path ?? '')).filter((name) => name.startsWith('.')).length, 0);
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
    const command = /, or, if it was one of the same image, mount them again: (cd .*) \[ERR_OPTION_INVALID\]/s.exec(
      again.stderr,
    )?.[1];
    assert.ok(command !== undefined, again.stderr);
    if (!isMounted) return;
    const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(readFileSync(join(run, 'merged', 'mine'), 'utf8'), 'kept');
  } finally {
    umount();
  }
});
