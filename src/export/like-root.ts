/** The upper directory of an overlay mount is what its root looks like. */
import { chmodSync, chownSync, lstatSync, realpathSync, utimesSync } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import { loadNative } from '../io/native.js';
import { skippedXattr } from './skipped-xattr.js';

/**
 * Gives an upper directory the owner, mode, attributes and time of the root below: the root of an overlay mount looks
 * as its upper directory does. An owner or attribute that this process may not give is left out.
 *
 * @param top The root below; a symbolic link to it is followed.
 * @throws the system's error
 */
export function likeRoot(upper: string, top: string): void {
  const native = loadNative();
  const root = realpathSync(top);
  const { uid, gid, mode, mtimeNs } = lstatSync(root, { bigint: true });
  try {
    chownSync(upper, Number(uid), Number(gid));
  } catch (error) {
    if (systemErrorCode(error) !== 'EPERM' && systemErrorCode(error) !== 'EINVAL') throw error;
  }
  for (const name of native?.listXattrs(root) ?? []) {
    const value =
      skippedXattr(name.toString('latin1'), 'directory') === undefined ? native?.getXattr(root, name) : undefined;
    try {
      if (value !== undefined) native?.setXattr(upper, name, value);
    } catch (error) {
      if (!['EPERM', 'ENOTSUP', 'EINVAL'].includes(systemErrorCode(error) ?? '')) throw error;
    }
  }
  chmodSync(upper, Number(mode) & 0o7777);
  const seconds = Number(mtimeNs / 1_000_000_000n) - (mtimeNs % 1_000_000_000n < 0n ? 1 : 0);
  const nanoseconds = Number(((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  if (native === undefined) utimesSync(upper, Number(mtimeNs) / 1e9, Number(mtimeNs) / 1e9);
  else native.setTimes(upper, { seconds, nanoseconds });
}
