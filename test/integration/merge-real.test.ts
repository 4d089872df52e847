/**
 * The real image before two oracles, path by path, as root: what `umoci raw unpack` makes of it, what buildah mounts.
 *
 * Allowed are the times of directories that a layer changes and has no entry for, and the root itself (buildah).
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { unpack } from '../../src/export/unpack.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { openSource } from '../../src/open.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { openRootFS } from '../../src/rootfs/open-rootfs.js';
import { differences, type FlatTree } from '../support/flat-tree.js';
import { REAL_IMAGE_TOOLS, realImage } from '../support/real-image.js';
import { realTrees } from '../support/real-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const tools = needs(...REAL_IMAGE_TOOLS, 'buildah', 'python3', 'umount');
const skip = process.getuid?.() === 0 ? tools : 'needs root: owners are compared, and overlays mounted';

async function unpackReal(layout: string, folder: string): Promise<string> {
  const opened = await openSource(`oci:${layout}:real`);
  try {
    const image = await fetchImage(opened.source, opened.reference);
    mkdirSync(join(folder, 'store'));
    const rootfs = await openRootFS(opened.source, image, join(folder, 'store'));
    try {
      const dst = join(folder, 'root');
      await unpack(await mergeLayers(rootfs.layers), rootfs.layers, dst);
      return dst;
    } finally {
      await rootfs.close();
    }
  } finally {
    await opened.close();
  }
}

test('the real image: unpack, umoci and buildah agree', { skip }, async (t) => {
  let folder = '';
  const buildah = (...args: string[]): string => {
    const store = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver', 'overlay'];
    return execFileSync('buildah', [...store, ...args], { cwd: folder, encoding: 'utf8', stdio: 'pipe' }).trim();
  };
  // hooks run in the order they were made: nothing may be mounted when `tempDir` removes the folder
  t.after(() => {
    if (!existsSync(join(folder, 'storage'))) return;
    buildah('umount', '--all');
    buildah('rm', '--all');
    spawnSync('umount', [join(folder, 'storage', 'overlay')]);
  });
  folder = tempDir(t, 'real');
  const started = BigInt(Date.now()) * 1_000_000n - 1_000_000_000n;
  const layout = realImage();
  // a relative name: buildah makes an image name of the path, and names have no capitals
  execFileSync('cp', ['-r', layout, join(folder, 'layout')]);
  const ours = await unpackReal(layout, folder);
  execFileSync('umoci', ['raw', 'unpack', '--image', `${layout}:real`, join(folder, 'umoci')], { stdio: 'pipe' });
  buildah('from', '--quiet', '--name', 'real', 'oci:layout:real');
  const places = [ours, join(folder, 'umoci'), buildah('mount', 'real')];
  const [found = new Map(), byUmoci = new Map(), byBuildah = new Map()]: FlatTree[] = realTrees(places);
  assert.ok(found.size > 2000, `${found.size} paths`);
  assert.equal(found.get('srv/app/same-note.txt')?.group, 'srv/app/note.txt');
  assert.equal(found.has('usr/share/doc/libc6'), false);
  const made = ({ field, path, theirs }: { field: string; path: string; theirs: string }): boolean =>
    field === 'mtime' && found.get(path)?.type === 'directory' && BigInt(theirs) >= started;
  assert.deepEqual(
    differences(found, byUmoci).filter((one) => !made(one)),
    [],
    'umoci',
  );
  assert.deepEqual(
    differences(found, byBuildah).filter((one) => one.path !== '' && !made(one)),
    [],
    'buildah',
  );
});
