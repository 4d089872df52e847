/** `rootfs mount` and `rootfs umount` as people run them, and what goes wrong; nothing may be left behind. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type MountResult, mountRootFS } from '../../src/export/mount.js';
import { unmountRootFS } from '../../src/export/unmount.js';
import { unpack } from '../../src/export/unpack.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { openRootFS, openSource } from '../../src/index.js';
import { loadNative, MountFlag } from '../../src/io/native.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import type { RootFS } from '../../src/rootfs/rootfs.js';
import { image, LayerBuilder, writeLayout } from '../../src/testing/testing.js';
import { busyboxLayers } from '../support/busybox.js';
import { listTree } from '../support/list-tree.js';
import { needsErofs } from '../support/mounted.js';
import { type CommandEnd, runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip = needsErofs();
const MAIN = fileURLToPath(new URL('../../../bin/rootfs.js', import.meta.url));

/** Mounts and loop devices of ours that are there. */
function leftovers(): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const loops = execFileSync('losetup', ['-a'], { encoding: 'utf8' }).split('\n');
  return [...mounts, ...loops].filter((line) => line.includes('rootfs-kit-'));
}

after(() => {
  if (skip === false) assert.deepEqual(leftovers(), []);
});

/** A folder with an OCI layout of the image `latest`: busybox, two layers. */
async function busyboxLayout(folder: string): Promise<string> {
  const layout = join(folder, 'layout');
  let builder = image().compression('none');
  for (const layer of busyboxLayers()) builder = builder.layer(layer.tar());
  await writeLayout(layout, { latest: builder.build() });
  return `oci:${layout}:latest`;
}

async function run(...words: readonly string[]): Promise<CommandEnd> {
  const end = await runRootfs(words);
  assert.equal(end.code, 0, end.stderr);
  return end;
}

async function withLayers<T>(source: string, store: string, use: (rootfs: RootFS) => Promise<T>): Promise<T> {
  const opened = await openSource(source);
  try {
    mkdirSync(store, { recursive: true });
    const found = await fetchImage(opened.source, opened.reference);
    const rootfs = await openRootFS(opened.source, found, store);
    try {
      return await use(rootfs);
    } finally {
      await rootfs.close();
    }
  } finally {
    await opened.close();
  }
}

test('a mount shows what unpack writes; made again it uses its metadata; umount leaves nothing', {
  skip,
}, async (t) => {
  const folder = tempDir(t);
  const source = await busyboxLayout(folder);
  const store = join(folder, 'store');
  await run('unpack', '--dst', join(folder, 'unpacked'), '--store', store, source);
  const expected = listTree(join(folder, 'unpacked'));
  for (const round of [0, 1]) {
    const { stdout } = await run('mount', '--json', '--store', store, source, join(folder, 'made/here'));
    const made = JSON.parse(stdout.toString()) as MountResult;
    try {
      assert.equal(made.reused, round === 1);
      assert.deepEqual(made.loops, [], 'plain files on a disk need no loop device');
      assert.deepEqual(listTree(made.mountpoint), expected);
      assert.equal(readdirSync(join(store, 'mounts')).length, 1);
      const again = await runRootfs(['mount', '--store', store, source, made.mountpoint]);
      assert.match(again.stderr, /mounted there already.*\[ERR_BUSY\]/);
    } finally {
      await run('umount', made.mountpoint);
    }
    assert.deepEqual(readdirSync(join(store, 'mounts')), []);
    assert.ok(!existsSync(made.mountpoint));
  }
  const { code, stderr } = await runRootfs(['umount', join(folder, 'made/here')]);
  assert.equal(code, 3, stderr);
});

test('files on tmpfs are mounted through loop devices, which go with the mount', { skip }, async (t) => {
  const folder = tempDir(t);
  const memory = mkdtempSync('/dev/shm/rootfs-kit-mount-');
  t.after(() => rmSync(memory, { recursive: true, force: true }));
  const source = await busyboxLayout(folder);
  const dir = join(folder, 'root');
  const { stdout } = await run('mount', '--json', '--store', memory, '--rw', join(folder, 'changes'), source, dir);
  try {
    const { loops } = JSON.parse(stdout.toString()) as MountResult;
    assert.equal(loops.length, 3);
    assert.equal(readFileSync(join(dir, 'etc/motd'), 'utf8'), 'inside\n');
    assert.ok(leftovers().some((line) => line.startsWith(loops[0] ?? 'none')));
  } finally {
    await run('umount', dir);
  }
  assert.deepEqual(leftovers(), []);
});

test('--rw: what is written lands in the folder for changes, and is there again next time', { skip }, async (t) => {
  const folder = tempDir(t);
  const source = await busyboxLayout(folder);
  const changes = join(folder, 'chan,ges: 1');
  const words = ['--store', join(folder, 'store'), '--rw', changes, source, join(folder, 'root')];
  for (const round of [0, 1]) {
    await run('mount', ...words);
    try {
      if (round === 0) {
        writeFileSync(join(folder, 'root/new'), 'new');
        rmSync(join(folder, 'root/etc/motd'));
      }
      assert.equal(readFileSync(join(folder, 'root/new'), 'utf8'), 'new');
      assert.ok(!existsSync(join(folder, 'root/etc/motd')));
    } finally {
      await run('umount', join(folder, 'root'));
    }
    assert.equal(readFileSync(join(changes, 'upper/new'), 'utf8'), 'new');
  }
});

test('128 layers are mounted', { skip }, async (t) => {
  const folder = tempDir(t);
  let builder = image().compression('none');
  for (let at = 0; at < 128; at += 1) {
    builder = builder.layer(new LayerBuilder().file(`files/${at}`, `content of ${at}`).file('last', `${at}`).tar());
  }
  await writeLayout(join(folder, 'layout'), { latest: builder.build() });
  const source = `oci:${join(folder, 'layout')}:latest`;
  const store = join(folder, 'a-long-name-for-a-store-'.repeat(5));
  await withLayers(source, store, async (rootfs) => {
    await mountRootFS(rootfs, join(folder, 'root'), store);
    try {
      assert.equal(readFileSync(join(folder, 'root/last'), 'utf8'), '127');
      for (const at of [0, 63, 127]) {
        assert.equal(readFileSync(join(folder, `root/files/${at}`), 'utf8'), `content of ${at}`);
      }
    } finally {
      await unmountRootFS(join(folder, 'root'), { store });
    }
  });
});

test('a shell runs in it: bwrap and runc', { skip: skip || needs('bwrap', 'runc') }, async (t) => {
  const folder = tempDir(t);
  chmodSync(folder, 0o755);
  const source = await busyboxLayout(folder);
  const root = join(folder, 'bundle/rootfs');
  await run('mount', '--store', join(folder, 'store'), source, root);
  try {
    const words = ['--unshare-all', '--ro-bind', root, '/', '--proc', '/proc', '--dev', '/dev'];
    const boxed = spawnSync('bwrap', [...words, '/bin/sh', '-c', 'cat /etc/motd'], { encoding: 'utf8' });
    assert.equal(boxed.stdout, 'inside\n', boxed.stderr);
    execFileSync('runc', ['spec'], { cwd: join(folder, 'bundle') });
    const config = join(folder, 'bundle/config.json');
    const spec = JSON.parse(readFileSync(config, 'utf8'));
    spec.process = { ...spec.process, terminal: false, args: ['/bin/cat', '/etc/motd'] };
    spec.root.readonly = true;
    // no cgroups: the test must run inside of containers too
    delete spec.linux.resources;
    writeFileSync(config, JSON.stringify(spec));
    const name = `rootfs-kit-${process.pid}`;
    const state = join(folder, 'state');
    const ran = spawnSync('runc', ['--root', state, 'run', '--bundle', join(folder, 'bundle'), name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    assert.equal(ran.stdout, 'inside\n', ran.stderr);
  } finally {
    await run('umount', root);
  }
});

test('a layer that went or changed since it was extracted is said, and nothing is mounted', { skip }, async (t) => {
  for (const damage of ['gone', 'changed', 'replaced'] as const) {
    const folder = tempDir(t);
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
  const folder = tempDir(t);
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
  const folder = tempDir(t);
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

test('a mount that fails half way leaves nothing', { skip }, async (t) => {
  const folder = tempDir(t);
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
  } finally {
    native.unmount(join(changes, 'work'));
  }
  assert.deepEqual(leftovers(), []);
});

test('folders that are no place for a mount', { skip }, async (t) => {
  const folder = tempDir(t);
  const source = await busyboxLayout(folder);
  mkdirSync(join(folder, 'full'));
  writeFileSync(join(folder, 'full/file'), '');
  const cases: readonly (readonly [string, RegExp])[] = [
    ['full', /files lie in it.*ERR_BUSY/],
    ['full/file', /expected a folder.*ERR_BUSY/],
    ['full/file/below', /ENOTDIR/],
  ];
  for (const [dir, message] of cases) {
    const { code, stderr } = await runRootfs(['mount', '--store', join(folder, 'store'), source, join(folder, dir)]);
    assert.notEqual(code, 0);
    assert.match(stderr, message);
  }
  const unkept = await runRootfs(['mount', '--no-store', source, join(folder, 'root')]);
  assert.equal(unkept.code, 2, unkept.stderr);
  const proc = await runRootfs(['mount', '--store', join(folder, 'store'), source, '/proc/rootfs-kit/x']);
  assert.notEqual(proc.code, 0);
  assert.deepEqual(readdirSync(join(folder, 'full')), ['file']);
});

test('a mount that is used is busy; --lazy takes it away all the same', { skip }, async (t) => {
  const folder = tempDir(t);
  const source = await busyboxLayout(folder);
  const dir = join(folder, 'root');
  await run('mount', '--store', join(folder, 'store'), source, dir);
  const before = process.cwd();
  process.chdir(dir);
  try {
    const busy = await runRootfs(['umount', dir]);
    assert.match(busy.stderr, /still uses it.*--lazy.*ERR_BUSY/);
    assert.ok(existsSync(join(dir, 'etc/motd')));
    await run('umount', '--lazy', dir);
    assert.ok(!existsSync(dir));
  } finally {
    process.chdir(before);
  }
});

test('a mount that somebody else took down leaves only its record, which umount removes', { skip }, async (t) => {
  const folder = tempDir(t);
  const store = join(folder, 'store');
  const dir = join(folder, 'root');
  await run('mount', '--store', store, await busyboxLayout(folder), dir);
  execFileSync('umount', [dir]);
  const { stderr } = await run('umount', '--store', store, dir);
  assert.match(stderr, /nothing was mounted any more/);
  assert.deepEqual(readdirSync(join(store, 'mounts')), []);
  mkdirSync(dir);
  execFileSync('mount', ['-t', 'tmpfs', 'rootfs-kit-test', dir]);
  try {
    const foreign = await runRootfs(['umount', '--store', store, dir]);
    assert.match(foreign.stderr, /a mount of rootfs-kit-test stands there.*ERR_NOT_FOUND/);
    assert.equal(statSync(dir).isDirectory(), true);
  } finally {
    execFileSync('umount', [dir]);
  }
});

test('without root, or without loop devices, it says what is missing and what serves', { skip }, async (t) => {
  const folder = tempDir(t);
  const source = await busyboxLayout(folder);
  const drop = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const words = ['mount', '--store', '/tmp/rootfs-kit-never', source, '/tmp/rootfs-kit-never-root'];
  const user = spawnSync('setpriv', [...drop, process.execPath, MAIN, ...words], { encoding: 'utf8' });
  assert.equal(user.status, 1, user.stderr);
  assert.match(user.stderr, /needs root.*rootfs unpack.*ERR_PERMISSION/);
  assert.ok(!existsSync('/tmp/rootfs-kit-never'));
  // In a mount namespace of its own, with an empty /dev and a store on tmpfs.
  const memory = join(folder, 'memory');
  mkdirSync(memory);
  const script = [
    `mount -t tmpfs none '${memory}'`,
    'mount -t tmpfs none /dev',
    `exec '${process.execPath}' '${MAIN}' mount --store '${memory}' '${source}' '${folder}/root'`,
  ].join(' && ');
  const bare = spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], { encoding: 'utf8' });
  assert.equal(bare.status, 1, bare.stderr);
  assert.match(bare.stderr, /no loop device.*rootfs unpack.*ERR_UNSUPPORTED/);
  assert.ok(!existsSync(join(folder, 'root')));
});

test('the mounted tree equals the unpacked one for a hostile image too', { skip }, async (t) => {
  const folder = tempDir(t);
  const layer = new LayerBuilder()
    .symlink('out', '/etc/passwd')
    .symlink('up', '../../../../etc/shadow')
    .file('\u0001odd \n"name\\', 'x', { mode: 0o4755 })
    .device('null', 'char', 1, 3)
    .fifo('pipe')
    .file('label', 'x', { xattrs: { 'trusted.overlay.opaque': 'y', 'user.overlay.redirect': '/', 'user.kept': 'k' } });
  await writeLayout(join(folder, 'layout'), { latest: image().compression('none').layer(layer.tar()).build() });
  const store = join(folder, 'store');
  await withLayers(`oci:${join(folder, 'layout')}:latest`, store, async (rootfs) => {
    await unpack(await mergeLayers(rootfs.layers), rootfs.layers, join(folder, 'unpacked'), { workers: 0 });
    await mountRootFS(rootfs, join(folder, 'root'), store);
    try {
      assert.deepEqual(listTree(join(folder, 'root')), listTree(join(folder, 'unpacked')));
    } finally {
      await unmountRootFS(join(folder, 'root'));
    }
  });
});
