/** Which files this process holds open, to see that nothing outlives a failure. Linux only; elsewhere it sees nothing. */
import { readdirSync, readlinkSync } from 'node:fs';

/** Paths under `folder` that this process holds open, sorted. */
export function openFilesUnder(folder: string): string[] {
  let descriptors: string[];
  try {
    descriptors = readdirSync('/proc/self/fd');
  } catch {
    return [];
  }
  return descriptors
    .map((descriptor) => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`);
      } catch {
        return '';
      }
    })
    .filter((path) => path.startsWith(folder))
    .sort();
}
