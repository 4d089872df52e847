/**
 * Ext4 images: `mke2fs -d` for names and content, `debugfs` for what it does not keep. No root, no mount.
 *
 * This form knows the tree and two tools of e2fsprogs; it must not know the format beyond what it costs.
 */
import { mkdirSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import type { CallOptions } from '../content/content.js';
import { makeWorkingFolder, type WorkingFolder } from '../content/output-place.js';
import { RootfsError, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { removeWhatCanBe } from '../io/remove-tree.js';
import type { LayerTar } from '../rootfs/merge.js';
import { requireLayers, requireTree } from '../rootfs/require-merged.js';
import type { Inode, MergedTree, Timestamp } from '../rootfs/tree.js';
import { walkTree } from '../rootfs/walk-tree.js';
import { deviceNumber } from './erofs-format.js';
import { flatten } from './flatten.js';
import { hasRoom } from './has-room.js';
import { intoPlace, requireReplaceable } from './image-file.js';
import { fitTree, isCommonXattr } from './mkfs-attributes.js';
import { FIXED_CLOCK, treeUuid } from './mkfs-ext4-same.js';
import { completeImage, MAX_LINKS } from './mkfs-ext4-script.js';
import { readsTar, TAR_ENVIRONMENT } from './mkfs-ext4-tar.js';
import { writeContentTree } from './mkfs-ext4-tree.js';
import type { MkfsResult } from './mkfs-squashfs.js';
import { type FoundTool, findTool, runTool } from './mkfs-tool.js';
import { warnOfSkipped } from './skipped-xattr.js';

/** Options of `writeExt4`. */
export interface Ext4Options extends CallOptions {
  /**
   * Length of the image in bytes, rounded down to blocks of 4 KiB; the room that is left takes a file for every 16 KiB
   * of them, as in other ext4 file systems. Default: as much as the tree needs, and a little.
   */
  readonly size?: number | undefined;
  /** Go on without extended attributes that ext4 cannot hold. Default false. */
  readonly allowLoss?: boolean | undefined;
}

const BLOCK = 4096;
const INODE_BYTES = 256;
/** How much of a given size there is for one file: what mke2fs takes unless told otherwise. */
const BYTES_PER_INODE = 16 * 1024;
/** What a file system has besides files: groups, a journal, room for guesses that were too low. */
const BASE_BYTES = 8 * 1024 * 1024;
const JOURNAL_SHARE = 1.04;
const GROWTH = 1.25;
const ATTEMPTS = 4;
/** Seconds that ext4 holds in inodes of 256 bytes: 34 bits, from 1901 to 2446. */
const FIRST_SECOND = -(2 ** 31);
const LAST_SECOND = 2 ** 34 - 2 ** 31 - 1;
const MAX_XATTR_BYTES = 3000;
/** One block for all attributes of a file, without its header and its end; what the inode has room for comes on top. */
const XATTR_ROOM = BLOCK - 32 - 4;

/**
 * Writes a merged tree as an ext4 image, through `mke2fs` and `debugfs`.
 *
 * Types, modes, owners, devices, links, times to the nanosecond and extended attributes are kept; `lost+found` is
 * added, as ext4 wants it. A `mke2fs` that reads a tar (1.47.1 and later, with libarchive) is given one; for others
 * content passes through a temporary folder beside the image. The file appears under its name when it is complete. The
 * same tree gives the same bytes with the same tools, from e2fsprogs 1.47 on; older ones take names as they come.
 *
 * @param layers What the tree was made from, base first.
 * @param out Path of the image: a new name, or a regular file.
 * @throws RootfsError `ERR_TOOL_MISSING`, `ERR_NO_SPACE` (`size` is too small, or the disk is full), `ERR_WOULD_LOSE`,
 *   `ERR_UNSUPPORTED`, `ERR_OPTION_INVALID`, `ERR_LAYER_INVALID`, `ERR_FILESYSTEM`; the signal's reason
 * @see https://www.kernel.org/doc/html/v6.18/filesystems/ext4/
 */
export async function writeExt4(
  tree: MergedTree,
  layers: readonly LayerTar[],
  out: string,
  options: Ext4Options = {},
): Promise<MkfsResult> {
  const { size, allowLoss = false, signal, onProgress } = options;
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 1024 * 1024)) {
    throw new RootfsError('ERR_OPTION_INVALID', `size: expected at least 1 MiB in bytes, found ${size}`);
  }
  requireTree(tree);
  requireLayers(layers);
  throwIfAborted(signal);
  const path = absolutePath(out, 'out');
  requirePlainPath(path);
  let scratch: WorkingFolder | undefined;
  let content: string | undefined;
  try {
    requireReplaceable(path);
    checkTree(tree);
    const make = findTool('ext4', [{ name: 'mke2fs', package: 'e2fsprogs' }]);
    const tool = findTool('ext4', [{ name: 'debugfs', package: 'e2fsprogs' }]);
    const held = { name: 'ext4', holdsXattr: isHeld, xattrRoom: XATTR_ROOM, time: nearestTime, allowLoss };
    const fitted = fitTree(tree, held);
    scratch = await makeWorkingFolder(plainTemporary());
    const work = scratch.path;
    const fromTar = await readsTar(make, work, signal);
    const imageBytes = await intoPlace(path, async (file) => {
      const image = { tool: make, tree: fitted.tree, image: file.path, size, signal };
      if (fromTar) {
        const tar = (): Readable => flatten(fitted.tree, layers, { signal, onProgress });
        await makeImage(image, () => ({ source: '-', input: tar(), env: TAR_ENVIRONMENT }));
      } else {
        const folder = `${file.path}.d`;
        content = folder;
        mkdirSync(folder, 0o700);
        await writeContentTree(fitted.tree, layers, folder, signal);
        await makeImage(image, () => ({ source: folder }));
      }
      await completeImage({ tool, image: file.path, scratch: work, signal }, fitted.tree, fromTar);
      return statSync(file.path).size;
    });
    const skippedXattrs = Object.fromEntries(fitted.skippedXattrs);
    warnOfSkipped(skippedXattrs, options);
    return {
      path,
      imageBytes,
      tool: make.name,
      input: fromTar ? 'tar' : 'directory',
      losses: fitted.losses.list(),
      skippedXattrs,
    };
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw wrapSystemError(error, path);
  } finally {
    if (content !== undefined) removeWhatCanBe(content);
    await scratch?.remove();
  }
}

/** What `mke2fs -d` reads: a folder, or `-` and a tar. */
interface Content {
  readonly source: string;
  readonly input?: Readable;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Makes the image; where the size is ours to choose and a guess was too low, with more.
 *
 * @param content Called for each attempt.
 */
async function makeImage(
  place: {
    readonly tool: FoundTool;
    readonly tree: MergedTree;
    readonly image: string;
    readonly size: number | undefined;
    readonly signal: AbortSignal | undefined;
  },
  content: () => Content,
): Promise<void> {
  const { tool, tree, image, size, signal } = place;
  const least = tree.inodes + 64;
  let inodes = Math.max(least, Math.floor((size ?? 0) / BYTES_PER_INODE));
  let bytes = size ?? neededBytes(tree, least);
  const uuid = treeUuid(tree);
  for (let attempt = 1; ; attempt += 1) {
    const args = ['-q', '-F', '-t', 'ext4', '-b', String(BLOCK), '-I', String(INODE_BYTES), '-m', '0'];
    const extended = `lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,nodiscard,hash_seed=${uuid}`;
    const blocks = Math.floor(bytes / BLOCK);
    try {
      truncateSync(image, 0);
      const { source, input, env } = content();
      const rest = ['-U', uuid, '-N', String(inodes), '-E', extended, '-d', source, image, String(blocks)];
      await runTool(tool, [...args, ...rest], {
        ...(input === undefined ? {} : { input }),
        env: { ...FIXED_CLOCK, ...env },
        output: image,
        signal,
      });
      return;
    } catch (error) {
      const full = error instanceof RootfsError && error.code === 'ERR_NO_SPACE';
      // A larger image does not help where its own file system is full.
      if (!full || attempt === ATTEMPTS || !hasRoom(dirname(image))) throw error;
      if (inodes > least) {
        inodes = least;
        continue;
      }
      if (size !== undefined) {
        throw new RootfsError('ERR_NO_SPACE', `ext4: the tree does not fit into ${size} bytes; give it a larger size`, {
          cause: error,
        });
      }
      bytes = Math.ceil(bytes * GROWTH);
    }
  }
}

/** A generous guess of what a tree takes. */
function neededBytes(tree: MergedTree, inodes: number): number {
  const seen = new Set<Inode>();
  let blocks = 0;
  for (const { node } of walkTree(tree)) {
    const { inode, children } = node;
    if (children !== undefined) {
      let names = 24;
      for (const name of children.keys()) names += 8 + ((name.length + 3) & ~3);
      // Directories are indexed, and their blocks seldom full.
      blocks += Math.ceil((names * 1.5) / BLOCK) + 1;
    } else if (!seen.has(inode)) {
      if (inode.links > 1) seen.add(inode);
      const runs = inode.data?.extents;
      const bytes = runs === undefined ? inode.size : runs.reduce((sum, { length }) => sum + length + BLOCK, 0);
      blocks += Math.ceil(bytes / BLOCK);
      if ((inode.linkTarget?.length ?? 0) >= 60) blocks += 1;
    }
    if (inode.xattrs !== undefined) blocks += 1;
  }
  const bytes = (blocks * BLOCK + inodes * INODE_BYTES) * JOURNAL_SHARE + BASE_BYTES;
  return Math.ceil(bytes / (1024 * 1024)) * 1024 * 1024;
}

/** Refuses what ext4 cannot hold. `mke2fs` makes `lost+found` itself, and would put something else beside or over it. */
function checkTree(tree: MergedTree): void {
  const found = tree.root.children?.get('lost+found');
  if (found !== undefined && found.inode.type !== 'directory') {
    throw new RootfsError(
      'ERR_UNSUPPORTED',
      `lost+found: ext4 has a directory of this name, found a ${found.inode.type}; write an erofs image instead`,
    );
  }
  for (const { path, node } of walkTree(tree)) {
    const { type, links, rdevMajor = 0, rdevMinor = 0 } = node.inode;
    if (links > MAX_LINKS) {
      throw new RootfsError(
        'ERR_UNSUPPORTED',
        `${Buffer.from(path, 'latin1').toString()}: a file with ${links} names; ext4 holds ${MAX_LINKS}, write an erofs image instead`,
      );
    }
    if ((type !== 'char' && type !== 'block') || deviceNumber(rdevMajor, rdevMinor) !== undefined) continue;
    const shown = Buffer.from(path, 'latin1').toString();
    throw new RootfsError(
      'ERR_UNSUPPORTED',
      `${shown}: device ${rdevMajor}:${rdevMinor}; Linux has up to 4095:1048575, write a tar instead`,
    );
  }
}

/** Inode and one block share what attributes take; both are smaller than what other file systems have. */
function isHeld(name: string, value: Buffer): boolean {
  return isCommonXattr(name, value) && !/[\n\r]/.test(name) && value.length <= MAX_XATTR_BYTES;
}

function nearestTime(time: Timestamp): Timestamp {
  if (time.seconds < FIRST_SECOND) return { seconds: FIRST_SECOND, nanoseconds: 0 };
  return time.seconds > LAST_SECOND ? { seconds: LAST_SECOND, nanoseconds: 0 } : time;
}

/** e2fsprogs opens what stands before a `?`, which may be somebody's file, and reads the rest as options. */
function requirePlainPath(path: string): void {
  if (!path.includes('?')) return;
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `${path}: debugfs opens no path that holds a ?; choose a name and a folder without one`,
    { detail: { path } },
  );
}

/** A folder for files whose paths `debugfs` can read as one word. */
function plainTemporary(): string {
  const folder = tmpdir();
  return /^[A-Za-z0-9_./+-]+$/.test(folder) ? folder : '/tmp';
}
