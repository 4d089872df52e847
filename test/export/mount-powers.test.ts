import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { explainMount, requireErofs } from '../../src/export/mount-powers.js';
import type { Native } from '../../src/io/native.js';

test('what the kernel refuses says what is missing, and which other command serves', () => {
  const cases: readonly (readonly [errno: string, code: string, why: RegExp])[] = [
    ['ENODEV', 'ERR_UNSUPPORTED', /no EROFS; load the module erofs/],
    ['EINVAL', 'ERR_UNSUPPORTED', /blocks of 512 bytes need Linux 6\.4/],
    ['EOPNOTSUPP', 'ERR_UNSUPPORTED', /cannot read the image/],
    ['EPERM', 'ERR_PERMISSION', /a user namespace is not enough/],
    ['EACCES', 'ERR_PERMISSION', /does not let this process mount here/],
    ['EBUSY', 'ERR_BUSY', /the mountpoint is in use/],
    ['EIO', 'ERR_FILESYSTEM', /the kernel refused the mount/],
  ];
  for (const [errno, code, why] of cases) {
    const cause = Object.assign(new Error(`${errno}: fsconfig`), { code: errno });
    const error = explainMount(cause, '/mnt/box');
    assert.equal(error.code, code, errno);
    assert.match(error.message, why);
    assert.match(
      error.message,
      /^mount \/mnt\/box: .*, Linux .*\); rootfs unpack writes the same tree without a mount$/,
    );
    assert.equal(error.cause, cause);
    assert.deepEqual(error.detail, { mountpoint: '/mnt/box', errno });
  }
  const ours = new RootfsError('ERR_LAYER_INVALID', 'said already');
  assert.equal(explainMount(ours, '/mnt/box'), ours);
});

test('what a kernel refuses of every EROFS is known before there is one; what it says of no source is no refusal', () => {
  const answers = (code: string): Native =>
    ({
      mount: (source: string) => {
        assert.equal(source, '', 'nothing can be mounted by asking');
        throw Object.assign(new Error(`${code}: mount '/'`), { code });
      },
    }) as Partial<Native> as Native;
  assert.throws(() => requireErofs(answers('ENODEV'), '/box'), {
    code: 'ERR_UNSUPPORTED',
    message: /^mount \/box: .*no EROFS/,
  });
  assert.throws(() => requireErofs(answers('EPERM'), '/box'), { code: 'ERR_PERMISSION', message: /user namespace/ });
  for (const code of ['EINVAL', 'ENOENT']) requireErofs(answers(code), '/box');
});
