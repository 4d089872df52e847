/** Which files this process holds open, to see that nothing outlives a failure. Linux only; elsewhere it sees nothing. */
import { existsSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';

/** Paths under `folder`, by their real names, that this process holds open, sorted. */
export function openFilesUnder(folder: string): string[] {
  // The system tells no other name: behind a link to temporary folders nothing would ever be seen.
  const real = existsSync(folder) ? realpathSync(folder) : folder;
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
    .filter((path) => path.startsWith(real))
    .sort();
}
