/** What EROFS, or Linux on top of it, cannot hold: each with its bound, refused by name. */
import { RootfsError } from '../errors.js';
import type { LayerTar } from '../rootfs/merge.js';
import { nodePath, type TreeNode } from '../rootfs/tree.js';
import { deviceNumber, MAX_NAME_BYTES } from './erofs-format.js';
import { checkDataPlace } from './layer-files.js';

const MAX_LINK_BYTES = 4095;

/** Refuses a name that no directory can hold. @throws RootfsError `ERR_UNSUPPORTED` */
export function checkName(node: TreeNode): void {
  const { name } = node;
  const isSound = !name.includes('/') && !name.includes('\0');
  if (isSound && name.length > 0 && name.length <= MAX_NAME_BYTES && name !== '.' && name !== '..') return;
  throw unsupported(node, `a name of ${name.length} bytes; EROFS holds 1 to ${MAX_NAME_BYTES}, without / and NUL`);
}

/**
 * Refuses a link, device, owner or place of data that cannot be.
 *
 * @throws RootfsError `ERR_UNSUPPORTED`, `ERR_LAYER_INVALID`
 */
export function checkInode(node: TreeNode, layers: readonly LayerTar[]): void {
  const { inode } = node;
  const { type, linkTarget = '', rdevMajor = 0, rdevMinor = 0, uid, gid } = inode;
  if (type === 'symlink' && (linkTarget.length < 1 || linkTarget.length > MAX_LINK_BYTES)) {
    throw unsupported(node, `a link to ${linkTarget.length} bytes; Linux reads 1 to ${MAX_LINK_BYTES}`);
  }
  if ((type === 'char' || type === 'block') && deviceNumber(rdevMajor, rdevMinor) === undefined) {
    throw unsupported(node, `device ${rdevMajor}:${rdevMinor}; Linux has up to 4095:1048575`);
  }
  if (!isOwner(uid) || !isOwner(gid)) throw unsupported(node, `owner ${uid}:${gid}; Linux has 0 to 4294967294`);
  if (inode.data !== undefined) checkDataPlace(inode, layers, () => shownPath(node));
}

/** The path of a node, for messages. */
export function shownPath(node: TreeNode): string {
  return Buffer.from(nodePath(node), 'latin1').toString();
}

/** The error for what an image cannot hold. */
export function unsupported(node: TreeNode, what: string): RootfsError {
  return new RootfsError('ERR_UNSUPPORTED', `${shownPath(node)}: ${what}; write a directory or a tar instead`, {
    detail: { path: shownPath(node) },
  });
}

function isOwner(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id < 0xffff_ffff;
}
