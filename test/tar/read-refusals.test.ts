/** Rule 29, the refusing half, and the limits: nothing is guessed, every refusal says where. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTarFile } from '../../src/tar/read-tar-file.js';
import { END, header, member, pax } from '../support/raw-tar.js';
import { readBoth, refusesBoth } from '../support/read-all-tar.js';

const tar = (...parts: Buffer[]): Buffer => Buffer.concat([...parts, END]);
const gnu = 'ustar  \0';
const invalid = 'ERR_TAR_INVALID';
const limit = 'ERR_LIMIT_EXCEEDED';
const first = member({ name: 'first' }, 'x');

test('numbers that are none', async () => {
  const cases = {
    mode: 'abcdefg\0',
    uid: '0000008\0',
    gid: '12 34\0\0\0',
    size: '-0000000001\0',
    mtime: '0x123456789\0',
  };
  for (const [field, value] of Object.entries(cases)) {
    await refusesBoth(tar(first, header({ [field]: value })), invalid, 1024);
  }
  await refusesBoth(tar(header({ chksum: 'nonsense' })), invalid, 0);
  await refusesBoth(tar(header({ uid: Buffer.from('81ffffffffffffff', 'hex') })), invalid, 0);
  await refusesBoth(tar(header({ mtime: Buffer.from('800000000020000000000000', 'hex') })), invalid, 0);
  await refusesBoth(tar(header({ type: '3', devmajor: 'garbage!' })), invalid, 0);
});

test('negative sizes and owners', async () => {
  await refusesBoth(tar(header({ size: Buffer.from('ffffffffffffffffffffffff', 'hex') })), invalid, 0);
  await refusesBoth(tar(header({ type: 'x', size: Buffer.from('ffffffffffffffffffffffff', 'hex') })), invalid, 0);
  await refusesBoth(tar(header({ uid: Buffer.from('ffffffffffffffff', 'hex') })), invalid, 0);
  await refusesBoth(tar(pax([['size', '-1000']]), header()), invalid, 1024);
  await refusesBoth(tar(pax([['uid', '-1']]), header()), invalid, 1024);
});

test('a size that cannot be', async () => {
  await refusesBoth(tar(header({ size: Buffer.from('80000000001fffffffffffff', 'hex') })), invalid);
  await refusesBoth(tar(header({ size: '77777777777\0' })), invalid, 1536);
  await refusesBoth(tar(pax([['size', '9007199254740993']]), header()), invalid, 1024);
});

test('bytes that are no tar', async () => {
  await refusesBoth(Buffer.from('<html>not a layer</html>'.repeat(50)), invalid, 0);
  await refusesBoth(Buffer.concat([first, Buffer.alloc(512, 0x20)]), invalid, 1024);
});

test('an end inside a header, an extension or a body', async () => {
  const body = member({ name: 'a' }, Buffer.alloc(1000, 1));
  for (const cut of [1, 100, 511]) await refusesBoth(body.subarray(0, cut), invalid, cut);
  for (const cut of [512, 513, 1511]) await refusesBoth(body.subarray(0, cut), invalid, cut);
  for (const cut of [1512, 1513, 1536]) assert.equal((await readBoth(body.subarray(0, cut))).length, 1);
  await refusesBoth(Buffer.concat([body, Buffer.alloc(100)]), invalid, 1636);
  const extended = Buffer.concat([pax([['path', 'p'.repeat(600)]]), member({})]);
  for (const cut of [600, 1100, 1200, 1536, 1700]) await refusesBoth(extended.subarray(0, cut), invalid, cut);
  await refusesBoth(member({ type: 'L', magic: gnu }, 'name\0'), invalid, 1024);
});

test('PAX records that are cut, or no records', async () => {
  const bodies = [
    '13 path=name', // no newline
    '99 path=name\n', // longer than the header
    '5 path=name\n', // shorter than the record
    '12path=name\n', // no blank
    'xx path=name\n',
    '-12 path=name\n',
    ' 12 path=name\n',
    '9 pathna\n', // no =
    '10 =value\n', // no key
    '4 a\n',
    '0 \n',
    '12 path=name\n\0',
    '999999999999999999999 path=name\n',
    '12',
  ];
  for (const body of bodies) {
    await refusesBoth(tar(member({ type: 'x' }, body), member({})), invalid);
    await refusesBoth(tar(member({ type: 'g' }, body), member({})), invalid);
  }
});

test('PAX numbers and times that are none', async () => {
  for (const [key, value] of [
    ['size', 'abc'],
    ['size', '1e3'],
    ['size', ' 1'],
    ['uid', '0x10'],
    ['gid', '1.5'],
    ['mtime', 'now'],
    ['mtime', '1e9'],
    ['mtime', '-'],
    ['mtime', '+-5'],
    ['gid', '++5'],
    ['mtime', '.5'],
    ['mtime', '1.2.3'],
    ['mtime', '1.-5'],
    ['atime', 'NaN'],
    ['ctime', '99999999999999999999'],
    ['LIBARCHIVE.xattr.user.a', 'not*base64'],
    ['LIBARCHIVE.xattr.user.%', 'AAAA'],
    ['SCHILY.xattr.', 'nameless'],
  ] as const) {
    await refusesBoth(tar(pax([[key, value]]), member({})), invalid);
  }
});

test('NUL in a key, a path or a link target', async () => {
  await refusesBoth(tar(pax([['pa\0th', 'x']]), member({})), invalid, 512);
  await refusesBoth(tar(pax([['path', 'good\0evil']]), member({})), invalid, 512);
  await refusesBoth(tar(pax([['linkpath', 'x\0']]), member({ type: '2' })), invalid, 512);
  await refusesBoth(tar(pax([['GNU.sparse.name', 'x\0']]), member({})), invalid, 512);
  assert.equal((await readBoth(tar(pax([['comment', 'a\0b']]), member({})))).length, 1);
});

test('sparse maps that lie', async () => {
  const old = (size: number, real: number, pairs: string, more = '\0', magic = gnu): Buffer =>
    Buffer.concat([
      header({
        type: 'S',
        magic,
        size,
        patch: { 386: pairs, 482: more, 483: `${real.toString(8).padStart(11, '0')}\0` },
      }),
      Buffer.alloc(512, 1),
    ]);
  const pair = (offset: number, length: number): string =>
    `${offset.toString(8).padStart(11, '0')}\0${length.toString(8).padStart(11, '0')}\0`;
  const pax01 = (map: string, size = '200', more: [string, string][] = []): Buffer =>
    Buffer.concat([pax([['GNU.sparse.size', size], ['GNU.sparse.map', map], ...more]), member({}, 'abc')]);
  const pax10 = (map: string, body = 'abc', records: [string, string][] = []): Buffer => {
    const block = Buffer.alloc(Math.ceil(map.length / 512) * 512);
    block.write(map);
    const keys: [string, string][] = [
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.realsize', '200'],
    ];
    return Buffer.concat([pax([...keys, ...records]), member({}, Buffer.concat([block, Buffer.from(body)]))]);
  };
  assert.equal((await readBoth(tar(old(3, 9, pair(4, 3))))).length, 1);
  assert.equal((await readBoth(tar(pax01('5,3')))).length, 1);
  assert.equal((await readBoth(tar(pax10('1\n5\n3\n')))).length, 1);
  for (const wrong of [
    old(3, 9, pair(4, 3), '\0', 'ustar\x0000'), // no GNU magic
    old(3, 6, pair(4, 3)), // beyond the end
    old(3, 9, pair(4, 2)), // less than the body
    old(3, 9, pair(4, 4)), // more than the body
    old(6, 20, pair(10, 3) + pair(2, 3)), // out of order
    old(6, 20, pair(2, 3) + pair(4, 3)), // over one another
    pax01('5,3,1'),
    pax01('5'),
    pax01('a,3'),
    pax01('5,-3'),
    pax01('199,3'),
    pax01('5,3', '200', [['GNU.sparse.numblocks', '2']]),
    pax01('5,3', 'x'),
    Buffer.concat([
      pax([
        ['GNU.sparse.offset', '1'],
        ['GNU.sparse.offset', '2'],
      ]),
      member({}),
    ]),
    Buffer.concat([pax([['GNU.sparse.numbytes', '1']]), member({})]),
    Buffer.concat([pax([['GNU.sparse.offset', '1']]), member({})]),
    pax10('1\n5\n3'),
    pax10('2\n5\n3\n'),
    pax10('x\n'),
    pax10('1\n\n3\n'),
    pax10('1\n5\n2\n'),
    pax10('1\n5\n3\n', 'abcd'),
    pax10('9999999999999999\n'),
    pax10(`${'0'.repeat(2048)}1\n5\n3\n`), // nothing but zeros
    Buffer.concat([
      pax([
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
      ]),
      member({ size: 0 }),
    ]),
    Buffer.concat([
      pax([
        ['GNU.sparse.major', '2'],
        ['GNU.sparse.minor', '0'],
      ]),
      member({}, 'abc'),
    ]),
    Buffer.concat([
      pax([
        ['GNU.sparse.size', '9'],
        ['GNU.sparse.map', '9,0'],
      ]),
      member({ type: '5' }),
    ]),
  ]) {
    await refusesBoth(tar(wrong), invalid);
  }
  await refusesBoth(old(3, 9, pair(4, 3), '\x01').subarray(0, 512), invalid, 512); // the extension is not there
});

test('limits: each is an option, each has a default', async () => {
  const two = tar(first, member({ name: 'second' }));
  await refusesBoth(two, limit, 1024, { maxEntries: 1 });
  assert.equal((await readBoth(two, { maxEntries: 2 })).length, 2);

  const long = tar(pax([['path', 'p'.repeat(4097)]]), member({}));
  await refusesBoth(long, limit, 0);
  assert.equal((await readBoth(long, { maxPathBytes: 4097 })).length, 1);
  await refusesBoth(tar(pax([['linkpath', 'p'.repeat(4097)]]), member({ type: '2' })), limit, 0);

  await refusesBoth(tar(header({ type: 'x', size: 1_048_577 })), limit, 0);
  await refusesBoth(tar(header({ type: 'L', size: Buffer.from('8000000000000fffffffffff', 'hex') })), limit, 0);
  await refusesBoth(tar(pax([['a', 'b'.repeat(600)]]), member({})), limit, 0, { maxPaxBytes: 600 });

  const attributes = tar(
    pax([
      ['SCHILY.xattr.user.a', 'xx'],
      ['SCHILY.xattr.user.b', 'x'],
    ]),
    member({}),
  );
  await refusesBoth(attributes, limit, 1024, { maxXattrs: 1 });
  await refusesBoth(attributes, limit, 1024, { maxXattrBytes: 1 });
  await refusesBoth(tar(pax([['SCHILY.xattr.user.a', 'x'.repeat(65_537)]]), member({})), limit);

  const sparse = tar(
    pax([
      ['GNU.sparse.size', '9'],
      ['GNU.sparse.map', '1,1,3,1'],
    ]),
    member({}, 'ab'),
  );
  await refusesBoth(sparse, limit, 1024, { maxExtents: 1 });
  const long16 = pax([['path', 'p'.repeat(16)]]);
  await refusesBoth(tar(long16, first, long16, first), limit, 2048, { maxMetadataBytes: 31 });
  assert.equal((await readBoth(tar(long16, first, long16, first), { maxMetadataBytes: 32 })).length, 2);
  await refusesBoth(attributes, limit, 0, { maxMetadataBytes: 16 });
  // what holding them takes counts too: fifty million attributes of one byte are a layer of a few megabytes
  const small = tar(pax([['SCHILY.xattr.user.a', 'x']]), first);
  const held = 'first'.length + 'user.a'.length + 1;
  await refusesBoth(small, limit, 0, { maxMetadataBytes: held + 127 });
  assert.equal((await readBoth(small, { maxMetadataBytes: held + 128 })).length, 1);
  await refusesBoth(sparse, limit, 0, { maxMetadataBytes: 'file'.length + 127 });
  assert.equal((await readBoth(sparse, { maxMetadataBytes: 'file'.length + 128 })).length, 1);
  await refusesBoth(tar(long16, long16, first), limit, 1024, { maxPaxBytes: 40 });
  // every header has its block besides its body, of which the last in `several` has none
  const several = [header({ type: 'x' }), pax([['a', 'b']], 'g'), header({ type: 'x' })];
  const all = 3 * 512 + '6 a=b\n'.length;
  await refusesBoth(tar(...several, first), limit, 3 * 512, { maxExtensionBytes: all - 1 });
  assert.equal((await readBoth(tar(...several, first), { maxExtensionBytes: all })).length, 1);
  const shared = [pax([['SCHILY.xattr.user.a', 'xx']], 'g'), pax([['SCHILY.xattr.user.b', 'xx']], 'g')];
  await refusesBoth(tar(...shared, first), limit, 1536, { maxXattrs: 1 });
  await refusesBoth(tar(...shared, first), limit, 2048, { maxMetadataBytes: 5 + 2 * 32 - 1 });
  assert.equal((await readBoth(tar(...shared, first), { maxMetadataBytes: 5 + 2 * 32 })).length, 1);
});

test('limits that are no numbers are refused at once', async () => {
  for (const wrong of [-1, 1.5, Number.NaN, '5' as unknown as number]) {
    assert.throws(() => [...readTarFile('/nonexistent', { maxEntries: wrong })], { code: 'ERR_OPTION_INVALID' });
    assert.throws(() => [...readTarFile('/nonexistent', { tarBytes: wrong })], { code: 'ERR_OPTION_INVALID' });
  }
  assert.throws(() => [...readTarFile('/nonexistent')], { code: 'ERR_FILESYSTEM' });
});
