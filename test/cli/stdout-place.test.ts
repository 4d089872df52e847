/** Standard output under its other names: a pipe, and a file that somebody else has begun. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ROOTFS_MAIN, runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const hello = `oci:${fileURLToPath(new URL('../../../fixtures/hello', import.meta.url))}`;
const NAMES = ['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'];

/** Commands whose output can be stdout, with its name left open. */
const COMMANDS: readonly (readonly [string, (place: string) => readonly string[]])[] = [
  ['copy to a docker-archive', (place) => ['copy', '-q', hello, `docker-archive:${place}:app:1`]],
  ['copy to an oci-archive', (place) => ['copy', '-q', hello, `oci-archive:${place}`]],
  ['pull', (place) => ['pull', '-q', '-o', place, hello]],
  ['flatten', (place) => ['flatten', '-q', '--no-store', '-o', place, hello]],
];

for (const [name, words] of COMMANDS) {
  test(`${name}: other names of stdout are as -, and a file that it leads to goes on`, async (t) => {
    const { stdout } = await runRootfs(words('-'));
    assert.equal(stdout.length % 512, 0);
    assert.ok(stdout.length > 5_000);
    for (const place of NAMES) {
      const piped = await runRootfs(words(place));
      assert.deepEqual([piped.code, piped.stderr], [0, '']);
      assert.ok(piped.stdout.equals(stdout), place);
    }
    const file = join(tempDir(t), 'out');
    const line = words('/dev/stdout')
      .map((word) => `'${word}'`)
      .join(' ');
    const script = `(echo before; '${process.execPath}' '${ROOTFS_MAIN}' ${line}; echo after) > '${file}'; stat -c %i '${file}'`;
    const run = spawnSync('sh', ['-c', script], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: '/dev/null/home' },
    });
    assert.equal(run.stderr, '');
    assert.ok(readFileSync(file).equals(Buffer.concat([Buffer.from('before\n'), stdout, Buffer.from('after\n')])));
    assert.equal(run.stdout.trim(), String(statSync(file).ino));
  });
}

test('mkfs refuses stdout under any name', async () => {
  for (const place of ['-', ...NAMES]) {
    const { code, stderr } = await runRootfs(['mkfs', '--format', 'erofs', '-o', place, hello]);
    assert.equal(code, 2);
    assert.match(stderr, /cannot go to stdout/);
  }
});
