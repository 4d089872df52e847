/** Settings that come through a pipe: what a shell writes as `--authfile <(…)`, and pipes that nobody writes to. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { image, startRegistry } from '../../src/testing/testing.js';
import { ROOTFS_BIN, rootfs, run } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

test('an auth file that is a pipe is read once, and used', { skip: needs('bash') }, async (t) => {
  const registry = await startRegistry({ auth: { kind: 'basic', users: { user: 'hunter2' } } });
  t.after(() => registry.close());
  const built = image()
    .layer((layer) => layer.file('a', 'b'))
    .build();
  registry.add('app', 'v1', built);
  const auth = Buffer.from('user:hunter2').toString('base64');
  const content = JSON.stringify({ auths: { [registry.host]: { auth } } });
  const script = 'exec "$1" "$2" digest --authfile <(printf %s "$3") "$4"';
  const words = ['--norc', '-c', script, 'bash', process.execPath, ROOTFS_BIN, content, `${registry.host}/app:v1`];
  const { code, stdout, stderr } = await run('bash', words);
  assert.equal(stderr, '');
  assert.deepEqual([code, stdout], [0, `${built.descriptor.digest}\n`]);
});

test('a pipe that nobody writes to is waited for until Ctrl-C', { skip: needs('mkfifo') }, async (t) => {
  const pipe = join(tempDir(t), 'pipe');
  execFileSync('mkfifo', [pipe]);
  const registry = await startRegistry({ auth: { kind: 'basic', users: { user: 'hunter2' } } });
  t.after(() => registry.close());
  for (const option of ['--authfile', '--ca-file']) {
    const asked = option === '--ca-file' ? 'rootfs.invalid/app' : `${registry.host}/app`;
    const { code, stderr } = await rootfs(['digest', option, pipe, '--retry', '0', asked], {
      started: (child) => {
        void setTimeout(1_500).then(() => child.kill('SIGINT'));
        // As nothing else would end it if it hung.
        void setTimeout(15_000, undefined, { ref: false }).then(() => child.kill('SIGKILL'));
      },
    });
    assert.deepEqual([code, stderr], [130, 'rootfs: interrupted by SIGINT\n'], option);
  }
});

test('a pipe without a name that nobody wrote to is empty', { skip: needs('bash') }, async (t) => {
  const registry = await startRegistry({ auth: { kind: 'basic', users: { user: 'hunter2' } } });
  t.after(() => registry.close());
  const script = 'exec 3< <(:); exec timeout -k 1 20 "$1" "$2" digest --authfile /dev/fd/3 "$3"';
  const words = ['--norc', '-c', script, 'bash', process.execPath, ROOTFS_BIN, `${registry.host}/app:v1`];
  const { code, stderr } = await run('bash', words);
  assert.equal(code, 4, stderr);
});

test('credentials from a pipe without a name are there for both sides of a copy', {
  skip: needs('bash'),
}, async (t) => {
  const users = { user: 'hunter2' };
  const registry = await startRegistry({ auth: { kind: 'basic', users } });
  t.after(() => registry.close());
  registry.add('from/app', 'v1', image().build());
  const auth = JSON.stringify({ auths: { [registry.host]: { auth: btoa('user:hunter2') } } });
  const script = 'exec timeout -k 1 20 "$1" "$2" copy -q --authfile <(printf %s "$3") "$4" "$5"';
  const places = [`${registry.host}/from/app:v1`, `${registry.host}/to/app:v1`];
  const words = ['--norc', '-c', script, 'bash', process.execPath, ROOTFS_BIN, auth, ...places];
  const { code, stderr } = await run('bash', words);
  assert.equal(code, 0, stderr);
});

test('a file in place of settings that never seems to end is read up to 4 MiB', async (t) => {
  const file = join(tempDir(t), 'ca.pem');
  writeFileSync(file, '');
  truncateSync(file, 64 * 1024 * 1024);
  const { code, stderr } = await rootfs(['digest', '--ca-file', file, '--retry', '0', 'rootfs.invalid/app']);
  assert.equal(code, 5);
  assert.match(stderr, /larger than 4194304 bytes/);
});

test('a password that nobody pipes in is waited for until Ctrl-C', { skip: needs('mkfifo') }, async (t) => {
  const pipe = join(tempDir(t), 'pipe');
  execFileSync('mkfifo', [pipe]);
  const words = [process.execPath, ROOTFS_BIN, 'login', '--username', 'user', '--password-stdin', 'localhost:1'];
  const { code, stderr } = await run('sh', ['-c', 'exec "$@" 0<>"$0"', pipe, ...words], {
    started: (child) => {
      void setTimeout(1_500).then(() => child.kill('SIGINT'));
      void setTimeout(15_000, undefined, { ref: false }).then(() => child.kill('SIGKILL'));
    },
  });
  // One that is cut off says so.
  assert.deepEqual([code, stderr], [130, 'rootfs: interrupted by SIGINT\n']);
});
