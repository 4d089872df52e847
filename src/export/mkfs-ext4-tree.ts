/** A tree on disk for `mke2fs -d`: names, content and links; everything else is set in the image afterwards. */
import { closeSync, ftruncateSync, linkSync, mkdirSync, openSync, symlinkSync } from 'node:fs';
import { RootfsError, systemErrorCode } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { Turns } from '../io/turns.js';
import type { LayerTar } from '../rootfs/merge.js';
import { type Inode, type MergedTree, nodePath, type TreeNode } from '../rootfs/tree.js';
import { walkTree } from '../rootfs/walk-tree.js';
import { DataCopier } from './copy-data.js';
import { checkDataPlace, closeLayers, openLayers } from './layer-files.js';

/**
 * Writes directories, files and symbolic links below `root`, which must exist, for this user alone. Devices and FIFOs
 * are left out: `mknod` in the image makes them, without any power over this machine.
 *
 * @throws RootfsError `ERR_LAYER_INVALID`, `ERR_UNSUPPORTED` (a path that is too long below `root`); the system's error;
 *   the signal's reason
 */
export async function writeContentTree(
  tree: MergedTree,
  layers: readonly LayerTar[],
  root: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const files = openLayers(layers);
  const turns = new Turns(signal);
  try {
    const copier = new DataCopier(files, () => throwIfAborted(signal));
    const first = new Map<Inode, TreeNode>();
    const placeOf = (name: string): Buffer => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')]);
    const added = addedNames(tree);
    for (const { path: name, node } of walkTree(tree)) {
      if (node === tree.root || added.has(node)) continue;
      const path = placeOf(name);
      const earlier = node.inode.links > 1 ? first.get(node.inode) : undefined;
      try {
        if (earlier !== undefined) linkSync(placeOf(nodePath(earlier)), path);
        else if (node.inode.type === 'file') await writeContent(node.inode, path, layers, copier, turns);
        else writeEntry(node, path);
      } catch (error) {
        throw systemErrorCode(error) === 'ENAMETOOLONG' ? tooLong(name, root) : error;
      }
      if (node.inode.links > 1 && earlier === undefined) first.set(node.inode, node);
      if (turns.due()) await turns.take();
    }
  } finally {
    closeLayers(files);
  }
}

/**
 * The names that are not on disk and are added in the image: devices, FIFOs, and all names but the first of what has
 * several and is no regular file, since `mke2fs` joins only those. Directories come before what they hold.
 */
export function addedNames(tree: MergedTree): ReadonlySet<TreeNode> {
  const added = new Set<TreeNode>();
  const linked = new Set<Inode>();
  for (const { node } of walkTree(tree)) {
    const { type, links } = node.inode;
    if (type === 'file' || type === 'directory') continue;
    if (type !== 'symlink' || linked.has(node.inode)) added.add(node);
    if (links > 1) linked.add(node.inode);
  }
  return added;
}

/** The tree may have any path the image has; this folder's own comes before it. */
function tooLong(name: string, root: string): RootfsError {
  return new RootfsError(
    'ERR_UNSUPPORTED',
    `${Buffer.from(name, 'latin1').toString()}: a path of ${name.length} bytes, too long below ${root}, from where mke2fs reads it; write an erofs image instead`,
  );
}

function writeEntry(node: TreeNode, path: Buffer): void {
  const { inode } = node;
  if (inode.type === 'directory') mkdirSync(path, 0o700);
  else if (inode.type === 'symlink') symlinkSync(Buffer.from(inode.linkTarget ?? '', 'latin1'), path);
}

/** What a file takes is up to the image: by the clock, and in steps. */
async function writeContent(
  inode: Inode,
  path: Buffer,
  layers: readonly LayerTar[],
  copier: DataCopier,
  turns: Turns,
): Promise<void> {
  checkDataPlace(inode, layers, () => path.toString());
  const fd = openSync(path, 'wx', 0o600);
  try {
    for (const _ of contentSteps(inode, copier, fd)) if (turns.due(true)) await turns.take();
    ftruncateSync(fd, inode.size);
  } finally {
    closeSync(fd);
  }
}

function* contentSteps({ data, size }: Inode, copier: DataCopier, fd: number): Generator<void, void> {
  if (data === undefined) return;
  const { layer, tarOffset, extents } = data;
  if (extents === undefined) yield* copier.copyingNew({ layer, tarOffset, length: size }, fd);
  for (const extent of extents ?? []) {
    yield* copier.copying({ layer, tarOffset: extent.tarOffset, length: extent.length }, fd, extent.fileOffset);
  }
}
