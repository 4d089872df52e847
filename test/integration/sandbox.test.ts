/** The root file system runs: in a sandbox, as root and as an ordinary user. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeBundle } from '../../src/export/bundle.js';
import { unpack } from '../../src/export/unpack.js';
import { image, LayerBuilder, writeLayout } from '../../src/testing/testing.js';
import { runningAs, runTestsAs } from '../support/as-user.js';
import { busyboxLayers } from '../support/busybox.js';
import { configImage } from '../support/config-image.js';
import { mergeBuilt } from '../support/layers.js';
import { ROOTFS_BIN } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const outermost = process.geteuid?.() === 0 && runningAs() === undefined;
const SCRIPT = 'cat /etc/motd; ls /gone 2>&1; id -u; echo $HOME; pwd; touch /tmp/x && echo written';

test('all of this as an ordinary user', {
  skip: outermost ? needs('bwrap', 'runc') : 'needs root to become another',
}, () => {
  busyboxLayers();
  const run = runTestsAs('user', [new URL(import.meta.url)]);
  assert.equal(run.status, 0, run.output);
  assert.ok(run.pass >= 2, run.output);
});

test('bwrap runs busybox from an unpacked image', { skip: needs('bwrap') }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, ...busyboxLayers());
  const root = join(folder, 'root');
  await unpack(tree, layers, root);
  const mounts = ['--bind', root, '/', '--proc', '/proc', '--dev', '/dev'];
  const process0 = ['--uid', '0', '--gid', '0', '--chdir', '/', '--setenv', 'HOME', '/root'];
  const run = spawnSync('bwrap', ['--unshare-all', ...mounts, ...process0, '/bin/sh', '-c', SCRIPT], {
    encoding: 'utf8',
  });
  assert.equal(run.stderr, '');
  assert.equal(run.stdout, `inside\nls: /gone: No such file or directory\n0\n/root\n/\nwritten\n`);
  assert.ok(existsSync(join(root, 'tmp', 'x')));
});

test('runc runs the bundle, as what the image says', { skip: needs('runc') }, async (t) => {
  const folder = tempDir(t);
  chmodSync(folder, 0o711);
  const { tree, layers } = await mergeBuilt(folder, ...busyboxLayers());
  const image = configImage({
    Entrypoint: ['/bin/sh', '-c'],
    Cmd: [`${SCRIPT}; id -G`],
    User: 'root',
    WorkingDir: '/home',
    Labels: { 'org.example': 'label' },
  });
  const said: string[] = [];
  const bundle = join(folder, 'bundle');
  const made = await writeBundle(image, tree, layers, bundle, {
    onProgress: (event) => event.type === 'warning:raised' && said.push(event.message),
  });
  assert.equal(made.rootless, !outermost);
  const config = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8'));
  assert.equal(config.annotations['org.example'], 'label');
  const id = `rootfs-kit-${process.pid}-${Math.trunc(performance.now())}`;
  const run = spawnSync('runc', ['--root', join(folder, 'state'), 'run', '--bundle', bundle, id], { encoding: 'utf8' });
  assert.equal(run.stdout, `inside\nls: /gone: No such file or directory\n0\n/root\n/home\nwritten\n0\n`, run.stderr);
  assert.equal(run.status, 0, run.stderr);
  assert.deepEqual(said, []);
});

test('runc runs the bundle as the user of the image', { skip: outermost ? needs('runc') : 'needs root' }, async (t) => {
  const folder = tempDir(t);
  chmodSync(folder, 0o711);
  const { tree, layers } = await mergeBuilt(folder, ...busyboxLayers());
  const image = configImage({
    Cmd: ['/bin/sh', '-c', 'id -u; id -G; cd; pwd; touch mine && echo written'],
    User: 'app',
  });
  const bundle = join(folder, 'bundle');
  await writeBundle(image, tree, layers, bundle);
  const id = `rootfs-kit-${process.pid}-${Math.trunc(performance.now())}`;
  const run = spawnSync('runc', ['--root', join(folder, 'state'), 'run', '--bundle', bundle, id], { encoding: 'utf8' });
  assert.equal(run.stdout, '1000\n1000 44\n/home/app\nwritten\n', run.stderr);
});

test('runc runs the bundle in a user namespace that its id maps describe', {
  skip: outermost ? needs('runc') : 'needs root',
}, async (t) => {
  const folder = tempDir(t);
  chmodSync(folder, 0o711);
  const { tree, layers } = await mergeBuilt(folder, ...busyboxLayers());
  const config = {
    Cmd: ['/bin/sh', '-c', 'id -u; cat /proc/self/uid_map; cd; touch mine && echo written'],
    User: 'app',
  };
  const bundle = join(folder, 'bundle');
  await writeBundle(configImage(config), tree, layers, bundle, {
    uidMap: [{ containerId: 0, hostId: 100_000, size: 65_536 }],
  });
  const id = `rootfs-kit-${process.pid}-${Math.trunc(performance.now())}`;
  const run = spawnSync('runc', ['--root', join(folder, 'state'), 'run', '--bundle', bundle, id], { encoding: 'utf8' });
  assert.equal(run.stdout.replace(/ +/g, ' '), '1000\n 0 100000 65536\nwritten\n', run.stderr);
});

test('root of a user namespace that /proc does not tell of: what cannot be kept says why', {
  skip: needs('bwrap'),
}, async (t) => {
  const folder = tempDir(t);
  chmodSync(folder, 0o777);
  const layer = new LayerBuilder().file('a', 'a', { uid: 5, gid: 6 });
  await writeLayout(join(folder, 'layout'), { latest: image().layer(layer.tar()).build() });
  const place = ['--unshare-user', '--uid', '0', '--gid', '0', '--ro-bind', '/', '/', '--dev', '/dev'];
  const words = ['unpack', '-q', '--store', join(folder, 'store'), '--dst', join(folder, 'root')];
  const run = spawnSync(
    'bwrap',
    [
      ...place,
      '--bind',
      folder,
      folder,
      '--tmpfs',
      '/proc',
      process.execPath,
      ROOTFS_BIN,
      ...words,
      `oci:${folder}/layout`,
    ],
    { encoding: 'utf8' },
  );
  assert.equal(run.status, 1, run.stderr);
  assert.match(
    run.stderr,
    /owner 5:6 cannot be set here \(EINVAL\); a user namespace.*needs \/proc.*\[ERR_WOULD_LOSE\]/,
  );
  assert.equal(existsSync(join(folder, 'root')), false);
});

test('a user who may write anywhere by a capability is not refused beforehand', {
  skip: outermost ? needs('setpriv') : 'needs root to hand on a capability',
}, async (t) => {
  const folder = tempDir(t);
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'shut'), { mode: 0o755 });
  await writeLayout(join(folder, 'layout'), { latest: image().build() });
  const who = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const may = ['--inh-caps', '+dac_override', '--ambient-caps', '+dac_override'];
  const words = ['flatten', '-o', join(folder, 'shut', 'x.tar'), '--store', join(folder, 'shut', 'store')];
  const run = spawnSync('setpriv', [...who, ...may, process.execPath, ROOTFS_BIN, ...words, `oci:${folder}/layout`], {
    encoding: 'utf8',
  });
  assert.equal(run.status, 0, run.stderr);
  assert.ok(existsSync(join(folder, 'shut', 'x.tar')));
});

test('root of a container, who lacks a capability, is told which', {
  skip: outermost ? needs('setpriv') : 'needs root to lose a capability',
}, async (t) => {
  const folder = tempDir(t);
  const layer = new LayerBuilder().device('dev/zero', 'char', 1, 5);
  await writeLayout(join(folder, 'layout'), { latest: image().layer(layer.tar()).build() });
  const cap = Buffer.from('0100000200200000000000000000000000000000', 'hex');
  const owned = (xattrs?: Record<string, Buffer>): LayerBuilder =>
    new LayerBuilder().file('a', 'a', { uid: 5, ...(xattrs === undefined ? {} : { xattrs }) });
  for (const [name, one] of Object.entries({
    times: owned(),
    modes: new LayerBuilder().dir('a', { mode: 0o2755, gid: 5 }),
    user: owned({ 'user.a': Buffer.from('a') }),
    trusted: owned({ 'trusted.a': Buffer.from('a') }),
    security: owned({ 'security.capability': cap }),
  })) {
    await writeLayout(join(folder, name), { latest: image().layer(one.tar()).build() });
  }
  const without = (capability: string, ...words: readonly string[]): string => {
    const set = ['--bounding-set', `-${capability}`, '--inh-caps', '-all'];
    const run = spawnSync(
      'setpriv',
      [...set, process.execPath, ROOTFS_BIN, ...words, '--store', join(folder, 'store')],
      {
        encoding: 'utf8',
      },
    );
    assert.equal(run.status, 1, run.stderr);
    return run.stderr;
  };
  const dst = join(folder, 'root');
  assert.match(
    without('mknod', 'unpack', '-q', '--dst', dst, `oci:${folder}/layout`),
    /char node cannot be set here \(EPERM\); run with CAP_MKNOD, or allow the loss.*\[ERR_WOULD_LOSE\]/,
  );
  for (const [lacking, name, message] of [
    ['fowner', 'times', /root\/a: EPERM: .*; run with CAP_FOWNER, or choose a file system that keeps it \[/],
    ['fsetid', 'modes', /would be lost: modes of 1 entry \(as a\); run with CAP_FSETID, or allow the loss/],
    ['dac_override', 'user', /"user\.a" cannot be set here \(EACCES\); run with CAP_DAC_OVERRIDE, or allow the loss/],
    ['sys_admin', 'trusted', /"trusted\.a" cannot be set here \(EPERM\); run with CAP_SYS_ADMIN, or allow the loss/],
    ['setfcap', 'security', /"security\.capability" cannot .* \(EPERM\); run with CAP_SETFCAP, or allow the loss/],
  ] as const) {
    assert.match(without(lacking, 'unpack', '-q', '--dst', dst, `oci:${join(folder, name)}`), message);
  }
  assert.match(
    without('sys_admin', 'mount', '-q', `oci:${folder}/layout`, dst),
    /needs root \(CAP_SYS_ADMIN\), and this root does not have it; start its container with it, or rootfs unpack/,
  );
  assert.equal(existsSync(dst), false);
});
