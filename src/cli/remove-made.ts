/** A folder that a command made for layers and that got none goes again. */
import { rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What a store makes of itself, the innermost first. */
const STORE_FOLDERS = ['ingest', 'leases', 'meta/sha256', 'meta/sha512', 'meta', 'sha256', 'sha512'];

/**
 * Removes a store's folder and those above it that were made for it, as far as they are empty: what holds anything, a
 * layer or a partial, stays with everything above it.
 *
 * @param made The outermost folder that was made; see `makeFolder`.
 */
export async function removeMade(store: string, made: string): Promise<void> {
  for (const name of STORE_FOLDERS) await rmdir(join(store, name)).catch(() => {});
  for (let at = store; at.length >= made.length; at = dirname(at)) {
    const removed = await rmdir(at).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}
