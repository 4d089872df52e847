/** Rule 29: what the tar reader accepts and what it refuses, on archives written by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { END, header, member, pax, records } from '../support/raw-tar.js';
import { readBoth, refusesBoth } from '../support/read-all-tar.js';

const tar = (...parts: Buffer[]): Buffer => Buffer.concat([...parts, END]);

test('a ustar member gives every field of its header', async () => {
  const [entry] = await readBoth(
    tar(
      member(
        {
          name: 'hello.txt',
          prefix: 'usr/share/doc',
          mode: '0104755\0',
          uid: '0001750\0',
          gid: '0000144\0',
          mtime: '14723456701\0',
          uname: 'alice',
          gname: 'users',
        },
        'hello',
      ),
    ),
  );
  assert.deepEqual(entry, {
    offset: 0,
    name: 'usr/share/doc/hello.txt',
    type: 'file',
    typeflag: '0',
    mode: 0o4755,
    uid: 1000,
    gid: 100,
    uname: 'alice',
    gname: 'users',
    mtime: { seconds: 0o14723456701, nanoseconds: 0 },
    atime: undefined,
    ctime: undefined,
    size: 5,
    linkname: '',
    devmajor: 0,
    devminor: 0,
    dataOffset: 512,
    dataBytes: 5,
    extents: undefined,
    xattrs: undefined,
    pax: undefined,
  });
});

test('a PAX value that holds newlines is one value: records go by their length', async () => {
  const value = Buffer.from('x\n28 path=/etc/shadow-stolen\n\xff\x00', 'latin1');
  const [entry] = await readBoth(tar(pax([['SCHILY.xattr.user.note', value]]), member({ name: 'safe' }, 'data')));
  assert.equal(entry?.name, 'safe');
  assert.deepEqual(entry?.xattrs?.get('user.note'), value);
});

test('a bad checksum is refused with its offset', async () => {
  const good = member({ name: 'a' }, 'data');
  const bad = member({ name: 'b' });
  bad[0] = 0x63;
  await refusesBoth(tar(good, bad), 'ERR_TAR_INVALID', 1024);
});

test('a record that is cut is refused', async () => {
  const body = records([['path', 'long/name']]);
  await refusesBoth(tar(member({ type: 'x' }, body.subarray(0, -3)), member({})), 'ERR_TAR_INVALID', 512);
});

test('an archive that ends inside a header or a body is refused', async () => {
  const whole = member({ name: 'a' }, Buffer.alloc(600, 1));
  await refusesBoth(whole.subarray(0, 100), 'ERR_TAR_INVALID', 100);
  await refusesBoth(whole.subarray(0, 512 + 599), 'ERR_TAR_INVALID', 512 + 599);
  assert.equal((await readBoth(whole.subarray(0, 512 + 600))).length, 1, 'missing padding is no missing data');
  await refusesBoth(Buffer.concat([whole, header({}).subarray(0, 1)]), 'ERR_TAR_INVALID', whole.length + 1);
});
