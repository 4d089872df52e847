/** `npm run demo`: the main job on the image of `fixtures/hello`, with each command shown before it runs. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const image = 'oci:fixtures/hello';
const folder = mkdtempSync(join(tmpdir(), 'rootfs-demo-'));

function rootfs(...args: string[]): void {
  console.log(`\n$ rootfs ${args.join(' ')}`);
  execFileSync(process.execPath, [join(repository, 'bin/rootfs.js'), ...args], { cwd: repository, stdio: 'inherit' });
}

try {
  rootfs('inspect', '--platform', 'linux/amd64', image);
  rootfs('extract', '--platform', 'linux/amd64', '--dst', folder, image);
  console.log('\nEvery layer is an uncompressed tar named by the sha256 of its own bytes:');
  let wrong = 0;
  for (const name of readdirSync(join(folder, 'sha256'))) {
    const found = createHash('sha256')
      .update(readFileSync(join(folder, 'sha256', name)))
      .digest('hex');
    if (found !== name) wrong += 1;
    console.log(`  ${found === name ? 'ok   ' : 'WRONG'} ${name}`);
  }
  rootfs('extract', '-q', '--platform', 'linux/amd64', '--dst', folder, image);
  console.log('\nThe second run fetched nothing: the layers were there.');
  process.exitCode = wrong === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
