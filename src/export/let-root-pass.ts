/** The way of a user namespace's root through a directory that is for its owner alone. */
import { chmodSync, chownSync } from 'node:fs';
import type { Destination } from './destination.js';
import { type IdMap, mapId } from './id-map.js';

/**
 * Lets the group that is root's inside pass through a new directory, which stays closed to everybody else. Runtimes
 * reach the root file system from inside the user namespace, where the owner of the directory is nobody. One that was
 * there before keeps the rights that it was given.
 *
 * @param gidMap Groups inside to groups outside; without one, or where it holds no root, nothing is done.
 * @throws the system's error
 */
export function letRootPass({ root, inPlace }: Destination, gidMap: readonly IdMap[] | undefined): void {
  const group = mapId(gidMap, 0);
  if (gidMap === undefined || gidMap.length === 0 || group === undefined || inPlace) return;
  chownSync(root.self, -1, group);
  chmodSync(root.self, 0o710);
}
