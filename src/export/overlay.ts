/** From an image to directories that overlayfs stacks: one for each layer, shared by many sandboxes. */
import { chmodSync, mkdirSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inPlaceOf } from '../content/output-place.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { RawPath } from '../io/directory.js';
import { loadNative, type Native, nativeMissing } from '../io/native.js';
import { shellQuote } from '../io/shell-quote.js';
import { type LayerChanges, readLayerChanges } from '../rootfs/layer-changes.js';
import type { LayerTar } from '../rootfs/merge.js';
import { requireLayers } from '../rootfs/require-merged.js';
import type { Inode, TreeNode } from '../rootfs/tree.js';
import { discardAfter, openDestination } from './destination.js';
import type { Form } from './form.js';
import { LossList } from './loss-list.js';
import { coverAbsent } from './overlay-absent.js';
import { MAX_MOUNT_OPTIONS, OVERLAY_FILE, type OverlayFacts } from './overlay-facts.js';
import { type OverlayOptions, overlayOrigin } from './overlay-options.js';
import type { Marks } from './plan-unpack.js';
import { warnOfSkipped } from './skipped-xattr.js';
import { unpackMarked } from './unpack.js';
import { checkUnpackOptions, type Loss } from './unpack-options.js';

/** What `writeOverlay` made. */
export interface OverlayResult extends OverlayFacts {
  /** Absolute path of the directory. */
  readonly path: string;
  /** Absolute paths of the layers, base first. */
  readonly layers: readonly string[];
  /** What was lost as root under `allowLoss`, over all layers. */
  readonly losses: readonly Loss[];
  /** Extended attributes that are never written, by name or prefix, and how many entries of the layers had one. */
  readonly skippedXattrs: Readonly<Record<string, number>>;
  /** A shell command that mounts the image read-only; `MOUNTPOINT` stands for where. */
  readonly command: string;
}

/**
 * Writes one directory for each layer, as overlayfs stacks them: `layers/0` is the base, `l/0` a short link to it,
 * `overlay.json` says how to mount, and of what it was written. The directory is for its owner alone, since layers may hold setuid programs.
 *
 * A mount shows what `unpack` writes, with these differences, which all engines on overlayfs share: a directory of a
 * layer hides a symbolic link of that name below it (in `unpack` the link is followed); hard links between layers are
 * copies; a character device 0:0 of the image is a whiteout. Owners and attributes that cannot be kept without root
 * are in a side file of each layer, `layers/0.ownership`. Of the limits, `maxEntries` and `maxDataBytes` hold for all
 * layers together.
 *
 * @param layers Base first.
 * @param dst Absent, or an empty directory.
 * @throws RootfsError as `unpack` and `mergeLayers` do; `ERR_UNSUPPORTED` where marks or whiteouts cannot be made,
 *   whatever losses are allowed; `ERR_NATIVE_MISSING` where an image has some and this process has no system calls;
 *   `ERR_LIMIT_EXCEEDED` for more layers than one mount takes
 */
export async function writeOverlay(
  layers: readonly LayerTar[],
  dst: string,
  options: OverlayOptions = {},
): Promise<OverlayResult> {
  const { signal } = options;
  const origin = overlayOrigin(options);
  const { userXattr, whiteouts } = origin;
  const { maxEntries, maxDataBytes } = checkUnpackOptions(options);
  requireLayers(layers);
  throwIfAborted(signal);
  const facts: OverlayFacts = { ...mountFacts(layers.length, userXattr), origin };
  const lost = new LossList();
  const skipped = new Map<string, number>();
  const destination = openDestination(dst);
  try {
    const { root, workingPath } = destination;
    for (const name of ['layers', 'l']) mkdirSync(root.at(name), 0o755);
    const prefix = userXattr ? 'user.overlay.' : 'trusted.overlay.';
    for await (const changes of readLayerChanges(layers, { signal, maxEntries, maxDataBytes })) {
      const { marks, devices } = mark(changes, prefix, whiteouts);
      const place = join(workingPath, 'layers', String(changes.layer));
      if (marks.size > 0 || devices > 0) requireNative();
      if (devices > 0) requireWhiteouts(requireNative(), root.at('whiteout'), destination.path);
      const { absent, losses, skippedXattrs } = await unpackMarked(changes.tree, layers, place, options, marks);
      if (changes.covering.size > 0 && (absent.length > 0 || losses.length > 0)) {
        coverAbsent(place, changes.covering, { native: requireNative(), kind: whiteouts, prefix });
      }
      lost.merge(losses);
      for (const [name, entries] of Object.entries(skippedXattrs)) {
        skipped.set(name, (skipped.get(name) ?? 0) + entries);
      }
    }
    for (const short of facts.links) {
      const name = short.slice(2);
      if (EMPTY.includes(name)) makeEmpty(join(workingPath, 'layers', name));
      symlinkSync(`../layers/${name}`, join(workingPath, short));
    }
    writeFileSync(root.at(OVERLAY_FILE), `${JSON.stringify(facts, undefined, 2)}\n`, { flag: 'wx' });
    destination.commit();
  } catch (error) {
    const { path, workingPath } = destination;
    const failed =
      signal?.aborted === true ? signal.reason : inPlaceOf(workingPath, path, wrapSystemError(error, path));
    discardAfter(failed, destination);
    throw failed;
  }
  const skippedXattrs = Object.fromEntries(skipped);
  warnOfSkipped(skippedXattrs, options);
  const { path } = destination;
  return {
    ...facts,
    path,
    layers: layers.map((_, index) => join(path, 'layers', String(index))),
    losses: lost.list(),
    skippedXattrs,
    command: `cd ${shellQuote(path)} && mount -t overlay overlay -o ${shellQuote(facts.options)} MOUNTPOINT`,
  };
}

/** Without an upper directory overlayfs wants at least two below: these fill up. */
const EMPTY: readonly string[] = ['e', 'f'];

/** One that is on top, since the image has no layers, is what its root looks like. */
function makeEmpty(path: string): void {
  mkdirSync(path);
  chmodSync(path, 0o755);
  utimesSync(path, 0, 0);
}

/** Overlayfs stacks no more than this many directories. */
const MAX_STACK = 500;

function mountFacts(count: number, userXattr: boolean): OverlayFacts {
  const links = EMPTY.slice(count).map((name) => `l/${name}`);
  for (let index = 0; index < count; index++) links.push(`l/${index}`);
  const lowerdir = links.toReversed().join(':');
  const options = `lowerdir=${lowerdir}${userXattr ? ',userxattr' : ''}`;
  if (count > MAX_STACK || options.length > MAX_MOUNT_OPTIONS) {
    throw new RootfsError(
      'ERR_LIMIT_EXCEEDED',
      `overlay: expected at most ${MAX_STACK} layers, found ${count}; unpack the image into one directory instead`,
      { detail: { layers: count } },
    );
  }
  return { version: 1, links, lowerdir, options, userXattr };
}

/** Puts whiteouts into the layer's tree and says which attributes its directories need. */
function mark(
  { whiteouts, opaque }: LayerChanges,
  prefix: string,
  kind: 'device' | 'xattr',
): { readonly marks: Marks; readonly devices: number } {
  const marks = new Map<TreeNode, [string, string][]>();
  let devices = 0;
  for (const directory of opaque) marks.set(directory, [[`${prefix}opaque`, 'y']]);
  for (const [directory, names] of whiteouts) {
    if (opaque.has(directory)) continue;
    if (kind === 'xattr') marks.set(directory, [[`${prefix}opaque`, 'x']]);
    for (const name of names) {
      const node: TreeNode = { name, parent: directory, inode: whiteoutInode(kind), layer: -1 };
      (directory.children as Map<string, TreeNode>).set(name, node);
      if (kind === 'xattr') marks.set(node, [[`${prefix}whiteout`, 'y']]);
      else devices += 1;
    }
  }
  return { marks, devices };
}

function whiteoutInode(kind: 'device' | 'xattr'): Inode {
  const common = { mode: 0, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, size: 0, links: 1 };
  return kind === 'xattr' ? { ...common, type: 'file' } : { ...common, type: 'char', rdevMajor: 0, rdevMinor: 0 };
}

/** Without its marks a mount shows again what the image has removed: that is no loss to be allowed. */
function requireNative(): Native {
  const native = loadNative();
  if (native !== undefined) return native;
  throw new RootfsError(
    'ERR_NATIVE_MISSING',
    `overlay: marking removed names needs system calls, and ${nativeMissing()}; install the optional dependency koffi, or use rootfs unpack`,
  );
}

/** Makes a whiteout to see whether it can be made: overlay file systems themselves take none, whoever asks. */
function requireWhiteouts(native: Native, path: RawPath, shown: string): void {
  try {
    native.makeDevice(path, 'char', 0, 0, 0);
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'ENOSPC' || errno === 'EDQUOT') throw error;
    throw new RootfsError(
      'ERR_UNSUPPORTED',
      `${shown}: the devices that mark removed names cannot be made here (${errno}); mark them by attributes (--whiteouts xattr, whiteouts: 'xattr'), or choose another file system`,
      { cause: error, detail: { path: shown, errno } },
    );
  }
  unlinkSync(path);
}

/** The form `overlay`: one directory for each layer. */
export const overlayForm: Form = {
  name: 'overlay',
  summary: 'one directory for each layer, for overlayfs to stack',
  makes: 'directory',
  async write(input, dst, options) {
    const image = input.image.manifest.descriptor.digest;
    const detail = await writeOverlay(input.layers, dst, { ...options, image });
    return { form: 'overlay', path: detail.path, detail };
  },
};
