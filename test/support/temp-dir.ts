/** Folders for tests, gone afterwards. */
import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd, type Ends } from './at-end.js';

/** Makes a new folder under the system's temporary folder and removes it when the test ends. */
export function tempDir(t: Ends, name = 'test'): string {
  const path = mkdtempSync(join(tmpdir(), `rootfs-kit-${name}-`));
  atEnd(t, () => {
    makeRemovable(path);
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  });
  return path;
}

function makeRemovable(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isDirectory()) return;
  if ((stat.mode & 0o700) !== 0o700) chmodSync(path, 0o700);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) makeRemovable(join(path, entry.name));
  }
}
