/** Rule 29, the accepting half: every dialect of tar, on archives written by hand, through both drives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TarEntry } from '../../src/tar/tar-entry.js';
import { END, header, member, pax, type RawHeader, records } from '../support/raw-tar.js';
import { readBoth, readMembers, streamMembers } from '../support/read-all-tar.js';

const tar = (...parts: Buffer[]): Buffer => Buffer.concat([...parts, END]);
const gnu = 'ustar  \0';
const v7 = '\0\0\0\0\0\0\0\0';

async function only(...parts: Buffer[]): Promise<TarEntry> {
  const entries = await readBoth(tar(...parts));
  assert.equal(entries.length, 1);
  return entries[0] as TarEntry;
}

function base256(value: bigint, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let rest = BigInt.asUintN(length * 8, value);
  for (let at = length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  bytes[0] = (bytes[0] as number) | 0x80;
  return bytes;
}

test('octal fields take blanks and NULs on either side, and may be empty', async () => {
  for (const uid of [
    '0001750\0',
    '   1750\0',
    '1750   \0',
    ' 1750 \0 ',
    '1750\0\0\0\0',
    '\0\x001750\0\0',
    '1750\0 9x',
  ]) {
    assert.equal((await only(member({ uid }))).uid, 1000, JSON.stringify(uid));
  }
  assert.equal((await only(member({ uid: '\0\0\0\0\0\0\0\0', gid: '        ' }))).gid, 0);
});

test('base-256 numbers: sizes, owners, times before the epoch', async () => {
  const entry = await only(
    member({ uid: base256(2_500_000n, 8), mtime: base256(-5n, 12), size: base256(3n, 12), magic: gnu }, 'abc'),
  );
  assert.deepEqual([entry.uid, entry.mtime.seconds, entry.size], [2_500_000, -5, 3]);
  for (const [bytes, seconds] of [
    ['ffffffffffffffffffffffff', -1],
    ['800000000000100000000020', 17592186044448],
    ['fffffffffffffffe1ecc8020', -8073215968],
    ['80000000001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['ffffffffffe0000000000001', Number.MIN_SAFE_INTEGER],
  ] as const) {
    assert.equal((await only(member({ mtime: Buffer.from(bytes, 'hex') }))).mtime.seconds, seconds);
  }
});

test('the ustar prefix; the shorter one of star, and its times', async () => {
  assert.equal((await only(member({ name: 'n', prefix: 'p'.repeat(155) }))).name, `${'p'.repeat(155)}/n`);
  const star = { name: 'n', prefix: 'p'.repeat(131), patch: { 476: '00000000001\0', 508: 'tar\0' } };
  const { name, atime, ctime } = await only(member(star));
  assert.deepEqual([name, atime?.seconds, ctime], [`${'p'.repeat(131)}/n`, 1, undefined]);
  const times = await only(member({ name: 'n', patch: { 476: '11213075217 11213075220 ', 508: 'tar\0' } }));
  assert.deepEqual([times.name, times.atime?.seconds, times.ctime?.seconds], ['n', 1244428943, 1244428944]);
  assert.equal((await only(member({ name: 'n'.repeat(100) }))).name, 'n'.repeat(100));
});

test('under GNU magic the prefix holds times, or what Go before 1.8 put there', async () => {
  const times = await only(member({ name: 'n', magic: gnu, prefix: '00000000012\x0000000000013\0' }));
  assert.deepEqual([times.name, times.atime?.seconds, times.ctime?.seconds], ['n', 10, 11]);
  assert.equal((await only(member({ name: 'n', magic: gnu, prefix: 'var/lib/docker' }))).name, 'var/lib/docker/n');
  assert.equal((await only(member({ name: 'n', magic: gnu, prefix: 'a\tb/\x7f' }))).name, 'a\tb/\x7f/n');
  assert.equal((await only(member({ name: 'n', magic: gnu, prefix: 'caf\xe9' }))).name, 'n');
});

test('GNU long names and link targets', async () => {
  const long = 'd/'.repeat(80);
  const entry = await only(
    member({ name: '././@LongLink', type: 'K', magic: gnu }, `${long}target\0`),
    member({ name: '././@LongLink', type: 'L', magic: gnu }, `${long}name\0ignored`),
    member({ name: 'cut', type: '2', linkname: 'cut', magic: gnu }),
  );
  assert.deepEqual([entry.name, entry.linkname, entry.offset], [`${long}name`, `${long}target`, 0]);
  const next = await readBoth(
    tar(member({ type: 'L', magic: gnu }, 'long\0'), member({ name: 'a' }), member({ name: 'b' })),
  );
  assert.deepEqual(
    next.map((one) => one.name),
    ['long', 'b'],
  );
  assert.equal((await only(member({ type: 'L' }, ''), member({ name: 'kept' }))).name, 'kept');
});

test('PAX records replace every field, names that are not UTF-8 stay bytes', async () => {
  const entry = await only(
    pax([
      ['path', 'caf\xe9/\xff'],
      ['linkpath', '\xfe'],
      ['uid', '4294967294'],
      ['gid', '70000'],
      ['uname', 'u'],
      ['gname', 'g'],
      ['mtime', '-1.5'],
      ['atime', '1.'],
      ['ctime', '1700000000.123456789987'],
      ['unknown.key', 'kept'],
    ]),
    member({ name: 'x', type: '2', linkname: 'y' }),
  );
  assert.deepEqual(
    [entry.name, entry.linkname, entry.uid, entry.gid, entry.uname, entry.gname],
    ['caf\xe9/\xff', '\xfe', 4294967294, 70000, 'u', 'g'],
  );
  assert.deepEqual(entry.mtime, { seconds: -2, nanoseconds: 500_000_000 });
  assert.deepEqual(entry.atime, { seconds: 1, nanoseconds: 0 });
  assert.deepEqual(entry.ctime, { seconds: 1_700_000_000, nanoseconds: 123_456_789 });
  assert.equal(entry.pax?.get('unknown.key')?.toString(), 'kept');
});

test('of several PAX headers before one member the last counts, and nothing of the others', async () => {
  const entry = await only(
    pax([
      ['path', 'a'],
      ['uid', '7'],
      ['GNU.sparse.map', '0,1'],
      ['SCHILY.xattr.user.a', 'x'],
    ]),
    pax([['gid', '8']]),
    member({ name: 'n', type: '2', linkname: 't' }),
  );
  assert.deepEqual([entry.name, entry.uid, entry.gid, entry.xattrs], ['n', 0, 8, undefined]);
  assert.equal((await only(pax([['path', 'a']]), pax([['path', 'b']]), member({}))).name, 'b');
});

test('zeros and a plus sign before a PAX number or time mean nothing', async () => {
  const zeros = '0'.repeat(30);
  const entry = await only(
    pax([
      ['size', `${zeros}3`],
      ['uid', `${zeros}1000`],
      ['gid', '+7'],
      ['mtime', `-${zeros}1.5`],
      ['atime', '+5.25'],
    ]),
    member({ size: 0 }, 'abc'),
  );
  assert.deepEqual([entry.size, entry.uid, entry.gid], [3, 1000, 7]);
  assert.deepEqual(entry.mtime, { seconds: -2, nanoseconds: 500_000_000 });
  assert.deepEqual(entry.atime, { seconds: 5, nanoseconds: 250_000_000 });
});

test('the last of several equal records counts, an empty one leaves the header alone', async () => {
  assert.equal(
    (
      await only(
        pax([
          ['path', 'a'],
          ['path', 'b'],
        ]),
        member({}),
      )
    ).name,
    'b',
  );
  const entry = await only(
    pax([
      ['path', ''],
      ['uid', ''],
      ['mtime', ''],
    ]),
    member({ name: 'n', uid: '0000007\0' }),
  );
  assert.deepEqual([entry.name, entry.uid, entry.mtime.seconds], ['n', 7, 0]);
});

test('a PAX header may be empty, and may come as the older X', async () => {
  assert.equal((await only(pax([]), member({ name: 'n' }))).name, 'n');
  assert.equal((await only(member({ type: 'X' }, records([['path', 'p']])), member({ name: 'n' }))).name, 'p');
});

test('a global attribute that changes changes for later members, and costs where an earlier one had it', async () => {
  const attributes = (...values: [string, string][]): Buffer =>
    pax(
      values.map(([name, value]) => [`SCHILY.xattr.user.${name}`, value] as const),
      'g',
    );
  const archive = tar(
    attributes(['a', '1'], ['b', '1']),
    attributes(['a', '2']),
    member({}),
    attributes(['b', '1']),
    member({}),
    attributes(['a', '3']),
    attributes(['a', '4'], ['c', '4']),
    member({}),
  );
  const entries = readMembers(archive);
  const shown = entries.map(({ xattrs }) => [...(xattrs ?? [])].map(([name, value]) => `${name}=${value}`).join(' '));
  assert.deepEqual(shown, ['user.a=2 user.b=1', 'user.a=2 user.b=1', 'user.a=4 user.b=1 user.c=4']);
  assert.equal(entries[1]?.xattrs, entries[0]?.xattrs, 'nothing changed: one map for both');
  // three names, each one's attributes, and the two that had to be copied when a third member was about to have others
  const cost = 3 * 'file'.length + (2 + 2 + 3) * 32 + 2 * ('user.a'.length + 1 + 128);
  assert.equal((await readBoth(archive, { maxMetadataBytes: cost })).length, 3);
  assert.throws(() => readMembers(archive, { maxMetadataBytes: cost - 1 }), { code: 'ERR_LIMIT_EXCEEDED' });
});

test('global PAX headers are defaults and no entries', async () => {
  const entries = await readBoth(
    tar(
      pax(
        [
          ['mtime', '5'],
          ['uid', '9'],
          ['SCHILY.xattr.user.g', 'all'],
          ['comment', 'x'],
        ],
        'g',
      ),
      member({ name: 'a', uid: '0000001\0' }),
      pax([
        ['mtime', '6'],
        ['SCHILY.xattr.user.own', 'mine'],
        ['uid', ''],
      ]),
      member({ name: 'b', uid: '0000001\0' }),
      pax([['mtime', '7']], 'g'),
      member({ name: 'c' }),
    ),
  );
  assert.deepEqual(
    entries.map((one) => [one.name, one.mtime.seconds, one.uid, [...(one.xattrs?.keys() ?? [])].join()]),
    [
      ['a', 5, 9, 'user.g'],
      ['b', 6, 1, 'user.g,user.own'],
      ['c', 7, 9, 'user.g'],
    ],
  );
  assert.deepEqual(
    entries.map((one) => [...(one.pax?.keys() ?? [])]),
    [[], ['mtime', 'SCHILY.xattr.user.own', 'uid'], []],
  );
});

test('extended attributes in both dialects are bytes; an empty one is one', async () => {
  const capability = Buffer.from('0100000200200a00ff00000000000000003d0a', 'hex');
  const entry = await only(
    pax([
      ['LIBARCHIVE.xattr.user.per%25cent%3d', 'AAr/'],
      ['LIBARCHIVE.xattr.user.both', 'AAAA'],
      ['SCHILY.xattr.security.capability', capability],
      ['SCHILY.xattr.user.both', 'schily'],
      ['SCHILY.xattr.user.empty', ''],
    ]),
    member({}),
  );
  assert.deepEqual(entry.xattrs?.get('user.per%cent='), Buffer.from([0, 10, 255]));
  assert.deepEqual(entry.xattrs?.get('security.capability'), capability);
  assert.equal(entry.xattrs?.get('user.both')?.toString(), 'schily');
  assert.equal(entry.xattrs?.get('user.empty')?.length, 0);
});

test('ACLs as text and a SELinux label have records of their own, and are attributes', async () => {
  const text = 'user::rw-,user:lisa:r--:502,group::r--,mask::r--,other::---';
  const entry = await only(
    pax([
      ['SCHILY.acl.access', text],
      ['SCHILY.acl.default', ''],
      ['SCHILY.acl.ace', 'owner@:rwx:f:allow'],
      ['RHT.security.selinux', 'system_u:object_r:bin_t:s0'],
      ['SCHILY.acl.other', 'x'],
    ]),
    member({}),
  );
  assert.deepEqual(
    [...(entry.xattrs ?? [])].map(([name, value]) => [name, value.toString()]),
    [
      ['SCHILY.acl.access', text],
      ['SCHILY.acl.ace', 'owner@:rwx:f:allow'],
      ['security.selinux', 'system_u:object_r:bin_t:s0'],
    ],
  );
  const both = pax([
    ['SCHILY.xattr.security.selinux', 'one'],
    ['RHT.security.selinux', 'other'],
  ]);
  assert.equal((await only(both, member({}))).xattrs?.get('security.selinux')?.toString(), 'one');
  assert.equal((await only(pax([['SCHILY.acl.access', '']]), member({}))).xattrs, undefined);
});

test('device numbers under both magics and from records', async () => {
  const device: RawHeader = { name: 'd', type: '3', devmajor: '0000010\0', devminor: '0000377\0' };
  for (const magic of ['ustar\x0000', gnu]) {
    const entry = await only(member({ ...device, magic }));
    assert.deepEqual([entry.type, entry.devmajor, entry.devminor], ['char', 8, 255]);
  }
  const large = await only(pax([['SCHILY.devminor', '1048575']]), member({ ...device, type: '4' }));
  assert.deepEqual([large.type, large.devmajor, large.devminor], ['block', 8, 1048575]);
  assert.equal((await only(member({ ...device, type: '0', devmajor: 'garbage!' }))).devmajor, 0);
});

test('old v7: no magic, a directory by its slash', async () => {
  const entries = await readBoth(
    tar(
      member({ name: 'd/', type: '\0', magic: v7, uname: 'not a name' }),
      member({ name: 'f', type: '\0', magic: v7, prefix: 'no prefix' }, 'x'),
      member({ name: 'l', type: '1', linkname: 'f', magic: v7 }),
    ),
  );
  assert.deepEqual(
    entries.map((one) => [one.name, one.type, one.typeflag, one.uname, one.linkname]),
    [
      ['d/', 'directory', '0', '', ''],
      ['f', 'file', '0', '', ''],
      ['l', 'hardlink', '1', '', 'f'],
    ],
  );
});

test('type 7 is a file, the unknown is told as it is', async () => {
  assert.equal((await only(member({ type: '7' }, 'abc'))).type, 'file');
  const [label, unknown, after] = await readBoth(
    tar(member({ type: 'V' }), member({ type: 'Z' }, 'body'), member({ name: 'after' })),
  );
  assert.deepEqual(
    [label?.type, unknown?.type, unknown?.typeflag, after?.name],
    ['volume-label', 'other', 'Z', 'after'],
  );
});

test('links, directories, devices and FIFOs have no body, whatever their size says', async () => {
  for (const type of ['1', '2', '3', '4', '5', '6']) {
    const entries = await readBoth(
      tar(header({ name: 'a', type, size: 700, linkname: 'x' }), member({ name: 'b' }, 'b')),
    );
    assert.deepEqual(
      entries.map((one) => [one.name, one.size]),
      [
        ['a', 0],
        ['b', 1],
      ],
      type,
    );
  }
});

test('a PAX size is the size: what hides in the body is no entry', async () => {
  const nested = Buffer.concat([member({ name: 'hidden' }, '1')]);
  const entries = await readBoth(
    tar(pax([['size', String(nested.length)]]), header({ name: 'outer', size: 0 }), nested),
  );
  assert.deepEqual(
    entries.map((one) => [one.name, one.size]),
    [['outer', 1024]],
  );
  const shown = await readBoth(tar(header({ name: 'outer', size: 0 }), nested));
  assert.deepEqual(
    shown.map((one) => one.name),
    ['outer', 'hidden'],
  );
});

test('records are not for extension headers', async () => {
  const entry = await only(
    pax([
      ['size', '3'],
      ['path', 'short'],
    ]),
    member({ type: 'K', magic: gnu }, `${'t'.repeat(200)}\0`),
    header({ name: 'x', size: 9 }),
    Buffer.from('abc'.padEnd(512, '\0')),
  );
  assert.deepEqual([entry.name, entry.size], ['short', 3]);
});

test('checksums of signed bytes, as some old writers made them', async () => {
  assert.equal((await only(member({ name: '\xff\xfe\x80', signedSum: true }))).name, '\xff\xfe\x80');
});

test('the end: two zero blocks, one, none; nothing after it is looked at', async () => {
  const body = member({ name: 'a' }, 'data');
  for (const end of [END, Buffer.alloc(512), Buffer.alloc(0)]) {
    assert.equal((await readBoth(Buffer.concat([body, end]))).length, 1);
  }
  const junk = Buffer.from('junk'.repeat(300));
  assert.equal((await readBoth(Buffer.concat([body, Buffer.alloc(512), member({ name: 'late' }), junk]))).length, 1);
  assert.deepEqual(await readBoth(Buffer.alloc(0)), []);
  assert.deepEqual(await readBoth(Buffer.alloc(512)), []);
});

test('old GNU sparse files, their map in extension blocks', async () => {
  const runs = Array.from({ length: 30 }, (_, index) => [index * 1000 + 1, 10] as const);
  const number = (value: number): string => `${value.toString(8).padStart(11, '0')}\0`;
  const pairs = runs.map(([offset, length]) => number(offset) + number(length));
  const block = (some: string[], more: boolean): Buffer => {
    const bytes = Buffer.alloc(512);
    bytes.write(some.join(''), 0, 'latin1');
    bytes[504] = more ? 1 : 0;
    return bytes;
  };
  const entry = await only(
    header({
      name: 's',
      type: 'S',
      magic: gnu,
      size: 300,
      patch: { 386: pairs.slice(0, 4).join(''), 482: '\x01', 483: number(40_000) },
    }),
    block(pairs.slice(4, 25), true),
    block(pairs.slice(25), false),
    Buffer.alloc(512, 1),
  );
  assert.deepEqual([entry.type, entry.size, entry.dataOffset, entry.dataBytes], ['file', 40_000, 1536, 300]);
  assert.deepEqual(
    entry.extents,
    runs.map(([fileOffset, length], index) => ({ fileOffset, tarOffset: 1536 + index * 10, length })),
  );
});

test('PAX sparse files 0.0, 0.1 and 1.0', async () => {
  const expected = (start: number): unknown => [
    { fileOffset: 5, tarOffset: start, length: 3 },
    { fileOffset: 100, tarOffset: start + 3, length: 4 },
  ];
  const data = Buffer.from('aaabbbb');
  const pairs: [string, string][] = [
    ['GNU.sparse.offset', '5'],
    ['GNU.sparse.numbytes', '3'],
    ['GNU.sparse.offset', '100'],
    ['GNU.sparse.numbytes', '4'],
    ['GNU.sparse.offset', '200'],
    ['GNU.sparse.numbytes', '0'],
  ];
  const first = await only(
    pax([['GNU.sparse.size', '200'], ['GNU.sparse.numblocks', '3'], ...pairs]),
    member({ name: 's' }, data),
  );
  assert.deepEqual([first.name, first.size, first.extents], ['s', 200, expected(first.dataOffset)]);
  const second = await only(
    pax([
      ['GNU.sparse.size', '200'],
      ['GNU.sparse.numblocks', '3'],
      ['GNU.sparse.name', 'real'],
      ['GNU.sparse.map', '5,3,100,4,200,0'],
    ]),
    member({ name: 'GNUSparseFile.0/s' }, data),
  );
  assert.deepEqual([second.name, second.size, second.extents], ['real', 200, expected(second.dataOffset)]);
  const map = Buffer.alloc(512);
  map.write('3\n5\n3\n100\n4\n200\n0\n');
  const third = await only(
    pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', 'real'],
      ['GNU.sparse.realsize', '200'],
    ]),
    member({ name: 'GNUSparseFile.0/s' }, Buffer.concat([map, data])),
  );
  assert.deepEqual(
    [third.name, third.size, third.dataBytes, third.extents],
    ['real', 200, 7, expected(third.dataOffset)],
  );
});

test('zeros before the numbers of a PAX sparse map 1.0 mean nothing', async () => {
  const map = Buffer.alloc(1024);
  map.write(`${'0'.repeat(600)}1\n5\n0000000000000000003\n`);
  const entry = await only(
    pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.realsize', '20'],
    ]),
    member({ name: 's' }, Buffer.concat([map, Buffer.from('abc')])),
  );
  assert.deepEqual([entry.size, entry.extents], [20, [{ fileOffset: 5, tarOffset: entry.dataOffset, length: 3 }]]);
});

test('an empty version of the sparse format says none', async () => {
  const empty: [string, string][] = [
    ['GNU.sparse.major', ''],
    ['GNU.sparse.minor', ''],
  ];
  const plain = await only(pax(empty), member({ name: 's' }, 'abc'));
  assert.deepEqual([plain.size, plain.extents], [3, undefined]);
  const mapped = await only(
    pax([...empty, ['GNU.sparse.size', '9'], ['GNU.sparse.map', '9,0']]),
    member({ name: 's' }),
  );
  assert.deepEqual([mapped.size, mapped.extents], [9, []]);
});

test('a sparse file that is all hole, and one that has none', async () => {
  const hole = await only(
    pax([
      ['GNU.sparse.size', '99'],
      ['GNU.sparse.map', '99,0'],
    ]),
    member({ name: 's' }),
  );
  assert.deepEqual([hole.size, hole.dataBytes, hole.extents], [99, 0, []]);
  const full = await only(
    pax([
      ['GNU.sparse.size', '3'],
      ['GNU.sparse.map', '0,3'],
    ]),
    member({ name: 's' }, 'abc'),
  );
  assert.deepEqual([full.size, full.extents], [3, undefined]);
});

test('the stream drive: any chunk size, data on request, the source read to its end', async () => {
  const archive = tar(
    member({ name: 'a' }, 'A'.repeat(700)),
    pax([['path', 'b'.repeat(300)]]),
    member({}, 'B'),
    Buffer.alloc(2048),
  );
  const expected = readMembers(archive);
  for (const size of [1, 7, 511, 512, 513, 100_000]) {
    const found = await streamMembers(archive, {}, size);
    assert.deepEqual(
      found.map(({ entry }) => entry),
      expected,
    );
    assert.deepEqual(
      found.map(({ data }) => data.toString()),
      ['A'.repeat(700), 'B'],
    );
  }
});
