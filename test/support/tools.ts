/** Which of the real tools are here; a test that needs one skips without it, or fails under ROOTFS_REQUIRE_TOOLS=1. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const PACKAGES: Readonly<Record<string, string>> = {
  bsdtar: 'libarchive-tools',
  bwrap: 'bubblewrap',
  'docker-registry': 'docker-registry',
  'fsck.erofs': 'erofs-utils',
  'mkfs.erofs': 'erofs-utils',
  mke2fs: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  htpasswd: 'apache2-utils',
  mksquashfs: 'squashfs-tools',
  unsquashfs: 'squashfs-tools',
  tar2sqfs: 'squashfs-tools-ng',
  nginx: 'nginx-light',
  veritysetup: 'cryptsetup-bin',
};

/** The absolute path of a tool on PATH (system folders included), or `undefined`. */
export function findTool(name: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']) {
    try {
      const path = join(folder, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/**
 * For node:test's `skip` option: `false` when all tools are here, else a sentence that says how to get them.
 * Under ROOTFS_REQUIRE_TOOLS=1 a missing tool throws, so that the test file fails.
 */
export function needs(...tools: readonly string[]): false | string {
  const missing = tools.filter((tool) => findTool(tool) === undefined);
  if (missing.length === 0) return false;
  const packages = [...new Set(missing.map((tool) => PACKAGES[tool] ?? tool))].join(' ');
  const sentence = `needs ${missing.join(', ')}; on Debian: apt-get install ${packages}`;
  if (process.env['ROOTFS_REQUIRE_TOOLS'] === '1') throw new Error(sentence);
  return sentence;
}
