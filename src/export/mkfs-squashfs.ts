/**
 * Squashfs images: the flattened tar, streamed into whichever tool is here. No root, no file in between.
 *
 * This form knows the tree and two tools' options; it must not know the format.
 */

import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Readable } from 'node:stream';
import type { CallOptions } from '../content/content.js';
import { RootfsError, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import type { LayerTar } from '../rootfs/merge.js';
import { requireLayers, requireTree } from '../rootfs/require-merged.js';
import type { Inode, MergedTree, Timestamp } from '../rootfs/tree.js';
import { walkTree } from '../rootfs/walk-tree.js';
import { encodeHeader } from '../tar/write-header.js';
import { flatten, flattenDense } from './flatten.js';
import { intoPlace, requireReplaceable } from './image-file.js';
import type { LossList } from './loss-list.js';
import { fitTree, isCommonXattr } from './mkfs-attributes.js';
import { type FoundTool, findTool, runTool, type Tool } from './mkfs-tool.js';
import { warnOfSkipped } from './skipped-xattr.js';
import type { Loss } from './unpack-options.js';

/** Options of `writeSquashfs`. */
export interface SquashfsOptions extends CallOptions {
  /** Default `zstd`, which Linux reads from 4.14 on. */
  readonly compression?: 'zstd' | 'gzip' | 'xz' | 'lz4' | undefined;
  /** Go on without extended attributes that squashfs cannot hold. Default false. */
  readonly allowLoss?: boolean | undefined;
}

/** What `writeSquashfs` or `writeExt4` wrote. */
export interface MkfsResult {
  /** Absolute path of the image. */
  readonly path: string;
  readonly imageBytes: number;
  /** The tool that made it. */
  readonly tool: string;
  /** What it was given: the flattened tar as a stream, or a temporary folder with the content. */
  readonly input: 'tar' | 'directory';
  readonly losses: readonly Loss[];
  /** Extended attributes that are never written, by name or prefix, and how many entries had one. */
  readonly skippedXattrs: Readonly<Record<string, number>>;
}

const TOOLS: readonly Tool[] = [
  { name: 'tar2sqfs', package: 'squashfs-tools-ng' },
  { name: 'sqfstar', package: 'squashfs-tools' },
];
const COMPRESSIONS = ['zstd', 'gzip', 'xz', 'lz4'];
const LAST_SECOND = 0xffff_ffff;

/**
 * Writes a merged tree as a squashfs image, through `tar2sqfs` or `sqfstar`.
 *
 * Types, modes, owners, devices, links and extended attributes are kept. Times are whole seconds from 1970 to 2106, as
 * the format has them: earlier and later ones become the nearest. `sqfstar` 4.5 gives the root the time of making. The file appears under its name when it is complete.
 *
 * @param layers What the tree was made from, base first.
 * @param out Path of the image: a new name, or a regular file.
 * @throws RootfsError `ERR_TOOL_MISSING`, `ERR_WOULD_LOSE`, `ERR_OPTION_INVALID`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`,
 *   what `flatten` fails with; the signal's reason
 * @see https://www.kernel.org/doc/html/v6.18/filesystems/squashfs.html
 */
export async function writeSquashfs(
  tree: MergedTree,
  layers: readonly LayerTar[],
  out: string,
  options: SquashfsOptions = {},
): Promise<MkfsResult> {
  const { compression = 'zstd', allowLoss = false, signal, onProgress } = options;
  if (!COMPRESSIONS.includes(compression)) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `compression: expected one of ${COMPRESSIONS.join(', ')}, found ${String(compression)}`,
    );
  }
  requireTree(tree);
  requireLayers(layers);
  throwIfAborted(signal);
  const path = absolutePath(out, 'out');
  try {
    requireReplaceable(path);
    const tool = findTool('squashfs', TOOLS);
    const fitted = fitTree(tree, { name: 'squashfs', holdsXattr: isHeld, time: nearestTime, allowLoss });
    if (tool.name === 'sqfstar') checkRoot(fitted.tree.root.inode, fitted.losses, allowLoss);
    const imageBytes = await intoPlace(path, async (file) => {
      // sqfstar ends with an error at most sparse files that are larger than one of its blocks.
      const write = tool.name === 'sqfstar' ? flattenDense : flatten;
      // The environment's SOURCE_DATE_EPOCH is for tars: here it would take times away that the other formats keep.
      const tar = write(fitted.tree, layers, { signal, onProgress, sourceDateEpoch: LAST_SECOND });
      // The tar's times are final; for sqfstar this is the image's own time.
      const env = tool.name === 'sqfstar' ? { SOURCE_DATE_EPOCH: String(latestSecond(fitted.tree)) } : {};
      const { args, input } = commandOf(tool, compression, file.path, fitted.tree.root.inode, tar);
      await runTool(tool, args, { input, signal, env, output: file.path });
      return statSync(file.path).size;
    });
    const skippedXattrs = Object.fromEntries(fitted.skippedXattrs);
    warnOfSkipped(skippedXattrs, options);
    return {
      path,
      imageBytes,
      tool: tool.name,
      input: 'tar',
      losses: fitted.losses.list(),
      skippedXattrs,
    };
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw wrapSystemError(error, path);
  }
}

/** What `sqfstar` 4.5 cannot give the root, though it has options for some of it. */
function checkRoot(root: Inode, losses: LossList, allowLoss: boolean): void {
  const lost: readonly (readonly [Loss['what'], boolean])[] = [
    ['owners', root.uid !== 0 || root.gid !== 0],
    ['xattrs', root.xattrs !== undefined],
  ];
  for (const [what, isLost] of lost) {
    if (!isLost) continue;
    if (allowLoss) losses.add(what, '');
    else {
      throw new RootfsError(
        'ERR_WOULD_LOSE',
        `squashfs: sqfstar cannot keep the ${what} of the root; install tar2sqfs (apt-get install squashfs-tools-ng), or allow loss (--allow-loss, allowLoss: true)`,
      );
    }
  }
}

function isHeld(name: string, value: Buffer): boolean {
  return isCommonXattr(name, value) && !name.startsWith('system.');
}

function nearestTime({ seconds }: Timestamp): Timestamp {
  return { seconds: Math.min(Math.max(seconds, 0), LAST_SECOND), nanoseconds: 0 };
}

function latestSecond(tree: MergedTree): number {
  let latest = 0;
  for (const { node } of walkTree(tree)) latest = Math.max(latest, node.inode.mtime.seconds);
  return latest;
}

function commandOf(
  tool: FoundTool,
  compression: string,
  out: string,
  root: Inode,
  tar: Readable,
): { readonly args: readonly string[]; readonly input: Readable } {
  if (tool.name === 'tar2sqfs') {
    // Its default, 15, takes five times as long for a few percent.
    const level = compression === 'zstd' ? ['-X', 'level=6'] : [];
    const jobs = ['-j', String(availableParallelism())];
    return { args: ['--quiet', '--force', '--no-skip', '-c', compression, ...level, ...jobs, out], input: tar };
  }
  const owner = ['-root-uid', String(root.uid), '-root-gid', String(root.gid)];
  const rest = ['-root-mode', root.mode.toString(8), '-root-time', String(root.mtime.seconds)];
  const args = ['-comp', compression, ...owner, ...rest, '-force', '-quiet', '-no-progress', '-exit-on-error', out];
  return { args, input: Readable.from(withoutRoot(tar, root), { objectMode: false }) };
}

/** `sqfstar` refuses the entry `./`, which comes first: it is cut off, and the root's attributes go by options. */
async function* withoutRoot(tar: Readable, root: Inode): AsyncGenerator<Buffer, void, void> {
  let cut = encodeHeader({ ...root, name: './', type: 'directory', size: 0, linkname: undefined }).length;
  for await (const chunk of tar as AsyncIterable<Buffer>) {
    const rest = chunk.subarray(Math.min(cut, chunk.length));
    cut -= chunk.length - rest.length;
    if (rest.length > 0) yield rest;
  }
}
