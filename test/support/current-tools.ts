/** Current file system tools of Debian unstable, brought once into a cache folder; this machine's own may be older. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const TOOLS = ['mke2fs', 'debugfs', 'e2fsck', 'fsck.erofs'];

/** For `needs`: what bringing them takes. */
export const CURRENT_TOOLS_NEED = ['apt-get', 'dpkg', 'flock'] as const;

/**
 * The folder with `mke2fs` (which reads tars), `debugfs`, `e2fsck` and `fsck.erofs`. Where they cannot be had (no mirror
 * answers, say), the test is skipped and `undefined` is returned; under ROOTFS_REQUIRE_TOOLS=1 it fails.
 */
export function currentTools(t: TestContext): string | undefined {
  const folder = join(root, '.cache', 'current-tools-v1');
  try {
    execFileSync(join(root, 'test', 'bench', 'peers'), [folder, ...TOOLS], { stdio: ['ignore', 'ignore', 'pipe'] });
    return join(folder, 'bin');
  } catch (error) {
    if (process.env['ROOTFS_REQUIRE_TOOLS'] === '1') throw error;
    t.skip(`needs tools of Debian unstable: ${(error as Error).message}`);
    return undefined;
  }
}
