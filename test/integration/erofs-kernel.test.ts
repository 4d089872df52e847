/** EROFS images before the kernel: mounted, each must show the tree that `unpack` writes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { writeErofs } from '../../src/export/erofs.js';
import { unpack } from '../../src/export/unpack.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { openRootFS, openSource } from '../../src/index.js';
import { loadNative } from '../../src/io/native.js';
import { type LayerTar, mergeLayers } from '../../src/rootfs/merge.js';
import type { MergedTree } from '../../src/rootfs/tree.js';
import { LayerBuilder, randomImage } from '../../src/testing/testing.js';
import { CURRENT_TOOLS_NEED, currentTools } from '../support/current-tools.js';
import { handTree } from '../support/hand-tree.js';
import { writeTars } from '../support/layers.js';
import { listTree } from '../support/list-tree.js';
import { needsErofs, withMounted } from '../support/mounted.js';
import { REAL_IMAGE_TOOLS, realImage } from '../support/real-image.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip = needsErofs() || needs('fsck.erofs');
const RANDOM_IMAGES = Number(process.env['ROOTFS_EROFS_IMAGES'] ?? 500);

/** What differs, path by path: a whole tree would be unreadable. */
function differing(found: Record<string, unknown>, expected: Record<string, unknown>): Record<string, unknown> {
  const paths = [...new Set([...Object.keys(found), ...Object.keys(expected)])];
  return Object.fromEntries(
    paths
      .filter((path) => !isDeepStrictEqual(found[path], expected[path]))
      .slice(0, 20)
      .map((path) => [path, { found: found[path], expected: expected[path] }]),
  );
}

/** @param unpacked Where `unpack` writes: anywhere. The images lie in `folder`, and must be where the kernel mounts. */
async function sameAsUnpacked(
  folder: string,
  tree: MergedTree,
  layers: readonly LayerTar[],
  what: string,
  unpacked = join(folder, 'unpacked'),
) {
  await unpack(tree, layers, unpacked, { workers: 0 });
  const listing = (root: string) => listTree(root, { nlink: true });
  const expected = listing(unpacked);
  for (const data of ['layers', 'image'] as const) {
    const path = join(folder, `${data}.erofs`);
    const { devices } = await writeErofs(tree, layers, path, { data });
    const paths = devices.map((device) => device.path);
    const found = withMounted(path, paths, listing);
    assert.deepEqual(differing(found, expected), {}, `${what}, data in ${data}`);
    // Blocks of 512 bytes came with erofs-utils 1.6; Debian 12 has 1.5. See below for those.
    if (data === 'image') assertSound(path, what);
  }
}

function assertSound(path: string, what: string, tool = 'fsck.erofs', devices: readonly LayerTar[] = []): void {
  const words = devices.map((device) => `--device=${device.path}`);
  const { status, stdout, stderr } = spawnSync(tool, [...words, '--extract', path], { encoding: 'utf8' });
  assert.equal(status, 0, `${what}: ${stdout}${stderr}`);
}

test('the real image is mounted as it is unpacked', { skip: skip || needs(...REAL_IMAGE_TOOLS) }, async (t) => {
  const folder = tempDir(t);
  const opened = await openSource(`oci:${realImage()}:real`);
  try {
    const image = await fetchImage(opened.source, opened.reference);
    mkdirSync(join(folder, 'store'));
    const rootfs = await openRootFS(opened.source, image, join(folder, 'store'));
    try {
      await sameAsUnpacked(folder, await mergeLayers(rootfs.layers), rootfs.layers, 'the real image');
    } finally {
      await rootfs.close();
    }
  } finally {
    await opened.close();
  }
});

test(`${RANDOM_IMAGES} random images are mounted as they are unpacked`, { skip }, async (t) => {
  const folder = tempDir(t);
  const unpacked = join(quickFolder(t), 'unpacked');
  for (let seed = 1; seed <= RANDOM_IMAGES; seed += 1) {
    const tars = randomImage(seed, { compression: 'none' }).layers.map(({ tar }) => tar);
    const layers = writeTars(join(folder, 'layers'), tars);
    await sameAsUnpacked(folder, await mergeLayers(layers), layers, `seed ${seed}`, unpacked);
    rmSync(unpacked, { recursive: true });
  }
});

test('images over layer tars, which have blocks of 512 bytes, are sound to a current fsck.erofs', {
  skip: skip || needs(...CURRENT_TOOLS_NEED),
}, async (t) => {
  const bin = currentTools(t);
  if (bin === undefined) return;
  const folder = tempDir(t);
  for (let seed = 1; seed <= 60; seed += 1) {
    const tars = randomImage(seed, { compression: 'none' }).layers.map(({ tar }) => tar);
    const layers = writeTars(join(folder, 'layers'), tars);
    const path = join(folder, 'image');
    const { devices } = await writeErofs(await mergeLayers(layers), layers, path, { data: 'layers' });
    assertSound(path, `seed ${seed}`, join(bin, 'fsck.erofs'), devices);
  }
});

/** A folder for many small files: in memory, where that keeps extended attributes. */
function quickFolder(t: TestContext): string {
  const folder = mkdtempSync('/dev/shm/rootfs-kit-test-');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  try {
    loadNative()?.setXattr(folder, Buffer.from('user.kept'), Buffer.from('v'));
    return folder;
  } catch {
    return tempDir(t);
  }
}

test('sizes around a block, names of 255 bytes, links up to what Linux reads: content and all', { skip }, async (t) => {
  const folder = tempDir(t);
  const layer = new LayerBuilder();
  for (const size of [0, 1, 511, 512, 513, 1024, 4095, 4096, 4097, 8192, 10_000]) {
    layer.file(`size-${size}`, Buffer.alloc(size, `${size} `));
  }
  for (const first of ['a', 'b', '!', '\u00ff']) {
    layer.file(`names/${first.repeat(255 / Buffer.byteLength(first))}`, first, { mtime: 1_600_000_000 });
  }
  layer.symlink('link-short', 't').symlink('link-511', 't'.repeat(511)).symlink('link-512', 'u'.repeat(512));
  layer.symlink('link-4095', 'v'.repeat(4095));
  const layers = writeTars(join(folder, 'layers'), [layer.tar()]);
  await sameAsUnpacked(folder, await mergeLayers(layers), layers, 'sizes');
});

test('files of gigabytes that are mostly holes: past 4 GiB the bytes are where they belong', { skip }, async (t) => {
  const folder = tempDir(t);
  const gigabyte = 1024 ** 3;
  const extents = [
    { offset: 4096, content: 'near the beginning'.repeat(400) },
    { offset: 4 * gigabyte + 512, content: 'past four gigabytes' },
  ];
  const layer = new LayerBuilder()
    .sparse('holes', { size: 4 * gigabyte + 1024 ** 2, extents })
    .sparse('all-hole', { size: 3 * gigabyte, extents: [] });
  const layers = writeTars(join(folder, 'layers'), [layer.tar()]);
  const tree = await mergeLayers(layers);
  await unpack(tree, layers, join(folder, 'unpacked'));
  const options = { content: false, nlink: true };
  const expected = listTree(join(folder, 'unpacked'), options);
  const places = [0, 4000, 8192, 2 * gigabyte - 10, 4 * gigabyte, 4 * gigabyte + 1000, 4 * gigabyte + 1024 ** 2];
  for (const data of ['layers', 'image'] as const) {
    const path = join(folder, `${data}.erofs`);
    const { imageBytes, devices } = await writeErofs(tree, layers, path, { data });
    assert.ok(imageBytes < 1024 ** 2, `${imageBytes} bytes for gigabytes of holes`);
    const paths = devices.map((device) => device.path);
    withMounted(path, paths, (root) => {
      assert.deepEqual(differing(listTree(root, options), expected), {}, data);
      const unpacked = openSync(join(folder, 'unpacked/holes'), 'r');
      const mounted = openSync(join(root, 'holes'), 'r');
      try {
        for (const at of places) assert.ok(bytesAt(mounted, at).equals(bytesAt(unpacked, at)), `${data}, at ${at}`);
        const past = bytesAt(mounted, 4 * gigabyte + 512).toString('latin1');
        assert.ok(past.startsWith('past four gigabytes\0'), data);
      } finally {
        closeSync(mounted);
        closeSync(unpacked);
      }
    });
  }
});

function bytesAt(fd: number, at: number): Buffer {
  const bytes = Buffer.alloc(8192);
  return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, at));
}

test('data that lies between the blocks of a tar is there all the same', { skip }, async (t) => {
  const folder = tempDir(t);
  const runs = [
    { at: 0, data: 'x'.repeat(700) },
    { at: 1024, data: 'y'.repeat(512) },
    { at: 9000, data: 'z'.repeat(3000) },
  ];
  const sizes = [1, 100, 512, 4096, 5000, 300_000].map((size) => ({
    path: `s${size}`,
    content: Buffer.alloc(size, `${size} `),
  }));
  const sparse = { path: 'sparse', sparse: { size: 20_000, runs } };
  const { tree, layers } = handTree(folder, [...sizes, sparse, { path: 'again', linkTo: 's5000' }]);
  await sameAsUnpacked(folder, tree, layers, 'unaligned');
});

test('data past 2 TiB of a layer tar, which no block number reaches, is copied', { skip }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'near', content: 'near' },
    { path: 'far', content: 'far away' },
  ]);
  const far = tree.root.children?.get('far') ?? assert.fail('far');
  const tarOffset = 2 ** 41 + 1024;
  Object.assign(far.inode, { data: { layer: 0, tarOffset } });
  const path = layers[0]?.path ?? assert.fail('no layer');
  const fd = openSync(path, 'r+');
  writeSync(fd, 'far away', tarOffset);
  ftruncateSync(fd, tarOffset + 512);
  closeSync(fd);
  const { imageBytes } = await writeErofs(tree, [{ path, tarBytes: tarOffset + 512 }], join(folder, 'image'), {
    data: 'layers',
  });
  assert.ok(imageBytes < 16_384);
  withMounted(join(folder, 'image'), [path], (root) => {
    assert.equal(readFileSync(join(root, 'near'), 'utf8'), 'near');
    assert.equal(readFileSync(join(root, 'far'), 'utf8'), 'far away');
  });
});

test('a directory of 100,000 entries is listed and looked up', { skip }, async (t) => {
  const folder = tempDir(t);
  const layer = new LayerBuilder();
  for (let at = 0; at < 100_000; at += 1) layer.file(`many/entry-${at}`, '');
  const layers = writeTars(join(folder, 'layers'), [layer.tar()]);
  const tree = await mergeLayers(layers);
  for (const data of ['layers', 'image'] as const) {
    const path = join(folder, `${data}.erofs`);
    await writeErofs(tree, layers, path, { data });
    withMounted(path, [], (root) => {
      assert.equal(readdirSync(join(root, 'many')).length, 100_000);
      for (const at of [0, 1, 9, 10, 50_000, 99_999]) assert.ok(lstatSync(join(root, `many/entry-${at}`)).isFile());
      assert.equal(lstatSync(join(root, 'many/entry-100000'), { throwIfNoEntry: false }), undefined);
    });
  }
});
