import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A small file system of its own; `undefined`: there is none, see `NO_MOUNT`. */
export function smallDisk(t: TestContext, options: string): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const path = mkdtempSync(join(tmpdir(), 'rootfs-kit-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]).status === 0;
  t.after(() => {
    if (mounted) execFileSync('umount', ['-l', path]);
    rmdirSync(path);
  });
  if (!mounted) return undefined;
  return path;
}

/** Why there is none. */
export const NO_MOUNT = 'needs to mount a tmpfs: run as root on Linux';
