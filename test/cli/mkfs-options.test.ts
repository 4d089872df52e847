import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

test('an option of mkfs that another format has is refused before anything is looked at', async (t) => {
  const folder = tempDir(t);
  const cases: readonly (readonly [format: string, option: readonly string[], owner: string])[] = [
    ['ext4', ['--verity'], 'erofs'],
    ['squashfs', ['--verity'], 'erofs'],
    ['ext4', ['--layers-as-devices'], 'erofs'],
    ['erofs', ['--compression', 'xz'], 'squashfs'],
    ['squashfs', ['--size', '1GiB'], 'ext4'],
  ];
  for (const [format, option, owner] of cases) {
    const out = join(folder, 'image');
    const { code, stderr } = await runRootfs(['mkfs', '--format', format, ...option, '-o', out, 'oci:/nowhere:x']);
    assert.equal(code, 2, stderr);
    assert.ok(
      stderr.includes(`${option[0]} goes with --format ${owner}, not with ${format} [ERR_OPTION_INVALID]`),
      stderr,
    );
  }
  const words = ['mkfs', '--layers-as-devices', '--no-store', '-o', join(folder, 'image'), 'oci:/nowhere:x'];
  const thin = await runRootfs(words);
  assert.equal(thin.code, 2, thin.stderr);
  assert.match(thin.stderr, /needs the layers later: give --store/);
  assert.deepEqual(readdirSync(folder), []);
});
