/** Folders for tests, gone afterwards. */
import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Anything that can run a function at its end: node:test's context. */
interface Ends {
  after(fn: () => void): void;
}

/** Makes a new folder under the system's temporary folder and removes it when the test ends. */
export function tempDir(t: Ends, name = 'test'): string {
  const path = mkdtempSync(join(tmpdir(), `rootfs-kit-${name}-`));
  t.after(() => {
    for (let left = 30; ; left -= 1) {
      try {
        makeRemovable(path);
        rmSync(path, { recursive: true, force: true });
        return;
      } catch (error) {
        // A server that still tidies up puts files where all were removed; Node's own retries do not look again.
        if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY' || left === 0) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      }
    }
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
