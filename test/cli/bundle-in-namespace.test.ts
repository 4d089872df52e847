import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { image, writeLayout } from '../../src/testing/testing.js';
import { ROOTFS_MAIN } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const ownNamespace = '/proc/self/ns/user';
const wide = /^\s*0\s+0\s+4294967295$/m;
const mayMap = process.geteuid?.() === 0 && wide.test(readFileSync('/proc/self/uid_map', 'latin1'));

/** Runs the command as root of a user namespace that has many ids, as `podman unshare` makes one. */
async function runInNamespace(words: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const wait = 'read _ && exec "$@"';
  const child = spawn('unshare', ['--user', 'sh', '-c', wait, 'sh', process.execPath, ROOTFS_MAIN, ...words], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const closed = once(child, 'close');
  while (readlinkSync(`/proc/${child.pid}/ns/user`) === readlinkSync(ownNamespace)) await setTimeout(5);
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${child.pid}/${map}`, '0 0 65536');
  child.stdin.end('\n');
  const [code] = (await closed) as [number];
  assert.equal(code, 0, stderr);
  return stderr;
}

test('in a user namespace with many ids, the files of a bundle are of the one id that its own namespace has', {
  skip: mayMap ? false : 'needs root, to map ids',
  timeout: 60_000,
}, async (t) => {
  const folder = tempDir(t);
  const built = image()
    .layer((layer) => layer.dir('home', { uid: 1000, gid: 1001, mode: 0o700 }))
    .build();
  await writeLayout(join(folder, 'layout'), { v1: built });
  const dst = join(folder, 'bundle');
  const words = ['bundle', '--no-store', '--dst', dst, `oci:${join(folder, 'layout')}:v1`];
  const stderr = await runInNamespace(words, { HOME: '/dev/null/home', TMPDIR: folder });
  const { uid, gid } = lstatSync(join(dst, 'rootfs/home'));
  assert.deepEqual([uid, gid], [0, 0], stderr);
  assert.match(readFileSync(join(dst, 'rootfs.ownership'), 'utf8'), /\{"path":"home","uid":1000,"gid":1001\}/);
  const { uidMappings } = JSON.parse(readFileSync(join(dst, 'config.json'), 'utf8')).linux;
  assert.deepEqual(uidMappings, [{ containerID: 0, hostID: 0, size: 1 }]);
});
