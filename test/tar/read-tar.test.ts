/** Rule 29: what the tar reader accepts and what it refuses, on archives written by hand. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { readTarStream } from '../../src/tar/read-tar-stream.js';
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

test('what stands in place of a tar is named; a member that is called so is none of that', async () => {
  const whole = tar(member({ name: 'a' }, 'data'));
  const others: readonly (readonly [string | Buffer, RegExp])[] = [
    [gzipSync(randomBytes(2000)), /^tar at byte 0: expected a tar, found a gzip stream: it is compressed twice, or/],
    ['<HTML><body>Sign in</body>', /found a page of HTML, as proxies and login pages send it; the archive is damaged/],
    ['<!doctype html>', /found a page of HTML/],
    ['{"errors":[]}', /found a JSON document/],
    ['hsqs', /found a squashfs image/],
    ['\x7fELF', /found an ELF file/],
    ['HSQS', /^tar at byte 0: header/],
  ];
  for (const [start, message] of others) {
    const bytes = Buffer.concat([Buffer.from(start), Buffer.alloc(2048, 0x20)]);
    await assert.rejects(readBoth(bytes), { code: 'ERR_TAR_INVALID', message });
    // Further on it is a broken header, and nothing in a tar's place.
    await assert.rejects(readBoth(Buffer.concat([whole.subarray(0, 1024), bytes])), {
      message: /^tar at byte 1024: header/,
    });
  }
  // What is too short for a header is told no less.
  const short = gzipSync('short');
  const message =
    /^tar at byte \d+: expected a whole header, .*; it is a gzip stream: it is compressed twice, or was not/;
  await assert.rejects(readBoth(short), { code: 'ERR_TAR_INVALID', message });
  await assert.rejects(readBoth(Buffer.alloc(100, 'a')), { message: /found the end of the archive; the archive is/ });
  for (const name of ['{"a":1}', 'BZh9', '<html>', 'PK\x03\x04']) {
    assert.equal((await readBoth(tar(member({ name }, 'data'))))[0]?.name, name);
  }
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

test('an attribute that is kept keeps none of the records it stood among in memory', async () => {
  const one = [
    pax([
      ['SCHILY.xattr.user.a', 'x'],
      ['comment', 'y'.repeat(1000)],
    ]),
    member({}),
  ];
  const entries = await readBoth(tar(...one, ...one));
  const bodies = new Set(entries.map((entry) => entry.pax?.get('comment')?.buffer));
  for (const { xattrs } of entries) assert.equal(bodies.has(xattrs?.get('user.a')?.buffer), false);
});

test('a source that cannot be ended does not hide why it was to end', async () => {
  const source: AsyncIterable<Buffer> = {
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ done: false, value: header({ chksum: '0000000\0' }) }),
      return: async () => {
        throw new Error('cannot end');
      },
    }),
  };
  await assert.rejects(readTarStream(source).next(), { code: 'ERR_TAR_INVALID' });
});
