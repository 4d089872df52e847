/**
 * The merge engine against the overlay mount that buildah makes of the same image, compared path by path, as root.
 *
 * The images are such as builders on overlayfs write: of those that umoci unpacks, buildah refuses two in three. What is
 * left out of them is counted as a difference. ROOTFS_IMAGES sets how many.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { DifferenceLedger } from '../support/difference-ledger.js';
import { type Difference, differences, type FlatTree, flatMerged } from '../support/flat-tree.js';
import { writeTars } from '../support/layers.js';
import { type LeftOut, plainLayers, sideBySide } from '../support/plain-layers.js';
import { writeImage } from '../support/random-image.js';
import type { RandomLayer } from '../support/random-layers.js';
import { realTrees } from '../support/real-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

/** Images that are one image by themselves; the others stand side by side, many in one image of buildah's. */
const ALONE = 10;
const TOGETHER = 100;
const images = Number(process.env['ROOTFS_IMAGES'] ?? 2_000);
const skip = process.getuid?.() === 0 ? needs('buildah', 'python3', 'umount') : 'needs root: overlay mounts';

test(`${images} random images: the engine and buildah's overlay agree`, { skip }, async (t) => {
  let folder = '';
  const buildah = (...args: string[]): string => {
    const store = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver', 'overlay'];
    // relative names: buildah makes an image name of the path, and names have no capitals
    return execFileSync('buildah', [...store, ...args], { cwd: folder, encoding: 'utf8', stdio: 'pipe' }).trim();
  };
  // hooks run in the order they were made: nothing may be mounted when `tempDir` removes the folder
  t.after(() => {
    buildah('umount', '--all');
    buildah('rm', '--all');
    spawnSync('umount', [join(folder, 'storage', 'overlay')]);
  });
  folder = tempDir(t, 'buildah');
  const ledger = new DifferenceLedger('buildah');
  let compared = 0;
  for (let from = 1; from <= images; ) {
    const count = from <= ALONE ? 1 : Math.min(TOGETHER, images - from + 1);
    const seeds = Array.from({ length: count }, (_, at) => from + at);
    const leftOut = (why: LeftOut): void => ledger.note(why, `seeds ${from}+${count}: left out`);
    const layers = count === 1 ? plainLayers(from, leftOut) : sideBySide(seeds, leftOut);
    const tars = writeTars(
      join(folder, 'tars'),
      layers.map(({ tar }) => tar),
    );
    const ours = flatMerged(await mergeLayers(tars), tars);
    await writeImage(join(folder, 'layout'), layers);
    const container = buildah('from', '--quiet', 'oci:layout:latest');
    const [theirs] = realTrees([buildah('mount', container)]);
    for (const difference of differences(ours, theirs as FlatTree)) {
      ledger.note(classify(difference, ours, layers), `seeds ${from}+${count}: ${JSON.stringify(difference)}`);
    }
    if (count > 1) assert.equal([...ours.keys()].filter((path) => /^seed\d+$/.test(path)).length, count);
    buildah('rm', container);
    buildah('rmi', '--all');
    for (const name of ['tars', 'layout']) rmSync(join(folder, name), { recursive: true });
    compared += count;
    from += count;
  }
  assert.equal(compared, images);
  t.diagnostic(ledger.summary());
  ledger.check(images);
});

function classify(
  { path, field, theirs }: Difference,
  ours: FlatTree,
  layers: readonly RandomLayer[],
): string | undefined {
  if (path === '' && (field === 'mode' || field === 'owner' || field === 'mtime' || field === 'xattrs')) return 'root';
  if (field === 'mtime' && theirs === '0' && ours.get(path)?.mtime.startsWith('-') === true) {
    return 'times-before-the-epoch';
  }
  const links = layers.flatMap(({ entries }) => entries.filter(({ kind }) => kind === 'hardlink'));
  const own = links.some(
    ({ mode, uid, gid, mtimeNs }) =>
      (field === 'mode' && theirs === String(mode)) ||
      (field === 'owner' && theirs === `${uid}:${gid}`) ||
      (field === 'mtime' && theirs === String(mtimeNs < 0n ? 0n : mtimeNs)),
  );
  return own ? 'link-attributes' : undefined;
}
