/** Moves runs of layer tars to their places in a file, in a worker or in this thread. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { loadNative } from '../io/native.js';
import { readLayer, sendLayer } from './layer-files.js';

/** Where runs go: a file that is open in this process. */
export interface RangeTarget {
  readonly fd: number;
}

/** A run: the descriptor of a layer tar, where the run stands in it, where it goes, and its length in bytes. */
export type LayerRange = readonly [fd: number, tarOffset: number, at: number, length: number];

const MOVE_BYTES = 4 * 1024 * 1024;
const COPY_BYTES = 256 * 1024;

/**
 * Moves each run to its place, inside the kernel where it can.
 *
 * The file is opened once more, by its descriptor: its position is nobody else's then.
 *
 * @param checkpoint Called between pieces; throws to stop.
 * @throws RootfsError `ERR_LAYER_INVALID`; the system's own errors
 */
export function writeRanges(target: RangeTarget, ranges: readonly LayerRange[], checkpoint: () => void): void {
  const native = loadNative();
  const own = native === undefined ? undefined : openSync(`/proc/self/fd/${target.fd}`, constants.O_WRONLY);
  try {
    for (const range of ranges) {
      const moved = own === undefined ? 0 : moveRange(own, range, checkpoint);
      copyRange(target.fd, range, moved, checkpoint);
    }
  } finally {
    if (own !== undefined) closeSync(own);
  }
}

/** @returns how many bytes were moved; fewer than there are where this way is not open */
function moveRange(into: number, [fd, tarOffset, at, length]: LayerRange, checkpoint: () => void): number {
  loadNative()?.seek(into, at);
  let moved = 0;
  while (moved < length) {
    checkpoint();
    const now = sendLayer(into, fd, tarOffset + moved, Math.min(MOVE_BYTES, length - moved));
    if (now === 0) break;
    moved += now;
  }
  return moved;
}

function copyRange(into: number, [fd, tarOffset, at, length]: LayerRange, moved: number, checkpoint: () => void): void {
  if (moved === length) return;
  const buffer = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, length - moved));
  for (let done = moved; done < length; ) {
    checkpoint();
    const piece = Math.min(buffer.length, length - done);
    readLayer(fd, buffer, 0, piece, tarOffset + done);
    for (let wrote = 0; wrote < piece; ) wrote += writeSync(into, buffer, wrote, piece - wrote, at + done + wrote);
    done += piece;
  }
}
