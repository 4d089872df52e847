/**
 * From the merged tree to root file systems, one file for each form; this one writes a directory.
 *
 * The room `export` knows merged trees, layer tars and the system it writes to. It must not know registries, stores
 * or where an image came from.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, renameSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { RootfsError, wrapSystemError } from '../errors.js';
import { loadNative, nativeMissing } from '../io/native.js';
import { report } from '../progress.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { type Destination, openDestination } from './destination.js';
import type { Form } from './form.js';
import { closeLayers, openLayers } from './layer-files.js';
import type { OwnershipRecords } from './ownership-file.js';
import { type Marks, type PlannedUnpack, planUnpack } from './plan-unpack.js';
import { type Powers, readPowers } from './powers.js';
import { runPlan, warmUnpackWorkers } from './run-plan.js';
import { checkUnpackOptions, type UnpackOptions, type UnpackResult } from './unpack-options.js';

/**
 * Writes a merged tree as a directory.
 *
 * As root everything is kept: owners, modes, setuid, capabilities and other extended attributes, devices, FIFOs, hard
 * links, nanosecond times (access times become the modification times). What cannot be kept is an error that names
 * it, before anything is written where that can be known. Without root, owners and what else the file system refuses
 * go to the side file (see `ownership-file.ts`), owners also to `user.rootlesscontainers` attributes; devices are
 * recorded and absent; directories keep `u+rwx`. Some attributes are never written: see `skippedXattr`.
 *
 * The tree is written beside `dst` and moved in place in one step; a run that fails leaves nothing. A mount point, or
 * a directory whose parent may not be written, is written in place and emptied on failure. Nothing outside is
 * touched, whatever the tree holds and whatever other processes do in it meanwhile. Not promised: that the data has
 * reached the disk.
 *
 * @param layers What the tree was made from, base first.
 * @param dst Absent, or an empty directory.
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_WOULD_LOSE`, `ERR_LIMIT_EXCEEDED`, `ERR_LAYER_INVALID`,
 *   `ERR_NOT_FOUND` (a layer tar), `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; the signal's reason
 */
export async function unpack(
  tree: MergedTree,
  layers: readonly LayerTar[],
  dst: string,
  options: UnpackOptions = {},
): Promise<UnpackResult> {
  return await unpackMarked(tree, layers, dst, options, undefined);
}

/** `unpack`, with extended attributes that a form adds to the image's own. */
export async function unpackMarked(
  tree: MergedTree,
  layers: readonly LayerTar[],
  dst: string,
  options: UnpackOptions,
  marks: Marks | undefined,
): Promise<UnpackResult> {
  options.signal?.throwIfAborted();
  const limits = checkUnpackOptions(options);
  const workers = options.workers ?? availableParallelism();
  warmUnpackWorkers(tree, workers);
  const powers = readPowers();
  const native = loadNative() !== undefined;
  const planned = planUnpack({ tree, layers, options, limits, powers, native, marks });
  refuseLosses(planned, powers, options);
  const open = openLayers(layers);
  try {
    const destination = openDestination(dst);
    try {
      return await fill(destination, planned, open, powers, { ...options, workers });
    } catch (error) {
      discard(destination, error);
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
  const run = await runPlan(plan, {
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
  });
  for (const record of run.records) records.add(record);
  for (const { what, path } of run.losses) losses.add(what, path);
  options.signal?.throwIfAborted();
  for (const [name, entries] of skippedXattrs) {
    const message = `${entries} entries have the extended attribute ${name}; it is never written`;
    report(options.onProgress, { type: 'warning:raised', message });
  }
  const ownershipFile = powers.root ? undefined : writeOwnership(destination.path, records, powers, options);
  try {
    destination.commit();
  } catch (error) {
    if (ownershipFile !== undefined) unlinkSync(ownershipFile);
    throw error;
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
  const named = list.map(({ what, entries, example }) => `${what} of ${entries} entries (as ${example})`).join(', ');
  const missing = nativeMissing();
  const why = missing === undefined ? '' : ` because ${missing}`;
  const advice = missing === undefined ? 'run with CAP_CHOWN' : 'install the optional dependency koffi';
  throw new RootfsError(
    'ERR_WOULD_LOSE',
    `unpack: these would be lost${why}: ${named}; ${advice}, or allow the loss (allowLoss)`,
    { detail: { losses: list } },
  );
}

function discard(destination: Destination, error: unknown): void {
  try {
    destination.discard();
  } catch (cause) {
    // The first failure is what the caller must hear; where something stayed is worth a line in it.
    if (error instanceof Error) error.message += ` (and cleaning up failed: ${(cause as Error).message})`;
  }
}

/** Writes the side file in one step; where it may not stand beside the root and no other place was given, warns. */
function writeOwnership(
  root: string,
  records: OwnershipRecords,
  powers: Powers,
  options: UnpackOptions,
): string | undefined {
  const path = options.ownershipFile === undefined ? `${root}.ownership` : resolve(options.ownershipFile);
  const working = join(
    dirname(path),
    `.${basename(path).slice(0, 200)}.${process.pid}-${randomBytes(6).toString('hex')}`,
  );
  try {
    const fd = openSync(working, 'wx', 0o644);
    try {
      for (const chunk of records.chunks(powers)) writeSync(fd, chunk);
    } finally {
      closeSync(fd);
    }
    renameSync(working, path);
    return path;
  } catch (error) {
    rmSync(working, { force: true });
    const failed = wrapSystemError(error, path, 'name a place for the side file that may be written (ownershipFile)');
    if (options.ownershipFile !== undefined || failed.code !== 'ERR_PERMISSION') throw failed;
    report(options.onProgress, {
      type: 'warning:raised',
      message: `owners are not kept in a side file: ${failed.message}`,
    });
    return undefined;
  }
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
