/** Unpacking onto file systems that have no links or no modes, as those of memory cards. */
import assert from 'node:assert/strict';
import fs, { readdirSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readPowers } from '../../src/export/powers.js';
import { unpack } from '../../src/export/unpack.js';
import { handTree } from '../support/hand-tree.js';
import { tempDir } from '../support/temp-dir.js';

/** Has one of the calls of node:fs refused until the test ends, as FAT refuses it. */
function refuse(t: TestContext, name: 'symlinkSync' | 'linkSync' | 'fchmodSync', syscall: string): void {
  const original = fs[name];
  fs[name] = () => {
    throw Object.assign(new Error(`EPERM: operation not permitted, ${syscall}`), { code: 'EPERM', syscall });
  };
  syncBuiltinESMExports();
  t.after(() => {
    Object.assign(fs, { [name]: original });
    syncBuiltinESMExports();
  });
}

const capability = readPowers().root ? 'run with CAP_FOWNER, or ' : '';

for (const [name, syscall, path] of [
  ['symlinkSync', 'symlink', 'sym'],
  ['linkSync', 'link', 'two'],
  ['fchmodSync', 'fchmod', 'suid'],
] as const) {
  test(`where ${syscall} is refused another file system is advised, and nothing is left`, async (t) => {
    const folder = tempDir(t);
    const { tree, layers } = handTree(folder, [
      { path: 'suid', content: 'suid', mode: 0o2755, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
      { path: 'sym', type: 'symlink', target: 'suid' },
      { path: 'two', linkTo: 'suid' },
    ]);
    refuse(t, name, syscall);
    await assert.rejects(unpack(tree, layers, join(folder, 'root')), {
      code: 'ERR_PERMISSION',
      message: `${join(folder, 'root', path)}: EPERM: operation not permitted, ${syscall}; ${capability}choose a file system that keeps it`,
    });
    assert.deepEqual(readdirSync(folder), ['layer.tar']);
  });
}
