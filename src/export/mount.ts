/**
 * A root file system as a mount: nothing is unpacked, the layer tars are the data.
 *
 * This form knows stores, the kernel's mounts and what both need to be undone; it must not know registries. It needs
 * Linux and root.
 */
import { existsSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { BlobDir } from '../content/blob-dir.js';
import type { CallOptions } from '../content/content.js';
import { sweepLocks } from '../content/sweep-ingest.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { withLock } from '../io/lock.js';
import { makeFolders } from '../io/make-folders.js';
import { readMountTable } from '../io/mount-table.js';
import type { Native } from '../io/native.js';
import { bootId } from '../io/process-mark.js';
import type { RootFS } from '../rootfs/rootfs.js';
import type { ErofsLayer } from './erofs.js';
import { closeLayers, openLayers } from './layer-files.js';
import { mountErofs } from './mount-erofs.js';
import { openMetadataImage } from './mount-image.js';
import { explainMount, requireMounting } from './mount-powers.js';
import {
  type MountRecord,
  mountId,
  mountsFolder,
  readMountRecord,
  removeMountRecord,
  writeMountRecord,
} from './mount-record.js';
import { findUpper, makeUpper } from './mount-upper.js';
import { lowerFolder, OVERLAY_SOURCE, realPlace, refuseBusy } from './mountpoint.js';
import { escapeOption, MAX_MOUNT_OPTIONS } from './overlay-facts.js';
import type { Loss } from './unpack-options.js';

/** Options of `mountRootFS`. */
export interface MountOptions extends CallOptions {
  /**
   * A folder for changes: the mount is writable, and what is written lands in `upper/` of this folder. Made when it is
   * missing; given again, the changes are there again; one mount at a time has it. Default: the mount is read-only.
   */
  readonly upper?: string | undefined;
  /** Go on without extended attributes that EROFS cannot hold. Default false. */
  readonly allowLoss?: boolean | undefined;
}

/** What `mountRootFS` made. */
export interface MountResult extends MountRecord {
  /** The metadata image was there already. */
  readonly reused: boolean;
  /** What the mount does not show, under `allowLoss`; of one that is used again too. */
  readonly losses: readonly Loss[];
  /** Extended attributes that are never written, by name or prefix, and how many entries had one. */
  readonly skippedXattrs: Readonly<Record<string, number>>;
}

/**
 * Mounts a root file system on a folder, which is made when it is missing and must be empty.
 *
 * The mount shows what `unpack` writes. File data stays in the layer tars of the store; beside them the metadata image
 * is made, or used again. Whoever mounts a writable one gets an overlay over it, in which a character device 0:0 of
 * the image means a removed name. A record in the store's `mounts/` protects the layers while it stands;
 * `unmountRootFS` takes everything down. A failed mount leaves nothing but the metadata image.
 *
 * @param rootfs The layers, opened from `store`. May be closed afterwards.
 * @param store The folder the layers lie in.
 * @throws RootfsError `ERR_BUSY` (something is mounted there, or lies in the folder; another mount has `upper`), `ERR_PERMISSION`,
 *   `ERR_NATIVE_MISSING`, `ERR_UNSUPPORTED` (the kernel cannot), `ERR_LAYER_INVALID` (a layer changed or went since it
 *   was extracted), what `mergeLayers` and `writeErofs` throw; the signal's reason
 */
export async function mountRootFS(
  rootfs: RootFS,
  mountpoint: string,
  store: string,
  options: MountOptions = {},
): Promise<MountResult> {
  const { signal, onProgress } = options;
  const native = requireMounting();
  throwIfAborted(signal);
  try {
    const place = absolutePath(store, 'store');
    makeRecordsFolder(place);
    // Of mountpoints at which nobody may mount again.
    await sweepLocks(mountsFolder(place));
    const path = realPlace(mountpoint);
    // Two at once for one folder would lie on one another.
    const lock = (what: string): string => join(mountsFolder(place), `${mountId(what)}.lock`);
    const run = (): Promise<MountResult> => new Mounting(native, rootfs, path, place, options).run();
    // Always in this order, and under names of their own: nobody waits for who waits for him.
    const alone =
      options.upper === undefined
        ? run
        : () => withLock(lock(`upper:${realPlace(options.upper ?? '')}`), run, { signal, onProgress });
    return await withLock(lock(path), alone, { signal, onProgress });
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw wrapSystemError(error, mountpoint);
  }
}

function makeRecordsFolder(store: string): void {
  const folder = mountsFolder(store);
  try {
    makeFolders(folder);
  } catch (error) {
    throw wrapSystemError(error, folder, 'the store keeps a record of each mount; name one that may be written');
  }
}

class Mounting {
  readonly #native: Native;
  readonly #rootfs: RootFS;
  readonly #mountpoint: string;
  readonly #store: string;
  readonly #options: MountOptions;
  /** How to take back what was done, the last first. */
  readonly #undo: (() => void)[] = [];

  constructor(native: Native, rootfs: RootFS, mountpoint: string, store: string, options: MountOptions) {
    this.#native = native;
    this.#rootfs = rootfs;
    this.#mountpoint = mountpoint;
    this.#store = store;
    this.#options = options;
  }

  async run(): Promise<MountResult> {
    try {
      return await this.#mount();
    } catch (error) {
      const failed = explainMount(error, this.#mountpoint);
      for (const step of this.#undo.reverse()) {
        try {
          step();
        } catch (cause) {
          failed.message += ` (and cleaning up failed: ${(cause as Error).message})`;
        }
      }
      throw this.#options.signal?.aborted === true ? this.#options.signal.reason : failed;
    }
  }

  async #mount(): Promise<MountResult> {
    const { upper, signal } = this.#options;
    refuseBusy(this.#mountpoint);
    const opened = await openMetadataImage(this.#rootfs, this.#store, this.#options);
    const { path: metadata, devices, reused, losses, skippedXattrs } = opened;
    await this.#checkLayers(devices);
    throwIfAborted(signal);
    const lower = upper === undefined ? undefined : lowerFolder(this.#store, this.#mountpoint);
    const changes = upper === undefined ? undefined : findUpper(this.#store, this.#mountpoint, upper);
    const { image, layers } = this.#rootfs;
    // A run that was killed recorded that it would make the folder.
    const left = readMountRecord(this.#store, this.#mountpoint);
    const made = !existsSync(this.#mountpoint) || left?.madeMountpoint === true;
    const record: MountRecord = {
      version: 1,
      mountpoint: this.#mountpoint,
      image: image.manifest.descriptor.digest,
      layers: layers.map(({ diffId }) => diffId),
      metadata,
      loops: [],
      madeMountpoint: made,
      pid: process.pid,
      boot: bootId(),
      ...(lower === undefined || changes === undefined ? {} : { writable: { lower, upper: changes } }),
    };
    // Before the mount, so that nobody takes the layers away in between, and before the folder that goes with it.
    writeMountRecord(this.#store, record);
    this.#undo.push(() => removeMountRecord(this.#store, this.#mountpoint));
    this.#prepareMountpoint();
    const loops = this.#mountImage(metadata, devices, lower ?? this.#mountpoint, lower !== undefined);
    if (lower !== undefined && changes !== undefined) {
      makeUpper(changes, lower, this.#undo);
      this.#mountOverlay(lower, changes);
    }
    if (loops.length > 0) writeMountRecord(this.#store, { ...record, loops });
    return { ...record, loops, reused, losses, skippedXattrs };
  }

  #prepareMountpoint(): void {
    const path = this.#mountpoint;
    try {
      makeFolders(path, { made: (folder) => this.#undo.push(() => rmdirSync(folder)) });
    } catch (error) {
      throw wrapSystemError(error, path, 'name a folder that is there or can be made');
    }
  }

  /** Each layer is what it was when it was extracted; one that is not is named. */
  async #checkLayers(devices: readonly ErofsLayer[]): Promise<void> {
    const { signal, onProgress } = this.#options;
    const blobs = await BlobDir.open(this.#store);
    for (const { diffId, path, tarBytes } of devices) {
      const found = diffId === undefined ? undefined : await blobs.find(diffId, { signal, onProgress });
      if (found !== undefined && found.size === tarBytes) continue;
      throw new RootfsError(
        'ERR_LAYER_INVALID',
        `${path}: the layer is gone, or changed since it was extracted; run the command again to fetch it anew`,
        { detail: { diffId, path } },
      );
    }
  }

  #mountImage(metadata: string, devices: readonly ErofsLayer[], at: string, isLower: boolean): readonly string[] {
    if (isLower) {
      // Of a run that was killed, or whose overlay was taken down by hand.
      for (const { mountpoint } of readMountTable()) if (mountpoint === at) this.#native.unmount(at);
      makeFolders(at, { made: () => this.#undo.push(() => rmdirSync(at)) });
    }
    const files = openLayers(devices);
    try {
      const { loops } = mountErofs(this.#native, metadata, files, at);
      this.#undo.push(() => this.#native.unmount(at));
      return loops;
    } finally {
      closeLayers(files);
    }
  }

  #mountOverlay(lower: string, changes: string): void {
    const places = [
      ['lowerdir', lower],
      ['upperdir', join(changes, 'upper')],
      ['workdir', join(changes, 'work')],
    ];
    const data = places.map(([name, path]) => `${name}=${escapeOption(path ?? '')}`).join(',');
    if (Buffer.byteLength(data) > MAX_MOUNT_OPTIONS) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `the mount's paths take ${Buffer.byteLength(data)} bytes, and the kernel reads ${MAX_MOUNT_OPTIONS}; choose shorter ones`,
      );
    }
    try {
      this.#native.mount(OVERLAY_SOURCE, this.#mountpoint, 'overlay', 0, data);
      this.#undo.push(() => this.#native.unmount(this.#mountpoint));
    } catch (error) {
      if (systemErrorCode(error) !== 'EINVAL' && systemErrorCode(error) !== 'ENODEV') throw error;
      throw new RootfsError(
        'ERR_UNSUPPORTED',
        `${changes}: overlayfs does not take this folder for changes (${(error as Error).message}); use one on ext4, xfs or tmpfs`,
        { cause: error },
      );
    }
  }
}
