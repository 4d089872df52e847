/** Mounts an EROFS image with its devices: from plain files where the kernel can, from loop devices where not. */
import { closeSync, constants, openSync } from 'node:fs';
import { RootfsError, systemErrorCode } from '../errors.js';
import { attachLoop, type LoopDevice } from '../io/loop-device.js';
import { MountFlag, type Native } from '../io/native.js';

/** How an image was mounted. */
export interface ErofsMount {
  /** The loop devices in use, the image's first; none where plain files were mounted. They go with the mount. */
  readonly loops: readonly string[];
}

/** The longest text the kernel takes as one option. */
const MAX_OPTION = 255;
/** The longest list of options of the older call: a page, less its end. */
const MAX_OPTIONS = 4095;

/**
 * Mounts read-only. The descriptors are what is mounted, whatever stands under the files' names by then; they may be
 * closed afterwards. A mount that fails leaves no loop device.
 *
 * @param image Path of the image, shown in the table of mounts.
 * @param devices Descriptors of the layer tars, in the order of the image's device table.
 * @throws the system's error; RootfsError `ERR_UNSUPPORTED` where loop devices are needed and cannot be had
 */
export function mountErofs(native: Native, image: string, devices: readonly number[], mountpoint: string): ErofsMount {
  const paths = devices.map((fd) => `/proc/self/fd/${fd}`);
  try {
    mountFrom(native, image, paths, mountpoint);
    return { loops: [] };
  } catch (error) {
    // The kernel's word for "give me a block device": too old, built without, or files on tmpfs and its like.
    if (systemErrorCode(error) !== 'ENOTBLK') throw error;
  }
  const loops: LoopDevice[] = [];
  const fd = openSync(image, constants.O_RDONLY);
  try {
    for (const one of [fd, ...devices]) loops.push(attach(native, one));
    const [first = '', ...rest] = loops.map(({ path }) => path);
    mountFrom(native, first, rest, mountpoint);
    return { loops: [first, ...rest] };
  } finally {
    // What is mounted keeps its devices; the others are free with this.
    for (const loop of loops) loop.close();
    closeSync(fd);
  }
}

function attach(native: Native, fd: number): LoopDevice {
  try {
    return attachLoop(native, fd);
  } catch (error) {
    throw new RootfsError(
      'ERR_UNSUPPORTED',
      `mount: this kernel mounts no plain file here, and there is no loop device (${(error as Error).message}); load the module loop, or use rootfs unpack`,
      { cause: error, detail: { errno: systemErrorCode(error) } },
    );
  }
}

function mountFrom(native: Native, image: string, devices: readonly string[], mountpoint: string): void {
  const options = devices.map((path) => ['device', path] as const);
  const text = options.map(([name, value]) => `${name}=${value}`).join(',');
  const isLong = Buffer.byteLength(image) > MAX_OPTION;
  // The older call takes longer names: by its name umount finds the store that the mount belongs to.
  if (isLong && text.length <= MAX_OPTIONS) {
    native.mount(image, mountpoint, 'erofs', MountFlag.readOnly, text);
    return;
  }
  const fd = isLong ? openSync(image, constants.O_RDONLY) : undefined;
  const source = fd === undefined ? image : `/proc/self/fd/${fd}`;
  try {
    native.mountReadOnly(source, mountpoint, 'erofs', options);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOSYS') throw error;
    if (text.length > MAX_OPTIONS) throw tooMany(devices.length);
    native.mount(source, mountpoint, 'erofs', MountFlag.readOnly, text);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function tooMany(devices: number): RootfsError {
  return new RootfsError(
    'ERR_UNSUPPORTED',
    `mount: ${devices} layers are more than this kernel takes in one call; write a self-contained image with rootfs mkfs`,
  );
}
