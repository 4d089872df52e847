/** A static busybox for images that really run: from Debian's archive by apt, kept in a cache folder. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LayerBuilder } from '../../src/testing/layer-builder.js';

const APPLETS = ['sh', 'ls', 'cat', 'id', 'echo', 'stat', 'touch', 'env', 'pwd', 'wc', 'mkdir', 'rm'];

/** The bytes of a static busybox: the system's own, or Debian's package `busybox-static`, fetched once. */
export function busyboxBytes(): Buffer {
  for (const path of ['/usr/bin/busybox', '/bin/busybox']) {
    if (existsSync(path) && !readFileSync(path).includes('/lib64/ld-linux')) return readFileSync(path);
  }
  const cache = join(process.env['ROOTFS_TEST_CACHE'] ?? join(tmpdir(), 'rootfs-kit-test-cache'), 'busybox');
  const kept = join(cache, 'busybox');
  if (existsSync(kept)) return readFileSync(kept);
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'fetch-'));
  try {
    execFileSync('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', 'busybox-static'], {
      cwd: work,
      stdio: 'ignore',
    });
    const deb = readdirSync(work).find((name) => name.endsWith('.deb')) ?? '';
    execFileSync('dpkg-deb', ['-x', deb, 'out'], { cwd: work });
    renameSync(join(work, 'out', 'bin', 'busybox'), kept);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return readFileSync(kept);
}

/** Two layers of an image with a shell: busybox with some applets as links, accounts, folders to mount on. */
export function busyboxLayers(): [LayerBuilder, LayerBuilder] {
  const base = new LayerBuilder();
  for (const folder of ['bin', 'etc', 'tmp', 'proc', 'dev', 'sys', 'root', 'home', 'gone']) base.dir(folder);
  base.file('bin/busybox', busyboxBytes(), { mode: 0o755 });
  for (const [index, applet] of APPLETS.entries()) {
    if (index % 2 === 0) base.symlink(`bin/${applet}`, 'busybox');
    else base.hardlink(`bin/${applet}`, 'bin/busybox');
  }
  base.file('gone/file', 'hidden');
  const top = new LayerBuilder()
    .file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n')
    .file('etc/group', 'root:x:0:\napp:x:1000:\nvideo:x:44:app\n')
    .dir('home/app', { mode: 0o700, uid: 1000, gid: 1000 })
    .file('etc/motd', 'inside\n')
    .whiteout('gone');
  return [base, top];
}
