/** Nodes of an overlay's layer that could not be made: what they would have hidden may not show again. */
import { closeSync, constants, fchmodSync, lstatSync, openSync } from 'node:fs';
import { RootfsError, systemErrorCode } from '../errors.js';
import { Directory } from '../io/directory.js';
import type { Native } from '../io/native.js';
import type { LayerChanges } from '../rootfs/layer-changes.js';
import { nodePath, type TreeNode } from '../rootfs/tree.js';
import { DirectoryChain } from './directory-chain.js';

/** How whiteouts are written. */
export interface WhiteoutForm {
  readonly native: Native;
  readonly kind: 'device' | 'xattr';
  /** What the names of overlayfs's own attributes begin with. */
  readonly prefix: string;
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const EPOCH = { seconds: 0, nanoseconds: 0 };

/**
 * Puts a whiteout wherever one of `covering` is missing on disk: without it a mount shows what a lower layer has there.
 *
 * @param place The layer's directory, written but for these.
 * @throws RootfsError `ERR_UNSUPPORTED` where no whiteout can be made
 */
export function coverAbsent(place: string, covering: LayerChanges['covering'], form: WhiteoutForm): void {
  const root = Directory.open(place);
  const chain = new DirectoryChain(root);
  try {
    for (const node of covering) {
      const parent = node.parent as TreeNode;
      const directory = chain.go(nodePath(parent));
      if (lstatSync(directory.at(node.name), { throwIfNoEntry: false }) !== undefined) continue;
      try {
        writeWhiteout(directory, node.name, form);
      } catch (error) {
        if (!/^(EPERM|EINVAL|ENOTSUP|EOPNOTSUPP)$/.test(systemErrorCode(error) ?? '')) throw error;
        throw unsupported(nodePath(node), error);
      }
      form.native.setTimes(directory.self, parent.inode.mtime, true);
    }
  } finally {
    chain.close();
    root.close();
  }
}

function writeWhiteout(directory: Directory, name: string, { native, kind, prefix }: WhiteoutForm): void {
  const path = directory.at(name);
  if (kind === 'device') {
    native.makeDevice(path, 'char', 0, 0, 0);
    native.setTimes(path, EPOCH);
    return;
  }
  const fd = openSync(path, CREATE, 0o600);
  try {
    native.setFileXattr(fd, Buffer.from(`${prefix}whiteout`), Buffer.from('y'));
    fchmodSync(fd, 0);
    native.setFileTimes(fd, EPOCH);
  } finally {
    closeSync(fd);
  }
  // says that such whiteouts are among its names
  native.setFollowedXattr(directory.self, Buffer.from(`${prefix}opaque`), Buffer.from('x'));
}

function unsupported(path: string, cause: unknown): RootfsError {
  const shown = Buffer.from(path, 'latin1').toString();
  return new RootfsError(
    'ERR_UNSUPPORTED',
    `${shown}: neither it nor a whiteout in its place can be made here; try whiteouts: 'xattr', or another file system`,
    { cause, detail: { path: shown } },
  );
}
