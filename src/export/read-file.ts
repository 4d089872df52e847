/** Reads small files of an image through its merged tree: links are resolved inside the root, nothing else is touched. */
import { RootfsError, wrapSystemError } from '../errors.js';
import { findNode } from '../rootfs/find-node.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { checkDataPlace, closeLayers, openLayers, readLayer } from './layer-files.js';

/**
 * Reads the regular file that a path names, symbolic links followed inside the root.
 *
 * @param path From the root, bytes as latin1.
 * @param maxBytes The longest file that is read.
 * @returns `undefined` where there is no such file, or something that is no regular file
 * @throws RootfsError `ERR_LIMIT_EXCEEDED`, `ERR_LAYER_INVALID`, `ERR_NOT_FOUND` (the layer tar), `ERR_FILESYSTEM`
 */
export function readTreeFile(
  tree: MergedTree,
  layers: readonly LayerTar[],
  path: string,
  maxBytes: number,
): Buffer | undefined {
  const node = findNode(tree, path, { links: 'all' });
  if (node?.inode.type !== 'file') return undefined;
  const { size, data } = node.inode;
  if (size > maxBytes) {
    throw new RootfsError(
      'ERR_LIMIT_EXCEEDED',
      `${path}: expected at most ${maxBytes} bytes, found ${size}; make it smaller in the image`,
      {
        detail: { path, size, maxBytes },
      },
    );
  }
  const content = Buffer.alloc(size);
  if (data === undefined) return content;
  checkDataPlace(node.inode, layers, () => path);
  const open = openLayers([layers[data.layer] as LayerTar]);
  try {
    const runs = data.extents ?? [{ fileOffset: 0, tarOffset: data.tarOffset, length: size }];
    for (const run of runs) readLayer(open[0] as number, content, run.fileOffset, run.length, run.tarOffset);
    return content;
  } catch (error) {
    throw wrapSystemError(error, path);
  } finally {
    closeLayers(open);
  }
}
