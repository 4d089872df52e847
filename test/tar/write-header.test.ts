/** The writer: what it writes is what the reader reads, and the bytes are what the formats say. */
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { endOfArchive, paddedBytes, padding } from '../../src/tar/block.js';
import { readTarFile } from '../../src/tar/read-tar-file.js';
import { encodeHeader, type TarHeader } from '../../src/tar/write-header.js';
import { header, pax } from '../support/raw-tar.js';
import { readBoth } from '../support/read-all-tar.js';
import { tempDir } from '../support/temp-dir.js';

const plain: TarHeader = {
  name: 'a',
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
};

test('an ordinary member is one ustar block', () => {
  const block = encodeHeader({
    ...plain,
    name: 'usr/bin/x',
    mode: 0o4755,
    uid: 1000,
    size: 7,
    uname: 'al',
    devmajor: 3,
  });
  assert.deepEqual(
    block,
    header({ name: 'usr/bin/x', mode: '0004755\0', uid: '0001750\0', size: 7, uname: 'al', patch: { 123: '\0' } }),
  );
});

test('what ustar cannot say stands in sorted PAX records', () => {
  const value = Buffer.from([0x00, 0x0a, 0xff, 0x3d]);
  const bytes = encodeHeader({
    ...plain,
    name: 'dir/x',
    uid: 3_000_000,
    mtime: { seconds: -2, nanoseconds: 500_000_000 },
    xattrs: new Map([['security.capability', value]]),
  });
  const expected = pax([
    ['SCHILY.xattr.security.capability', value],
    ['mtime', '-1.5'],
    ['uid', '3000000'],
  ]);
  const extension = Buffer.concat([
    header({ name: 'PaxHeaders/x', type: 'x', size: Number.parseInt(expected.toString('latin1', 124, 135), 8) }),
    expected.subarray(512),
  ]);
  assert.deepEqual(bytes.subarray(0, -512), extension);
});

test('an ACL as text stands in its own record', () => {
  const value = Buffer.from('user::rw-,group::r--,other::r--');
  const xattrs = new Map([['SCHILY.acl.access', value]]);
  const written = encodeHeader({ ...plain, xattrs }).toString('latin1');
  assert.ok(written.includes(` SCHILY.acl.access=${value.toString()}\n`));
  assert.ok(!written.includes('SCHILY.xattr'));
});

test('long names are split at a slash where that is enough', () => {
  const folder = 'd'.repeat(150);
  assert.equal(encodeHeader({ ...plain, name: `${folder}/${'n'.repeat(100)}` }).length, 512);
  assert.equal(encodeHeader({ ...plain, name: `${folder}/${'n'.repeat(101)}` }).length, 3 * 512);
  assert.equal(encodeHeader({ ...plain, name: `${'n'.repeat(101)}/`, type: 'directory' }).length, 3 * 512);
});

test('what no tar can say is refused', () => {
  for (const wrong of [
    { name: 'a\0b' },
    { name: `a\0${'b'.repeat(200)}`, size: 9, extents: [{ fileOffset: 0, length: 1 }] },
    { size: -1 },
    { size: 1.5 },
    { uid: Number.NaN },
    { type: 'symlink' as const },
    { type: 'symlink' as const, linkname: 'a\0' },
    { xattrs: new Map([['', Buffer.alloc(1)]]) },
  ]) {
    assert.throws(() => encodeHeader({ ...plain, ...wrong }), { code: 'ERR_OPTION_INVALID' });
  }
});

test('a file of 9 GiB: its size in a record, its data skipped', (t) => {
  const path = join(tempDir(t, 'large'), 'large.tar');
  const size = 9 * 1024 ** 3 + 5;
  const fd = openSync(path, 'w');
  try {
    const large = encodeHeader({ ...plain, name: 'large', size });
    const next = encodeHeader({ ...plain, name: 'next' });
    writeSync(fd, large);
    writeSync(fd, next, 0, next.length, large.length + paddedBytes(size));
    ftruncateSync(fd, large.length + paddedBytes(size) + next.length + 1024);
  } finally {
    closeSync(fd);
  }
  assert.deepEqual(
    [...readTarFile(path)].map((entry) => [entry.name, entry.size]),
    [
      ['large', size],
      ['next', 0],
    ],
  );
});

const bytes = (max: number, min = 1): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: min, maxLength: max })
    .map((values) => Buffer.from(values).toString('latin1').replaceAll('\0', 'x'));
const time = fc.record(
  {
    seconds: fc.oneof(
      fc.integer(),
      fc.maxSafeInteger().map((n) => Math.floor(n / 4)),
    ),
    nanoseconds: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 999_999_999 })),
  },
  { noNullPrototype: true },
);
const id = fc.oneof(fc.nat({ max: 4_000_000 }), fc.nat({ max: 4_294_967_294 }));
const device = fc.oneof(fc.nat({ max: 4095 }), fc.nat());
const types = ['file', 'hardlink', 'symlink', 'char', 'block', 'directory', 'fifo'] as const;
const members: fc.Arbitrary<TarHeader & { data: Buffer }> = fc
  .record({
    name: fc.oneof(bytes(40), bytes(300), fc.stringMatching(/^[a-z/]{90,290}$/)),
    type: fc.constantFrom(...types),
    mode: fc.nat({ max: 0o7777 }),
    uid: id,
    gid: id,
    mtime: time,
    atime: fc.option(time, { nil: undefined }),
    ctime: fc.option(time, { nil: undefined }),
    uname: bytes(40, 0),
    gname: bytes(40, 0),
    linkname: fc.oneof(bytes(20), bytes(300)),
    devmajor: device,
    devminor: device,
    xattrs: fc.option(
      fc
        .array(
          fc.tuple(
            bytes(60),
            fc.uint8Array({ maxLength: 80 }).map((values) => Buffer.from(values)),
          ),
          { minLength: 1 },
        )
        .map((pairs) => new Map(pairs)),
      { nil: undefined },
    ),
    data: fc.uint8Array({ maxLength: 1200 }).map((values) => Buffer.from(values)),
    sparse: fc.option(fc.array(fc.tuple(fc.nat({ max: 9999 }), fc.nat({ max: 400 })), { maxLength: 60 }), {
      nil: undefined,
    }),
  })
  .map(({ data, sparse, ...fields }) => {
    if (fields.type !== 'file') return { ...fields, data: Buffer.alloc(0) };
    if (sparse === undefined) return { ...fields, size: data.length, data };
    let at = 0;
    const extents = sparse.map(([hole, length]) => {
      const fileOffset = at + hole + 1;
      at = fileOffset + length;
      return { fileOffset, length };
    });
    const stored = extents.reduce((sum, { length }) => sum + length, 0);
    return { ...fields, size: at + 5, extents, data: Buffer.alloc(stored, 7) };
  });

test('what is written is read: names, owners, times, attributes, data and holes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(members, { maxLength: 4 }), async (list) => {
      const tar = Buffer.concat([
        ...list.flatMap((member) => [encodeHeader(member), member.data, padding(member.data.length)]),
        endOfArchive(),
      ]);
      const entries = await readBoth(tar);
      assert.equal(entries.length, list.length);
      for (const [index, entry] of entries.entries()) {
        const member = list[index] as (typeof list)[number];
        const link = member.type === 'hardlink' || member.type === 'symlink';
        const node = member.type === 'char' || member.type === 'block';
        assert.deepEqual(
          { ...entry, offset: 0, dataOffset: 0, pax: undefined, typeflag: '', extents: undefined },
          {
            offset: 0,
            name: member.name,
            type: member.type,
            typeflag: '',
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            uname: member.uname,
            gname: member.gname,
            mtime: member.mtime,
            atime: member.atime,
            ctime: member.ctime,
            size: member.size ?? 0,
            linkname: link ? member.linkname : '',
            devmajor: node ? member.devmajor : 0,
            devminor: node ? member.devminor : 0,
            dataOffset: 0,
            dataBytes: member.data.length,
            extents: undefined,
            xattrs: member.xattrs,
            pax: undefined,
          },
        );
        let tarOffset = entry.dataOffset;
        const extents = member.extents?.map(({ fileOffset, length }) => {
          tarOffset += length;
          return { fileOffset, tarOffset: tarOffset - length, length };
        });
        assert.deepEqual(
          entry.extents,
          extents?.filter(({ length }) => length > 0),
        );
      }
    }),
    { numRuns: 300, seed: 29 },
  );
});

test('times, types and runs that no header can say are refused by name', () => {
  for (const [field, change] of [
    ['mtime', { mtime: { seconds: Number.NaN, nanoseconds: 0 } }],
    ['mtime', { mtime: { seconds: 0.5, nanoseconds: 0 } }],
    ['mtime', { mtime: { seconds: 0, nanoseconds: 1_000_000_000 } }],
    ['atime', { atime: { seconds: 0, nanoseconds: -1 } }],
    ['ctime', { ctime: { seconds: Number.POSITIVE_INFINITY, nanoseconds: 0 } }],
    ['type', { type: 'socket' }],
    ['extents', { extents: [{ fileOffset: -1, length: 1 }] }],
    ['extents', { extents: [{ fileOffset: 0, length: Number.NaN }] }],
  ] as const) {
    assert.throws(
      () => encodeHeader({ ...plain, size: 9, ...change } as unknown as Parameters<typeof encodeHeader>[0]),
      {
        code: 'ERR_OPTION_INVALID',
        message: new RegExp(field),
      },
    );
  }
  assert.equal(encodeHeader({ ...plain, mtime: { seconds: -5, nanoseconds: 1 } } as never).length % 512, 0);
});
