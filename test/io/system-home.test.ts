/** A user that the system has no record of: containers run as such, often without HOME. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { userInfo } from 'node:os';
import { test } from 'node:test';
import { systemHome } from '../../src/io/system-home.js';

const skip = process.getuid?.() === 0 ? false : 'needs root, to be somebody else';
/** Nobody has this number. */
const UNKNOWN = 1_234_567_890;

test('the home that the system knows, without the environment', () => {
  assert.equal(systemHome(), userInfo().homedir);
});

test('a user without a record finds caches and credentials under /', { skip }, () => {
  const module = (name: string): string => JSON.stringify(new URL(`../../src/${name}.js`, import.meta.url));
  const script = `
    const { cacheFolder } = await import(${module('io/cache-folder')});
    const { loginFile } = await import(${module('registry/credential-places')});
    console.log(JSON.stringify([cacheFolder('layers-v1'), loginFile({})]));`;
  for (const env of [{}, { HOME: '' }]) {
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      uid: UNKNOWN,
      gid: UNKNOWN,
      cwd: '/',
      env,
      encoding: 'utf8',
    });
    assert.equal(run.status, 0, run.stderr);
    assert.deepEqual(JSON.parse(run.stdout), ['/.cache/rootfs-kit/layers-v1', '/.docker/config.json']);
  }
});
