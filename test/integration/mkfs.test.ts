/** File system images made as an ordinary user, before the tools that know them and before the kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { writeErofs } from '../../src/export/erofs.js';
import { writeExt4 } from '../../src/export/mkfs-ext4.js';
import { writeSquashfs } from '../../src/export/mkfs-squashfs.js';
import { unpack } from '../../src/export/unpack.js';
import type { VerityRoot } from '../../src/export/verity.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { image, LayerBuilder, randomImage, writeLayout } from '../../src/testing/testing.js';
import { cornerLayer } from '../support/corner-layer.js';
import { handTree } from '../support/hand-tree.js';
import { assertSameTree, kernelTree } from '../support/kernel-tree.js';
import { writeTars } from '../support/layers.js';
import { type DiskEntry, listTree } from '../support/list-tree.js';
import { leftovers, mountFolder, run } from '../support/mount-place.js';
import { needsErofs } from '../support/mounted.js';
import { NO_MOUNT, smallDisk } from '../support/small-disk.js';
import { tempDir } from '../support/temp-dir.js';
import { findTool, needs } from '../support/tools.js';

const skip = needsErofs();
const TOOLS = needs('mke2fs', 'debugfs', 'tar2sqfs', 'sqfstar', 'unsquashfs', 'fsck.erofs', 'veritysetup', 'setpriv');
const MAIN = fileURLToPath(new URL('../../../bin/rootfs.js', import.meta.url));
const SEEDS = Array.from({ length: 15 }, (_, at) => at + 1);

after(() => {
  if (skip === false) assert.deepEqual(leftovers(), []);
});

/** Squashfs has whole seconds from 1970 to 2106. */
function wholeSeconds(tree: Record<string, DiskEntry>): Record<string, DiskEntry> {
  const seconds = (ns: string): bigint => {
    const whole = BigInt(ns) / 1_000_000_000n;
    return BigInt(ns) < 0n ? 0n : whole > 0xffff_ffffn ? 0xffff_ffffn : whole;
  };
  return Object.fromEntries(
    Object.entries(tree).map(([path, entry]) => [
      path,
      { ...entry, mtime: `${seconds(entry.mtime) * 1_000_000_000n}` },
    ]),
  );
}

test('as an ordinary user: all formats, checked by their own tools and by the kernel', {
  skip: skip || TOOLS,
}, async (t) => {
  const folder = mountFolder(t);
  const layout = join(folder, 'layout');
  await writeLayout(layout, { latest: image().compression('none').layer(cornerLayer().tar()).build() });
  const layers = writeTars(join(folder, 'layers'), [cornerLayer().tar()]);
  await unpack(await mergeLayers(layers), layers, join(folder, 'unpacked'), { workers: 0 });
  const expected = listTree(join(folder, 'unpacked'));
  const out = join(folder, 'out');
  mkdirSync(out);
  chmodSync(folder, 0o755);
  chownSync(out, 65534, 65534);
  const drop = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const make = (...words: readonly string[]): string => {
    const ran = spawnSync(
      'setpriv',
      [...drop, process.execPath, MAIN, 'mkfs', '--no-store', ...words, `oci:${layout}:latest`],
      { encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: out, TMPDIR: out, NODE_DISABLE_COMPILE_CACHE: '1' } },
    );
    assert.equal(ran.status, 0, ran.stderr);
    return ran.stdout;
  };

  const ext4 = join(out, 'root.ext4');
  make('--format', 'ext4', '-o', ext4);
  const checked = spawnSync('e2fsck', ['-fn', ext4], { encoding: 'utf8' });
  assert.equal(checked.status, 0, checked.stdout);
  const debugged = execFileSync('debugfs', ['-R', 'stat /bin/ping', ext4], { encoding: 'utf8', stdio: 'pipe' });
  assert.match(debugged, /security\.capability \(20\)/);
  assertSameTree(kernelTree(ext4, 'ext4', folder), expected, 'ext4');

  const squashfs = join(out, 'root.squashfs');
  make('--format', 'squashfs', '-o', squashfs);
  const listed = execFileSync('unsquashfs', ['-lln', squashfs], { encoding: 'utf8' });
  assert.match(listed, /^-rwsr-xr-x 0\/0 +2 .*bin\/su$/m);
  assert.match(listed, /^crw-rw-rw- 0\/0 +1, +3 .*dev\/null$/m);
  assert.match(listed, /^-rw-r----- 3000000\/70000 +9 .*home\/app\/file$/m);
  assertSameTree(kernelTree(squashfs, 'squashfs', folder), wholeSeconds(expected), 'squashfs');

  const erofs = join(out, 'root.erofs');
  const rootHash = make('--verity', '-o', erofs).trim();
  // erofs-utils 1.5 knows self-contained images; blocks of 512 bytes came with 1.6.
  execFileSync('fsck.erofs', [erofs], { stdio: 'pipe' });
  assertSameTree(kernelTree(erofs, 'erofs', folder), expected, 'erofs');
  assert.deepEqual(readdirSync(out).sort(), ['root.erofs', 'root.ext4', 'root.squashfs']);
  assert.match(rootHash, /^[0-9a-f]{64}$/);
});

test('--verity as a script uses it: the printed root hash is what veritysetup finds', {
  skip: skip || TOOLS,
}, async (t) => {
  const folder = mountFolder(t);
  const layout = join(folder, 'layout');
  await writeLayout(layout, { latest: image().compression('none').layer(cornerLayer().tar()).build() });
  for (const form of [[], ['--layers-as-devices']]) {
    const path = join(folder, `image-${form.length}`);
    const words = ['mkfs', '--verity', ...form, '--store', join(folder, 'store'), '-o', path, `oci:${layout}:latest`];
    const { stdout, stderr } = await run(...words);
    const rootHash = /^[0-9a-f]{64}$/m.exec(stdout.toString())?.[0] ?? assert.fail(stdout.toString());
    const offset = /veritysetup (--hash-offset=[0-9]+)$/m.exec(stderr)?.[1] ?? assert.fail(stderr);
    execFileSync('veritysetup', ['verify', path, path, rootHash, offset], { stdio: 'pipe' });
    const again = await run('mkfs', '--json', ...words.slice(1));
    const { verity } = JSON.parse(again.stdout.toString()) as { verity: VerityRoot };
    assert.deepEqual(verity, { rootHash, hashOffset: Number(offset.split('=')[1]) });
  }
});

/** Works with a PATH on which there is one tool. */
async function withOnly(folder: string, tool: string, work: () => Promise<void>): Promise<void> {
  const before = process.env['PATH'];
  const only = join(folder, `only-${tool}`);
  mkdirSync(only);
  execFileSync('ln', ['-s', findTool(tool) ?? tool, join(only, tool)]);
  process.env['PATH'] = only;
  try {
    await work();
  } finally {
    process.env['PATH'] = before;
  }
}

test('sparse files in squashfs, by both tools', { skip: needs('tar2sqfs', 'sqfstar', 'unsquashfs') }, async (t) => {
  const folder = tempDir(t);
  const holes = (
    size: number,
    ...places: number[]
  ): { size: number; extents: { offset: number; content: string }[] } => ({
    size,
    extents: places.map((offset) => ({ offset, content: `at ${offset}` })),
  });
  const builder = new LayerBuilder()
    .sparse('end', holes(1_000_000, 0))
    .sparse('start', holes(1_000_008, 999_999))
    .sparse('both', holes(700_001, 100_000, 400_000))
    .sparse('none', holes(300_001));
  const layers = writeTars(join(folder, 'layers'), [builder.file('after', 'after').tar()]);
  const tree = await mergeLayers(layers);
  for (const tool of ['tar2sqfs', 'sqfstar']) {
    await withOnly(folder, tool, async () => {
      assert.equal((await writeSquashfs(tree, layers, join(folder, `${tool}.img`))).tool, tool);
    });
    const [out, unpacked] = [join(folder, tool), join(folder, 'unpacked')];
    execFileSync('unsquashfs', ['-quiet', '-no-progress', '-d', out, `${tool}.img`], { cwd: folder, stdio: 'ignore' });
    if (tool === 'tar2sqfs') await unpack(tree, layers, unpacked, { workers: 0 });
    for (const name of readdirSync(unpacked)) {
      assert.ok(readFileSync(join(out, name)).equals(readFileSync(join(unpacked, name))), `${tool}: ${name}`);
    }
  }
});

test('random images: squashfs by both tools, ext4 that e2fsck finds clean', { skip: skip || TOOLS }, async (t) => {
  for (const seed of SEEDS) {
    const folder = mountFolder(t);
    const layers = writeTars(
      join(folder, 'layers'),
      randomImage(seed).layers.map(({ tar }) => tar),
    );
    const tree = await mergeLayers(layers);
    await unpack(tree, layers, join(folder, 'unpacked'), { workers: 0 });
    const expected = listTree(join(folder, 'unpacked'));
    const ext4 = await writeExt4(tree, layers, join(folder, 'ext4'));
    const checked = spawnSync('e2fsck', ['-fn', ext4.path], { encoding: 'utf8' });
    assert.equal(checked.status, 0, `seed ${seed}: ${checked.stdout}`);
    assertSameTree(kernelTree(ext4.path, 'ext4', folder), expected, `ext4, seed ${seed}`);
    for (const tool of ['tar2sqfs', 'sqfstar']) {
      await withOnly(folder, tool, async () => {
        const made = await writeSquashfs(tree, layers, join(folder, tool), { allowLoss: true });
        assert.equal(made.tool, tool);
        const found = kernelTree(made.path, 'squashfs', folder);
        const wanted = wholeSeconds(expected);
        if (tool === 'sqfstar') {
          // 4.5 cannot give the root an owner and attributes, which is told, nor a time of its own.
          const { xattrs, ...root } = wanted['.'] ?? assert.fail('no root');
          const lost = [
            ...(root.uid !== 0 || root.gid !== 0 ? ['owners'] : []),
            ...(xattrs === undefined ? [] : ['xattrs']),
          ];
          assert.deepEqual(
            made.losses.map(({ what }) => what),
            lost,
          );
          wanted['.'] = { ...root, uid: 0, gid: 0, mtime: found['.']?.mtime ?? '' };
        }
        assertSameTree(found, wanted, `${tool}, seed ${seed}`);
      });
    }
    rmSync(folder, { recursive: true });
  }
});

test('verity: veritysetup agrees on the root hash, and sees every changed block', {
  skip: skip || TOOLS,
}, async (t) => {
  const folder = mountFolder(t);
  const layer = cornerLayer();
  for (let at = 0; at < 300; at += 1) layer.file(`many/${at}`, Buffer.alloc(5000, `${at} `));
  const layers = writeTars(join(folder, 'layers'), [layer.tar()]);
  const tree = await mergeLayers(layers);
  for (const data of ['image', 'layers'] as const) {
    const path = join(folder, `${data}.erofs`);
    const { verity, imageBytes } = await writeErofs(tree, layers, path, { data, verity: true });
    const { rootHash, hashOffset } = verity ?? assert.fail('no verity');
    const verify = (): number | null =>
      spawnSync('veritysetup', ['verify', path, path, rootHash, `--hash-offset=${hashOffset}`]).status;
    assert.equal(verify(), 0, data);
    const good = readFileSync(path);
    for (const at of [1100, Math.floor(imageBytes / 2), imageBytes - 1, hashOffset + 5000]) {
      const bad = Buffer.from(good);
      bad.writeUInt8(bad.readUInt8(at) ^ 1, at);
      writeFileSync(path, bad);
      assert.notEqual(verify(), 0, `${data}, byte ${at}`);
    }
    writeFileSync(path, good);
  }
});

test('ext4 of a given size: what does not fit is said, and leaves nothing', { skip: skip || TOOLS }, async (t) => {
  const folder = mountFolder(t);
  const layers = writeTars(join(folder, 'layers'), [
    new LayerBuilder().file('big', Buffer.alloc(9_000_000, 'x')).tar(),
  ]);
  const tree = await mergeLayers(layers);
  mkdirSync(join(folder, 'out'));
  const out = join(folder, 'out/root.ext4');
  await assert.rejects(writeExt4(tree, layers, out, { size: 4 * 1024 * 1024 }), {
    code: 'ERR_NO_SPACE',
    message: /does not fit into 4194304 bytes/,
  });
  assert.deepEqual(readdirSync(join(folder, 'out')), []);
  const { imageBytes } = await writeExt4(tree, layers, out, { size: 64 * 1024 * 1024 });
  assert.equal(imageBytes, 64 * 1024 * 1024);
});

test('ext4 on a disk that runs full: it is the disk that is too small, not the image', { skip: TOOLS }, async (t) => {
  const folder = tempDir(t);
  const disk = smallDisk(t, 'size=12m');
  if (disk === undefined) return t.skip(NO_MOUNT);
  const big = new LayerBuilder().file('big', Buffer.alloc(9_000_000, 'x')).tar();
  const layers = writeTars(join(folder, 'layers'), [big]);
  const tree = await mergeLayers(layers);
  for (const size of [undefined, 64 * 1024 * 1024]) {
    await assert.rejects(writeExt4(tree, layers, join(disk, 'root.ext4'), { size }), {
      code: 'ERR_NO_SPACE',
      message: /; free some space or choose another folder$/,
    });
    assert.deepEqual(readdirSync(disk), []);
  }
});

test('ext4 of a given size has inodes for the room that is left, unless content takes it', {
  skip: needs('mke2fs', 'debugfs', 'e2fsck'),
}, async (t) => {
  const folder = tempDir(t);
  const size = 64 * 1024 * 1024;
  const inodesBeside = async (contentBytes: number): Promise<number> => {
    const content = Buffer.alloc(contentBytes, 'x');
    const layers = writeTars(join(folder, 'layers'), [new LayerBuilder().file('big', content).tar()]);
    const out = join(folder, 'root.ext4');
    await writeExt4(await mergeLayers(layers), layers, out, { size });
    execFileSync('e2fsck', ['-fn', out], { stdio: 'ignore' });
    return readFileSync(out).readUInt32LE(1024);
  };
  assert.equal(await inodesBeside(1000), size / (16 * 1024));
  assert.ok((await inodesBeside(62_000_000)) < 500);
});

test('the times of an image are those of its tree, whatever SOURCE_DATE_EPOCH says', {
  skip: needs('mke2fs', 'debugfs', 'tar2sqfs'),
}, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'file', content: 'x', seconds: 1_000_000 }]);
  const epoch = process.env['SOURCE_DATE_EPOCH'];
  t.after(() => {
    if (epoch === undefined) delete process.env['SOURCE_DATE_EPOCH'];
    else process.env['SOURCE_DATE_EPOCH'] = epoch;
  });
  for (const write of [writeErofs, writeSquashfs, writeExt4]) {
    delete process.env['SOURCE_DATE_EPOCH'];
    const [first, second] = [join(folder, `${write.name}.1`), join(folder, `${write.name}.2`)];
    await write(tree, layers, first);
    process.env['SOURCE_DATE_EPOCH'] = '5';
    await write(tree, layers, second);
    assert.ok(readFileSync(first).equals(readFileSync(second)), write.name);
  }
});

test('ext4 of one tree is the same bytes each time, and its UUID is of the tree', {
  skip: needs('mke2fs', 'debugfs', 'e2fsck'),
}, async (t) => {
  const folder = tempDir(t);
  const many = Array.from({ length: 600 }, (_, at) => ({ path: `many/name-${at}`, content: `${at}` }));
  const entries = [
    ...many,
    { path: 'null', type: 'char', rdev: [1, 3] } as const,
    { path: 'pipe', type: 'fifo' } as const,
  ];
  const { tree, layers } = handTree(folder, [...entries, { path: 'again', linkTo: 'many/name-7' }]);
  const write = async (name: string): Promise<string> => {
    await writeExt4(tree, layers, join(folder, name));
    execFileSync('e2fsck', ['-fn', join(folder, name)], { stdio: 'ignore' });
    return createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex');
  };
  const uuid = (name: string): string =>
    /^Filesystem UUID: +(\S+)$/m.exec(
      execFileSync('dumpe2fs', ['-h', join(folder, name)], { encoding: 'utf8', stdio: 'pipe' }),
    )?.[1] ?? '';
  const first = await write('first');
  // A clock would tell another second.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assert.equal(await write('second'), first);
  assert.match(uuid('first'), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const other = handTree(tempDir(t), [...entries, { path: 'one-more' }]);
  await writeExt4(other.tree, other.layers, join(folder, 'other'));
  assert.notEqual(uuid('other'), uuid('first'));
});

test('ext4 has one block for the attributes of a file: what does not fit beside the others is lost by name', {
  skip: needs('mke2fs', 'debugfs', 'e2fsck'),
}, async (t) => {
  const folder = tempDir(t);
  const attributes = (...bytes: readonly number[]): Record<string, Buffer> =>
    Object.fromEntries(bytes.map((size, at) => [`user.${at}`, Buffer.alloc(size, 7)]));
  // 16 bytes and a name of 4 for each; the block has 4,060 for them
  const { tree, layers } = handTree(folder, [{ path: 'full', xattrs: attributes(2900, 1120) }]);
  const place = join(folder, 'image');
  assert.deepEqual((await writeExt4(tree, layers, place)).losses, []);
  execFileSync('e2fsck', ['-fn', place], { stdio: 'ignore' });
  const over = handTree(folder, [{ path: 'over', xattrs: attributes(2900, 1124, 8) }]);
  await assert.rejects(writeExt4(over.tree, over.layers, place), {
    code: 'ERR_WOULD_LOSE',
    message: /^over: ext4 cannot hold the extended attribute "user.1"/,
  });
  const { losses } = await writeExt4(over.tree, over.layers, place, { allowLoss: true });
  assert.deepEqual(losses, [{ what: 'xattrs', entries: 1, example: 'over' }]);
  execFileSync('e2fsck', ['-fn', place], { stdio: 'ignore' });
});
