/** The current e2fsprogs of Debian unstable, brought once into a cache folder: its `mke2fs` reads a tar. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * The folder with `mke2fs`, `debugfs` and `e2fsck`, or why they cannot be had: no mirror answers, say.
 *
 * Under ROOTFS_REQUIRE_TOOLS=1 that throws.
 */
export function currentE2fsprogs(): { readonly bin: string } | { readonly missing: string } {
  const folder = join(root, '.cache', 'e2fsprogs-v1');
  try {
    const command = join(root, 'test', 'bench', 'peers');
    execFileSync(command, [folder, 'mke2fs', 'debugfs', 'e2fsck'], { stdio: ['ignore', 'ignore', 'pipe'] });
    return { bin: join(folder, 'bin') };
  } catch (error) {
    if (process.env['ROOTFS_REQUIRE_TOOLS'] === '1') throw error;
    return { missing: `needs Debian unstable's e2fsprogs: ${(error as Error).message}` };
  }
}
