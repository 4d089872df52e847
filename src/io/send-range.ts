/** Bytes from one open file to another, inside the kernel where it can. */
import { systemErrorCode } from '../errors.js';
import { loadNative } from './native.js';

/** Runs from this length on are moved inside the kernel where it can; shorter ones are cheaper to copy. */
export const SEND_BYTES = 64 * 1024;

/**
 * Moves the beginning of a run of a file to an open file or pipe at its position, inside the kernel.
 *
 * @returns how much was moved; 0 where this way is not open, here or for such files
 * @throws the system's error for what would fail in any other way too, `EAGAIN` among it
 */
export function sendRange(into: number, from: number, position: number, length: number): number {
  const native = loadNative();
  if (native === undefined) return 0;
  try {
    return native.sendFile(into, from, position, length);
  } catch (error) {
    return unsupported(error);
  }
}

/** As `sendRange`, in another thread. Neither file may be closed, nor the position be moved, before it has settled. */
export async function sendRangeAside(into: number, from: number, position: number, length: number): Promise<number> {
  const native = loadNative();
  return native === undefined ? 0 : native.sendFileAside(into, from, position, length).catch(unsupported);
}

function unsupported(error: unknown): 0 {
  if (['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOVERFLOW'].includes(systemErrorCode(error) ?? '')) return 0;
  throw error;
}
