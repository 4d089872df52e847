/** Loop devices: a file as a block device, read-only, gone by itself when its last user is. Linux, root. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import type { Native } from './native.js';

/** A file that is a block device now. */
export interface LoopDevice {
  /** `/dev/loop0`, … */
  readonly path: string;
  /** Lets go of it. A device that is mounted stays until it is unmounted; any other is free at once. */
  close(): void;
}

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const LOOP_CLR_FD = 0x4c01;
const CONFIG_BYTES = 304;
const INFO_AT = 8;
const FLAGS_AT = INFO_AT + 52;
const READ_ONLY = 1;
const AUTOCLEAR = 4;
/** Others may take the device between asking for a free one and setting it up. */
const ATTEMPTS = 32;

/**
 * Makes a block device of an open file.
 *
 * @param fd Open for reading; may be closed afterwards.
 * @throws the system's error: `ENOENT` or `EACCES` where there is no `/dev/loop-control`
 */
export function attachLoop(native: Native, fd: number): LoopDevice {
  const control = openSync('/dev/loop-control', 'r+');
  try {
    for (let attempt = 1; ; attempt += 1) {
      const path = `/dev/loop${native.ioctl(control, LOOP_CTL_GET_FREE, 0)}`;
      const loop = openSync(path, 'r');
      try {
        const config = Buffer.alloc(CONFIG_BYTES);
        config.writeUInt32LE(fd, 0);
        config.writeUInt32LE(READ_ONLY | AUTOCLEAR, FLAGS_AT);
        native.ioctl(loop, LOOP_CONFIGURE, config);
        return { path, close: once(() => closeSync(loop)) };
      } catch (error) {
        closeSync(loop);
        if (systemErrorCode(error) !== 'EBUSY' || attempt === ATTEMPTS) throw error;
      }
    }
  } finally {
    closeSync(control);
  }
}

/** The file behind a loop device, as the kernel tells; `undefined` for one that is free or is none. */
export function loopBacking(path: string): string | undefined {
  const name = /^\/dev\/(loop\d+)$/.exec(path)?.[1];
  if (name === undefined) return undefined;
  try {
    return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trimEnd();
  } catch {
    return undefined;
  }
}

/** Frees a loop device that was left behind. One that is free already is success. */
export function freeLoop(native: Native, path: string): void {
  const loop = openSync(path, 'r');
  try {
    if (!fstatSync(loop).isBlockDevice()) return;
    native.ioctl(loop, LOOP_CLR_FD, 0);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENXIO') throw error;
  } finally {
    closeSync(loop);
  }
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    work();
  };
}
