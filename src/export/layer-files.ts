/** The layer tars, open for reading while a root file system is written from them. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { Inode } from '../rootfs/tree.js';

/**
 * Opens layer tars; each must be a regular file of the length it is said to have.
 *
 * @returns their descriptors, base first; `closeLayers` closes them
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_LAYER_INVALID`, `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export function openLayers(layers: readonly LayerTar[]): number[] {
  const open: number[] = [];
  try {
    for (const { path, tarBytes } of layers) {
      const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      open.push(fd);
      const stat = fstatSync(fd);
      if (stat.isFile() && stat.size === tarBytes) continue;
      const found = stat.isFile() ? `one of ${stat.size}` : 'something else';
      throw new RootfsError(
        'ERR_LAYER_INVALID',
        `${path}: expected a layer tar of ${tarBytes} bytes, found ${found}; extract it again`,
        { detail: { path, tarBytes } },
      );
    }
    return open;
  } catch (error) {
    closeLayers(open);
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, 'layer tar');
    throw new RootfsError('ERR_NOT_FOUND', `layer tar: ${(error as Error).message}; extract it again`, {
      cause: error,
    });
  }
}

/** Closes what `openLayers` opened. */
export function closeLayers(open: readonly number[]): void {
  for (const fd of open) closeSync(fd);
}

/**
 * Reads exactly `length` bytes at `position` of a layer tar.
 *
 * @throws RootfsError `ERR_LAYER_INVALID` when the tar ends before
 */
export function readLayer(fd: number, into: Buffer, offset: number, length: number, position: number): void {
  for (let done = 0; done < length; ) {
    const read = readSync(fd, into, offset + done, length - done, position + done);
    if (read === 0) {
      throw new RootfsError(
        'ERR_LAYER_INVALID',
        `layer tar: expected ${length} bytes at ${position}, found ${done}; it was cut while it was read, extract the layer again`,
      );
    }
    done += read;
  }
}

const WINDOW_BYTES = 128 * 1024;
const FIRST_AHEAD = 8 * 1024;
/** Neighbours in a tar are this close: headers stand between them. */
const NEAR = 8 * 1024;

/** Reads small runs of layer tars; where they follow one another, many at once. */
export class LayerReader {
  readonly #window = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  #fd = -1;
  #start = 0;
  #end = 0;
  #last = 0;
  #ahead = 0;

  /** As `readLayer`. */
  read(fd: number, into: Buffer, offset: number, length: number, position: number): void {
    const near = fd === this.#fd && position >= this.#last && position - this.#last <= NEAR;
    // The window holds bytes of the file that was read last, and of no other.
    if (fd !== this.#fd) this.#end = this.#start = 0;
    if (position >= this.#start && position + length <= this.#end) {
      this.#window.copy(into, offset, position - this.#start, position - this.#start + length);
    } else {
      this.#ahead = near ? Math.min(Math.max(this.#ahead * 2, FIRST_AHEAD), WINDOW_BYTES) : 0;
      if (length < this.#ahead) {
        this.#end = this.#start = 0;
        const read = readSync(fd, this.#window, 0, this.#ahead, position);
        this.#start = position;
        this.#end = position + read;
        const held = Math.min(read, length);
        this.#window.copy(into, offset, 0, held);
        if (held < length) readLayer(fd, into, offset + held, length - held, position + held);
      } else {
        readLayer(fd, into, offset, length, position);
      }
    }
    this.#fd = fd;
    this.#last = position + length;
  }
}

/**
 * Checks that a file's data lies inside its layer tar and inside the file.
 *
 * @param shown The file's path, for the message.
 * @throws RootfsError `ERR_LAYER_INVALID`
 */
export function checkDataPlace(inode: Inode, layers: readonly LayerTar[], shown: () => string): void {
  const { data, size } = inode;
  if (data === undefined) return;
  const tarBytes = layers[data.layer]?.tarBytes ?? -1;
  // Nearly every file is one run: no list is made for it.
  if (data.extents === undefined && size >= 0 && data.tarOffset >= 0 && data.tarOffset + size <= tarBytes) return;
  const runs = data.extents ?? [{ fileOffset: 0, tarOffset: data.tarOffset, length: size }];
  for (const run of runs) {
    const inTar = run.tarOffset >= 0 && run.length >= 0 && run.tarOffset + run.length <= tarBytes;
    if (inTar && run.fileOffset >= 0 && run.fileOffset + run.length <= size) continue;
    throw new RootfsError(
      'ERR_LAYER_INVALID',
      `${shown()}: its data (${run.length} bytes at ${run.tarOffset}) lies outside layer ${data.layer}, a tar of ${tarBytes} bytes; extract the layers again`,
    );
  }
}
