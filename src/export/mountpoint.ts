/** Where a mount goes: a path with its links resolved, and whether something may be mounted there. */
import { lstatSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { readMountTable } from '../io/mount-table.js';
import { requireErofs, requireMounting } from './mount-powers.js';
import { mountId, mountsFolder } from './mount-record.js';

/** What the table of mounts shows as the source of a writable mount. */
export const OVERLAY_SOURCE = 'rootfs-kit';

/**
 * Tells whether a mount can work at all, before anything is fetched for it.
 *
 * @throws RootfsError `ERR_BUSY`, `ERR_PERMISSION`, `ERR_NATIVE_MISSING`, `ERR_UNSUPPORTED`, `ERR_FILESYSTEM`
 */
export function checkMount(mountpoint: string): void {
  const native = requireMounting();
  try {
    refuseBusy(realPlace(mountpoint));
  } catch (error) {
    throw wrapSystemError(error, mountpoint);
  }
  requireErofs(native, mountpoint);
}

/** @throws RootfsError `ERR_BUSY`: something is mounted on this path, or lies there; what looking at it throws */
export function refuseBusy(path: string): void {
  const busy = (what: string): RootfsError =>
    new RootfsError('ERR_BUSY', `${path}: ${what}, or choose another folder`, { detail: { mountpoint: path } });
  const top = readMountTable().findLast(({ mountpoint }) => mountpoint === path);
  if (top !== undefined) {
    // What cannot be ours is not taken down by us either.
    const isOurs = top.type === 'erofs' || (top.type === 'overlay' && top.source === OVERLAY_SOURCE);
    throw busy(`something is mounted there already; take it down with ${isOurs ? 'rootfs umount' : 'umount'}`);
  }
  // Its links are resolved: what is still one leads nowhere.
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isDirectory()) throw busy('expected a folder, found something else; remove it');
  if (readdirSync(path).length > 0) throw busy('files lie in it, which a mount would hide; move them away');
}

/** A path with its links resolved, also where the last name is not there yet. */
export function realPlace(path: string): string {
  const whole = absolutePath(path, 'path');
  try {
    return realpathSync(whole);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT' || dirname(whole) === whole) throw error;
    return join(realPlace(dirname(whole)), basename(whole));
  }
}

/** Where the image of a writable mount is mounted itself. */
export function lowerFolder(store: string, mountpoint: string): string {
  return join(mountsFolder(store), `${mountId(mountpoint)}.lower`);
}
