/** What a store remembers of its mounts: `mounts/<id>.json`, one a mountpoint, so that nobody prunes layers in use. */
import { createHash } from 'node:crypto';
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { makeFolders } from '../io/make-folders.js';
import { readMountTable } from '../io/mount-table.js';
import { readOwn } from '../io/own-file.js';
import { bootId } from '../io/process-mark.js';
import type { Digest } from '../spec/digest.js';
import { workingPath } from './working-name.js';

/** One mount of an image. */
export interface MountRecord {
  readonly version: 1;
  /** Absolute path, links resolved. */
  readonly mountpoint: string;
  /** Digest of the image's manifest. */
  readonly image: Digest;
  /** The diffIDs of all its layers, base first. */
  readonly layers: readonly Digest[];
  /** Absolute path of the metadata image. */
  readonly metadata: string;
  /** Loop devices it uses; they go with the mount. */
  readonly loops: readonly string[];
  /** A writable mount: where the image itself is mounted, and the folder of the changes. */
  readonly writable?: { readonly lower: string; readonly upper: string } | undefined;
  /** The mountpoint was made for the mount, and goes with it. */
  readonly madeMountpoint: boolean;
  /** The process that mounted. */
  readonly pid: number;
  /** Tells a machine's boots apart: no mount outlives one. */
  readonly boot: string;
}

/** A record, and whether something is still mounted there. */
export interface ListedMount extends MountRecord {
  readonly mounted: boolean;
}

/** The folder of a store's mount records. */
export function mountsFolder(store: string): string {
  return join(store, 'mounts');
}

/** The name of a mountpoint in the folder of records. */
export function mountId(mountpoint: string): string {
  return createHash('sha256').update(mountpoint).digest('hex').slice(0, 24);
}

/**
 * Writes a record, replacing one of the same mountpoint, in one step.
 *
 * @throws RootfsError `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; nothing new is left then
 */
export function writeMountRecord(store: string, record: MountRecord): void {
  const folder = mountsFolder(store);
  const path = join(folder, `${mountId(record.mountpoint)}.json`);
  let temporary: string | undefined;
  try {
    makeFolders(folder);
    temporary = workingPath(path);
    writeFileSync(temporary, `${JSON.stringify(record)}\n`, { flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    if (temporary !== undefined) rmSync(temporary, { force: true });
    throw wrapSystemError(error, path);
  }
}

/** The record of a mountpoint; `undefined` where there is none that can be read. */
export function readMountRecord(store: string, mountpoint: string): MountRecord | undefined {
  return readRecord(join(mountsFolder(store), `${mountId(mountpoint)}.json`));
}

/** Forgets a mount. */
export function removeMountRecord(store: string, mountpoint: string): void {
  rmSync(join(mountsFolder(store), `${mountId(mountpoint)}.json`), { force: true });
}

/**
 * The mounts that a store knows of. One whose machine was started again since, or that somebody took down by hand, is
 * listed as not mounted. Mounts that only other mount namespaces see are, too.
 *
 * A folder that is not there is empty.
 *
 * @throws RootfsError `ERR_PERMISSION`, `ERR_FILESYSTEM` where it cannot be read, `ERR_OPTION_INVALID`
 */
export function listMounts(store: string): ListedMount[] {
  const folder = mountsFolder(absolutePath(store, 'store'));
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw wrapSystemError(error, folder);
  }
  const boot = bootId();
  const mountpoints = new Set(readMountTable().map(({ mountpoint }) => mountpoint));
  const records = names.filter((name) => name.endsWith('.json')).sort();
  return records.flatMap((name) => {
    const record = readRecord(join(folder, name));
    if (record === undefined) return [];
    return [{ ...record, mounted: record.boot === boot && mountpoints.has(record.mountpoint) }];
  });
}

function readRecord(path: string): MountRecord | undefined {
  try {
    const record = JSON.parse(readOwn(path)) as MountRecord;
    const sound =
      record.version === 1 &&
      typeof record.mountpoint === 'string' &&
      typeof record.image === 'string' &&
      Array.isArray(record.layers) &&
      Array.isArray(record.loops);
    return sound ? record : undefined;
  } catch {
    return undefined;
  }
}
