import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountErofs } from '../../src/export/mount-erofs.js';
import { attachLoop } from '../../src/io/loop-device.js';
import { loadNative, type Native } from '../../src/io/native.js';
import { needsErofs } from '../support/mounted.js';
import { tempDir } from '../support/temp-dir.js';

const skip = needsErofs();

/** What the kernel would say, without asking it. */
function failing(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: said by the test`), { code });
  };
}

function nativeWith(calls: Partial<Native>): Native {
  const real = loadNative() ?? ({} as Native);
  return { ...real, ...calls };
}

test('where options cannot be given one by one they are one text, as long as the kernel takes it', () => {
  const asked: string[] = [];
  const native = nativeWith({
    mountReadOnly: failing('ENOSYS'),
    mount: (source, target, type, _flags, data) => void asked.push(`${source} ${target} ${type} ${data}`),
  });
  mountErofs(native, '/store/erofs/a.erofs', [7, 8], '/mnt');
  assert.deepEqual(asked, ['/store/erofs/a.erofs /mnt erofs device=/proc/self/fd/7,device=/proc/self/fd/8']);
  const many = (count: number): void => {
    mountErofs(
      native,
      '/store/erofs/a.erofs',
      Array.from({ length: count }, (_, at) => 100 + at),
      '/mnt',
    );
  };
  many(163);
  assert.throws(() => many(164), { code: 'ERR_UNSUPPORTED', message: /164 layers are more than .*rootfs mkfs/ });
  assert.equal(asked.length, 2);
});

test('a refusal of the kernel that loop devices cannot mend is passed on, and none is made', () => {
  for (const code of ['EINVAL', 'ENODEV', 'EPERM', 'EBUSY']) {
    const native = nativeWith({ mountReadOnly: failing(code), ioctl: () => assert.fail('a loop device') });
    assert.throws(() => mountErofs(native, '/store/erofs/a.erofs', [7], '/mnt'), { code });
  }
});

/** Loop devices on files below a folder, and the descriptors of this process. */
function held(folder: string): { readonly loops: string[]; readonly descriptors: number } {
  const loops = execFileSync('losetup', ['-a'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(folder));
  return { loops, descriptors: readdirSync('/proc/self/fd').length };
}

test('loop devices run out in the middle, or the mount from them fails: all are free again', { skip }, (t) => {
  const folder = tempDir(t);
  const real = loadNative() ?? assert.fail('koffi');
  const paths = [0, 1, 2].map((at) => join(folder, `file-${at}`));
  for (const path of paths) writeFileSync(path, Buffer.alloc(4096));
  const fds = paths.slice(1).map((path) => openSync(path, 'r'));
  try {
    const before = held(folder);
    let asked = 0;
    const runningOut = nativeWith({
      mountReadOnly: failing('ENOTBLK'),
      ioctl: (fd, request, argument) => {
        asked += argument instanceof Uint8Array ? 1 : 0;
        return asked === 3 ? failing('ENOSPC')() : real.ioctl(fd, request, argument);
      },
    });
    assert.throws(() => mountErofs(runningOut, paths[0] ?? '', fds, '/mnt'), {
      code: 'ERR_UNSUPPORTED',
      message: /there is no loop device \(ENOSPC.*rootfs unpack/,
    });
    assert.equal(asked, 3);
    assert.deepEqual(held(folder), before);
    let seen: string[] = [];
    const refusing = nativeWith({
      mountReadOnly: (source, _target, _type, options) => {
        if (!source.startsWith('/dev/loop')) failing('ENOTBLK')();
        seen = held(folder).loops;
        assert.equal(options.length, 2);
        failing('EUCLEAN')();
      },
    });
    assert.throws(() => mountErofs(refusing, paths[0] ?? '', fds, '/mnt'), { code: 'EUCLEAN' });
    assert.equal(seen.length, 3);
    assert.deepEqual(held(folder), before);
  } finally {
    for (const fd of fds) closeSync(fd);
  }
});

test('a loop device that others take first is asked for again, but not for ever', { skip }, (t) => {
  const folder = tempDir(t);
  const real = loadNative() ?? assert.fail('koffi');
  writeFileSync(join(folder, 'file'), Buffer.alloc(4096));
  const fd = openSync(join(folder, 'file'), 'r');
  try {
    const before = held(folder);
    let attempts = 0;
    const taken = (times: number): Native =>
      nativeWith({
        ioctl: (device, request, argument) => {
          if (argument instanceof Uint8Array) attempts += 1;
          return argument instanceof Uint8Array && attempts <= times
            ? failing('EBUSY')()
            : real.ioctl(device, request, argument);
        },
      });
    const loop = attachLoop(taken(5), fd);
    assert.equal(attempts, 6);
    assert.equal(held(folder).loops.length, 1);
    loop.close();
    loop.close();
    assert.deepEqual(held(folder), before);
    attempts = 0;
    assert.throws(() => attachLoop(taken(1000), fd), { code: 'EBUSY' });
    assert.equal(attempts, 32);
    assert.deepEqual(held(folder), before);
  } finally {
    closeSync(fd);
  }
});
