/** `rootfs mount` and `rootfs umount` as people run them; nothing may be left behind. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type MountResult, mountRootFS } from '../../src/export/mount.js';
import { unmountRootFS } from '../../src/export/unmount.js';
import { unpack } from '../../src/export/unpack.js';
import { processMark } from '../../src/io/process-mark.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { image, LayerBuilder, writeLayout } from '../../src/testing/testing.js';
import { listTree } from '../support/list-tree.js';
import { busyboxLayout, leftovers, memoryFolder, mountFolder, run, withLayers } from '../support/mount-place.js';
import { needsErofs } from '../support/mounted.js';
import { runRootfs } from '../support/run-rootfs.js';
import { needs } from '../support/tools.js';

const skip = needsErofs();

after(() => {
  if (skip === false) assert.deepEqual(leftovers(), []);
});

test('a mount shows what unpack writes; made again it uses its metadata; umount leaves nothing', {
  skip,
}, async (t) => {
  const folder = mountFolder(t);
  const source = await busyboxLayout(folder);
  const store = join(folder, 'store');
  await run('unpack', '--dst', join(folder, 'unpacked'), '--store', store, source);
  const expected = listTree(join(folder, 'unpacked'));
  // Of a run that was killed, and at another mountpoint.
  mkdirSync(join(store, 'mounts'));
  symlinkSync(`${processMark().replace(/-\d+-\d+$/, '-4194303-77')} 00`, join(store, 'mounts/other.lock'));
  for (const round of [0, 1]) {
    const { stdout } = await run('mount', '--json', '--store', store, source, join(folder, 'made/here'));
    const made = JSON.parse(stdout.toString()) as MountResult;
    try {
      assert.equal(made.reused, round === 1);
      assert.deepEqual(made.loops, [], 'plain files on a disk need no loop device');
      assert.deepEqual(listTree(made.mountpoint), expected);
      assert.equal(readdirSync(join(store, 'mounts')).length, 1);
      const again = await runRootfs(['mount', '--store', store, source, made.mountpoint]);
      assert.match(again.stderr, /mounted there already; take it down with rootfs umount, or choose .*\[ERR_BUSY\]/);
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
  const folder = mountFolder(t);
  const memory = memoryFolder(t);
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

test('sparse files that lie between the blocks of their tar read the same through loop devices', {
  skip,
}, async (t) => {
  const folder = mountFolder(t);
  const memory = memoryFolder(t);
  const layer = new LayerBuilder();
  // Each takes four blocks of the layer, three of them hold what no block of the image can point at: were these alone
  // copied, the distance between a file's blocks here and there would shrink by one from file to file, down to none.
  for (let file = 100; file < 160; file += 1) {
    const extents = [0, 4096].map((offset) => ({ offset, content: Buffer.alloc(700, `file ${file} at ${offset} `) }));
    layer.sparse(`sparse-${file}`, { size: 4796, extents });
  }
  await writeLayout(join(folder, 'layout'), { latest: image().layer(layer.tar()).build() });
  const source = `oci:${join(folder, 'layout')}:latest`;
  await run('unpack', '--dst', join(folder, 'unpacked'), '--store', memory, source);
  const { stdout } = await run('mount', '--json', '--store', memory, source, join(folder, 'root'));
  const { mountpoint, loops } = JSON.parse(stdout.toString()) as MountResult;
  try {
    assert.equal(loops.length, 2);
    assert.deepEqual(listTree(mountpoint), listTree(join(folder, 'unpacked')));
  } finally {
    await run('umount', mountpoint);
  }
});

test('--rw: what is written lands in the folder for changes, and is there again next time', { skip }, async (t) => {
  const folder = mountFolder(t);
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

test('--rw: the root looks as the image has it, whatever the mask, and keeps what is changed of it', {
  skip,
}, async (t) => {
  const folder = mountFolder(t);
  const layer = new LayerBuilder().dir('./', { mode: 0o1777, uid: 7, gid: 8, xattrs: { 'user.of': 'root' } });
  await writeLayout(join(folder, 'layout'), { latest: image().layer(layer.file('f', 'x').tar()).build() });
  const root = join(folder, 'root');
  const looks = (): unknown => {
    const { mode, uid, gid, mtimeMs } = statSync(root);
    return { mode: mode & 0o7777, uid, gid, mtimeMs };
  };
  const mask = process.umask(0o077);
  t.after(() => process.umask(mask));
  await withLayers(`oci:${join(folder, 'layout')}:latest`, join(folder, 'store'), async (rootfs) => {
    const mount = (upper?: string): Promise<MountResult> => mountRootFS(rootfs, root, join(folder, 'store'), { upper });
    await mount();
    const expected = looks();
    await unmountRootFS(root);
    await mount(join(folder, 'changes'));
    assert.deepEqual(looks(), expected);
    assert.deepEqual(readdirSync(join(folder, 'changes')).sort(), ['upper', 'work']);
    chmodSync(root, 0o711);
    await unmountRootFS(root);
    await mount(join(folder, 'changes'));
    assert.equal(statSync(root).mode & 0o7777, 0o711);
    await unmountRootFS(root);
  });
});

test('umount finds the store of a mount by itself, however long its name is', { skip }, async (t) => {
  const folder = mountFolder(t);
  const source = await busyboxLayout(folder);
  const store = join(folder, ...Array.from({ length: 5 }, () => 'long'.repeat(40)), 'store');
  const dir = join(folder, 'root');
  await run('mount', '--store', store, source, dir);
  assert.equal(readFileSync(join(dir, 'etc/motd'), 'utf8'), 'inside\n');
  await run('umount', dir);
  assert.deepEqual(readdirSync(join(store, 'mounts')), []);
  assert.ok(!existsSync(dir));
});

test('128 layers are mounted, and 1,000, which are all a manifest may have; 300 through loop devices', {
  skip,
}, async (t) => {
  const folder = mountFolder(t);
  const memory = memoryFolder(t);
  const long = 'a-long-name-for-a-store-'.repeat(5);
  const cases = [
    [128, join(folder, `${long}128`), 0],
    [1000, join(folder, `${long}1000`), 0],
    [300, memory, 301],
  ] as const;
  for (const [count, store, loopCount] of cases) {
    let builder = image().compression('none');
    for (let at = 0; at < count; at += 1) {
      builder = builder.layer(new LayerBuilder().file(`files/${at}`, `content of ${at}`).file('last', `${at}`).tar());
    }
    const layout = join(folder, `layout-${count}`);
    await writeLayout(layout, { latest: builder.build() });
    await withLayers(`oci:${layout}:latest`, store, async (rootfs) => {
      const { loops } = await mountRootFS(rootfs, join(folder, 'root'), store);
      try {
        assert.equal(loops.length, loopCount);
        assert.equal(readFileSync(join(folder, 'root/last'), 'utf8'), `${count - 1}`);
        for (let at = 0; at < count; at += 1) {
          assert.equal(readFileSync(join(folder, `root/files/${at}`), 'utf8'), `content of ${at}`);
        }
      } finally {
        await unmountRootFS(join(folder, 'root'), { store });
      }
    });
    assert.deepEqual(leftovers(), []);
  }
});

test('a shell runs in it: bwrap and runc', { skip: skip || needs('bwrap', 'runc') }, async (t) => {
  const folder = mountFolder(t);
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

test('a mount that is used is busy; --lazy takes it away all the same', { skip }, async (t) => {
  const folder = mountFolder(t);
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
  const folder = mountFolder(t);
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
    assert.match(
      foreign.stderr,
      /a mount of rootfs-kit-test stands there; take that down with umount, or .*ERR_NOT_FOUND/,
    );
    assert.equal(statSync(dir).isDirectory(), true);
  } finally {
    execFileSync('umount', [dir]);
  }
});

test('the mounted tree equals the unpacked one for a hostile image too', { skip }, async (t) => {
  const folder = mountFolder(t);
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
