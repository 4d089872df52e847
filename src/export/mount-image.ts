/**
 * The metadata image of a mount: kept beside the layers as `erofs/<hex>.erofs`, made when it is missing. What of the
 * image it does not hold stands in `erofs/<hex>.json`.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { makeFolders } from '../io/make-folders.js';
import { removeWhatCanBe } from '../io/remove-tree.js';
import type { ProgressListener } from '../progress.js';
import { mergeLayers } from '../rootfs/merge.js';
import type { RootFS } from '../rootfs/rootfs.js';
import { deviceTag, type ErofsLayer, writeErofs } from './erofs.js';
import { readSuperblock } from './erofs-format.js';
import { warnOfSkipped } from './skipped-xattr.js';
import type { Loss } from './unpack-options.js';
import { workingPath } from './working-name.js';

/** A metadata image and the layers it needs, in its order. */
export interface MetadataImage {
  readonly path: string;
  readonly devices: readonly ErofsLayer[];
  /** It was there already. */
  readonly reused: boolean;
  readonly losses: readonly Loss[];
  /** Extended attributes that are never written, by name or prefix, and how many entries had one. */
  readonly skippedXattrs: Readonly<Record<string, number>>;
}

/** Superblock and the largest device table there is. */
const HEAD_BYTES = 2 * 1024 * 1024 + 2048;

/** What a metadata image does not hold of the root file system it was made from. */
type Missing = Pick<MetadataImage, 'losses' | 'skippedXattrs'>;

/**
 * The metadata image of a root file system in a store. One that is there and sound is used again, unless it was made
 * with losses and none are allowed.
 *
 * @throws RootfsError as `mergeLayers` and `writeErofs`; the signal's reason
 */
export async function openMetadataImage(
  rootfs: RootFS,
  store: string,
  options: {
    readonly allowLoss?: boolean | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: ProgressListener | undefined;
  },
): Promise<MetadataImage> {
  const { digest } = rootfs.image.manifest.descriptor;
  const folder = join(store, 'erofs');
  const name = digest.slice(digest.indexOf(':') + 1);
  const path = join(folder, `${name}.erofs`);
  const facts = join(folder, `${name}.json`);
  const missing = knownMissing(facts);
  if (missing !== undefined && (missing.losses.length === 0 || options.allowLoss === true)) {
    const known = knownDevices(path, rootfs.layers);
    if (known !== undefined) {
      warnOfSkipped(missing.skippedXattrs, options);
      return { path, devices: known, reused: true, ...missing };
    }
  }
  makeFolders(folder);
  const tree = await mergeLayers(rootfs.layers, { signal: options.signal });
  const written = await writeErofs(tree, rootfs.layers, path, { ...options, data: 'layers' });
  const { devices, losses, skippedXattrs } = written;
  // Whoever makes the image of a manifest loses the same or fails: it does not matter whose facts these are.
  writeMissing(facts, { losses, skippedXattrs });
  return { path, devices, reused: false, losses, skippedXattrs };
}

/** What an image on disk does not hold; `undefined` where nobody said, or somebody else did: then it is made anew. */
function knownMissing(path: string): Missing | undefined {
  const text = ifOwn(path, (fd) => readFileSync(fd, 'utf8'));
  try {
    const { losses, skippedXattrs } = JSON.parse(text ?? '') as Missing;
    return Array.isArray(losses) && typeof skippedXattrs === 'object' ? { losses, skippedXattrs } : undefined;
  } catch {
    return undefined;
  }
}

function writeMissing(path: string, missing: Missing): void {
  const temporary = workingPath(path);
  try {
    writeFileSync(temporary, `${JSON.stringify(missing)}\n`, { flag: 'wx', mode: 0o644 });
    renameSync(temporary, path);
  } catch (error) {
    removeWhatCanBe(temporary);
    throw wrapSystemError(error, path);
  }
}

/** The layers that an image on disk needs; `undefined` where it is not there, not sound, or not of these layers. */
function knownDevices(path: string, layers: readonly ErofsLayer[]): ErofsLayer[] | undefined {
  return ifOwn(path, (fd, size) => {
    const head = Buffer.alloc(Math.min(HEAD_BYTES, size));
    readSync(fd, head, 0, head.length, 0);
    const facts = readSuperblock(head);
    if (facts === undefined || facts.imageBytes !== size || facts.blockSize !== 512) return undefined;
    const byTag = new Map(layers.map((layer) => [deviceTag(layer.diffId), layer]));
    const devices = facts.tags.flatMap((tag) => byTag.get(tag) ?? []);
    return devices.length === facts.tags.length ? devices : undefined;
  });
}

/** Reads a file that is there and this user's own. The kernel will read it: what others may have written is no good. */
function ifOwn<T>(path: string, read: (fd: number, size: number) => T): T | undefined {
  let fd: number;
  try {
    // A pipe would be waited for.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const found = fstatSync(fd);
    const isOwn = found.isFile() && found.uid === process.geteuid?.() && (found.mode & 0o022) === 0;
    return isOwn ? read(fd, found.size) : undefined;
  } finally {
    closeSync(fd);
  }
}
