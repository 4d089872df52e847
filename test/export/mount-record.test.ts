import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  listMounts,
  type MountRecord,
  mountId,
  readMountRecord,
  removeMountRecord,
  writeMountRecord,
} from '../../src/export/mount-record.js';
import { readMountTable } from '../../src/io/mount-table.js';
import { bootId, processMark } from '../../src/io/process-mark.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

function record(mountpoint: string, boot = bootId()): MountRecord {
  return {
    version: 1,
    mountpoint,
    image: `sha256:${'a'.repeat(64)}`,
    layers: [`sha256:${'b'.repeat(64)}`],
    metadata: '/store/erofs/a.erofs',
    loops: [],
    madeMountpoint: true,
    pid: 1,
    boot,
  };
}

test('the table of mounts is read with its escapes, whatever stands between', (t) => {
  const path = join(tempDir(t), 'mountinfo');
  writeFileSync(
    path,
    [
      '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
      '40 22 0:30 / /a\\040b\\134c rw shared:1 master:2 - erofs /store/erofs/x\\040y.erofs ro',
      '41 22 0:31 / /short rw',
      '42 22 0:32 / /c rw - overlay overlay rw,lowerdir=/l,upperdir=/with\\054comma/upper,workdir=/w',
      '',
    ].join('\n'),
  );
  assert.deepEqual(readMountTable(path), [
    { mountpoint: '/', type: 'ext4', source: '/dev/vda' },
    { mountpoint: '/a b\\c', type: 'erofs', source: '/store/erofs/x y.erofs' },
    { mountpoint: '/c', type: 'overlay', source: 'overlay', upper: '/with,comma/upper' },
  ]);
  assert.deepEqual(readMountTable(join(path, 'none')), []);
});

test('records are written, replaced, listed and forgotten; what cannot be read is no record', (t) => {
  const store = tempDir(t);
  assert.deepEqual(listMounts(store), []);
  writeMountRecord(store, record('/'));
  writeMountRecord(store, record('/nowhere'));
  writeMountRecord(store, { ...record('/nowhere'), pid: 2 });
  for (const [name, text] of [
    ['cut.json', '{"version":1'],
    ['old.json', '{"version":0,"mountpoint":"/","image":"x","layers":[],"loops":[]}'],
  ] as const) {
    writeFileSync(join(store, 'mounts', name), text);
  }
  mkdirSync(join(store, 'mounts', 'folder.lower'));
  const listed = listMounts(store).map(({ mountpoint, mounted, pid }) => [mountpoint, mounted, pid]);
  const mounted = process.platform === 'linux';
  assert.deepEqual(listed.sort(), [
    ['/', mounted, 1],
    ['/nowhere', false, 2],
  ]);
  assert.equal(readMountRecord(store, '/nowhere')?.pid, 2);
  removeMountRecord(store, '/nowhere');
  removeMountRecord(store, '/nowhere');
  assert.equal(readMountRecord(store, '/nowhere'), undefined);
  assert.equal(readdirSync(join(store, 'mounts')).length, 4);
});

test('a link that somebody planted beside a record is not written through', (t) => {
  const store = tempDir(t);
  const theirs = join(store, 'theirs');
  writeFileSync(theirs, 'theirs');
  mkdirSync(join(store, 'mounts'));
  symlinkSync(theirs, join(store, 'mounts', `${mountId('/a')}.json.${process.pid}.tmp`));
  writeMountRecord(store, record('/a'));
  assert.equal(readMountRecord(store, '/a')?.mountpoint, '/a');
  assert.equal(readFileSync(theirs, 'utf8'), 'theirs');
});

test('a record that cannot be written leaves nothing, and says which', (t) => {
  const store = tempDir(t);
  const path = join(store, 'mounts', `${mountId('/a')}.json`);
  mkdirSync(path, { recursive: true });
  assert.throws(() => writeMountRecord(store, record('/a')), {
    code: 'ERR_FILESYSTEM',
    message: new RegExp(`^${path}: EISDIR`),
  });
  assert.deepEqual(readdirSync(join(store, 'mounts')), [`${mountId('/a')}.json`]);
});

test('a record of an earlier boot is no mount', (t) => {
  const store = tempDir(t);
  writeMountRecord(store, record('/', 'another boot'));
  assert.deepEqual(
    listMounts(store).map(({ mounted }) => mounted),
    [false],
  );
});

test('without native calls mount says so before it looks for the image', async (t) => {
  const { code, stderr } = await runRootfs(['mount', 'oci:/nowhere', join(tempDir(t), 'root')], {
    env: { ROOTFS_NATIVE: '0' },
  });
  assert.notEqual(code, 0);
  assert.match(stderr, process.platform === 'linux' ? /ERR_NATIVE_MISSING/ : /ERR_UNSUPPORTED/);
  assert.match(stderr, /rootfs unpack/);
});

test('what a process that was killed in the middle of a record left goes with the next record', (t) => {
  const store = tempDir(t);
  writeMountRecord(store, record('/a'));
  const dead = processMark().replace(/-\d+-\d+$/, '-4194303-77');
  writeFileSync(join(store, 'mounts', `.${mountId('/b')}.json.rootfs-${dead}-0123456789ab`), '{');
  writeMountRecord(store, record('/c'));
  assert.deepEqual(
    readdirSync(join(store, 'mounts')).sort(),
    ['/a', '/c'].map((path) => `${mountId(path)}.json`).sort(),
  );
});
