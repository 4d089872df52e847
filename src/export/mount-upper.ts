/** The folder for the changes of a writable mount: whether nobody else writes there, and making it. */
import { mkdirSync, renameSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { RootfsError, wrapSystemError } from '../errors.js';
import { makeFolders } from '../io/make-folders.js';
import { readMountTable } from '../io/mount-table.js';
import { removeTree } from '../io/remove-tree.js';
import { likeRoot } from './like-root.js';
import { listMounts } from './mount-record.js';
import { realPlace } from './mountpoint.js';
import { escapeOption } from './overlay-facts.js';

/**
 * The folder for changes with its links resolved. Nothing is made.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` (under the mountpoint, no folder), `ERR_BUSY` (another mount writes there)
 */
export function findUpper(store: string, mountpoint: string, upper: string): string {
  const folder = realPlace(upper);
  if (`${folder}/`.startsWith(`${mountpoint}/`)) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${folder}: the folder for changes lies under the mountpoint, which would hide it; choose another`,
    );
  }
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${folder}: expected a folder for changes, found something else; name another folder`,
    );
  }
  const ours = listMounts(store).find(({ mounted, writable }) => mounted && writable?.upper === folder);
  // The kernel mounts it twice, and then says that the behaviour is undefined.
  const user = ours?.mountpoint ?? otherUser(folder);
  if (user === undefined) return folder;
  const how = ours === undefined ? 'rootfs umount or umount' : 'rootfs umount';
  throw new RootfsError(
    'ERR_BUSY',
    `${folder}: the mount on ${user} writes its changes here; take it down with ${how}, or name another folder`,
    { detail: { upper: folder, mountpoint: user } },
  );
}

/** An overlay mount that writes there without a record in this store: from another one, by hand, or a writable copy. */
function otherUser(folder: string): string | undefined {
  const upper = join(folder, 'upper');
  // The kernel shows the option as it was given, with what escapes separators.
  const names: readonly (string | undefined)[] = [upper, escapeOption(upper)];
  // A copy's mount names its folders by descriptors that are closed; where it is seen tells as much.
  const merged = join(folder, 'merged');
  return readMountTable().find(
    (one) => one.type === 'overlay' && (names.includes(one.upper) || one.mountpoint === merged),
  )?.mountpoint;
}

/**
 * Makes what is missing of `upper` and `work` in the folder for changes. A new `upper` looks as the image's root, and
 * appears when it does, not before.
 *
 * @param root Where the image itself is mounted.
 * @param undo Gets what takes away again what was made.
 * @throws RootfsError of the file system
 */
export function makeUpper(folder: string, root: string, undo: (() => void)[]): void {
  const [upper, work, fresh] = [join(folder, 'upper'), join(folder, 'work'), join(folder, 'upper.new')];
  // Overlayfs leaves a folder in `work`; what somebody else put into the others meanwhile is not ours to remove.
  const made = (path: string): unknown => undo.push(() => (path === work ? removeTree(path) : rmdirSync(path)));
  try {
    makeFolders(work, { made });
    if (statSync(upper, { throwIfNoEntry: false })?.isDirectory() === true) return;
    // A run that was killed left it.
    removeTree(fresh);
    mkdirSync(fresh, { mode: 0o700 });
    made(fresh);
    likeRoot(fresh, root);
    renameSync(fresh, upper);
    undo.pop();
    made(upper);
  } catch (error) {
    throw wrapSystemError(error, folder, 'name a folder for changes that can be made and written');
  }
}
