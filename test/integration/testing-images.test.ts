/** Built layers, random images and the healthy registry before the eyes of GNU tar, umoci and skopeo. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import {
  type Corner,
  digestOf,
  image,
  index,
  LayerBuilder,
  randomImage,
  startRegistry,
  writeLayout,
  zstdFrame,
  zstdSkippableFrame,
} from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const run = promisify(execFile);
const root = process.getuid?.() === 0;

test('GNU tar lists what the layer builder wrote', { skip: needs('tar') }, () => {
  const long = `deep/${'n'.repeat(180)}`;
  const split = `${'p'.repeat(120)}/${'q'.repeat(90)}`;
  const tar = new LayerBuilder()
    .dir('etc', { mode: 0o700, uid: 3_000_000, gid: 7 })
    .file('etc/hosts', 'abc', { mtime: 1_500_000_000 })
    .file(long, '1')
    .file(`gnu-${long}`, '22', { format: 'gnu' })
    .file(split, '333', { format: 'ustar' })
    .file('old', '4444', { format: 'v7' })
    .symlink('etc/link', 'hosts')
    .hardlink('etc/hard', 'etc/hosts')
    .device('dev/null', 'char', 1, 3)
    .device('dev/sda', 'block', 8, 0)
    .fifo('run/pipe')
    .sparse('s-gnu', { size: 10_000, extents: [{ offset: 5000, content: 'x' }] })
    .sparse('s-1.0', { size: 10_001, extents: [{ offset: 5000, content: 'x' }] }, { style: 'pax-1.0' })
    .sparse('s-0.1', { size: 10_002, extents: [{ offset: 5000, content: 'x' }] }, { style: 'pax-0.1' })
    .sparse('s-0.0', { size: 10_003, extents: [{ offset: 5000, content: 'x' }] }, { style: 'pax-0.0' })
    .paxGlobal({ comment: 'for all' })
    .whiteout('etc/passwd')
    .opaque('var')
    .tar();
  const listing = spawnSync('tar', ['-tvnf', '-', '--numeric-owner', '--full-time', '--utc'], {
    input: tar,
    encoding: 'utf8',
  });
  assert.equal(listing.status, 0, listing.stderr);
  const lines = listing.stdout
    .trim()
    .split('\n')
    .map((line) => line.replace(/ +/g, ' ').split(' '));
  const shown = lines.map(([mode, owner, size, , , ...name]) => `${mode} ${owner} ${size} ${name.join(' ')}`);
  assert.deepEqual(shown, [
    'drwx------ 3000000/7 0 etc/',
    '-rw-r--r-- 0/0 3 etc/hosts',
    `-rw-r--r-- 0/0 1 ${long}`,
    `-rw-r--r-- 0/0 2 gnu-${long}`,
    `-rw-r--r-- 0/0 3 ${split}`,
    '-rw-r--r-- 0/0 4 old',
    'lrwxrwxrwx 0/0 0 etc/link -> hosts',
    'hrw-r--r-- 0/0 0 etc/hard link to etc/hosts',
    'crw------- 0/0 1,3 dev/null',
    'brw------- 0/0 8,0 dev/sda',
    'prw------- 0/0 0 run/pipe',
    '-rw-r--r-- 0/0 10000 s-gnu',
    '-rw-r--r-- 0/0 10001 s-1.0',
    '-rw-r--r-- 0/0 10002 s-0.1',
    '-rw-r--r-- 0/0 10003 s-0.0',
    '-rw-r--r-- 0/0 0 etc/.wh.passwd',
    '-rw-r--r-- 0/0 0 var/.wh..wh..opq',
  ]);
  assert.deepEqual(lines[1]?.slice(3, 5), ['2017-07-14', '02:40:00']);
  const broken = new LayerBuilder().file('x', '', { header: { checksum: 'wrong' } }).tar();
  assert.notEqual(spawnSync('tar', ['-tf', '-'], { input: broken }).status, 0);
});

test('GNU tar gives sparse files back with many runs', { skip: needs('tar') }, (t) => {
  const dir = tempDir(t, 'sparse');
  const extents = Array.from({ length: 60 }, (_, at) => ({ offset: at * 8192, content: Buffer.alloc(512, at + 1) }));
  const whole = Buffer.alloc(60 * 8192);
  for (const { offset, content } of extents) content.copy(whole, offset);
  for (const style of ['gnu', 'pax-0.0', 'pax-0.1', 'pax-1.0'] as const) {
    const tar = new LayerBuilder().sparse(style, { size: whole.length, extents }, { style }).tar();
    assert.equal(spawnSync('tar', ['-xf', '-', '-C', dir], { input: tar }).status, 0);
    assert.ok(readFileSync(join(dir, style)).equals(whole), style);
  }
});

test('zstd reads the frames that were written by hand', { skip: needs('zstd') }, () => {
  const content = Buffer.concat([
    Buffer.alloc(300_000, 7),
    Buffer.from(Array.from({ length: 200_001 }, (_, at) => at * 31)),
  ]);
  const decode = (frame: Buffer) => spawnSync('zstd', ['-dc'], { input: frame, maxBuffer: 1 << 24 });
  for (const piece of [content, Buffer.alloc(0), Buffer.from('a')]) {
    for (const checksum of ['none', 'right'] as const) {
      const got = decode(Buffer.concat([zstdSkippableFrame(Buffer.alloc(9)), zstdFrame(piece, { checksum })]));
      assert.equal(got.status, 0, got.stderr.toString());
      assert.ok(got.stdout.equals(piece));
    }
  }
  for (const windowLog of [10, 16, 27]) {
    const got = decode(zstdFrame(content, { windowLog, checksum: 'right' }));
    assert.ok(got.stdout.equals(content), `${windowLog}: ${got.stderr}`);
  }
  assert.notEqual(decode(zstdFrame(content, { checksum: 'wrong' })).status, 0);
});

test('skopeo copies from the registry and back to it', { skip: needs('skopeo') }, async (t) => {
  const dir = tempDir(t, 'skopeo');
  await using registry = await startRegistry({ auth: { kind: 'bearer', users: { me: 'secret' }, anonymous: true } });
  const built = image()
    .layer((l) => l.dir('etc').file('etc/motd', 'hi'))
    .layer((l) => l.whiteout('etc/motd'), { compression: { algorithm: 'zstd', stored: true } })
    .build();
  registry.add('team/app', 'latest', index().add(built).attestation(built).build());
  const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false'];
  await run('skopeo', ['copy', ...insecure, `docker://${registry.host}/team/app:latest`, `dir:${join(dir, 'app')}`]);
  assert.ok(readFileSync(join(dir, 'app', 'manifest.json')).equals(built.manifestBytes));
  for (const layer of built.layers) {
    assert.ok(readFileSync(join(dir, 'app', layer.descriptor.digest.slice(7))).equals(layer.blob));
  }
  const to = `docker://${registry.host}/pushed/app:v1`;
  await run('skopeo', ['copy', ...insecure, '--dest-creds=me:secret', `dir:${join(dir, 'app')}`, to]);
  assert.ok(registry.content.manifest('pushed/app', 'v1')?.bytes.equals(built.manifestBytes));
  const { stdout } = await run('skopeo', ['list-tags', '--tls-verify=false', `docker://${registry.host}/pushed/app`]);
  assert.deepEqual(JSON.parse(stdout).Tags, ['v1']);
  await assert.rejects(run('skopeo', ['copy', ...insecure, `dir:${join(dir, 'app')}`, to]));
});

test('skopeo trusts a certificate made on the spot, and follows redirects', { skip: needs('skopeo') }, async (t) => {
  const dir = tempDir(t, 'skopeo-tls');
  await using registry = await startRegistry({ tls: 'self-signed', faults: [{ on: 'blob', do: 'redirect' }] });
  registry.add(
    'app',
    'latest',
    image()
      .layer((l) => l.file('a', 'b'))
      .build(),
  );
  writeFileSync(join(dir, 'ca.crt'), registry.certificate?.cert ?? '');
  await run('skopeo', [
    'copy',
    '--src-cert-dir',
    dir,
    `docker://${registry.host}/app:latest`,
    `dir:${join(dir, 'out')}`,
  ]);
  assert.ok(registry.log.of('storage').length >= 2);
  assert.equal(registry.log.leaked.length, 0);
});

test('umoci makes of random images what they must become', {
  skip: !root ? 'needs root' : needs('umoci'),
}, async (t) => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const dir = tempDir(t, `random-${seed}`);
    // umoci applies whiteouts in the order of the tar, refuses files as parents and links before their targets, reads
    // no zstd, and lets the directories it makes up inherit a setgid bit
    const inherits: Corner[] = seed % 2 === 0 ? ['modes'] : ['missing-parents', 'dangling-parents'];
    const without: Corner[] = ['late-whiteouts', 'file-as-parent', 'link-before-target', ...inherits];
    const built = randomImage(seed, { compression: 'gzip', without });
    await writeLayout(join(dir, 'layout'), { latest: built });
    await run('umoci', ['unpack', '--image', `${join(dir, 'layout')}:latest`, join(dir, 'bundle')]);
    const rootfs = Buffer.from(join(dir, 'bundle', 'rootfs'));
    const expected = [...built.expected.entries()].map(([path, node]) => {
      const { mode, uid, gid } = node.attributes;
      const type =
        node.type === 'file'
          ? digestOf(node.content ?? Buffer.alloc(0))
          : node.type === 'symlink'
            ? node.target
            : node.type;
      return `${path} ${node.type === 'symlink' ? '' : mode.toString(8)} ${uid} ${gid} ${type}`;
    });
    assert.deepEqual(walk(rootfs, ''), expected, `seed ${seed}`);
  }
});

function walk(rootfs: Buffer, prefix: string): string[] {
  const at = (path: string): Buffer => Buffer.concat([rootfs, Buffer.from(`/${path}`, 'latin1')]);
  const names = readdirSync(at(prefix), { encoding: 'buffer' }).map((name) => name.toString('latin1'));
  return names.sort().flatMap((name) => {
    const path = prefix === '' ? name : `${prefix}/${name}`;
    const stat = lstatSync(at(path));
    const line = (mode: string, what: string): string => `${path} ${mode} ${stat.uid} ${stat.gid} ${what}`;
    const mode = (stat.mode & 0o7777).toString(8);
    if (stat.isSymbolicLink()) return [line('', readlinkSync(at(path), { encoding: 'latin1' }))];
    if (stat.isDirectory()) return [line(mode, 'directory'), ...walk(rootfs, path)];
    if (stat.isFile()) return [line(mode, digestOf(readFileSync(at(path))))];
    return [line(mode, stat.isFIFO() ? 'fifo' : stat.isBlockDevice() ? 'block' : 'char')];
  });
}
