import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { loadNative, MountFlag, type Native, nativeMissing } from '../../src/io/native.js';
import { tempDir } from '../support/temp-dir.js';

const native = loadNative() as Native;
const skip = native === undefined ? (nativeMissing() ?? 'no native calls') : false;
const root = skip === false && process.geteuid?.() === 0 ? false : 'needs root and koffi';
const entry = new URL('../../src/io/native.js', import.meta.url);

test('attributes are set, read, listed and removed, bytes and all', { skip }, (t) => {
  const path = join(tempDir(t), 'caf\u00e9');
  writeFileSync(path, '');
  const value = Buffer.from([0, 10, 255, 61]);
  native.setXattr(path, Buffer.from('user.a'), value);
  native.setXattr(path, Buffer.from('user.\xff', 'latin1'), Buffer.alloc(0));
  assert.deepEqual(native.getXattr(path, Buffer.from('user.a')), value);
  assert.equal(native.getXattr(path, Buffer.from('user.none')), undefined);
  const names = native.listXattrs(path).map((name) => name.toString('latin1'));
  assert.deepEqual(names.sort(), ['user.a', 'user.\xff']);
  native.removeXattr(path, Buffer.from('user.a'));
  native.removeXattr(path, Buffer.from('user.a'));
  assert.equal(native.getXattr(path, Buffer.from('user.a')), undefined);
  native.setXattr(path, Buffer.from('user.long'), Buffer.alloc(3000, 7));
  assert.equal(native.getXattr(path, Buffer.from('user.long'))?.length, 3000);
});

test('errors are those of Node: code, errno, syscall, path', { skip }, (t) => {
  const path = join(tempDir(t), 'none');
  assert.throws(() => native.setXattr(path, Buffer.from('user.a'), Buffer.from('x')), {
    code: 'ENOENT',
    errno: -2,
    syscall: 'lsetxattr',
    path,
  });
  assert.throws(() => native.makeFifo(`${path}\0x`, 0o600), { code: 'EINVAL' });
});

test('times keep nanoseconds, before the epoch too, of a link and of what it points at', { skip }, (t) => {
  const folder = tempDir(t);
  const file = join(folder, 'file');
  const link = join(folder, 'link');
  writeFileSync(file, '');
  symlinkSync('file', link);
  native.setTimes(link, { seconds: -2, nanoseconds: 999_999_999 });
  native.setTimes(link, { seconds: 3, nanoseconds: 1 }, true);
  assert.equal(lstatSync(link, { bigint: true }).mtimeNs, -1_000_000_001n);
  assert.equal(lstatSync(file, { bigint: true }).mtimeNs, 3_000_000_001n);
});

test('FIFOs are made', { skip }, (t) => {
  const path = join(tempDir(t), 'pipe');
  native.makeFifo(path, 0o600);
  assert.ok(lstatSync(path).isFIFO());
});

test('devices carry large numbers', { skip: root }, (t) => {
  const path = join(tempDir(t), 'device');
  native.makeDevice(path, 'block', 0o640, 259, 0x12345);
  const { mode, rdev } = lstatSync(path);
  assert.equal(mode & 0o170000, 0o060000);
  assert.equal(rdev, 0x45 | (259 << 8) | (0x12300 << 12));
});

test('a mount is made and taken away', { skip: root }, (t) => {
  const folder = join(tempDir(t), 'mount');
  mkdirSync(folder);
  native.mount('none', folder, 'tmpfs', MountFlag.noDev, 'size=64k,mode=0700');
  try {
    assert.notEqual(lstatSync(folder).dev, lstatSync(join(folder, '..')).dev);
    assert.throws(() => native.mount('none', folder, 'no-such-type', 0, ''), { code: 'ENODEV' });
  } finally {
    native.unmount(folder);
  }
  assert.equal(lstatSync(folder).dev, lstatSync(join(folder, '..')).dev);
});

test('the calls work in a worker', { skip }, async () => {
  const source = `import('${entry.href}').then(({ loadNative }) => {
    try { loadNative().makeFifo('/no/where', 0o600); } catch (error) { require('node:worker_threads').parentPort.postMessage(error.code); }
  })`;
  const worker = new Worker(source, { eval: true });
  const code = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
  assert.equal(code, 'ENOENT');
});

test('ROOTFS_NATIVE=0 does without, and says so', () => {
  const script = `import('${entry.href}').then((it) => console.log(it.loadNative() === undefined, it.nativeMissing()))`;
  const run = spawnSync(process.execPath, ['-e', script], {
    env: { ...process.env, ROOTFS_NATIVE: '0' },
    encoding: 'utf8',
  });
  assert.equal(run.stdout, 'true ROOTFS_NATIVE=0 is set\n');
});
