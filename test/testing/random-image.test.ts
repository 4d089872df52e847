/** Random images: the same for a seed, different between seeds, and full of corners. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CORNERS, type Corner, randomImage } from '../../src/testing/testing.js';

test('a seed gives the same image for ever', () => {
  assert.equal(randomImage(7).descriptor.digest, randomImage(7).descriptor.digest);
  assert.notEqual(randomImage(7).descriptor.digest, randomImage(8).descriptor.digest);
});

/** What tells in the tars that a corner was cut. */
const SIGNS: Partial<Record<Corner, (tars: Buffer) => boolean>> = {
  opaque: (tars) => tars.includes('.wh..wh..opq'),
  hardlinks: (tars) => types(tars).includes('1'),
  devices: (tars) => /[346]/.test(types(tars)),
  xattrs: (tars) => tars.includes('SCHILY.xattr.'),
  'long-names': (tars) => tars.includes(`long-${'n'.repeat(90)}`),
  bytes: (tars) => tars.includes(Buffer.from([0x62, 0xff, 0xfe])),
};

function types(tars: Buffer): string {
  let found = '';
  for (let at = 0; at + 512 <= tars.length; at += 512) {
    if (tars.subarray(at + 257, at + 262).toString() === 'ustar') found += String.fromCharCode(tars[at + 156] ?? 0);
  }
  return found;
}

test('corners occur, and do not occur where they were left out', () => {
  const tarsOf = (without: readonly Corner[]): Buffer => {
    const images = Array.from({ length: 30 }, (_, seed) => randomImage(seed, { without }));
    return Buffer.concat(images.flatMap((built) => built.layers.map((layer) => layer.tar)));
  };
  const all = tarsOf([]);
  for (const [corner, sign] of Object.entries(SIGNS)) {
    assert.ok(sign(all), corner);
    // the two corners that write hard links go together
    const without: Corner[] = corner === 'hardlinks' ? ['hardlinks', 'link-before-target'] : [corner as Corner];
    assert.ok(!sign(tarsOf(without)), `without ${corner}`);
  }
  const plain = tarsOf(CORNERS);
  assert.ok(!plain.includes('.wh.') && !/[12346x]/.test(types(plain).replaceAll('2', '')));
});

test('the expected tree follows the last layer', () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const built = randomImage(seed);
    const paths = [...built.expected.entries()].map(([path]) => path);
    assert.equal(new Set(paths).size, paths.length);
    assert.ok(paths.every((path) => !path.includes('.wh.')));
  }
});
