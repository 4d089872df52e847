/**
 * The merge engine against the overlay mount that buildah makes of the same image, compared path by path, as root.
 *
 * The images are such as builders on overlayfs write. ROOTFS_BUILDAH_IMAGES sets how many.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { DifferenceLedger } from '../support/difference-ledger.js';
import { type Difference, differences, type FlatTree, flatMerged } from '../support/flat-tree.js';
import { plainLayers } from '../support/plain-layers.js';
import { writeImage, writeTars } from '../support/random-image.js';
import type { RandomLayer } from '../support/random-layers.js';
import { realTrees } from '../support/real-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const USUAL = 40;
const images = Number(process.env['ROOTFS_BUILDAH_IMAGES'] ?? USUAL);
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
  for (let seed = 1; seed <= images; seed += 1) {
    const layers = plainLayers(seed);
    const tars = writeTars(join(folder, `tars-${seed}`), layers);
    const ours = flatMerged(await mergeLayers(tars), tars);
    await writeImage(join(folder, `layout-${seed}`), layers);
    buildah('from', '--quiet', '--name', `c${seed}`, `oci:layout-${seed}:latest`);
    const [theirs] = realTrees([buildah('mount', `c${seed}`)]);
    for (const difference of differences(ours, theirs as FlatTree)) {
      ledger.note(classify(difference, ours, layers), `seed ${seed}: ${JSON.stringify(difference)}`);
    }
  }
  t.diagnostic(ledger.summary());
  if (images === USUAL) ledger.check();
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
