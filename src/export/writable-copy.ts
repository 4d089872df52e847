/** A writable copy of a root file system for one run, in milliseconds: overlayfs above something that many share. */
import { lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { Directory } from '../io/directory.js';
import { readMountTable } from '../io/mount-table.js';
import { loadNative, nativeMissing } from '../io/native.js';
import { emptyDirectory, removeEntry } from '../io/remove-tree.js';
import { shellQuote } from '../io/shell-quote.js';
import { discardAfter, openDestination } from './destination.js';
import { parseIdMap } from './id-map.js';
import { letRootPass } from './let-root-pass.js';
import { likeRoot } from './like-root.js';
import { realPlace } from './mountpoint.js';
import { escapeOption, MAX_MOUNT_OPTIONS, type OverlayFacts, readOverlayFacts } from './overlay-facts.js';
import { readPowers } from './powers.js';

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
  /**
   * Takes the mount away; what was written stays in `upper`. Does nothing where nothing is mounted.
   *
   * @throws RootfsError `ERR_BUSY` (somebody uses it), `ERR_PERMISSION`, `ERR_FILESYSTEM`; it may be called again
   */
  unmount(): void;
}

/**
 * Makes a writable copy of `base`, which stays as it is: `upper`, `work` and `merged` in `run`, and a mount on
 * `merged` where this process may mount, as root or as root of a user namespace. Where it may not, the command is in
 * the result and that is no failure. `run` is for its owner alone; over an overlay with id maps, root of their user
 * namespace may pass through it.
 *
 * @param base What `writeOverlay` made, or a directory that `unpack` made. It must not change while copies are used.
 * @param run Absent, or an empty directory; on a file system that can carry an overlay's upper directory.
 * @throws RootfsError `ERR_OPTION_INVALID` (also where `run` holds the changes of an earlier run; the message says how
 *   to mount them again), `ERR_BUSY` (an earlier copy is mounted there), `ERR_NOT_FOUND` (no `base`),
 *   `ERR_UNSUPPORTED` (a base whose marks a user namespace cannot read), `ERR_LAYOUT_INVALID`, `ERR_PERMISSION`,
 *   `ERR_FILESYSTEM`. What was made for a copy that fails is gone again.
 */
export function createWritableCopy(base: string, run: string, options: WritableCopyOptions = {}): WritableCopy {
  const { path: lower, facts } = openBase(base);
  const place = absolutePath(run, 'run');
  const powers = readPowers();
  const userXattr = facts?.userXattr ?? !powers.root;
  if (facts !== undefined && !facts.userXattr && !powers.root) {
    throw new RootfsError(
      'ERR_UNSUPPORTED',
      `${lower}: its marks are for mounts by root, which a user namespace cannot read; write the overlay again with userXattr`,
    );
  }
  const tail = userXattr ? ',userxattr' : '';
  const commandFor = (path: string): string => mountCommand(lower, path, facts, tail);
  const wasThere = lookAt(place, facts === undefined ? lower : join(lower, 'layers'), commandFor);
  const destination = openDestination(place);
  try {
    for (const name of ['upper', 'work', 'merged']) mkdirSync(destination.root.at(name), 0o700);
    likeRoot(
      join(destination.workingPath, 'upper'),
      facts === undefined ? lower : join(lower, facts.links.at(-1) ?? ''),
    );
    if (powers.root) letRootPass(destination, facts?.origin?.gidMap.split(',').filter(Boolean).map(parseIdMap));
    destination.commit();
  } catch (error) {
    const failed = wrapSystemError(error, destination.path);
    discardAfter(failed, destination);
    throw failed;
  }
  const { path } = destination;
  const [upper, work, merged] = [join(path, 'upper'), join(path, 'work'), join(path, 'merged')];
  const command = commandFor(path);
  let notMounted: string | undefined;
  try {
    notMounted = options.mount === false ? 'it was not asked for' : mountHere(lower, path, facts, tail, powers.uid);
  } catch (error) {
    takeBack(path, wasThere);
    throw error;
  }
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
      if (mounted) takeDown(merged);
      mounted = false;
    },
  };
}

function takeDown(merged: string): void {
  try {
    loadNative()?.unmount(merged);
  } catch (error) {
    if (systemErrorCode(error) !== 'EBUSY') throw wrapSystemError(error, merged);
    throw new RootfsError('ERR_BUSY', `${merged}: somebody still uses it; end what runs there, and unmount it again`, {
      cause: error,
      detail: { path: merged },
    });
  }
}

function mountCommand(lower: string, run: string, facts: OverlayFacts | undefined, tail: string): string {
  const [upper, work] = [join(run, 'upper'), join(run, 'work')];
  const shown = `lowerdir=${facts?.lowerdir ?? '.'},upperdir=${escapeOption(upper)},workdir=${escapeOption(work)}${tail}`;
  const merged = shellQuote(join(run, 'merged'));
  return `cd ${shellQuote(lower)} && mount -t overlay overlay -o ${shellQuote(shown)} ${merged}`;
}

/** Refuses a place for a copy. @returns whether something is there */
function lookAt(run: string, shared: string, commandFor: (path: string) => string): boolean {
  try {
    refuseEarlierCopy(run, commandFor);
    const path = realPlace(run);
    if (path.startsWith(`${shared}/`)) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `${path}: lies in ${shared}, which all copies share and which must stay as it is; choose another path`,
        { detail: { path } },
      );
    }
    return statSync(run, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw wrapSystemError(error, run, 'name a folder that is empty, or that can be made');
  }
}

/** After a restart of the machine the changes of a run are there and its mount is not: say how to have it back. */
function refuseEarlierCopy(run: string, commandFor: (path: string) => string): void {
  const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  // First the run itself: below a file Node 20 fails, and later ones see nothing.
  if (!['', 'upper', 'work', 'merged'].every((name) => isFolder(join(run, name)))) return;
  const path = realpathSync(run);
  const merged = join(path, 'merged');
  if (readMountTable().some(({ mountpoint }) => mountpoint === merged)) {
    throw new RootfsError(
      'ERR_BUSY',
      `${merged}: a writable copy is mounted there; use it, or take it down with umount`,
      {
        detail: { path },
      },
    );
  }
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    // Which image it was is written nowhere; over another one they would be a mixture of both.
    `${path}: holds the changes of an earlier run; choose another path, or, if it was one of the same image, mount them again: ${commandFor(path)}`,
    { detail: { path } },
  );
}

/** Nothing is mounted in it. Best effort: the failure that led here is what the caller must hear. */
function takeBack(path: string, wasThere: boolean): void {
  const parent = Directory.open(wasThere ? path : dirname(path));
  try {
    if (wasThere) emptyDirectory(parent);
    else removeEntry(parent, Buffer.from(basename(path)).toString('latin1'));
  } catch {
    // What cannot be removed stays.
  } finally {
    parent.close();
  }
}

function openBase(base: string): { readonly path: string; readonly facts: OverlayFacts | undefined } {
  try {
    const path = realpathSync(absolutePath(base, 'base'));
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
    if (errno === 'EINVAL')
      return 'the file system cannot carry an upper directory of overlayfs, or the base is a copy of a copy';
    throw wrapSystemError(error, join(run, 'merged'), `look whether ${lower} is whole, or write it again`);
  } finally {
    for (const directory of open) directory.close();
  }
}
