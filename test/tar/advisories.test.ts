/** Advisories of tar readers, each by its id: refused or read as it stands, in bounded time and memory, by both drives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { END, header, member, pax } from '../support/raw-tar.js';
import { readBoth, refusesBoth } from '../support/read-all-tar.js';

const tar = (...parts: Buffer[]): Buffer => Buffer.concat([...parts, END]);
const gnu = 'ustar  \0';
const invalid = 'ERR_TAR_INVALID';
const limit = 'ERR_LIMIT_EXCEEDED';
const after = member({ name: 'after' }, 'x');

/** A PAX header of exactly these bytes. */
const records = (body: string | Buffer): Buffer => member({ name: 'PaxHeaders/x', type: 'x' }, body);

test('CVE-2019-20907 (tarfile), CVE-2007-3644 (libarchive): a record of no length does not go on for ever', async () => {
  for (const body of ['0 hdrcharset=BINARY\n', '0 \n', '00 x=y\n', ' x=y\n', '\n']) {
    await refusesBoth(tar(records(body), after), invalid);
  }
});

test('CVE-2019-9923 (GNU tar), CVE-2007-3641, CVE-2007-3645 (libarchive): records that end before they say', async () => {
  for (const body of ['30 mtime=\n', '9 mtimex\n', '7 =val\n', '99999999999999999999 a=b\n', '6 a=b']) {
    await refusesBoth(tar(records(body), after), invalid);
  }
});

test('CVE-2025-8194, CVE-2026-11972 (tarfile): sizes below nothing, and an end in the middle', {
  timeout: 20_000,
}, async () => {
  await refusesBoth(tar(pax([['size', '-1024']]), after), invalid);
  await refusesBoth(tar(header({ size: Buffer.from('fffffffffffffffffffffe00', 'hex') }), after), invalid);
  const claimed = header({ size: 8 ** 11 - 1 });
  await refusesBoth(claimed, invalid);
  await refusesBoth(Buffer.concat([claimed, Buffer.alloc(100)]), invalid);
});

test('CVE-2025-13462 (tarfile): what an extension header holds is no directory, whatever its name ends in', async () => {
  const long = member({ name: '././@LongLink/', type: 'L', magic: gnu }, 'a/long/name\0');
  const [first, second] = await readBoth(tar(long, member({ name: 'short', type: '\0', magic: gnu }, 'data'), after));
  assert.deepEqual([first?.name, first?.type, first?.size], ['a/long/name', 'file', 4]);
  assert.equal(second?.name, 'after');
});

test('CVE-2006-6097 (GNU tar): a member of old names makes no links', async () => {
  const names = member({ name: 'x', type: 'N', magic: gnu }, 'Symlink /etc/passwd to stolen\n');
  const found = await readBoth(tar(names, after));
  assert.deepEqual(
    found.map(({ name, type }) => `${type} ${name}`),
    ['other x', 'file after'],
  );
});

test('CVE-2022-48303 (GNU tar): a number of blanks and one byte of another kind', async () => {
  await refusesBoth(tar(header({ mtime: Buffer.from('           \x80', 'latin1') })), invalid, 0);
});

test('CVE-2023-39804 (GNU tar): an attribute whose name is as long as a header may be', async () => {
  const key = 'k'.repeat(1_000_000);
  const [entry] = await readBoth(tar(pax([[`SCHILY.xattr.user.${key}`, 'v']]), member({})));
  assert.deepEqual([...(entry?.xattrs?.keys() ?? [])], [`user.${key}`]);
  await refusesBoth(tar(pax([[`SCHILY.xattr.user.${key}`, 'v']]), member({})), limit, 0, { maxMetadataBytes: 999_999 });
});

test('CVE-2022-2879 (Go): extension headers of more than a mebibyte are not read', async () => {
  for (const type of ['x', 'g', 'L', 'K'])
    await refusesBoth(tar(header({ type, size: 1_048_577, magic: gnu })), limit, 0);
  await refusesBoth(tar(header({ type: 'x', size: 8 ** 11 - 1 })), limit, 0);
});

test('CVE-2025-58183 (Go): a sparse map that says it has more runs than are kept', async () => {
  const sparse = pax([
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', 'big'],
    ['GNU.sparse.realsize', '0'],
  ]);
  await refusesBoth(tar(sparse, member({}, '1000001\n'.padEnd(512, '0\n'))), limit);
  await refusesBoth(tar(sparse, member({}, `${'9'.repeat(15)}\n`.padEnd(512, '0\n'))), limit);
  await refusesBoth(tar(sparse, member({}, `${'9'.repeat(16)}\n`.padEnd(512, '0\n'))), invalid);
});

test('CVE-2026-32288 (Go): an old sparse map that goes on and on', async () => {
  const numbers = '00000000000\0'.repeat(2);
  const block = Buffer.alloc(512);
  block.write(numbers.repeat(21), 'latin1');
  block[504] = 1;
  const first = header({ type: 'S', magic: gnu, patch: { 386: numbers.repeat(4), 482: '\x01', 483: '00000000000\0' } });
  const endless = Buffer.concat([first, ...Array<Buffer>(50).fill(block)]);
  await refusesBoth(endless, limit, undefined, { maxExtents: 1_000 });
  await refusesBoth(endless, invalid, undefined, { maxExtents: 10_000 });
});

test('CVE-2018-20482 (GNU tar): a sparse file that says it is larger than any disk costs nothing to read', async () => {
  const sparse = pax([
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', 'big'],
    ['GNU.sparse.realsize', String(2 ** 52)],
  ]);
  const [entry] = await readBoth(tar(sparse, member({}, '0\n'.padEnd(512, '\0'))));
  assert.deepEqual([entry?.size, entry?.dataBytes, entry?.extents], [2 ** 52, 0, []]);
});
