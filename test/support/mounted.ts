/** The kernel's own view of an image, for the length of a function; and which machines can give it. */
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNative, MountFlag } from '../../src/io/native.js';

/** For node:test's `skip` option: `false` where EROFS images can be mounted from files. */
export function needsErofs(): false | string {
  const sentence = erofsMissing();
  if (sentence !== false && process.env['ROOTFS_REQUIRE_TOOLS'] === '1' && process.getuid?.() === 0) {
    throw new Error(sentence);
  }
  return sentence;
}

function erofsMissing(): false | string {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root';
  if (!/\berofs$/m.test(readFileSync('/proc/filesystems', 'utf8'))) return 'needs a kernel with EROFS';
  return loadNative() === undefined ? 'needs koffi' : false;
}

/** Mounts an EROFS image read-only, hands the folder to `use`, and unmounts it. */
export function withMounted<T>(image: string, devices: readonly string[], use: (folder: string) => T): T {
  const native = loadNative();
  if (native === undefined) throw new Error('koffi is missing');
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-mounted-'));
  try {
    native.mount(image, folder, 'erofs', MountFlag.readOnly, devices.map((path) => `device=${path}`).join(','));
    try {
      return use(folder);
    } finally {
      native.unmount(folder);
    }
  } finally {
    rmdirSync(folder);
  }
}
