import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { image, type LayerBuilder, writeLayout } from '../../src/testing/testing.js';
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

/** Makes something of an image of one layer there. */
async function made(
  t: TestContext,
  command: 'bundle' | 'unpack',
  fill: (layer: LayerBuilder) => LayerBuilder,
): Promise<{ readonly dst: string; readonly stderr: string }> {
  const folder = tempDir(t);
  await writeLayout(join(folder, 'layout'), { v1: image().layer(fill).build() });
  const dst = join(folder, 'made');
  const words = [command, '--no-store', '--dst', dst, `oci:${join(folder, 'layout')}:v1`];
  return { dst, stderr: await runInNamespace(words, { HOME: '/dev/null/home', TMPDIR: folder }) };
}

test('in a user namespace with many ids, the files of a bundle are of the one id that its own namespace has', {
  skip: mayMap ? false : 'needs root, to map ids',
  timeout: 60_000,
}, async (t) => {
  const { dst, stderr } = await made(t, 'bundle', (layer) => layer.dir('home', { uid: 1000, gid: 1001, mode: 0o700 }));
  const { uid, gid } = lstatSync(join(dst, 'rootfs/home'));
  assert.deepEqual([uid, gid], [0, 0], stderr);
  assert.match(readFileSync(join(dst, 'rootfs.ownership'), 'utf8'), /\{"path":"home","uid":1000,"gid":1001\}/);
  const { uidMappings } = JSON.parse(readFileSync(join(dst, 'config.json'), 'utf8')).linux;
  assert.deepEqual(uidMappings, [{ containerID: 0, hostID: 0, size: 1 }]);
});

test('in a user namespace with many ids, a device that cannot be made keeps its owner in the side file', {
  skip: mayMap ? false : 'needs root, to map ids',
  timeout: 60_000,
}, async (t) => {
  const { dst } = await made(t, 'unpack', (layer) =>
    layer.device('tty', 'char', 5, 0, { gid: 5, mode: 0o620 }).hardlink('same', 'tty'),
  );
  const lines = readFileSync(`${dst}.ownership`, 'utf8').trimEnd().split('\n').slice(1);
  const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const shown = records.map(({ path, absent, uid, gid }) => [path, absent, uid, gid].join(' '));
  assert.deepEqual(shown.sort(), ['same char 0 5', 'tty char 0 5']);
});
