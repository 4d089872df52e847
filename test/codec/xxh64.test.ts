/** xxHash64: the lower half of known hashes, however the bytes arrive. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Xxh64 } from '../../src/codec/xxh64.js';

/** A slow, plain version over BigInt, for comparison. */
function slowXxh64(bytes: Uint8Array): bigint {
  const mask = (1n << 64n) - 1n;
  const [p1, p2, p3, p4, p5] = [
    11400714785074694791n,
    14029467366897019727n,
    1609587929392839161n,
    9650029242287828579n,
    2870177450012600261n,
  ] as const;
  const rotate = (value: bigint, by: bigint): bigint => ((value << by) | (value >> (64n - by))) & mask;
  const round = (lane: bigint, input: bigint): bigint => (rotate((lane + input * p2) & mask, 31n) * p1) & mask;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let hash: bigint = p5;
  if (bytes.length >= 32) {
    const lanes = [(p1 + p2) & mask, p2, 0n, (mask + 1n - p1) & mask];
    for (; at + 32 <= bytes.length; at += 32) {
      for (let lane = 0; lane < 4; lane++)
        lanes[lane] = round(lanes[lane] ?? 0n, view.getBigUint64(at + lane * 8, true));
    }
    const [a = 0n, b = 0n, c = 0n, d = 0n] = lanes;
    hash = (rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n)) & mask;
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * p1 + p4) & mask;
  }
  hash = (hash + BigInt(bytes.length)) & mask;
  for (; at + 8 <= bytes.length; at += 8) {
    hash = (rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * p1 + p4) & mask;
  }
  if (at + 4 <= bytes.length) {
    hash = (rotate(hash ^ ((BigInt(view.getUint32(at, true)) * p1) & mask), 23n) * p2 + p3) & mask;
    at += 4;
  }
  for (; at < bytes.length; at++) hash = (rotate(hash ^ ((BigInt(view.getUint8(at)) * p5) & mask), 11n) * p1) & mask;
  hash = ((hash ^ (hash >> 33n)) * p2) & mask;
  hash = ((hash ^ (hash >> 29n)) * p3) & mask;
  return hash ^ (hash >> 32n);
}

function low(bytes: Uint8Array, piece: number): number {
  const hash = new Xxh64();
  for (let at = 0; at < bytes.length; at += piece) hash.update(bytes.subarray(at, at + piece));
  return hash.digestLow();
}

test('known hashes', () => {
  assert.equal(low(Buffer.from(''), 1), 0x51d8e999);
  assert.equal(low(Buffer.from('a'), 1), 0xa98c6e5b);
  assert.equal(low(Buffer.from('abc'), 1), 0xad770999);
});

test('every length up to 200 and beyond, in pieces of every kind, as the plain version says', () => {
  const bytes = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 167 + (index >> 3) * 31) & 255));
  for (const length of [...Array(200).keys(), 1023, 1024, 4999]) {
    const part = bytes.subarray(1, 1 + length);
    const expected = Number(slowXxh64(part) & 0xffffffffn);
    for (const piece of [1, 31, 32, 33, 5000]) assert.equal(low(part, piece), expected, `${length} bytes in ${piece}`);
  }
});

test('a hash that was reset begins anew', () => {
  const hash = new Xxh64();
  hash.update(Buffer.alloc(100, 7));
  hash.reset();
  hash.update(Buffer.from('abc'));
  assert.equal(hash.digestLow(), 0xad770999);
});
