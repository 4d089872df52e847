/** Owner, mode, extended attributes and times of what was just written, in the order in which none undoes another. */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  lutimesSync,
  openSync,
  utimesSync,
} from 'node:fs';
import { canPinDirectories, type Directory, type RawPath } from '../io/directory.js';
import type { Native, NativeTime } from '../io/native.js';
import type { PlannedEntry, Xattr } from './unpack-plan.js';

const O_PATH = 0x200000;

/** How attributes are set in this run. */
export interface AttributeContext {
  readonly native: Native | undefined;
  /** Without root, an attribute needs the file to be writable by its mode: attributes come before the mode then. */
  readonly root: boolean;
  /** Told of each attribute that could not be set; throws where that is an error. */
  xattrFailed(entry: PlannedEntry, xattr: Xattr, error: unknown): void;
  /** Told of an owner that could not be set; throws where that is an error. */
  ownerFailed(entry: PlannedEntry, error: unknown): void;
}

/** Sets the attributes of an open regular file. `modeDone`: it was created with its mode already. */
export function setFileAttributes(fd: number, entry: PlannedEntry, modeDone: boolean, context: AttributeContext): void {
  const { native } = context;
  owner(entry, context, (uid, gid) => fchownSync(fd, uid, gid));
  if (context.root && !modeDone) fchmodSync(fd, entry.mode);
  xattrs(entry, context, (name, value) => native?.setFileXattr(fd, name, value));
  if ((!context.root && !modeDone) || hasAcl(entry)) fchmodSync(fd, entry.mode);
  if (native === undefined || isWhole(entry)) futimesSync(fd, seconds(entry), seconds(entry));
  else native.setFileTimes(fd, time(entry));
}

/** Sets the attributes of an open directory. */
export function setDirectoryAttributes(directory: Directory, entry: PlannedEntry, context: AttributeContext): void {
  setPathAttributes(directory.self, entry, context);
}

/** Sets the attributes of a symbolic link; it has no mode. */
export function setLinkAttributes(path: RawPath, entry: PlannedEntry, context: AttributeContext): void {
  const { native } = context;
  owner(entry, context, (uid, gid) => lchownSync(path, uid, gid));
  xattrs(entry, context, (name, value) => native?.setXattr(path, name, value));
  if (native === undefined) lutimesSync(path, seconds(entry), seconds(entry));
  else native.setTimes(path, time(entry));
}

/** Sets the attributes of a device or FIFO, pinned so that a name swapped meanwhile is not followed. */
export function setNodeAttributes(path: RawPath, entry: PlannedEntry, context: AttributeContext): void {
  if (!canPinDirectories()) {
    setPathAttributes(path, entry, context);
    return;
  }
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  try {
    setPathAttributes(`/proc/self/fd/${fd}`, entry, context);
  } finally {
    closeSync(fd);
  }
}

/** For paths that reach the inode itself when they are followed. */
function setPathAttributes(path: RawPath, entry: PlannedEntry, context: AttributeContext): void {
  const { native } = context;
  owner(entry, context, (uid, gid) => chownSync(path, uid, gid));
  if (context.root) chmodSync(path, entry.mode);
  xattrs(entry, context, (name, value) => native?.setFollowedXattr(path, name, value));
  if (!context.root || hasAcl(entry)) chmodSync(path, entry.mode);
  if (native === undefined) utimesSync(path, seconds(entry), seconds(entry));
  else native.setTimes(path, time(entry), true);
}

function owner(entry: PlannedEntry, context: AttributeContext, set: (uid: number, gid: number) => void): void {
  if (entry.uid < 0) return;
  try {
    set(entry.uid, entry.gid);
  } catch (error) {
    context.ownerFailed(entry, error);
  }
}

function xattrs(entry: PlannedEntry, context: AttributeContext, set: (name: Buffer, value: Buffer) => void): void {
  for (const xattr of entry.detail?.xattrs ?? []) {
    const [name, value] = xattr;
    try {
      set(Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1'));
    } catch (error) {
      context.xattrFailed(entry, xattr, error);
    }
  }
}

/** Whether it has an ACL: setting one changes the mode, which is then set again, as containerd and moby do. */
function hasAcl({ detail }: PlannedEntry): boolean {
  return detail?.xattrs?.some(([name]) => name === 'system.posix_acl_access') === true;
}

/** Whether Node's own calls keep the time exactly: they take seconds as a double, and lose it below the epoch. */
function isWhole({ seconds: whole, nanoseconds }: PlannedEntry): boolean {
  return nanoseconds === 0 && whole >= 0;
}

function seconds(entry: PlannedEntry): number {
  return entry.seconds + entry.nanoseconds / 1e9;
}

function time(entry: PlannedEntry): NativeTime {
  return { seconds: entry.seconds, nanoseconds: entry.nanoseconds };
}
