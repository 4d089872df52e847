/** What mounting takes on this machine, and, where it is not there, what to do instead. */
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { type ErrorCode, RootfsError, systemErrorCode } from '../errors.js';
import { loadNative, MountFlag, type Native, nativeMissing } from '../io/native.js';
import { processStatus } from '../io/process-status.js';

const INSTEAD = 'rootfs unpack writes the same tree without a mount';
const CAP_SYS_ADMIN = 21n;

/**
 * The native calls, if this process may mount at all: fails before anything is fetched.
 *
 * @throws RootfsError `ERR_UNSUPPORTED` (no Linux), `ERR_NATIVE_MISSING`, `ERR_PERMISSION`
 */
export function requireMounting(what: 'mount' | 'umount' = 'mount'): Native {
  const instead = what === 'mount' ? `, or ${INSTEAD}` : '';
  if (process.platform !== 'linux') {
    throw new RootfsError('ERR_UNSUPPORTED', `mount: expected Linux, found ${process.platform}; ${INSTEAD}`);
  }
  const native = loadNative();
  if (native === undefined) {
    const without = what === 'mount' ? INSTEAD : 'install the optional dependency koffi';
    throw new RootfsError('ERR_NATIVE_MISSING', `${what}: needs system calls, and ${nativeMissing()}; ${without}`);
  }
  if (!mayMount()) {
    const uid = process.geteuid?.();
    const found =
      uid === 0 ? 'this root does not have it; start its container with it' : `this is user ${uid}; run it with sudo`;
    throw new RootfsError('ERR_PERMISSION', `${what}: needs root (CAP_SYS_ADMIN), and ${found}${instead}`);
  }
  return native;
}

function mayMount(): boolean {
  const set = processStatus('CapEff');
  return set === undefined ? process.geteuid?.() === 0 : (BigInt(`0x${set}`) & (1n << CAP_SYS_ADMIN)) !== 0n;
}

/**
 * Asks the kernel whether this process may mount EROFS, before anything is fetched for it: a mount without a source is
 * never made, and its refusal tells that the file system is unknown, or that the power holds in a user namespace only.
 *
 * @throws RootfsError `ERR_UNSUPPORTED`, `ERR_PERMISSION`
 */
export function requireErofs(native: Native, mountpoint: string): void {
  try {
    native.mount('', '/', 'erofs', MountFlag.readOnly, '');
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'EPERM' || errno === 'ENODEV') throw explainMount(error, mountpoint);
  }
}

/** A failed mount as an error that says what is missing and which other command serves. */
export function explainMount(error: unknown, mountpoint: string): RootfsError {
  if (error instanceof RootfsError) return error;
  const errno = systemErrorCode(error) ?? '';
  const reason = error instanceof Error ? error.message : String(error);
  // The files that are mounted are named by their descriptors.
  const known = errno === 'ENOENT' && !existsSync('/proc/self/fd') ? NO_PROC : REASONS.get(errno);
  const [code, why] = known ?? ['ERR_FILESYSTEM', 'the kernel refused the mount'];
  return new RootfsError(code, `mount ${mountpoint}: ${why} (${reason}, Linux ${release()}); ${INSTEAD}`, {
    cause: error,
    detail: { mountpoint, errno },
  });
}

const NO_PROC = ['ERR_UNSUPPORTED', 'there is no /proc here; mount one (mount -t proc proc /proc)'] as const;

const REASONS: ReadonlyMap<string, readonly [ErrorCode, string]> = new Map([
  ['ENODEV', ['ERR_UNSUPPORTED', 'this kernel has no EROFS; load the module erofs (CONFIG_EROFS_FS)']],
  ['EINVAL', ['ERR_UNSUPPORTED', 'this kernel cannot read the image; blocks of 512 bytes need Linux 6.4']],
  ['EOPNOTSUPP', ['ERR_UNSUPPORTED', 'this kernel cannot read the image; blocks of 512 bytes need Linux 6.4']],
  ['EPERM', ['ERR_PERMISSION', 'the kernel does not let this process mount EROFS; a user namespace is not enough']],
  ['EACCES', ['ERR_PERMISSION', 'the kernel does not let this process mount here']],
  ['EBUSY', ['ERR_BUSY', 'the mountpoint is in use']],
]);
