/** What goes wrong with mounts: each failure says what and why, and leaves nothing mounted and no loop device. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type MountResult, mountRootFS } from '../../src/export/mount.js';
import { unmountRootFS } from '../../src/export/unmount.js';
import { loadNative, MountFlag } from '../../src/io/native.js';
import { image, LayerBuilder, writeLayout } from '../../src/testing/testing.js';
import { busyboxLayout, leftovers, memoryFolder, mountFolder, withLayers } from '../support/mount-place.js';
import { needsErofs } from '../support/mounted.js';
import { runRootfs } from '../support/run-rootfs.js';
import { needs } from '../support/tools.js';

const skip = needsErofs();
const MAIN = fileURLToPath(new URL('../../../bin/rootfs.js', import.meta.url));

after(() => {
  if (skip === false) assert.deepEqual(leftovers(), []);
});

test('a layer that went or changed since it was extracted is said, and nothing is mounted', { skip }, async (t) => {
  for (const damage of ['gone', 'changed', 'replaced'] as const) {
    const folder = mountFolder(t);
    const store = join(folder, 'store');
    const dir = join(folder, 'root');
    await withLayers(await busyboxLayout(folder), store, async (rootfs) => {
      const { path } = rootfs.layers[0] ?? assert.fail('no layer');
      const bytes = readFileSync(path);
      rmSync(path);
      if (damage === 'changed') writeFileSync(path, bytes.fill(7, 2048, 2056), { mode: 0o444 });
      if (damage === 'replaced') writeFileSync(path, bytes.subarray(0, 1024), { mode: 0o444 });
      const failed = mountRootFS(rootfs, dir, store);
      await assert.rejects(failed, ({ code, message }) => {
        // where the metadata is still to be made, the tar's reader is the first to notice
        assert.match(code, /ERR_(LAYER_INVALID|NOT_FOUND|TAR_INVALID|FILESYSTEM)/, message);
        assert.ok(message.includes(path), message);
        return true;
      });
    });
    assert.ok(!existsSync(dir));
    assert.deepEqual(readdirSync(join(store, 'mounts')), []);
    assert.deepEqual(leftovers(), []);
  }
});

test('with metadata at hand, a layer that went is said too', { skip }, async (t) => {
  const folder = mountFolder(t);
  const store = join(folder, 'store');
  await withLayers(await busyboxLayout(folder), store, async (rootfs) => {
    await mountRootFS(rootfs, join(folder, 'root'), store);
    await unmountRootFS(join(folder, 'root'));
    const { path } = rootfs.layers[0] ?? assert.fail('no layer');
    rmSync(path);
    await assert.rejects(mountRootFS(rootfs, join(folder, 'root'), store), {
      code: 'ERR_LAYER_INVALID',
      message: /gone, or changed since/,
    });
  });
});

test('metadata that is cut, of other bytes, or in the hands of others is made anew', { skip }, async (t) => {
  const folder = mountFolder(t);
  const store = join(folder, 'store');
  await withLayers(await busyboxLayout(folder), store, async (rootfs) => {
    for (const damage of ['none', 'cut', 'superblock', 'writable by others', 'of another user'] as const) {
      const { metadata, reused } = await mountRootFS(rootfs, join(folder, 'root'), store);
      assert.equal(reused, false, damage);
      assert.equal(readFileSync(join(folder, 'root/etc/motd'), 'utf8'), 'inside\n');
      await unmountRootFS(join(folder, 'root'));
      const bytes = readFileSync(metadata);
      if (damage === 'none') writeFileSync(metadata, bytes.subarray(0, bytes.length - 512));
      if (damage === 'cut') writeFileSync(metadata, bytes.fill(1, 1100, 1104));
      if (damage === 'superblock') chmodSync(metadata, 0o666);
      if (damage === 'writable by others') chownSync(metadata, 65534, 0);
    }
  });
});

test('a mount that was allowed to lose does not serve one that is not', { skip }, async (t) => {
  const folder = mountFolder(t);
  const store = join(folder, 'store');
  const root = join(folder, 'root');
  const layer = new LayerBuilder().file('f', 'x', { xattrs: { 'user.ok': 'v', 'user.big': 'x'.repeat(65_536) } });
  await writeLayout(join(folder, 'layout'), { latest: image().layer(layer.tar()).build() });
  await withLayers(`oci:${join(folder, 'layout')}:latest`, store, async (rootfs) => {
    const mount = async (allowLoss: boolean): Promise<MountResult> => {
      const made = await mountRootFS(rootfs, root, store, { allowLoss });
      await unmountRootFS(root, { store });
      return made;
    };
    await assert.rejects(mount(false), { code: 'ERR_WOULD_LOSE' });
    const { metadata, reused } = await mount(true);
    assert.equal(reused, false);
    await assert.rejects(mount(false), { code: 'ERR_WOULD_LOSE' });
    assert.equal((await mount(true)).reused, true);
    // As older versions left it: nobody knows what it lost.
    rmSync(metadata.replace(/erofs$/, 'json'));
    await assert.rejects(mount(false), { code: 'ERR_WOULD_LOSE' });
  });
});

test('a mount that fails half way leaves nothing', { skip }, async (t) => {
  const folder = mountFolder(t);
  const native = loadNative() ?? assert.fail('koffi');
  const changes = join(folder, 'changes');
  // overlayfs wants both of its folders on one mount
  mkdirSync(join(changes, 'work'), { recursive: true });
  mkdirSync(join(folder, 'other'));
  native.mount(join(folder, 'other'), join(changes, 'work'), '', MountFlag.bind, '');
  try {
    const store = join(folder, 'store');
    const source = await busyboxLayout(folder);
    const failed = await runRootfs(['mount', '--store', store, '--rw', changes, source, join(folder, 'root')]);
    assert.equal(failed.code, 1, failed.stderr);
    assert.match(failed.stderr, /overlayfs does not take this folder.*\[ERR_UNSUPPORTED\]/);
    assert.deepEqual(readdirSync(join(store, 'mounts')), []);
    assert.ok(!existsSync(join(folder, 'root')));
    assert.deepEqual(readdirSync(changes), ['work']);
  } finally {
    native.unmount(join(changes, 'work'));
  }
  assert.deepEqual(leftovers(), []);
});

test('where an overlay was taken down by hand, the next mount and umount leave nothing of it', { skip }, async (t) => {
  const folder = mountFolder(t);
  const native = loadNative() ?? assert.fail('koffi');
  const store = join(folder, 'store');
  const root = join(folder, 'root');
  await withLayers(await busyboxLayout(folder), store, async (rootfs) => {
    for (const upper of [join(folder, 'changes'), undefined]) {
      await mountRootFS(rootfs, root, store, { upper });
      native.unmount(root);
      await mountRootFS(rootfs, root, store, { upper });
      await unmountRootFS(root, { store });
      assert.deepEqual(leftovers(), []);
      assert.deepEqual(readdirSync(join(store, 'mounts')), []);
      assert.ok(!existsSync(root), 'the folder that the first one made');
    }
  });
});

test('of several that take one mount down at once, one does and the others find nothing', { skip }, async (t) => {
  const folder = mountFolder(t);
  const store = join(folder, 'store');
  const root = join(folder, 'root');
  await withLayers(await busyboxLayout(folder), store, async (rootfs) => {
    await mountRootFS(rootfs, root, store, { upper: join(folder, 'changes') });
  });
  const runs = await Promise.all([0, 1, 2, 3].map(() => runRootfs(['umount', root])));
  const ends = runs.map(({ code, stderr }) => `${code}${/ERR_\w+/.exec(stderr)?.[0] ?? ''}`).sort();
  assert.deepEqual(ends, ['0', '3ERR_NOT_FOUND', '3ERR_NOT_FOUND', '3ERR_NOT_FOUND']);
  assert.deepEqual(readdirSync(join(store, 'mounts')), []);
});

test('a folder for changes that another store, a hand or a writable copy mounts is refused', { skip }, async (t) => {
  const folder = mountFolder(t);
  const native = loadNative() ?? assert.fail('koffi');
  const store = join(folder, 'store');
  const source = await busyboxLayout(folder);
  const root = join(folder, 'root');
  const mount = (place: string, changes: string, on: string): ReturnType<typeof runRootfs> =>
    runRootfs(['mount', '--store', place, '--rw', join(folder, changes), source, join(folder, on)]);
  assert.equal((await mount(join(folder, 'another store'), 'from, another', 'there')).code, 0);
  const copied = await runRootfs(['overlay', '--store', store, '--rw', join(folder, 'copy'), source]);
  assert.equal(copied.code, 0, copied.stderr);
  const cases = [
    ['from, another', join(folder, 'there')],
    ['copy', join(folder, 'copy/merged')],
  ] as const;
  for (const [changes, user] of cases) {
    const refused = await mount(store, changes, 'root');
    assert.match(refused.stderr, /writes its changes here.*\[ERR_BUSY\]/);
    assert.ok(refused.stderr.includes(user), refused.stderr);
    assert.ok(!existsSync(root));
    native.unmount(user);
    assert.equal((await mount(store, changes, 'root')).code, 0);
    await unmountRootFS(root, { store });
  }
  await unmountRootFS(join(folder, 'there'), { store: join(folder, 'another store') });
  assert.deepEqual(leftovers(), []);
});

test('a mount that fails half way frees its loop devices, and the image below the overlay', { skip }, async (t) => {
  const folder = mountFolder(t);
  const memory = memoryFolder(t);
  const native = loadNative() ?? assert.fail('koffi');
  const changes = join(folder, 'changes');
  mkdirSync(join(changes, 'work'), { recursive: true });
  mkdirSync(join(folder, 'other'));
  native.mount(join(folder, 'other'), join(changes, 'work'), '', MountFlag.bind, '');
  try {
    const source = await busyboxLayout(folder);
    const failed = await runRootfs(['mount', '--store', memory, '--rw', changes, source, join(folder, 'made/root')]);
    assert.match(failed.stderr, /overlayfs does not take this folder.*\[ERR_UNSUPPORTED\]/);
  } finally {
    native.unmount(join(changes, 'work'));
  }
  assert.deepEqual(readdirSync(join(memory, 'mounts')), []);
  assert.ok(!existsSync(join(folder, 'made')));
  assert.deepEqual(leftovers(), []);
});

test('a store that is full: no metadata, no mount, nothing half written', { skip }, async (t) => {
  const folder = mountFolder(t);
  const store = join(folder, 'store');
  const native = loadNative() ?? assert.fail('koffi');
  let builder = new LayerBuilder();
  for (let at = 0; at < 2000; at += 1) builder = builder.file(`directory/${at}`, '');
  await writeLayout(join(folder, 'layout'), { latest: image().compression('none').layer(builder.tar()).build() });
  mkdirSync(store);
  native.mount('rootfs-kit-full', store, 'tmpfs', 0, 'size=8m');
  try {
    await withLayers(`oci:${join(folder, 'layout')}:latest`, store, async (rootfs) => {
      const fill = openSync(join(store, 'fill'), 'w');
      assert.throws(() => {
        for (;;) writeSync(fill, Buffer.alloc(16_384));
      }, /ENOSPC/);
      closeSync(fill);
      truncateSync(join(store, 'fill'), statSync(join(store, 'fill')).size - 65_536);
      await assert.rejects(mountRootFS(rootfs, join(folder, 'root'), store), { code: 'ERR_NO_SPACE' });
      assert.deepEqual(readdirSync(join(store, 'erofs')), []);
      assert.deepEqual(readdirSync(join(store, 'mounts')), []);
      assert.ok(!existsSync(join(folder, 'root')));
      rmSync(join(store, 'fill'));
      await mountRootFS(rootfs, join(folder, 'root'), store);
      await unmountRootFS(join(folder, 'root'), { store });
    });
  } finally {
    native.unmount(store);
  }
});

test('two mounts on one folder at once: one is made, the other finds it busy', { skip }, async (t) => {
  const folder = mountFolder(t);
  const store = join(folder, 'store');
  await withLayers(await busyboxLayout(folder), store, async (rootfs) => {
    const ends = await Promise.allSettled([0, 1].map(() => mountRootFS(rootfs, join(folder, 'root'), store)));
    try {
      assert.deepEqual(ends.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      const refused = ends.find((end) => end.status === 'rejected');
      assert.equal(refused?.reason.code, 'ERR_BUSY', refused?.reason);
      assert.equal(readFileSync(join(folder, 'root/etc/motd'), 'utf8'), 'inside\n');
    } finally {
      await unmountRootFS(join(folder, 'root'), { store });
    }
  });
  assert.deepEqual(leftovers(), []);
});

test('folders that are no place for a mount', { skip }, async (t) => {
  const folder = mountFolder(t);
  const source = await busyboxLayout(folder);
  mkdirSync(join(folder, 'full'));
  writeFileSync(join(folder, 'full/file'), '');
  symlinkSync('nowhere', join(folder, 'dangling'));
  const cases: readonly (readonly [string, RegExp])[] = [
    ['full', /files lie in it.*ERR_BUSY/],
    ['full/file', /expected a folder.*ERR_BUSY/],
    ['dangling', /expected a folder.*ERR_BUSY/],
    ['full/file/below', /ENOTDIR/],
    ['foreign', /something is mounted there already; take it down with umount, or choose .*ERR_BUSY/],
  ];
  mkdirSync(join(folder, 'foreign'));
  const native = loadNative() ?? assert.fail('no native calls');
  native.mount('foreign', join(folder, 'foreign'), 'tmpfs', 0, '');
  try {
    for (const [dir, message] of cases) {
      const { code, stderr } = await runRootfs(['mount', '--store', join(folder, 'store'), source, join(folder, dir)]);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    }
  } finally {
    native.unmount(join(folder, 'foreign'), true);
  }
  const unkept = await runRootfs(['mount', '--no-store', source, join(folder, 'root')]);
  assert.equal(unkept.code, 2, unkept.stderr);
  const proc = await runRootfs(['mount', '--store', join(folder, 'store'), source, '/proc/rootfs-kit/x']);
  assert.notEqual(proc.code, 0);
  assert.deepEqual(readdirSync(join(folder, 'full')), ['file']);
  const file = join(folder, 'full/file');
  const at = join(folder, 'never');
  const noFolder = await runRootfs(['mount', '--store', join(folder, 'store'), '--rw', file, source, at]);
  assert.equal(noFolder.code, 2, noFolder.stderr);
  assert.match(noFolder.stderr, /full\/file: expected a folder for changes, found something else; name another folder/);
  assert.ok(!existsSync(at));
});

test('in a user namespace, where it can never work, it says so before the image is looked for', { skip }, (t) => {
  const folder = mountFolder(t);
  const words = ['mount', '--store', join(folder, 'store'), 'oci:/nowhere', join(folder, 'root')];
  for (const own of [[], ['--mount']]) {
    const inside = spawnSync('unshare', ['--user', '--map-root-user', ...own, process.execPath, MAIN, ...words], {
      encoding: 'utf8',
    });
    assert.equal(inside.status, 1, inside.stderr);
    assert.match(inside.stderr, /a user namespace is not enough.*rootfs unpack.*ERR_PERMISSION/);
    assert.deepEqual(readdirSync(folder), []);
  }
});

test('without root, or without loop devices, it says what is missing and what serves', { skip }, async (t) => {
  const folder = mountFolder(t);
  const source = await busyboxLayout(folder);
  const drop = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const words = ['mount', '--store', '/tmp/rootfs-kit-never', source, '/tmp/rootfs-kit-never-root'];
  const user = spawnSync('setpriv', [...drop, process.execPath, MAIN, ...words], { encoding: 'utf8' });
  assert.equal(user.status, 1, user.stderr);
  assert.match(user.stderr, /needs root.*rootfs unpack.*ERR_PERMISSION/);
  assert.ok(!existsSync('/tmp/rootfs-kit-never'));
  const down = spawnSync('setpriv', [...drop, process.execPath, MAIN, 'umount', '/tmp'], { encoding: 'utf8' });
  assert.equal(down.status, 1, down.stderr);
  assert.match(down.stderr, /^rootfs: umount: needs root.*; run it with sudo \[ERR_PERMISSION\]$/m);
  // In mount namespaces of their own, with a store on tmpfs: an empty /dev; no node that could be a loop device; only one.
  const memory = join(folder, 'memory');
  mkdirSync(memory);
  const control = 'mknod /dev/loop-control c 10 237';
  const devices = ['true', control, `${control} && mknod /dev/loop$n b 7 $n`];
  for (const device of devices) {
    const script = [
      'n=$(losetup -f | tr -dc 0-9)',
      `mount -t tmpfs none '${memory}'`,
      'mount -t tmpfs none /dev',
      device,
      `exec '${process.execPath}' '${MAIN}' mount --store '${memory}' '${source}' '${folder}/root'`,
    ].join(' && ');
    const bare = spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], {
      encoding: 'utf8',
    });
    assert.equal(bare.status, 1, bare.stderr);
    assert.match(bare.stderr, /no loop device.*rootfs unpack.*ERR_UNSUPPORTED/);
    assert.ok(!existsSync(join(folder, 'root')));
    assert.deepEqual(leftovers(), []);
  }
});

test('changes are written by one mount at a time', { skip }, async (t) => {
  const folder = mountFolder(t);
  const store = join(folder, 'store');
  const upper = join(folder, 'changes');
  await withLayers(await busyboxLayout(folder), store, async (rootfs) => {
    const dirs = [join(folder, 'one'), join(folder, 'two')];
    const ends = await Promise.allSettled(dirs.map((dir) => mountRootFS(rootfs, dir, store, { upper })));
    const done = ends.find((end) => end.status === 'fulfilled')?.value ?? assert.fail('none was mounted');
    try {
      const refused = ends.find((end) => end.status === 'rejected')?.reason ?? assert.fail('both were mounted');
      assert.equal(refused.code, 'ERR_BUSY', refused.message);
      assert.ok(refused.message.includes(`the mount on ${done.mountpoint} writes its changes here`), refused.message);
    } finally {
      await unmountRootFS(done.mountpoint, { store });
    }
    assert.deepEqual(
      dirs.filter((dir) => existsSync(dir)),
      [],
    );
    await mountRootFS(rootfs, join(folder, 'three'), store, { upper });
    await unmountRootFS(join(folder, 'three'), { store });
  });
  assert.deepEqual(leftovers(), []);
});

test('an overlay that was taken down by hand: the rest goes without naming the store', { skip }, async (t) => {
  const folder = mountFolder(t);
  const store = join(folder, 'store');
  const dir = join(folder, 'root');
  const native = loadNative() ?? assert.fail('koffi');
  await withLayers(await busyboxLayout(folder), store, async (rootfs) => {
    await mountRootFS(rootfs, dir, store, { upper: join(folder, 'changes') });
    native.unmount(dir);
    native.mount('rootfs-kit-other', dir, 'tmpfs', 0, '');
    try {
      assert.equal((await unmountRootFS(dir)).wasMounted, false);
      assert.match(readFileSync('/proc/self/mountinfo', 'utf8'), /rootfs-kit-other/, 'what others mounted stays');
    } finally {
      native.unmount(dir);
    }
  });
  assert.deepEqual(readdirSync(join(store, 'mounts')), []);
  assert.deepEqual(leftovers(), []);
});

test('a store that may not be written is named, and so is a missing /proc', {
  skip: skip || needs('bwrap'),
}, async (t) => {
  const folder = mountFolder(t);
  const store = join(folder, 'store');
  const source = await busyboxLayout(folder);
  assert.equal((await runRootfs(['extract', '-q', '--dst', store, source])).code, 0);
  const inside = (bind: string, ...more: readonly string[]): string => {
    const words = ['mount', '-q', '--store', store, source, join(folder, 'root')];
    const place = ['--ro-bind', '/', '/', '--dev', '/dev', bind, folder, folder, ...more];
    const end = spawnSync('bwrap', [...place, process.execPath, MAIN, ...words], { encoding: 'utf8' });
    assert.equal(end.status, 1, end.stderr);
    return end.stderr;
  };
  assert.match(inside('--ro-bind'), /store\/mounts: EROFS.*name one that may be written.*\[ERR_PERMISSION\]/);
  assert.match(inside('--bind', '--tmpfs', '/proc'), /there is no \/proc here; mount one.*\[ERR_UNSUPPORTED\]/);
  assert.ok(!existsSync(join(folder, 'root')));
});
