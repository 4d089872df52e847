/** Taking a mounted root file system down, with everything that was made for it. */
import { accessSync, constants, rmdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { CallOptions } from '../content/content.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { cacheFolder } from '../io/cache-folder.js';
import { withLock } from '../io/lock.js';
import { freeLoop, loopBacking } from '../io/loop-device.js';
import { type MountEntry, readMountTable } from '../io/mount-table.js';
import type { Native } from '../io/native.js';
import { requireMounting } from './mount-powers.js';
import { type MountRecord, mountId, mountsFolder, readMountRecord, removeMountRecord } from './mount-record.js';
import { lowerFolder, realPlace } from './mountpoint.js';

/** Options of `unmountRootFS`. */
export interface UnmountOptions extends CallOptions {
  /** The store it was mounted from. Default: what the mount itself tells, else the default store. */
  readonly store?: string | undefined;
  /** Take it away from new users at once, and really when the last one is done. Default false: in use is an error. */
  readonly lazy?: boolean | undefined;
}

/** What `unmountRootFS` took down. */
export interface UnmountResult {
  readonly mountpoint: string;
  /** Something was mounted; `false`: only the leftovers of a mount that was gone were removed. */
  readonly wasMounted: boolean;
  /** The folder of the changes of a writable mount: it stays. */
  readonly upper?: string | undefined;
}

/**
 * Unmounts what `mountRootFS` mounted: overlay and image, loop devices, the record, and the folder if it was made for
 * the mount. Layers, metadata image and changes stay.
 *
 * @throws RootfsError `ERR_NOT_FOUND` (nothing of ours is mounted there), `ERR_BUSY` (somebody uses it),
 *   `ERR_PERMISSION`, `ERR_NATIVE_MISSING`, `ERR_UNSUPPORTED`, `ERR_FILESYSTEM`
 */
export async function unmountRootFS(mountpoint: string, options: UnmountOptions = {}): Promise<UnmountResult> {
  const native = requireMounting('umount');
  throwIfAborted(options.signal);
  try {
    const path = realPlace(mountpoint);
    const work = async (): Promise<UnmountResult> => takeDown(native, path, options);
    // Whoever mounts there, or takes it down, at the same time is waited for; a store that became read-only has no lock.
    const folder = mountsFolder(findHome(readMountTable(), path, options.store) ?? '/');
    const isLockable = mayWrite(folder);
    return await (isLockable ? withLock(join(folder, `${mountId(path)}.lock`), work, options) : work());
  } catch (error) {
    if (options.signal?.aborted === true) throw options.signal.reason;
    throw wrapSystemError(error, mountpoint);
  }
}

function mayWrite(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** The store that a mount belongs to: one that has its record, before one that only might have it. */
function findHome(table: readonly MountEntry[], path: string, store: string | undefined): string | undefined {
  const stores = [storeOf(table, topOf(table, path), path), store, cacheFolder('layers-v1')];
  const named = stores.filter((one) => one !== undefined);
  return named.find((one) => readMountRecord(one, path) !== undefined) ?? named[0];
}

function topOf(table: readonly MountEntry[], path: string): MountEntry | undefined {
  return table.findLast(({ mountpoint }) => mountpoint === path);
}

function takeDown(native: Native, path: string, { store, lazy = false }: UnmountOptions): UnmountResult {
  const table = readMountTable();
  const top = topOf(table, path);
  const home = findHome(table, path, store);
  const record = home === undefined ? undefined : readMountRecord(home, path);
  if (home === undefined || (record === undefined && storeOf(table, top, path) === undefined)) {
    const found = top === undefined ? 'nothing is mounted there' : `a mount of ${top.source} stands there`;
    // A writable copy that overlay --rw made is such a mount, too.
    const otherwise = top === undefined ? '' : 'take that down with umount, or ';
    throw new RootfsError(
      'ERR_NOT_FOUND',
      `${path}: expected a mount that rootfs mount made, found that ${found}; ${otherwise}give --store if it was mounted from another store`,
    );
  }
  const lower = lowerFolder(home, path);
  const isOurs =
    top !== undefined &&
    (top.type === 'erofs' || (top.type === 'overlay' && table.some(({ mountpoint }) => mountpoint === lower)));
  const loops = new Map((record?.loops ?? []).map((loop) => [loop, loopBacking(loop)]));
  if (isOurs) unmountOne(native, path, lazy);
  for (const { mountpoint } of table) if (mountpoint === lower) unmountOne(native, lower, lazy);
  removeFolder(lower);
  if (!lazy) freeLoops(native, loops, record);
  removeMountRecord(home, path);
  if (record?.madeMountpoint === true) removeFolder(path);
  const upper = record?.writable?.upper;
  return { mountpoint: path, wasMounted: isOurs, ...(upper === undefined ? {} : { upper }) };
}

function unmountOne(native: Native, path: string, lazy: boolean): void {
  try {
    native.unmount(path, lazy);
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'EINVAL') {
      throw new RootfsError(
        'ERR_PERMISSION',
        `${path}: the mount was made outside of this user or mount namespace; take it down where it was made`,
        { cause: error, detail: { mountpoint: path, errno } },
      );
    }
    if (errno !== 'EBUSY') throw error;
    throw new RootfsError('ERR_BUSY', `${path}: somebody still uses it; end what runs there, or unmount with --lazy`, {
      cause: error,
    });
  }
}

/** The store that a mount tells of: by the image's path, by the file behind its loop device, or by its lower mount. */
function storeOf(table: readonly MountEntry[], top: MountEntry | undefined, path: string): string | undefined {
  const lower = `${mountId(path)}.lower`;
  // It tells also where the overlay above it was taken down by hand.
  const below = table.find(({ mountpoint }) => basename(mountpoint) === lower)?.mountpoint;
  if (below !== undefined) return dirname(dirname(below));
  if (top === undefined) return undefined;
  if (top.type !== 'erofs') return undefined;
  const image = loopBacking(top.source) ?? top.source;
  return basename(dirname(image)) === 'erofs' ? dirname(dirname(image)) : undefined;
}

/** They clear themselves; one that did not, and still holds our file, is freed. */
function freeLoops(
  native: Native,
  before: ReadonlyMap<string, string | undefined>,
  record: MountRecord | undefined,
): void {
  for (const loop of record?.loops ?? []) {
    const backing = loopBacking(loop);
    const isOurs =
      backing !== undefined && backing === before.get(loop) && /\/(erofs|sha256|sha512)\/[^/]+$/.test(backing);
    if (isOurs) freeLoop(native, loop);
  }
}

/** A folder that is not there, or that somebody put files into meanwhile, is left as it is. */
function removeFolder(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    const errno = systemErrorCode(error) ?? '';
    if (!['ENOTEMPTY', 'ENOENT', 'EBUSY', 'EEXIST'].includes(errno)) throw error;
  }
}
