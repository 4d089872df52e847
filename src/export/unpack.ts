/**
 * From the merged tree to root file systems, one file for each form; this one writes a directory.
 *
 * The room `export` knows merged trees, layer tars and the system it writes to. It must not know registries, stores
 * or where an image came from.
 */
import { closeSync, linkSync, lstatSync, openSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { RootfsError, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { loadNative, nativeMissing } from '../io/native.js';
import { removeWhatCanBe } from '../io/remove-tree.js';
import { warn } from '../progress.js';
import type { LayerTar } from '../rootfs/merge.js';
import { requireLayers, requireTree } from '../rootfs/require-merged.js';
import type { MergedTree } from '../rootfs/tree.js';
import { countEntries } from './count-entries.js';
import { type Destination, discardAfter, openDestination } from './destination.js';
import { disinherit } from './disinherit.js';
import type { Form } from './form.js';
import { closeLayers, openLayers } from './layer-files.js';
import type { OwnershipRecords } from './ownership-file.js';
import { warnOfNothing } from './path-filter.js';
import { type Marks, type PlannedUnpack, planUnpack } from './plan-unpack.js';
import { type Powers, readPowers } from './powers.js';
import { runPlan, warmUnpackWorkers } from './run-plan.js';
import { warnOfSkipped } from './skipped-xattr.js';
import { checkUnpackOptions, type UnpackOptions, type UnpackResult } from './unpack-options.js';
import { workingPath } from './working-name.js';

/**
 * Writes a merged tree as a directory.
 *
 * As root everything is kept: owners, modes, setuid, capabilities and other extended attributes, devices, FIFOs, hard
 * links, nanosecond times (access times become the modification times). What cannot be kept is an error that names
 * it, before anything is written where that can be known. Without root, owners and what else the file system refuses
 * go to the side file (see `UnpackResult.ownershipFile`), owners also to `user.rootlesscontainers` attributes; devices are
 * recorded and absent; directories keep `u+rwx`. Never written are `security.selinux`, the attributes of overlayfs, ACLs
 * that a layer has as text, a layer's own `user.rootlesscontainers` without root, and what no Linux file system can
 * hold; `skippedXattrs` counts them, and warnings say so.
 *
 * The tree is written beside `dst` and moved in place in one step; a run that fails leaves nothing. A mount point, or
 * a directory whose parent may not be written, is written in place and emptied on failure. Nothing outside is
 * touched, whatever the tree holds and whatever other processes do in it meanwhile. Not promised: that the data has
 * reached the disk.
 *
 * @param layers What the tree was made from, base first.
 * @param dst Absent, or an empty directory.
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_WOULD_LOSE`, `ERR_LIMIT_EXCEEDED`, `ERR_LAYER_INVALID`,
 *   `ERR_NOT_FOUND` (a layer tar), `ERR_BUSY` (`dst` was filled by somebody else meanwhile), `ERR_NO_SPACE`,
 *   `ERR_PERMISSION`, `ERR_FILESYSTEM`; the signal's reason
 */
export async function unpack(
  tree: MergedTree,
  layers: readonly LayerTar[],
  dst: string,
  options: UnpackOptions = {},
): Promise<UnpackResult> {
  return unpackAs(readPowers(), tree, layers, dst, options);
}

/** `unpack`, as if this process had these powers. */
export async function unpackAs(
  powers: Powers,
  tree: MergedTree,
  layers: readonly LayerTar[],
  dst: string,
  options: UnpackOptions,
): Promise<UnpackResult> {
  const result = await unpackMarked(tree, layers, dst, options, undefined, powers);
  warnOfSkipped(result.skippedXattrs, options);
  warnOfNothing(result.entries, options);
  return result;
}

/** `unpack`, with extended attributes that a form adds to the image's own. What is skipped, the form says itself. */
export async function unpackMarked(
  tree: MergedTree,
  layers: readonly LayerTar[],
  dst: string,
  options: UnpackOptions,
  marks: Marks | undefined,
  powers: Powers = readPowers(),
): Promise<UnpackResult> {
  throwIfAborted(options.signal);
  const limits = checkUnpackOptions(options);
  requireTree(tree);
  requireLayers(layers);
  const workers = options.workers ?? availableParallelism();
  warmUnpackWorkers(tree, workers);
  const native = loadNative() !== undefined;
  const planned = await planUnpack({ tree, layers, options, limits, powers, native, marks });
  refuseLosses(planned, powers, options);
  const open = openLayers(layers);
  try {
    const destination = openDestination(dst);
    const restore = destination.inPlace ? disinherit(destination.root) : undefined;
    try {
      return await fill(destination, planned, open, powers, { ...options, workers });
    } catch (error) {
      restore?.();
      discardAfter(error, destination);
      throw error;
    }
  } finally {
    closeLayers(open);
  }
}

async function fill(
  destination: Destination,
  planned: PlannedUnpack,
  layers: readonly number[],
  powers: Powers,
  options: UnpackOptions & { readonly workers: number },
): Promise<UnpackResult> {
  const { plan, records, losses, skippedXattrs } = planned;
  await runPlan(plan, {
    write: {
      root: destination.root.handle,
      rootPath: destination.path,
      layers,
      umask: powers.umask,
      strict: powers.root,
      allowLoss: options.allowLoss === true,
    },
    workers: options.workers,
    signal: options.signal,
    onProgress: options.onProgress,
    onResult: (result) => {
      for (const record of result.records) records.add(record);
      for (const { what, path } of result.losses) losses.add(what, path);
    },
  });
  throwIfAborted(options.signal);
  const sideFile = powers.root ? undefined : writeOwnership(destination.path, records, powers, options);
  let ownershipFile: string | undefined;
  const isPlaced = sideFile !== undefined && placeEarly(sideFile);
  try {
    destination.commit(() => {
      ownershipFile = sideFile && (isPlaced ? sideFile.path : placeOwnership(sideFile, options));
    });
  } catch (error) {
    if (isPlaced) takeBack(sideFile);
    throw error;
  } finally {
    if (sideFile !== undefined) removeWhatCanBe(sideFile.working);
  }
  return {
    path: destination.path,
    entries: plan.entries,
    dataBytes: plan.dataBytes,
    ownershipFile,
    absent: records.absent().map((path) => Buffer.from(path, 'latin1').toString()),
    losses: losses.list(),
    skippedXattrs: Object.fromEntries(skippedXattrs),
  };
}

function refuseLosses({ losses }: PlannedUnpack, powers: Powers, options: UnpackOptions): void {
  const list = losses.list();
  if (!powers.root || list.length === 0 || options.allowLoss === true) return;
  const named = list
    .map(({ what, entries, example }) => `${what} of ${countEntries(entries)} (as ${example})`)
    .join(', ');
  const missing = nativeMissing();
  const why = missing === undefined ? '' : ` because ${missing}`;
  // Without native calls other things are lost as well.
  const needed = list.map(({ what }) => (what === 'modes' ? 'CAP_FSETID' : 'CAP_CHOWN')).join(' and ');
  const advice = missing === undefined ? `run with ${needed}` : 'install the optional dependency koffi';
  throw new RootfsError(
    'ERR_WOULD_LOSE',
    `unpack: these would be lost${why}: ${named}; ${advice}, or allow the loss (--allow-loss, allowLoss: true)`,
    { detail: { losses: list } },
  );
}

/** The side file before it has its name. */
interface SideFile {
  readonly working: string;
  readonly path: string;
}

/**
 * Writes the side file under a working name: the one that stands there may belong to a tree that is first in the same
 * place.
 */
function writeOwnership(
  root: string,
  records: OwnershipRecords,
  powers: Powers,
  options: UnpackOptions,
): SideFile | undefined {
  const path =
    options.ownershipFile === undefined ? `${root}.ownership` : absolutePath(options.ownershipFile, 'ownershipFile');
  let working: string | undefined;
  try {
    working = workingPath(path);
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
      throw new RootfsError('ERR_OPTION_INVALID', `${path}: a directory stands where the side file goes; move it away`);
    }
    const fd = openSync(working, 'wx', 0o644);
    try {
      // As bytes: of a text, less may be written than there is, where a disk is nearly full.
      for (const chunk of records.chunks(powers)) writeFileSync(fd, Buffer.from(chunk));
    } finally {
      closeSync(fd);
    }
    return { working, path };
  } catch (error) {
    if (working !== undefined) removeWhatCanBe(working);
    return doWithoutOwnership(error, path, options);
  }
}

/**
 * Gives the side file its name before the tree has its own, so that no death leaves a tree without it. One that stands
 * there may be another tree's, which is known once this tree is in place.
 *
 * @returns whether it has its name
 */
function placeEarly({ working, path }: SideFile): boolean {
  try {
    linkSync(working, path);
    return true;
  } catch {
    // There is one, or there are no such links here.
    return false;
  }
}

/** Takes the side file of a tree that did not get its place away again, unless the other tree's stands there now. */
function takeBack({ working, path }: SideFile): void {
  try {
    if (lstatSync(path).ino === lstatSync(working).ino) unlinkSync(path);
  } catch {
    // The failure before it is what callers must hear.
  }
}

/** In a folder where all may write, as /tmp, a file of somebody else cannot be replaced. */
function placeOwnership({ working, path }: SideFile, options: UnpackOptions): string | undefined {
  try {
    renameSync(working, path);
    return path;
  } catch (error) {
    return doWithoutOwnership(error, path, options);
  }
}

/** Warns where the side file may not stand beside the root and no other place was given; anything else is thrown. */
function doWithoutOwnership(error: unknown, path: string, options: UnpackOptions): undefined {
  const failed = wrapSystemError(
    error,
    path,
    'take a folder whose parent may be written, or name a place for the side file (ownershipFile)',
  );
  if (options.ownershipFile !== undefined || failed.code !== 'ERR_PERMISSION') throw failed;
  warn(options.onProgress, `owners are not kept in a side file: ${failed.message}`);
}

/** The form `directory`: everything in one directory. */
export const directoryForm: Form = {
  name: 'directory',
  summary: 'one directory with everything',
  makes: 'directory',
  async write(input, dst, options) {
    const detail = await unpack(await input.tree(), input.layers, dst, options);
    return { form: 'directory', path: detail.path, detail };
  },
};
