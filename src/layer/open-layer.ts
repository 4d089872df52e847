/** Opening an extracted layer. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { wrapSystemError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import type { LayerHandle } from './layer.js';

/** A layer that is in the store. */
export interface ExtractedLayer {
  readonly diffId: Digest;
  /** Absolute path of the uncompressed tar. */
  readonly path: string;
  readonly tarBytes: number;
}

/** Opens a layer that is in the store, read-only, at its start. @throws RootfsError `ERR_PERMISSION`, `ERR_FILESYSTEM` */
export async function openLayer(descriptor: Descriptor, layer: ExtractedLayer): Promise<LayerHandle> {
  try {
    const file = await open(layer.path, constants.O_RDONLY | constants.O_NOFOLLOW);
    return new OpenLayer(descriptor, layer, file);
  } catch (error) {
    throw wrapSystemError(error, layer.path);
  }
}

/** Closes many handles; each is tried, none of their errors is thrown. */
export async function closeLayers(handles: readonly (LayerHandle | undefined)[]): Promise<void> {
  await Promise.allSettled(handles.map((handle) => handle?.close()));
}

class OpenLayer implements LayerHandle {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  readonly path: string;
  readonly tarBytes: number;
  readonly file: FileHandle;
  #closed: Promise<void> | undefined;

  constructor(descriptor: Descriptor, layer: ExtractedLayer, file: FileHandle) {
    this.descriptor = descriptor;
    this.diffId = layer.diffId;
    this.path = layer.path;
    this.tarBytes = layer.tarBytes;
    this.file = file;
  }

  close(): Promise<void> {
    this.#closed ??= this.file.close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
