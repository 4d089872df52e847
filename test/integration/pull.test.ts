/** `rootfs pull` and archives as destinations, before podman, skopeo and tar. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { image, writeLayout } from '../../src/testing/testing.js';
import { atEnd } from '../support/at-end.js';
import { startDockerRegistry } from '../support/docker-registry.js';
import { ROOTFS_MAIN, runRootfs } from '../support/run-rootfs.js';
import { sampleIndex } from '../support/sample-index.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const run = promisify(execFile);
const skip = needs('docker-registry', 'skopeo');
const isRoot = process.getuid?.() === 0;

async function rootfs(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await runRootfs([...words, '--quiet']);
  assert.equal(code, 0, stderr);
  return stdout.toString().trim();
}

async function skopeo(...words: string[]): Promise<string> {
  return (await run('skopeo', words)).stdout.trim();
}

async function registry(t: TestContext, folder: string): Promise<string> {
  const server = await startDockerRegistry(folder);
  atEnd(t, () => server.stop());
  return server.host;
}

const skipPodman = isRoot ? needs('podman', 'tar') : 'podman with storage of its own needs root';

test('podman loads what was pulled, plain and compressed, with its names', {
  skip: skipPodman,
  timeout: 120_000,
}, async (t) => {
  const folder = tempDir(t, 'pull');
  const storage = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
  t.after(() => rmSync(join(folder, 'root'), { recursive: true, force: true }));
  const podman = (...words: string[]): string =>
    execFileSync('podman', [...storage, '--cgroup-manager=cgroupfs', '--events-backend=file', ...words], {
      encoding: 'utf8',
    });
  const { amd64 } = sampleIndex();
  const docker = image()
    .mediaTypes('docker')
    .compression('none')
    .layer((layer) => layer.file('a', 'docker'))
    .build();
  await writeLayout(join(folder, 'layout'), { amd64, docker });
  for (const [tag, built] of Object.entries({ amd64, docker })) {
    for (const suffix of ['.tar', '.tar.gz']) {
      const file = join(folder, `${tag}${suffix}`);
      const name = `localhost/${tag}:${suffix.slice(1)}`;
      assert.equal(await rootfs('pull', `oci:${join(folder, 'layout')}:${tag}`, '-o', file, '--name', name), file);
      assert.match(podman('load', '-q', '-i', file), new RegExp(name));
      const id = podman('image', 'inspect', '--format', '{{.Id}}', name).trim();
      assert.equal(`sha256:${id}`, built.manifest.config.digest);
    }
  }
  await writeLayout(join(folder, 'names'), {
    'docker.io/library/bar:latest': amd64,
    'docker.io/user/app:1': docker,
    'example.org/x:2': docker,
  });
  await rootfs('copy', '-a', `oci:${join(folder, 'names')}`, `docker-archive:${join(folder, 'names.tar')}`);
  const loaded = podman('load', '-q', '-i', join(folder, 'names.tar'));
  assert.deepEqual(loaded.match(/: .*/g)?.sort(), [
    ': docker.io/library/bar:latest',
    ': docker.io/user/app:1',
    ': example.org/x:2',
  ]);
  await rootfs('copy', `oci:${join(folder, 'layout')}:amd64`, `oci-archive:${join(folder, 'oci.tar')}:localhost/oci:1`);
  assert.match(podman('load', '-q', '-i', join(folder, 'oci.tar')), /localhost\/oci:1/);
});

test('one digest from registry to layout to archive to registry', { skip }, async (t) => {
  const folder = tempDir(t, 'pull');
  const host = await registry(t, folder);
  const { amd64 } = sampleIndex();
  const { digest } = amd64.descriptor;
  await writeLayout(join(folder, 'made'), { v1: amd64 });
  const at = (name: string): string => join(folder, name);
  await rootfs('push', `oci:${at('made')}:v1`, `${host}/a:v1`);
  const steps: [string, string][] = [
    [`${host}/a:v1`, `oci:${at('layout')}:v1`],
    [`oci:${at('layout')}:v1`, `docker-archive:${at('docker.tar')}:example/a:v1`],
    [`docker-archive:${at('docker.tar')}:example/a:v1`, `oci-archive:${at('oci.tar')}:v1`],
    [`oci-archive:${at('oci.tar')}:v1`, `dir:${at('dir')}`],
    [`dir:${at('dir')}`, `docker-archive:${at('again.tar.gz')}`],
    [`docker-archive:${at('again.tar.gz')}`, `${host}/b:v1`],
  ];
  for (const [from, to] of steps) assert.equal(await rootfs('copy', from, to), digest, `${from} to ${to}`);
  assert.equal(
    await skopeo('inspect', '--tls-verify=false', '--format', '{{.Digest}}', `docker://${host}/b:v1`),
    digest,
  );
});

test('one digest for a whole index too, through the forms that keep one', { skip }, async (t) => {
  const folder = tempDir(t, 'pull');
  const host = await registry(t, folder);
  const { built } = sampleIndex();
  await writeLayout(join(folder, 'made'), { v1: built });
  const at = (name: string): string => join(folder, name);
  const steps: [string, string][] = [
    [`oci:${at('made')}:v1`, `${host}/a:v1`],
    [`${host}/a:v1`, `oci:${at('layout')}:v1`],
    [`oci:${at('layout')}:v1`, `oci-archive:${at('oci.tar.gz')}:v1`],
    [`oci-archive:${at('oci.tar.gz')}:v1`, `dir:${at('dir')}`],
    [`dir:${at('dir')}`, `${host}/b:v1`],
  ];
  for (const [from, to] of steps) {
    assert.equal(await rootfs('copy', '--platform', 'all', from, to), built.descriptor.digest, `${from} to ${to}`);
  }
  const raw = await skopeo('inspect', '--raw', '--tls-verify=false', `docker://${host}/b:v1`);
  assert.equal(raw, built.blobs.get(built.descriptor.digest)?.toString());
  assert.equal(await rootfs('validate', `${host}/b:v1`), built.descriptor.digest);
});

test('skopeo reads our archives and folders as its own', { skip }, async (t) => {
  const folder = tempDir(t, 'pull');
  const host = await registry(t, folder);
  const { built, amd64 } = sampleIndex();
  await writeLayout(join(folder, 'made'), { v1: built });
  await rootfs('push', `oci:${join(folder, 'made')}:v1`, `${host}/a:v1`);
  const at = (name: string): string => join(folder, name);
  await rootfs('pull', '--platform', 'linux/amd64', `${host}/a:v1`, '-o', at('pulled.tar'));
  await skopeo('copy', '-q', '--dest-tls-verify=false', `docker-archive:${at('pulled.tar')}`, `docker://${host}/b:v1`);
  const diffIds = JSON.parse(
    await skopeo('inspect', '--tls-verify=false', '--config', '--raw', `docker://${host}/b:v1`),
  );
  assert.deepEqual(diffIds.rootfs.diff_ids, amd64.config.rootfs.diff_ids);
  const tags = await skopeo('inspect', '--format', '{{.RepoTags}}', `docker-archive:${at('pulled.tar')}:${host}/a:v1`);
  assert.match(tags, /\[\]|a:v1/);
  assert.match(await skopeo('list-tags', `docker-archive:${at('pulled.tar')}`), new RegExp(`${host}/a:v1`));
  for (const [reference, named] of [
    [`:${host}/a:v1`, `${host}/a:v1`],
    [':@0', `${host}/a:v1`],
    ['', `${host}/a:v1`],
  ]) {
    await rootfs('pull', `docker-archive:${at('pulled.tar')}${reference}`, '-o', at('again.tar'));
    assert.equal(await rootfs('tags', `docker-archive:${at('again.tar')}`), named);
  }
  const whole = ['copy', '--platform', 'all', `${host}/a:v1`];
  assert.equal(await rootfs(...whole, `oci-archive:${at('all.tar')}:v1`), built.descriptor.digest);
  await skopeo(
    'copy',
    '-q',
    '--all',
    '--preserve-digests',
    '--dest-tls-verify=false',
    `oci-archive:${at('all.tar')}:v1`,
    `docker://${host}/c:v1`,
  );
  assert.equal(await rootfs(...whole, `dir:${at('dir')}`), built.descriptor.digest);
  await skopeo(
    'copy',
    '-q',
    '--all',
    '--preserve-digests',
    '--dest-tls-verify=false',
    `dir:${at('dir')}`,
    `docker://${host}/d:v1`,
  );
  for (const name of ['c', 'd']) assert.equal(await rootfs('digest', `${host}/${name}:v1`), built.descriptor.digest);
});

test('standard input and output', { skip }, async (t) => {
  const folder = tempDir(t, 'pull');
  const host = await registry(t, folder);
  const { amd64 } = sampleIndex();
  await writeLayout(join(folder, 'made'), { v1: amd64 });
  const pulled = await runRootfs(['pull', '-q', `oci:${join(folder, 'made')}:v1`, '-o', '-']);
  assert.equal(pulled.code, 0, pulled.stderr);
  const pushed = await runRootfs(['push', '-q', 'docker-archive:-', `${host}/a:v1`], { input: pulled.stdout });
  assert.equal(pushed.code, 0, pushed.stderr);
  assert.equal(pushed.stdout.toString().trim(), amd64.descriptor.digest);
});

test('a reader that goes away ends the command quietly and leaves nothing', { skip }, async (t) => {
  const folder = tempDir(t, 'pull');
  // More than a pipe holds, whether or not its reader is still there.
  const large = image().compression('none');
  await writeLayout(join(folder, 'made'), {
    v1: large.layer((layer) => layer.file('a', Buffer.alloc(3_000_000))).build(),
  });
  const work = join(folder, 'work');
  mkdirSync(work);
  const line = `"$0" "$1" pull -q "oci:$2:v1" -o - | head -c 10 >/dev/null; echo "\${PIPESTATUS[0]}"`;
  const { stdout } = await run('bash', ['-c', line, process.execPath, ROOTFS_MAIN, join(folder, 'made')], {
    env: { PATH: process.env['PATH'], HOME: '/dev/null/home', TMPDIR: work },
  });
  assert.equal(stdout.trim(), '141');
  assert.deepEqual(readdirSync(work), []);
});

test('bad archives are told and push nothing', { skip }, async (t) => {
  const folder = tempDir(t, 'pull');
  const host = await registry(t, folder);
  const { amd64 } = sampleIndex();
  const other = image()
    .layer((layer) => layer.file('other', 'x'))
    .build();
  await writeLayout(join(folder, 'made'), { v1: amd64, v2: other });
  const pulled = await runRootfs(['pull', '-q', `oci:${join(folder, 'made')}:v1`, '-o', '-']);
  const cases: [string, Uint8Array, RegExp][] = [
    ['cut', pulled.stdout.subarray(0, pulled.stdout.length / 2), /ERR_ARCHIVE_INVALID/],
    ['empty', new Uint8Array(), /ERR_ARCHIVE_INVALID/],
    ['text', Buffer.from('no tar at all\n'.repeat(100)), /ERR_ARCHIVE_INVALID/],
  ];
  for (const [name, bytes, told] of cases) {
    writeFileSync(join(folder, name), bytes);
    const { code, stderr } = await runRootfs([
      'push',
      '-q',
      '--json',
      `docker-archive:${join(folder, name)}`,
      `${host}/x:v1`,
    ]);
    assert.equal(code, 5, `${name}: ${stderr}`);
    assert.match(stderr, told);
  }
  await skopeo('copy', '-q', `oci:${join(folder, 'made')}:v1`, `docker-archive:${join(folder, 'one.tar')}:a/b:v1`);
  const parts = join(folder, 'parts');
  mkdirSync(parts);
  execFileSync('tar', ['-C', parts, '-xf', join(folder, 'one.tar')]);
  rmSync(join(parts, readdirSync(parts).find((name) => name.endsWith('.tar')) ?? ''));
  execFileSync('tar', ['-C', parts, '-cf', join(folder, 'one.tar'), '.']);
  const missing = await runRootfs([
    'push',
    '-q',
    '--json',
    `docker-archive:${join(folder, 'one.tar')}`,
    `${host}/x:v1`,
  ]);
  assert.equal(missing.code, 5);
  assert.match(missing.stderr, /manifest\.json names/);
  const both = join(folder, 'both.tar');
  await rootfs('push', `oci:${join(folder, 'made')}:v1`, `${host}/t:v1`);
  await rootfs('push', `oci:${join(folder, 'made')}:v2`, `${host}/t:v2`);
  await rootfs('pull', '--all-tags', `${host}/t`, '-o', both);
  const unnamed = await runRootfs(['push', '-q', `docker-archive:${both}`, `${host}/x:v1`]);
  assert.equal(unnamed.code, 2);
  assert.match(unnamed.stderr, new RegExp(`${host}/t:v1, ${host}/t:v2`));
  const absent = await runRootfs(['digest', '-q', `${host}/x:v1`]);
  assert.equal(absent.code, 3);
});

test('a disk that is read-only', { skip: isRoot ? false : 'a file system of its own needs root' }, async (t) => {
  const folder = tempDir(t, 'pull');
  const small = image()
    .layer((layer) => layer.file('a', 'a'))
    .build();
  await writeLayout(join(folder, 'made'), { v1: small });
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', disk]);
  const source = `oci:${join(folder, 'made')}:v1`;
  try {
    for (const words of [
      ...['oci', 'dir', 'oci-archive', 'docker-archive'].map((form) => ['copy', source, `${form}:${disk}/x`]),
      ['pull', source, '-o', `${disk}/x.tar`],
      ['flatten', source, '-o', `${disk}/x.tar`],
      ['extract', source, '--dst', `${disk}/x`],
      ['unpack', source, '--no-store', '--dst', `${disk}/x`],
      ['unpack', source, '--store', disk, '--dst', join(folder, 'x')],
      ['unpack', source, '--store', `${disk}/x`, '--dst', join(folder, 'x')],
    ]) {
      const { code, stderr } = await runRootfs([...words, '-q'], { env: { XDG_CACHE_HOME: join(folder, 'cache') } });
      assert.equal(code, 1, `${words.join(' ')}: ${stderr}`);
      assert.match(stderr, /^rootfs: [^;]*\/disk.*: EROFS: .*; .*\[ERR_PERMISSION\]$/m, words.join(' '));
    }
    assert.equal(existsSync(join(folder, 'x')), false);
  } finally {
    execFileSync('umount', [disk]);
  }
});

test('a disk that is full', { skip: isRoot ? false : 'a file system of its own needs root' }, async (t) => {
  const folder = tempDir(t, 'pull');
  const big = image()
    .layer((layer) => layer.file('big', Buffer.alloc(3_000_000, 'x')), { compression: 'none' })
    .build();
  await writeLayout(join(folder, 'made'), { v1: big });
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
  const source = `oci:${join(folder, 'made')}:v1`;
  const fail = async (words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> => {
    const { code, stderr, stdout } = await runRootfs(words, { env });
    assert.equal(code, 1, `${words.join(' ')}: ${stderr}`);
    assert.match(stderr, /ERR_NO_SPACE/);
    // What was made beside the place is gone: its name would help nobody.
    assert.doesNotMatch(stderr, /\.rootfs-kit-/);
    assert.equal(stdout.length, 0);
    return stderr;
  };
  const failToCopy = async (to: string): Promise<void> => {
    await fail(['copy', '-q', '--json', source, to]);
    if (!to.startsWith('oci:')) assert.deepEqual(readdirSync(disk), []);
    else await assert.rejects(rootfs('digest', `${to}:v1`));
    rmSync(join(disk, 'x'), { recursive: true, force: true });
  };
  try {
    for (const file of ['x.tar', 'x.tar.gz']) {
      for (const form of ['docker', 'oci']) await failToCopy(`${form}-archive:${disk}/${file}`);
      await fail(['pull', '-q', source, '-o', join(disk, file)]);
      assert.deepEqual(readdirSync(disk), []);
    }
    const gathered = await fail(['pull', '-q', source, '-o', '-'], { TMPDIR: disk });
    assert.match(gathered, /\/disk: .*; free some space or set TMPDIR to a folder that has more/);
    assert.deepEqual(readdirSync(disk), []);
    const packed = join(folder, 'x.tar.gz');
    await rootfs('pull', '-q', source, '-o', packed);
    const told = await fail(['inspect', '-q', `docker-archive:${packed}`], { TMPDIR: disk });
    assert.match(told, /x\.tar\.gz: its copy in \/[^:]*\/disk: ENOSPC: .*; set TMPDIR to a folder with more space/);
    assert.deepEqual(readdirSync(disk), []);
    for (const form of ['dir', 'oci']) await failToCopy(`${form}:${disk}/x`);
  } finally {
    execFileSync('umount', [disk]);
  }
});
