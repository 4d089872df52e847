/** The devices of a thin image: the layer tars that its files lie in. */
import { RootfsError } from '../errors.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { PlannedInodes } from './erofs-inodes.js';

/** Block size of an image whose files lie in layer tars: tar's own. */
export const TAR_BLOCK = 512;
/** Blocks that a number of 32 bits tells apart. */
export const MAX_BLOCKS = 0xffff_fffe;
/** The root's number has 16 bits, and the device table stands before it. */
const MAX_DEVICES = 16_000;

/** Which layer is which device. */
export interface ErofsDevices {
  /** The layers that hold data, by their position; the place in this list is the number of the device, less 1. */
  readonly layers: readonly number[];
  /** The number of the device that holds the data of a layer. */
  readonly deviceOf: ReadonlyMap<number, number>;
}

/**
 * Layers that hold data get a device each, one that stands twice only one.
 *
 * @throws RootfsError `ERR_LIMIT_EXCEEDED`
 */
export function assignDevices(inodes: PlannedInodes, layers: readonly LayerTar[]): ErofsDevices {
  const used = new Set<number>();
  for (let at = 0; at < inodes.length; at += 1) {
    const { data } = inodes.node(at).inode;
    if (data !== undefined) used.add(data.layer);
  }
  const deviceLayers: number[] = [];
  const deviceOf = new Map<number, number>();
  const devices = new Map<string, number>();
  for (const layer of [...used].sort((a, b) => a - b)) {
    const { path } = layers[layer] as LayerTar;
    const device = devices.get(path) ?? deviceLayers.push(layer);
    devices.set(path, device);
    deviceOf.set(layer, device);
  }
  if (deviceLayers.length > MAX_DEVICES) {
    throw new RootfsError(
      'ERR_LIMIT_EXCEEDED',
      `the image has ${deviceLayers.length} layers with files; an EROFS image addresses up to ${MAX_DEVICES}, make a self-contained one`,
    );
  }
  return { layers: deviceLayers, deviceOf };
}

/** The bytes of a layer tar that can be addressed in whole blocks: neither a last one that is cut, nor past 2 TiB. */
export function addressableBytes(layer: LayerTar | undefined): number {
  return Math.min(Math.floor((layer?.tarBytes ?? 0) / TAR_BLOCK), MAX_BLOCKS) * TAR_BLOCK;
}
