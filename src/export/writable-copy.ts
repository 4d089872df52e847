/** A writable copy of a root file system for one run, in milliseconds: overlayfs above something that many share. */
import { chmodSync, chownSync, lstatSync, mkdirSync, realpathSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { Directory } from '../io/directory.js';
import { loadNative, nativeMissing } from '../io/native.js';
import { openDestination } from './destination.js';
import { escapeOption, MAX_MOUNT_OPTIONS, type OverlayFacts, readOverlayFacts, shellQuote } from './overlay-facts.js';
import { readPowers } from './powers.js';
import { skippedXattr } from './skipped-xattr.js';

/** Options of `createWritableCopy`. */
export interface WritableCopyOptions {
  /** Mount it where that is possible. Default true. */
  readonly mount?: boolean | undefined;
}

/** A writable copy. */
export interface WritableCopy {
  /** Absolute path of the directory that holds the others. */
  readonly path: string;
  /** What the run changes. */
  readonly upper: string;
  readonly work: string;
  /** Where the copy is seen once it is mounted. */
  readonly merged: string;
  readonly mounted: boolean;
  /** Why it is not mounted, as a clause. */
  readonly notMounted?: string | undefined;
  /** A shell command that mounts it, for who may. */
  readonly command: string;
  /** Takes the mount away; what was written stays in `upper`. Does nothing where nothing is mounted. */
  unmount(): void;
}

/**
 * Makes a writable copy of `base`, which stays as it is: `upper`, `work` and `merged` in `run`, and a mount on
 * `merged` where this process may mount, as root or as root of a user namespace. Where it may not, the command is in
 * the result and that is no failure.
 *
 * @param base What `writeOverlay` made, or a directory that `unpack` made. It must not change while copies are used.
 * @param run Absent, or an empty directory; on a file system that can carry an overlay's upper directory.
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_NOT_FOUND` (no `base`), `ERR_UNSUPPORTED` (a base whose marks a user
 *   namespace cannot read), `ERR_LAYOUT_INVALID`, `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export function createWritableCopy(base: string, run: string, options: WritableCopyOptions = {}): WritableCopy {
  const { path: lower, facts } = openBase(base);
  const powers = readPowers();
  const userXattr = facts?.userXattr ?? !powers.root;
  if (facts !== undefined && !facts.userXattr && !powers.root) {
    throw new RootfsError(
      'ERR_UNSUPPORTED',
      `${lower}: its marks are for mounts by root, which a user namespace cannot read; write the overlay again with userXattr`,
    );
  }
  const destination = openDestination(run);
  try {
    for (const name of ['upper', 'work', 'merged']) mkdirSync(destination.root.at(name), 0o700);
    likeRoot(
      join(destination.workingPath, 'upper'),
      facts === undefined ? lower : join(lower, facts.links.at(-1) ?? ''),
    );
    destination.commit();
  } catch (error) {
    destination.discard();
    throw wrapSystemError(error, destination.path);
  }
  const { path } = destination;
  const [upper, work, merged] = [join(path, 'upper'), join(path, 'work'), join(path, 'merged')];
  const tail = userXattr ? ',userxattr' : '';
  const relative = facts?.lowerdir ?? '.';
  const shown = `lowerdir=${relative},upperdir=${escapeOption(upper)},workdir=${escapeOption(work)}${tail}`;
  const command = `cd ${shellQuote(lower)} && mount -t overlay overlay -o ${shellQuote(shown)} ${shellQuote(merged)}`;
  const notMounted = options.mount === false ? 'it was not asked for' : mountHere(lower, path, facts, tail, powers.uid);
  let mounted = notMounted === undefined;
  return {
    path,
    upper,
    work,
    merged,
    mounted,
    notMounted,
    command,
    unmount: () => {
      if (mounted) loadNative()?.unmount(merged);
      mounted = false;
    },
  };
}

function openBase(base: string): { readonly path: string; readonly facts: OverlayFacts | undefined } {
  try {
    const path = realpathSync(base);
    if (!lstatSync(path).isDirectory()) {
      throw new RootfsError('ERR_OPTION_INVALID', `${base}: expected a directory to make a writable copy of`);
    }
    return { path, facts: readOverlayFacts(path) };
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, base);
    throw new RootfsError('ERR_NOT_FOUND', `${base}: is not there; unpack the image, or write its overlay first`, {
      cause: error,
    });
  }
}

/** The upper directory is what the root of the mount looks like: it takes the attributes of the root below. */
function likeRoot(upper: string, top: string): void {
  const native = loadNative();
  const root = realpathSync(top);
  const { uid, gid, mode, mtimeNs } = lstatSync(root, { bigint: true });
  try {
    chownSync(upper, Number(uid), Number(gid));
  } catch (error) {
    if (systemErrorCode(error) !== 'EPERM' && systemErrorCode(error) !== 'EINVAL') throw error;
  }
  for (const name of native?.listXattrs(root) ?? []) {
    const value =
      skippedXattr(name.toString('latin1'), 'directory') === undefined ? native?.getXattr(root, name) : undefined;
    try {
      if (value !== undefined) native?.setXattr(upper, name, value);
    } catch (error) {
      if (!['EPERM', 'ENOTSUP', 'EINVAL'].includes(systemErrorCode(error) ?? '')) throw error;
    }
  }
  chmodSync(upper, Number(mode) & 0o7777);
  const seconds = Number(mtimeNs / 1_000_000_000n) - (mtimeNs % 1_000_000_000n < 0n ? 1 : 0);
  const nanoseconds = Number(((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  if (native === undefined) utimesSync(upper, Number(mtimeNs) / 1e9, Number(mtimeNs) / 1e9);
  else native.setTimes(upper, { seconds, nanoseconds });
}

/** Mounts, and answers why not where that is not possible. Paths are those of open directories: nothing can move. */
function mountHere(
  lower: string,
  run: string,
  facts: OverlayFacts | undefined,
  tail: string,
  uid: number,
): string | undefined {
  const native = loadNative();
  if (native === undefined) return nativeMissing();
  if (uid !== 0) return 'only root may mount, or root of a user namespace';
  const open: Directory[] = [];
  const pin = (path: string): string => {
    const directory = Directory.open(path);
    open.push(directory);
    return String(directory.self);
  };
  try {
    const low = pin(lower);
    const above = pin(run);
    const stack =
      facts === undefined
        ? low
        : facts.links
            .toReversed()
            .map((link) => `${low}/${link}`)
            .join(':');
    const data = `lowerdir=${stack},upperdir=${above}/upper,workdir=${above}/work${tail}`;
    if (data.length > MAX_MOUNT_OPTIONS) return `the mount needs more than ${MAX_MOUNT_OPTIONS} bytes of options`;
    native.mount('overlay', `${above}/merged`, 'overlay', 0, data);
    return undefined;
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'EPERM' || errno === 'EACCES') return 'the system does not let this process mount';
    if (errno === 'ENODEV') return 'the kernel has no overlayfs';
    if (errno === 'EINVAL') return 'the file system cannot carry an upper directory of overlayfs';
    throw wrapSystemError(error, join(run, 'merged'));
  } finally {
    for (const directory of open) directory.close();
  }
}
