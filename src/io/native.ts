/**
 * The system calls that Node lacks, through libc: extended attributes, device nodes, FIFOs, nanosecond times, mounts.
 *
 * They come through koffi, which is an optional dependency: `loadNative` answers `undefined` where it is missing, and
 * `nativeMissing` says why. Works in worker threads.
 */
import { createRequire } from 'node:module';
import { bindLibc } from './bind-libc.js';
import type { Native } from './native-calls.js';

export type { Native, NativePath, NativeTime } from './native-calls.js';

/** Flags of `mount`, as Linux numbers them. */
export const MountFlag = {
  readOnly: 1,
  noSuid: 2,
  noDev: 4,
  bind: 4096,
} as const;

let loaded: { readonly native?: Native; readonly missing?: string } | undefined;

/**
 * The native calls, or `undefined` where this machine has none: not Linux, not 64 bits, koffi not installed or not
 * loadable, or `ROOTFS_NATIVE=0` in the environment. Loads once a thread, at the first call.
 */
export function loadNative(): Native | undefined {
  loaded ??= load();
  return loaded.native;
}

/** Why `loadNative` answers `undefined`, as a clause; `undefined` where it does not. */
export function nativeMissing(): string | undefined {
  loaded ??= load();
  return loaded.missing;
}

function load(): { readonly native?: Native; readonly missing?: string } {
  if (process.env['ROOTFS_NATIVE'] === '0') return { missing: 'ROOTFS_NATIVE=0 is set' };
  if (process.platform !== 'linux') return { missing: `${process.platform} is not Linux` };
  if (process.arch === 'arm' || process.arch === 'ia32') return { missing: `${process.arch} is not a 64-bit machine` };
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    return { native: bindLibc(koffi) };
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return { missing: `the package koffi could not be loaded (${reason})` };
  }
}
