/** A folder that a command made for layers and that got none goes again. */
import { rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemErrorCode } from '../index.js';

/** What a store makes of itself, the innermost first. */
const STORE_FOLDERS = ['ingest', 'meta/sha256', 'meta/sha512', 'meta', 'sha256', 'sha512'];

/**
 * Removes a store's folder and those above it that were made for it, as far as they are empty: what holds anything, a
 * layer or a partial, stays with everything above it.
 *
 * @param made The outermost folder that was made; see `makeFolder`.
 */
export async function removeMade(store: string, made: string): Promise<void> {
  // Another process that uses the store meanwhile holds a lease in it, and may not have put anything else there yet.
  if (!(await isGone(join(store, 'leases')))) return;
  for (const name of STORE_FOLDERS) await isGone(join(store, name));
  for (let at = store; at.length >= made.length; at = dirname(at)) {
    if (!(await isGone(at))) return;
  }
}

/** Removes a folder that is empty. @returns whether there is none now */
async function isGone(path: string): Promise<boolean> {
  return rmdir(path).then(
    () => true,
    (error: unknown) => systemErrorCode(error) === 'ENOENT',
  );
}
