/** Ext4 from a tar, by a current `mke2fs`: the image must hold what the one by way of a directory holds. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { writeExt4 } from '../../src/export/mkfs-ext4.js';
import type { MkfsResult } from '../../src/export/mkfs-squashfs.js';
import { unpack } from '../../src/export/unpack.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { image, LayerBuilder, randomImage, writeLayout } from '../../src/testing/testing.js';
import { cornerLayer } from '../support/corner-layer.js';
import { CURRENT_TOOLS_NEED, currentTools } from '../support/current-tools.js';
import { handTree } from '../support/hand-tree.js';
import { assertSameTree, kernelTree } from '../support/kernel-tree.js';
import { writeTars } from '../support/layers.js';
import { listTree } from '../support/list-tree.js';
import { leftovers, mountFolder } from '../support/mount-place.js';
import { needsErofs } from '../support/mounted.js';
import { needs } from '../support/tools.js';

const skip = needsErofs() || needs('setpriv', ...CURRENT_TOOLS_NEED);
const MAIN = fileURLToPath(new URL('../../../bin/rootfs.js', import.meta.url));
const SEEDS = Array.from({ length: 15 }, (_, at) => at + 1);

after(() => {
  if (skip === false) assert.deepEqual(leftovers(), []);
});

async function withPath<T>(path: string, work: () => Promise<T>): Promise<T> {
  const before = process.env['PATH'];
  process.env['PATH'] = path;
  try {
    return await work();
  } finally {
    process.env['PATH'] = before;
  }
}

function assertClean(bin: string, path: string, what: string): void {
  const checked = spawnSync(join(bin, 'e2fsck'), ['-fn', path], { encoding: 'utf8' });
  assert.equal(checked.status, 0, `${what}: ${checked.stdout}`);
}

test('as an ordinary user, from a tar: owners, modes, devices, FIFOs, capabilities, links', { skip }, async (t) => {
  const bin = currentTools(t);
  if (bin === undefined) return;
  const folder = mountFolder(t);
  const layout = join(folder, 'layout');
  await writeLayout(layout, { latest: image().compression('none').layer(cornerLayer().tar()).build() });
  const layers = writeTars(join(folder, 'layers'), [cornerLayer().tar()]);
  await unpack(await mergeLayers(layers), layers, join(folder, 'unpacked'), { workers: 0 });
  const out = join(folder, 'out');
  mkdirSync(out);
  chmodSync(folder, 0o755);
  chownSync(out, 65534, 65534);
  const path = join(out, 'root.ext4');
  const drop = ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, MAIN];
  const words = ['mkfs', '--json', '--no-store', '--format', 'ext4', '-o', path, `oci:${layout}:latest`];
  const env = { PATH: `${bin}${delimiter}${process.env['PATH']}`, LANGUAGE: 'de', LANG: 'C' };
  const ran = spawnSync('setpriv', [...drop, ...words], {
    encoding: 'utf8',
    env: { ...env, NODE_DISABLE_COMPILE_CACHE: '1', HOME: out, TMPDIR: out },
  });
  assert.equal(ran.status, 0, ran.stderr);
  assert.equal((JSON.parse(ran.stdout) as MkfsResult).input, 'tar');
  assertClean(bin, path, 'corner layer');
  assertSameTree(kernelTree(path, 'ext4', folder), listTree(join(folder, 'unpacked')), 'corner layer');
  assert.deepEqual(readdirSync(out), ['root.ext4']);
});

test('random images: from a tar and from a directory, one tree, every time in it', { skip }, async (t) => {
  const bin = currentTools(t);
  if (bin === undefined) return;
  const folder = mountFolder(t);
  // The same tools, but for one that refuses tars as a build without libarchive does.
  const refusing = join(folder, 'refusing');
  mkdirSync(refusing);
  symlinkSync(join(bin, 'debugfs'), join(refusing, 'debugfs'));
  const script = `#!/bin/sh\ncase " $* " in *" -d - "*) exit 1;; esac\nexec '${join(bin, 'mke2fs')}' "$@"\n`;
  writeFileSync(join(refusing, 'mke2fs'), script, { mode: 0o755 });
  for (const seed of SEEDS) {
    const place = join(folder, `seed-${seed}`);
    const layers = writeTars(
      join(place, 'layers'),
      randomImage(seed).layers.map(({ tar }) => tar),
    );
    const tree = await mergeLayers(layers);
    await unpack(tree, layers, join(place, 'unpacked'), { workers: 0 });
    const expected = listTree(join(place, 'unpacked'));
    for (const [input, path] of [
      ['tar', bin],
      ['directory', refusing],
    ] as const) {
      const made: MkfsResult = await withPath(`${path}${delimiter}${process.env['PATH']}`, () =>
        writeExt4(tree, layers, join(place, input)),
      );
      assert.equal(made.input, input);
      assertClean(bin, made.path, `seed ${seed}, ${input}`);
      const found = kernelTree(made.path, 'ext4', place, (root) => {
        const { mtimeNs, ctimeNs, atimeNs } = lstatSync(root, { bigint: true });
        assert.deepEqual([ctimeNs, atimeNs], [mtimeNs, mtimeNs], 'one time for all three');
      });
      assertSameTree(found, expected, `seed ${seed}, ${input}`);
    }
    rmSync(place, { recursive: true });
  }
});

test('from a tar: names of any bytes, links of any length, what no folder of this user could hold', {
  skip,
}, async (t) => {
  const bin = currentTools(t);
  if (bin === undefined) return;
  const folder = mountFolder(t);
  const { tree, layers } = handTree(folder, [
    { path: 'short-\xff', content: 'a' },
    { path: `${'l'.repeat(120)}\xff\xfe`, content: 'b' },
    { path: 'u\xc3\xa4'.repeat(60), content: 'c' },
    { path: 'n'.repeat(255), content: 'd' },
    { path: `again-${'x'.repeat(110)}\xff`, linkTo: `${'l'.repeat(120)}\xff\xfe` },
    { path: 'link-255', target: '\xff'.repeat(255) },
    { path: 'link-1024', target: 't'.repeat(1024) },
    { path: 'link-4095', target: 't'.repeat(4095) },
    { path: 'pipe \n"of" lines', type: 'fifo' },
    { path: 'back\\slash', content: '' },
    { path: 'lost+found/kept', content: 'e' },
    { path: 'attributes', content: 'x', xattrs: { 'user.\xff': 'y', 'user.a"b': Buffer.from([0, 10, 255]) } },
  ]);
  await unpack(tree, layers, join(folder, 'unpacked'), { workers: 0 });
  const made = await withPath(`${bin}${delimiter}${process.env['PATH']}`, () =>
    writeExt4(tree, layers, join(folder, 'image')),
  );
  assert.equal(made.input, 'tar');
  assertClean(bin, made.path, 'odd names');
  const { 'lost+found': _, ...expected } = listTree(join(folder, 'unpacked'));
  assertSameTree(kernelTree(made.path, 'ext4', folder), expected, 'odd names');
});

test('from a tar: what does not fit is said, an abort ends it, and neither leaves anything', {
  skip,
}, async (t) => {
  const bin = currentTools(t);
  if (bin === undefined) return;
  const folder = mountFolder(t);
  const layers = writeTars(join(folder, 'layers'), [
    new LayerBuilder().file('big', Buffer.alloc(30_000_000, 'x')).tar(),
  ]);
  const tree = await mergeLayers(layers);
  mkdirSync(join(folder, 'out'));
  const out = join(folder, 'out/root.ext4');
  await withPath(`${bin}${delimiter}${process.env['PATH']}`, async () => {
    await assert.rejects(writeExt4(tree, layers, out, { size: 8 * 1024 * 1024 }), {
      code: 'ERR_NO_SPACE',
      message: /does not fit into 8388608 bytes/,
    });
    assert.deepEqual(readdirSync(join(folder, 'out')), []);
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = (): void => controller.abort(reason);
    await assert.rejects(writeExt4(tree, layers, out, { signal: controller.signal, onProgress }), reason);
    assert.deepEqual(readdirSync(join(folder, 'out')), []);
    const { imageBytes, input } = await writeExt4(tree, layers, out);
    assert.equal(input, 'tar');
    assert.ok(imageBytes > 30_000_000);
  });
  assertClean(bin, out, 'made in the end');
});
