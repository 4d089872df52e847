/** What the tests of mounts share: a small image, the command, folders, and what a mount must not leave behind. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fetchImage } from '../../src/image/fetch-image.js';
import { openRootFS, openSource } from '../../src/index.js';
import type { RootFS } from '../../src/rootfs/rootfs.js';
import { image, writeLayout } from '../../src/testing/testing.js';
import { busyboxLayers } from './busybox.js';
import { type CommandEnd, runRootfs } from './run-rootfs.js';
import { tempDir } from './temp-dir.js';

/** Other test files mount things at the same time: only what lies in these folders, by their real names, is ours. */
const folders: string[] = [];

/** A folder of one test, on disk. */
export function mountFolder(t: TestContext): string {
  const folder = tempDir(t);
  folders.push(realpathSync(folder));
  return folder;
}

/** A folder of one test, in memory, from where the kernel mounts no plain file. */
export function memoryFolder(t: TestContext): string {
  const folder = mkdtempSync('/dev/shm/rootfs-kit-mount-');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  folders.push(folder);
  return folder;
}

/** Mounts and loop devices that are there and have to do with those folders. */
export function leftovers(): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const loops = execFileSync('losetup', ['-a'], { encoding: 'utf8' }).split('\n');
  return [...mounts, ...loops].filter((line) => folders.some((folder) => line.includes(folder)));
}

/** A folder with an OCI layout of the image `latest`: busybox, two layers. */
export async function busyboxLayout(folder: string): Promise<string> {
  const layout = join(folder, 'layout');
  let builder = image().compression('none');
  for (const layer of busyboxLayers()) builder = builder.layer(layer.tar());
  await writeLayout(layout, { latest: builder.build() });
  return `oci:${layout}:latest`;
}

/** Runs the command, which must succeed. */
export async function run(...words: readonly string[]): Promise<CommandEnd> {
  const end = await runRootfs(words);
  assert.equal(end.code, 0, end.stderr);
  return end;
}

/** The opened layers of an image. */
export async function withLayers<T>(source: string, store: string, use: (rootfs: RootFS) => Promise<T>): Promise<T> {
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
