/** Mounts as leases: a store's `mounts/<id>.json` says which layers the kernel reads, whoever mounted them. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { readOwn } from '../io/own-file.js';
import { bootId } from '../io/process-mark.js';
import { type Digest, isDigest } from '../spec/digest.js';
import type { LeaseInfo } from './lease-info.js';

/**
 * The mounts that a store's records tell of, as leases on their layers. A record of an earlier boot counts for nothing:
 * its mount went with the machine. One of this boot counts, also where the mount cannot be seen from here: it may stand
 * in another mount namespace.
 *
 * @throws RootfsError `ERR_PERMISSION`, `ERR_FILESYSTEM` where the folder cannot be read
 */
export async function mountLeases(root: string): Promise<readonly LeaseInfo[]> {
  const folder = join(root, 'mounts');
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw wrapSystemError(error, folder);
  });
  const found: LeaseInfo[] = [];
  for (const name of names.filter((entry) => entry.endsWith('.json')).sort()) {
    const lease = await readMount(join(folder, name), name);
    if (lease !== undefined) found.push(lease);
  }
  return found;
}

async function readMount(path: string, name: string): Promise<LeaseInfo | undefined> {
  try {
    const { mtimeMs } = await stat(path);
    const value = JSON.parse(readOwn(path)) as Record<string, unknown>;
    const { boot, layers, mountpoint, pid } = value;
    const here = bootId();
    if (typeof boot === 'string' && boot !== '' && here !== '' && boot !== here) return undefined;
    const digests = (Array.isArray(layers) ? (layers as unknown[]) : []).filter(
      (layer): layer is Digest => typeof layer === 'string' && isDigest(layer),
    );
    return {
      id: `mount-${name.replace(/\.json$/, '')}`,
      purpose: `mount ${String(mountpoint)}`,
      host: '',
      pid: Number(pid),
      digests,
      open: false,
      createdAt: Math.floor(mtimeMs),
    };
  } catch {
    // Gone meanwhile, or no record of a mount.
    return undefined;
  }
}
