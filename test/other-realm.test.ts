/** Test runners load what a test imports into a realm of its own: what is told from `Error` there is not what Node throws. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { RootfsError, systemErrorCode, wrapSystemError } from '../src/errors.js';
import { REPOSITORY } from './support/rootfs.js';
import { tempDir } from './support/temp-dir.js';

test('an error of the system is known by what it is, whatever realm it comes from', () => {
  const error: unknown = vm.runInNewContext("Object.assign(new Error('ENOENT: not here'), { code: 'ENOENT' })");
  assert.equal(error instanceof Error, false);
  assert.equal(systemErrorCode(error), 'ENOENT');
  const wrapped = wrapSystemError(error, '/a/path');
  assert.equal(wrapped.message, '/a/path: ENOENT: not here');
  assert.equal(new RootfsError('ERR_INTERNAL', 'x', { cause: error }).toJSON()['cause'], 'ENOENT: not here');
  assert.equal(systemErrorCode({ code: 'ENOENT' }), undefined);
});

test('an image is extracted in a realm of its own, as in Jest', (t) => {
  const child = fileURLToPath(new URL('support/other-realm-child.js', import.meta.url));
  const image = `oci:${join(REPOSITORY, 'fixtures/hello')}`;
  const said = execFileSync(
    process.execPath,
    ['--experimental-vm-modules', '--no-warnings', child, image, tempDir(t)],
    { encoding: 'utf8', timeout: 60_000 },
  );
  const { layers, absent } = JSON.parse(said) as { layers: string[]; absent: string };
  assert.equal(layers.length, 3);
  assert.equal(absent, 'ERR_NOT_FOUND');
});
