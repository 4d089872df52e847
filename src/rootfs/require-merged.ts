/** What callers without a type checker hand in where a merged tree and its layers are to be read. */
import { partError } from '../io/part-error.js';
import type { MergedTree } from './tree.js';

/** Checks that there is a tree. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireTree(tree: MergedTree): void {
  const given = tree as Partial<MergedTree> | null | undefined;
  if (given?.root?.inode !== undefined) return;
  throw partError('tree', 'a merged tree', tree, 'await mergeLayers for one');
}

/** Checks that there is a list of layer tars. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireLayers(layers: unknown): void {
  if (!Array.isArray(layers)) {
    throw partError(
      'layers',
      'a list of layer tars',
      layers,
      'give the layers of a RootFS, or what extractLayers gave',
    );
  }
  const wrong = layers.findIndex((layer) => typeof layer?.path !== 'string' || typeof layer.tarBytes !== 'number');
  if (wrong === -1) return;
  throw partError(`layers[${wrong}]`, 'a layer tar with path and tarBytes', layers[wrong], 'extractLayers gives them');
}
