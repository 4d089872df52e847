/** The metadata image of a mount: kept beside the layers as `erofs/<hex>.erofs`, made when it is missing. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.js';
import { makeFolders } from '../io/make-folders.js';
import type { ProgressListener } from '../progress.js';
import { mergeLayers } from '../rootfs/merge.js';
import type { RootFS } from '../rootfs/rootfs.js';
import { deviceTag, type ErofsLayer, writeErofs } from './erofs.js';
import { readSuperblock } from './erofs-format.js';

/** A metadata image and the layers it needs, in its order. */
export interface MetadataImage {
  readonly path: string;
  readonly devices: readonly ErofsLayer[];
  /** It was there already. */
  readonly reused: boolean;
}

/** Superblock and the largest device table there is. */
const HEAD_BYTES = 2 * 1024 * 1024 + 2048;

/**
 * The metadata image of a root file system in a store. One that is there and sound is used again.
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
  const path = join(folder, `${digest.slice(digest.indexOf(':') + 1)}.erofs`);
  const known = knownDevices(path, rootfs.layers);
  if (known !== undefined) return { path, devices: known, reused: true };
  makeFolders(folder);
  const tree = await mergeLayers(rootfs.layers, { signal: options.signal });
  const { devices } = await writeErofs(tree, rootfs.layers, path, { ...options, data: 'layers' });
  return { path, devices, reused: false };
}

/** The layers that an image on disk needs; `undefined` where it is not there, not sound, or not of these layers. */
function knownDevices(path: string, layers: readonly ErofsLayer[]): ErofsLayer[] | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size, uid, mode } = fstatSync(fd);
    // The kernel will read it: what somebody else may have written is made anew.
    if (uid !== process.geteuid?.() || (mode & 0o022) !== 0) return undefined;
    const head = Buffer.alloc(Math.min(HEAD_BYTES, size));
    readSync(fd, head, 0, head.length, 0);
    const facts = readSuperblock(head);
    if (facts === undefined || facts.imageBytes !== size || facts.blockSize !== 512) return undefined;
    const byTag = new Map(layers.map((layer) => [deviceTag(layer.diffId), layer]));
    const devices = facts.tags.flatMap((tag) => byTag.get(tag) ?? []);
    return devices.length === facts.tags.length ? devices : undefined;
  } finally {
    closeSync(fd);
  }
}
