/**
 * EROFS images from a merged tree, in two forms: over the layer tars, and self-contained.
 *
 * Over the layer tars, the image holds names, attributes and places only. Its block is tar's, 512 bytes, so that a file
 * is addressed where it lies in the uncompressed layer; each layer that holds data is an extra device. It mounts from
 * Linux 6.4 on (blocks smaller than a page), from plain files from 6.12 on. Self-contained, it holds the data too, in
 * blocks of 4 KiB, and any kernel with EROFS reads it (5.4; with sparse files 5.15).
 *
 * This form knows the tree and where data lies; it must not know images, mounts or loop devices.
 */

import type { CallOptions } from '../content/content.js';
import { RootfsError, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import type { LayerTar } from '../rootfs/merge.js';
import { requireLayers, requireTree } from '../rootfs/require-merged.js';
import type { MergedTree } from '../rootfs/tree.js';
import type { Digest } from '../spec/digest.js';
import { planErofs } from './erofs-plan.js';
import { writePlannedErofs } from './erofs-write.js';
import type { Form } from './form.js';
import { intoPlace, requireReplaceable } from './image-file.js';
import { closeLayers, openLayers } from './layer-files.js';
import { warnOfSkipped } from './skipped-xattr.js';
import type { Loss } from './unpack-options.js';
import { appendVerity, type VerityRoot } from './verity.js';

/** A layer of an EROFS image. A `LayerHandle` is one. */
export interface ErofsLayer extends LayerTar {
  /** Names the device in the image and enters its identity; absent: the device has no name. */
  readonly diffId?: Digest | undefined;
}

/** Options of `writeErofs`. */
export interface ErofsOptions extends CallOptions {
  /** Where file data lies: `'image'` (default) copies it into the image, `'layers'` addresses it in the layer tars. */
  readonly data?: 'image' | 'layers' | undefined;
  /** Appends a dm-verity hash tree and tells its root hash. Default false. It covers the image, not the layer tars. */
  readonly verity?: boolean | undefined;
  /** Go on without extended attributes that EROFS cannot hold. Default false. */
  readonly allowLoss?: boolean | undefined;
  /** What the chunks of sparse files may take besides their data, in bytes. Default 1 GiB. */
  readonly maxSparseBytes?: number | undefined;
}

/** What `writeErofs` wrote. */
export interface ErofsResult {
  /** Absolute path of the image. */
  readonly path: string;
  /** Length of the EROFS image in bytes; a verity tree follows it. */
  readonly imageBytes: number;
  readonly uuid: string;
  /** The layer tars that must be given to the kernel as devices, in this order; none for a self-contained image. */
  readonly devices: readonly ErofsLayer[];
  readonly verity?: VerityRoot | undefined;
  readonly losses: readonly Loss[];
  /** Extended attributes that are never written, by name or prefix, and how many entries had one. */
  readonly skippedXattrs: Readonly<Record<string, number>>;
}

/**
 * Writes a merged tree as an EROFS image.
 *
 * The same tree over the same layers gives the same bytes, its UUID among them. Every path, type, mode, owner, time to
 * the nanosecond, extended attribute and hard link is kept; `security.selinux` and the attributes of overlayfs are
 * never written, as `unpack` does, and a warning says so. The file appears under its name when it is complete; one that is there is replaced.
 *
 * @param layers What the tree was made from, base first.
 * @param out Path of the image: a new name, or a regular file.
 * @throws RootfsError `ERR_UNSUPPORTED` (a name, link or device that EROFS cannot hold), `ERR_WOULD_LOSE` (an extended
 *   attribute), `ERR_LIMIT_EXCEEDED`, `ERR_LAYER_INVALID` and `ERR_NOT_FOUND` (a layer tar), `ERR_OPTION_INVALID`,
 *   `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; the signal's reason
 * @see https://erofs.docs.kernel.org/en/latest/core_ondisk.html
 * @see https://www.kernel.org/doc/html/v6.18/filesystems/erofs.html
 */
export async function writeErofs(
  tree: MergedTree,
  layers: readonly ErofsLayer[],
  out: string,
  options: ErofsOptions = {},
): Promise<ErofsResult> {
  const { data = 'image', verity = false, allowLoss = false, maxSparseBytes = 2 ** 30, signal, onProgress } = options;
  if (data !== 'image' && data !== 'layers') {
    throw new RootfsError('ERR_OPTION_INVALID', `data: ${JSON.stringify(data)} is unknown; use image or layers`);
  }
  if (!Number.isSafeInteger(maxSparseBytes) || maxSparseBytes < 0) {
    throw new RootfsError('ERR_OPTION_INVALID', `maxSparseBytes: expected a number of bytes, found ${maxSparseBytes}`);
  }
  requireTree(tree);
  requireLayers(layers);
  throwIfAborted(signal);
  const path = absolutePath(out, 'out');
  requireReplaceable(path);
  const plan = await planErofs({
    tree,
    layers,
    layersAsDevices: data === 'layers',
    allowLoss,
    maxSparseBytes,
    signal,
  });
  const devices = plan.devices.map((at) => layers[at] as ErofsLayer);
  const files = openLayers(layers);
  try {
    const result: ErofsResult = await intoPlace(path, async ({ fd }) => {
      const written = await writePlannedErofs(fd, {
        plan,
        tree,
        layers,
        files,
        tags: devices.map(({ diffId }) => deviceTag(diffId)),
        identity: layers.map(({ diffId, tarBytes }) => `${diffId ?? ''} ${tarBytes}`),
        signal,
        onProgress,
      });
      const { bytes: imageBytes, uuid } = written;
      const root = verity ? await appendVerity(fd, imageBytes, plan.blockSize, uuid, signal) : undefined;
      return {
        path,
        imageBytes,
        uuid: formatUuid(uuid),
        devices,
        losses: plan.losses.list(),
        skippedXattrs: Object.fromEntries(plan.skippedXattrs),
        ...(root === undefined ? {} : { verity: root }),
      };
    });
    warnOfSkipped(result.skippedXattrs, options);
    return result;
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw wrapSystemError(error, path);
  } finally {
    closeLayers(files);
  }
}

/** What the device table calls a layer: the first 64 characters of its diffID's hex, all of them for sha256. */
export function deviceTag(diffId: Digest | undefined): string {
  return diffId === undefined ? '' : diffId.slice(diffId.indexOf(':') + 1, diffId.indexOf(':') + 65);
}

function formatUuid(uuid: Buffer): string {
  return uuid.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** The form `erofs`: one self-contained image. */
export const erofsForm: Form = {
  name: 'erofs',
  summary: 'one read-only EROFS image that holds everything',
  makes: 'file',
  async write(input, dst, options) {
    const detail = await writeErofs(await input.tree(), input.layers, dst, options);
    return { form: 'erofs', path: detail.path, detail };
  },
};
