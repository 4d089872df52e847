/** Folders that an option names: made whole or not at all, whatever the file system or another run does meanwhile. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeFolder } from '../../src/cli/make-folder.js';
import { tempDir } from '../support/temp-dir.js';

/** Lets `before` come before each folder that is made, until the test ends. */
function watchMkdir(t: TestContext, before: (path: string) => void): void {
  const original = promises.mkdir;
  promises.mkdir = (async (path: string, mode: number | undefined) => {
    before(path);
    return original(path, mode);
  }) as typeof original;
  syncBuiltinESMExports();
  t.after(() => {
    promises.mkdir = original;
    syncBuiltinESMExports();
  });
}

for (const [errno, code] of [
  ['EROFS', 'ERR_PERMISSION'],
  ['EDQUOT', 'ERR_NO_SPACE'],
  ['ENOSPC', 'ERR_NO_SPACE'],
] as const) {
  test(`${errno} in the middle is told as such, and the folders above are gone again`, async (t) => {
    const root = tempDir(t);
    watchMkdir(t, (path) => {
      if (path.endsWith('c')) throw Object.assign(new Error(`${errno}: as the test wants it`), { code: errno });
    });
    await assert.rejects(makeFolder('--dst', join(root, 'a', 'b', 'c')), { code, message: new RegExp(`: ${errno}: `) });
    assert.deepEqual(readdirSync(root), []);
  });
}

test('what another run takes away meanwhile is made again, and what it makes is as well', async (t) => {
  const root = tempDir(t);
  let times = 0;
  watchMkdir(t, (path) => {
    times += 1;
    if (times === 2) rmdirSync(dirname(path));
  });
  const path = join(root, 'a', 'b', 'c');
  assert.equal(await makeFolder('--dst', path, 0o700), join(root, 'a'));
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(await makeFolder('--dst', path), undefined);
  assert.ok(existsSync(path));
});
