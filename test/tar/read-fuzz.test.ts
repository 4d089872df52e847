/**
 * Layers damaged at random: the reader gives a list of members or a coded error, nothing else, whichever way it reads.
 * ROOTFS_FUZZ sets how many mutants; the merge is fed those that can be read.
 */
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { readTarFile } from '../../src/tar/read-tar-file.js';
import { readTarStream } from '../../src/tar/read-tar-stream.js';
import type { TarEntry } from '../../src/tar/tar-entry.js';
import { randomImage } from '../../src/testing/random-image.js';
import { gnuSparseEntry, paxSparseEntry } from '../../src/testing/sparse-entry.js';
import { Random, randomLayers } from '../support/random-layers.js';
import { member, pax } from '../support/raw-tar.js';
import { tempDir } from '../support/temp-dir.js';

const mutants = Number(process.env['ROOTFS_FUZZ'] ?? 5_000);
const ALLOWED = new Set(['ERR_TAR_INVALID', 'ERR_LIMIT_EXCEEDED', 'ERR_LAYER_INVALID']);
const INTERESTING = [
  '\0',
  '\xff',
  '\x80',
  '\n',
  '=',
  ' ',
  '/',
  '..',
  '.wh.',
  '9',
  '7777777',
  '-1',
  '99999999999',
  'x',
  'g',
  'L',
  'S',
  '5',
];

test(`${mutants} damaged layers: members or a coded error`, async (t) => {
  const folder = tempDir(t, 'fuzz');
  const path = join(folder, 'layer.tar');
  const random = new Random(20_260_101);
  const seeds = corpus();
  let readable = 0;
  let mergeable = 0;
  const fd = openSync(path, 'w+');
  t.after(() => closeSync(fd));
  for (let count = 0; count < mutants; count += 1) {
    const tar = mutated(random.pick(seeds), random);
    ftruncateSync(fd, 0);
    writeSync(fd, tar, 0, tar.length, 0);
    const byFile = outcome(() => [...readTarFile(fd)], count);
    const byStream = await readStream(tar, 1 + random.below(3000), count);
    assert.deepEqual(byStream, byFile, `mutant ${count}: the two drives differ`);
    if (typeof byFile === 'string') continue;
    readable += 1;
    for (const entry of byFile) checkSane(entry, tar.length, count);
    try {
      await mergeLayers([{ path, tarBytes: tar.length }]);
      mergeable += 1;
    } catch (error) {
      expectCoded(error, count);
    }
  }
  t.diagnostic(`${readable} of ${mutants} mutants could be read, ${mergeable} merged`);
  assert.ok(readable > mutants / 20 && readable < mutants, 'some mutants are read and some refused');
});

function corpus(): Buffer[] {
  const extents = [
    { offset: 100, content: 'a' },
    { offset: 4000, content: 'bb' },
  ];
  const sparse = [
    gnuSparseEntry('sparse', { size: 5000, extents }),
    ...(['pax-0.0', 'pax-0.1', 'pax-1.0'] as const).map((style) =>
      paxSparseEntry('sparse', { size: 5000, extents }, style),
    ),
  ];
  return [
    Buffer.concat([...sparse, Buffer.alloc(1024)]),
    Buffer.concat([
      pax(
        [
          ['mtime', '1.5'],
          ['SCHILY.xattr.user.a', 'x\ny'],
        ],
        'g',
      ),
      member({ type: 'L', magic: 'ustar  \0' }, `${'l/'.repeat(100)}x\0`),
      member({ name: 'x', magic: 'ustar  \0', prefix: '00000000012\0' }, 'data'),
      pax([
        ['path', 'p'.repeat(200)],
        ['size', '4'],
        ['LIBARCHIVE.xattr.user.b', 'AAAA'],
      ]),
      member({ name: 'y' }, 'data'),
      Buffer.alloc(1024),
    ]),
    ...Array.from({ length: 12 }, (_, seed) => randomLayers(seed)[0]?.tar ?? Buffer.alloc(0)),
    ...Array.from(
      { length: 12 },
      (_, seed) => randomImage(seed, { compression: 'none' }).layers[0]?.tar ?? Buffer.alloc(0),
    ),
  ];
}

/** One to four wounds; mostly the checksum is made right again, so that the rest of the reader is reached. */
function mutated(seed: Buffer, random: Random): Buffer {
  let tar = Buffer.from(seed);
  for (let wounds = 1 + random.below(4); wounds > 0; wounds -= 1) {
    const blocks = Math.floor(tar.length / 512);
    if (blocks === 0) break;
    const block = random.below(blocks) * 512;
    switch (random.below(7)) {
      case 0:
        tar = tar.subarray(0, random.below(tar.length + 1));
        break;
      case 1:
        tar.copyWithin(block, random.below(blocks) * 512, random.below(blocks) * 512 + 512);
        break;
      case 2:
        tar = Buffer.concat([tar.subarray(0, block), tar.subarray(block + 512)]);
        break;
      case 3:
        tar.fill(random.below(256), block + random.below(512), block + 512);
        break;
      default: {
        const field = random.pick([
          0,
          100,
          108,
          116,
          124,
          136,
          156,
          157,
          257,
          329,
          345,
          386,
          482,
          483,
          random.below(512),
        ]);
        tar.write(
          random.pick(INTERESTING),
          Math.min(block + field + random.below(3), Math.max(0, tar.length - 1)),
          'latin1',
        );
      }
    }
  }
  if (random.chance(85)) for (let at = 0; at + 512 <= tar.length; at += 512) reseal(tar, at);
  return tar;
}

/** Makes the checksum of a block right, where the block looks like a header. */
function reseal(tar: Buffer, at: number): void {
  if (tar.toString('latin1', at + 257, at + 262) !== 'ustar') return;
  tar.write('        ', at + 148, 'latin1');
  let sum = 0;
  for (let index = at; index < at + 512; index += 1) sum += tar[index] as number;
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
}

function expectCoded(error: unknown, mutant: number): string {
  assert.ok(error instanceof RootfsError && ALLOWED.has(error.code), `mutant ${mutant}: ${(error as Error).stack}`);
  return error.code;
}

function outcome(read: () => TarEntry[], mutant: number): TarEntry[] | string {
  try {
    return read();
  } catch (error) {
    return expectCoded(error, mutant);
  }
}

async function readStream(tar: Buffer, chunk: number, mutant: number): Promise<TarEntry[] | string> {
  const entries: TarEntry[] = [];
  const source = async function* (): AsyncGenerator<Buffer> {
    for (let at = 0; at < tar.length; at += chunk) yield tar.subarray(at, at + chunk);
  };
  try {
    for await (const { entry } of readTarStream(source())) entries.push(entry);
    return entries;
  } catch (error) {
    return expectCoded(error, mutant);
  }
}

function checkSane(entry: TarEntry, length: number, mutant: number): void {
  const { dataOffset, dataBytes, extents, size } = entry;
  assert.ok(dataOffset % 512 === 0 && dataOffset + dataBytes <= length, `mutant ${mutant}: data lies in the archive`);
  for (const number of [size, entry.mode, entry.uid, entry.gid, entry.devmajor, entry.devminor]) {
    assert.ok(Number.isSafeInteger(number) && number >= 0, `mutant ${mutant}: ${number}`);
  }
  assert.ok(Number.isSafeInteger(entry.mtime.seconds) && entry.mtime.nanoseconds < 1e9, `mutant ${mutant}`);
  let end = 0;
  for (const run of extents ?? []) {
    assert.ok(run.fileOffset >= end && run.fileOffset + run.length <= size, `mutant ${mutant}: runs in order`);
    assert.ok(run.tarOffset >= dataOffset && run.tarOffset + run.length <= dataOffset + dataBytes, `mutant ${mutant}`);
    end = run.fileOffset + run.length;
  }
}
