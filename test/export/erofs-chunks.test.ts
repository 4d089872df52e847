import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunkPlaces, cost, divideFile } from '../../src/export/erofs-chunks.js';
import type { DataExtent, Inode } from '../../src/rootfs/tree.js';
import { Random } from '../support/random-layers.js';

const BLOCK = 512;

function fileInode(size: number, extents: readonly DataExtent[] | undefined, tarOffset = 512): Inode {
  return {
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: { seconds: 0, nanoseconds: 0 },
    size,
    data: { layer: 0, tarOffset, extents },
    links: 1,
  };
}

/** The byte of the tar that stands at each place of the file; -1 for zeros. */
function bytesOf(inode: Inode): number[] {
  const bytes = new Array<number>(inode.size).fill(-1);
  const runs = inode.data?.extents ?? [{ fileOffset: 0, tarOffset: inode.data?.tarOffset ?? 0, length: inode.size }];
  for (const run of runs) for (let at = 0; at < run.length; at += 1) bytes[run.fileOffset + at] = run.tarOffset + at;
  return bytes;
}

test('one run on a block is one chunk, whatever its size', () => {
  for (const size of [1, 511, 512, 513, 100_000, 2 ** 33, 2 ** 39]) {
    const chunks = divideFile(fileInode(size, undefined), BLOCK, 2 ** 40);
    assert.equal(chunks.count, 1, String(size));
    assert.equal(chunks.copiedBytes, 0);
    assert.equal(chunks.isWhole, true);
  }
});

test('a file with a run that begins between blocks, or ends with the tar inside one, is copied', () => {
  assert.equal(divideFile(fileInode(1000, undefined, 513), BLOCK, 4096).copiedBytes, 1024);
  assert.equal(divideFile(fileInode(1000, undefined, 512), BLOCK, 1024).copiedBytes, 1024);
  assert.equal(divideFile(fileInode(1000, undefined, 512), BLOCK, 1536).copiedBytes, 0);
});

test('terabytes of holes cost one index, data in them little', () => {
  const size = 2 ** 40;
  assert.equal(cost(divideFile(fileInode(size, []), BLOCK, 2 ** 30)), 8);
  const extents = [
    { fileOffset: 0, tarOffset: 1024, length: 512 },
    { fileOffset: 2 ** 39 + 512, tarOffset: 1536, length: 700 },
  ];
  const chunks = divideFile(fileInode(size, extents), BLOCK, 2 ** 30);
  assert.ok(cost(chunks) < 64 * 1024 * 1024, `${cost(chunks)} bytes`);
});

test('every byte of random sparse files is where its chunk says, and the cost is what is stored', () => {
  const random = new Random(11);
  for (let round = 0; round < 400; round += 1) {
    const aligned = random.below(2) === 0;
    const unit = aligned ? BLOCK : 1;
    const extents: DataExtent[] = [];
    let fileOffset = 0;
    let tarOffset = BLOCK * (1 + random.below(3)) + (random.below(4) === 0 ? 100 : 0);
    for (let run = random.below(6); run > 0; run -= 1) {
      fileOffset += random.below(aligned ? 6 : 3000) * unit;
      const length = (1 + random.below(aligned ? 8 : 4000)) * unit;
      extents.push({ fileOffset, tarOffset, length });
      fileOffset += length;
      tarOffset += length + (random.below(3) === 0 ? BLOCK : 0);
    }
    const size = fileOffset + random.below(3) * 700;
    if (size === 0) continue;
    const inode = fileInode(size, extents);
    const addressable = random.below(3) === 0 ? Math.floor(tarOffset / BLOCK) * BLOCK : 2 ** 30;
    const chunks = divideFile(inode, BLOCK, addressable);
    const length = BLOCK * 2 ** chunks.bits;
    assert.equal(chunks.count, Math.ceil(size / length));
    const expected = bytesOf(inode);
    const places = new Map([...chunkPlaces(chunks, size, BLOCK, addressable)].map((place) => [place.index, place]));
    let copied = 0;
    for (let index = 0; index < chunks.count; index += 1) {
      const end = Math.min((index + 1) * length, size);
      const place = places.get(index);
      if (place !== undefined && place.tarOffset === undefined) {
        copied += Math.ceil((end - index * length) / BLOCK) * BLOCK;
        continue;
      }
      for (let at = index * length; at < end; at += 1) {
        const found = place?.tarOffset === undefined ? -1 : place.tarOffset + at - index * length;
        if (found !== expected[at]) assert.fail(`round ${round}, byte ${at}: ${found}, expected ${expected[at]}`);
      }
    }
    assert.equal(chunks.copiedBytes, copied, `round ${round}`);
    // the kernel joins reads of neighbouring blocks of two devices, and takes both from the first
    const isMixed = copied > 0 && [...places.values()].some((place) => place.tarOffset !== undefined);
    assert.equal(isMixed, false, `round ${round}`);
  }
});
