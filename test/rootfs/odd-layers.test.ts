/** Layers in odd forms, one line each: what they merge to, or which error refuses them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readLayerChanges } from '../../src/rootfs/layer-changes.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { dir, file, layerTars, link, opaque, outline, symlink, whiteout } from '../support/layer-tars.js';
import { writeTars } from '../support/layers.js';
import { END, member, pax } from '../support/raw-tar.js';
import { tempDir } from '../support/temp-dir.js';

type Layer = Buffer | readonly Buffer[];

/** What the layers come to: the lines of `outline`, or an error code. */
type Case = readonly [name: string, layers: readonly Layer[], outcome: readonly string[] | string];

const BASE = [dir('d/'), file('d/a', 'A'), file('d/b', 'B'), symlink('l', 'd'), file('f', 'F'), link('g', 'f')];
const long = (type: 'L' | 'K', text: string): Buffer => member({ name: '././@LongLink', type }, text);
const N99 = 'n'.repeat(99);

/** A number in GNU's base-256. */
function base256(length: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(length);
  let rest = value < 0n ? (1n << BigInt(length * 8)) + value : value;
  for (let at = length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 255n);
    rest >>= 8n;
  }
  bytes[0] = (bytes[0] as number) | 0x80;
  return bytes;
}

/** An old GNU sparse member. */
function sparse(size: string | Buffer, pairs: readonly (readonly [number, number])[], data: string): Buffer {
  const octal = (value: number): string => `${value.toString(8).padStart(11, '0')}\0`;
  const patch: Record<number, string | Buffer> = { 483: size };
  for (const [index, [offset, length]] of pairs.entries()) {
    patch[386 + index * 24] = octal(offset);
    patch[398 + index * 24] = octal(length);
  }
  return member({ name: 'x', type: 'S', magic: 'ustar  \0', patch }, data);
}

const CASES: readonly Case[] = [
  // hard links and whiteouts of one layer: engines go through a layer in order, and so a link can still have its target
  [
    'a link, then its lower target goes',
    [BASE, [link('h', 'f'), whiteout('f')]],
    ['d/', 'd/a 0+1', 'd/b 0+1', 'g 0+1', 'h = g', 'l -> d'],
  ],
  [
    'a link into a directory that goes',
    [BASE, [link('h', 'd/a'), whiteout('d')]],
    ['f 0+1', 'g = f', 'h 1+1', 'l -> d'],
  ],
  [
    'a link into a directory that becomes opaque',
    [BASE, [link('d/h', 'd/a'), opaque('d')]],
    ['d/', 'd/h 1+1', 'f 0+1', 'g = f', 'l -> d'],
  ],
  [
    'a link through a symbolic link to what goes',
    [BASE, [link('h', 'l/a'), whiteout('d/a')]],
    ['d/', 'd/b 0+1', 'f 0+1', 'g = f', 'h 1+1', 'l -> d'],
  ],
  [
    'a link to what goes and comes back',
    [BASE, [link('h', 'd/a'), whiteout('d/a'), file('d/a', 'new')]],
    ['d/', 'd/a 1+3', 'd/b 0+1', 'f 0+1', 'g = f', 'h 1+1', 'l -> d'],
  ],
  ['the target goes, then a link to it', [BASE, [whiteout('f'), link('h', 'f')]], 'ERR_LAYER_INVALID'],
  ['the directory goes, then a link into it', [BASE, [whiteout('d'), link('h', 'd/a')]], 'ERR_LAYER_INVALID'],
  [
    'one whiteout before, one behind the link',
    [BASE, [whiteout('d/a'), link('h', 'd/a'), whiteout('d')]],
    'ERR_LAYER_INVALID',
  ],
  ['a link to a directory that goes', [BASE, [link('h', 'd'), whiteout('d')]], 'ERR_LAYER_INVALID'],

  // directories from before POSIX: a NUL as type, a slash at the end of the name that counts
  [
    'an old directory by its PAX path',
    [[pax([['path', 'p/']]), member({ name: 'x', type: '\0' }), file('z')]],
    ['p/ 644', 'z 0+0'],
  ],
  [
    'an old file, its header name cut at a slash',
    [[pax([['path', `${N99}/tail`]]), member({ name: `${N99}/`, type: '\0' }, 'body'), file('z')]],
    [`${N99}/ (made)`, `${N99}/tail 0+4`, 'z 0+0'],
  ],
  [
    'an old directory by its GNU name',
    [[long('L', `${N99}${N99}/\0`), member({ name: N99, type: '\0', magic: 'ustar  \0' }), file('z')]],
    [`${N99}${N99}/ 644`, 'z 0+0'],
  ],
  [
    'an old file by its GNU name',
    [[long('L', `${N99}/tail\0`), member({ name: `${N99}/`, type: '\0', magic: 'ustar  \0' }, 'body')]],
    [`${N99}/ (made)`, `${N99}/tail 0+4`],
  ],
  ['an old directory has no body', [[member({ name: 'd/', type: '\0', size: 512 }), file('z')]], ['d/ 644', 'z 0+0']],
  ['a regular file with a slash is a file', [[member({ name: 'd/', type: '0' }, 'q')]], ['d 0+1']],

  // what bytes behind the GNU magic mean
  [
    'a ustar prefix under GNU magic',
    [[member({ name: 'x', prefix: 'a/b', magic: 'ustar  \0' }, '1')]],
    ['a/ (made)', 'a/b/ (made)', 'a/b/x 0+1'],
  ],
  ['other bytes there mean nothing', [[member({ name: 'x', prefix: 'a\xe9b', magic: 'ustar  \0' }, '1')]], ['x 0+1']],
  [
    'a base-256 time that is too large means nothing',
    [[member({ name: 'x', prefix: '\xffab', magic: 'ustar  \0' }, '1')]],
    ['x 0+1'],
  ],
  ['a prefix without magic is none', [[member({ name: 'x', prefix: 'a/b', magic: '' }, '1')]], ['x 0+1']],

  // sparse members
  ['a sparse file of holes only', [[sparse('00000000024\0', [[20, 0]], ''), file('z')]], ['x 0+20', 'z 0+0']],
  ['a sparse file without runs', [[sparse('00000000024\0', [], ''), file('z')]], ['x 0+20', 'z 0+0']],
  [
    'empty runs between runs',
    [
      [
        sparse(
          '00000000024\0',
          [
            [0, 2],
            [5, 0],
            [8, 3],
            [20, 0],
          ],
          'hello',
        ),
        file('z'),
      ],
    ],
    ['x 0+20', 'z 0+0'],
  ],
  ['a negative size', [[sparse(base256(12, -5n), [], '')]], 'ERR_TAR_INVALID'],
  [
    'runs that overlap',
    [
      [
        sparse(
          '00000000024\0',
          [
            [0, 3],
            [2, 2],
          ],
          'hello',
        ),
      ],
    ],
    'ERR_TAR_INVALID',
  ],
  [
    'runs out of order',
    [
      [
        sparse(
          '00000000024\0',
          [
            [10, 3],
            [2, 2],
          ],
          'hello',
        ),
      ],
    ],
    'ERR_TAR_INVALID',
  ],
  ['less data than the runs have', [[sparse('00000000024\0', [[0, 6]], 'hello')]], 'ERR_TAR_INVALID'],
  ['more data than the runs have', [[sparse('00000000024\0', [[0, 4]], 'hello')]], 'ERR_TAR_INVALID'],

  // names
  [
    'slashes and dots',
    [[file('//a///b/', '1'), file('./c/./d/.', '2'), dir('.//'), dir('/e//')]],
    ['a/ (made)', 'a/b 0+1', 'c/ (made)', 'c/d 0+1', 'e/'],
  ],
  [
    'dots that are names',
    [[file('...', '1'), file('..a', '2'), file('a..', '3'), file('.whx', '4'), file('.WH.a', '5')]],
    ['... 0+1', '..a 0+1', '.WH.a 0+1', '.whx 0+1', 'a.. 0+1'],
  ],
  [
    'names that a program may trip over',
    [[file('a\nb'), file('-rf'), file('a\\b'), file('__proto__'), file('constructor/x'), file('\xff\xfe')]],
    ['-rf 0+0', '__proto__ 0+0', 'a\nb 0+0', 'a\\b 0+0', 'constructor/ (made)', 'constructor/x 0+0', '\xff\xfe 0+0'],
  ],
  [
    'whiteouts of such names',
    [
      [file('\xff'), file('a\nb'), file('a\\b'), file('.whx'), file('..x'), file('__proto__')],
      ['\xff', 'a\nb', 'a\\b', '.whx', '..x', '__proto__'].map(whiteout),
    ],
    [],
  ],
  [
    'a whiteout with a slash, and of other types',
    [BASE, [file('.wh.f/'), dir('d/.wh.a'), symlink('.wh.l', 'x'), member({ name: 'd/.wh.b', type: '6' })]],
    ['d/', 'g 0+1'],
  ],
  [
    'a whiteout in the middle of a path is a directory',
    [BASE, [file('.wh.d/a', '1')]],
    ['.wh.d/ (made)', '.wh.d/a 1+1', 'd/', 'd/a 0+1', 'd/b 0+1', 'f 0+1', 'g = f', 'l -> d'],
  ],
  ...['.wh.', 'd/.wh.', '.wh..', '.wh...', '../x', 'd/../x', '..', 'd/..'].map(
    (name): Case => [`refused: ${name}`, [BASE, [file(name)]], 'ERR_LAYER_INVALID'],
  ),
  ...['./', '.', '/', '//', ''].map(
    (name): Case => [`the root ${JSON.stringify(name)} as a file`, [[file(name)]], 'ERR_LAYER_INVALID'],
  ),
  ['255 bytes', [[pax([['path', 'n'.repeat(255)]]), file('x')]], [`${'n'.repeat(255)} 0+0`]],
  ['256 bytes', [[pax([['path', 'n'.repeat(256)]]), file('x')]], 'ERR_LIMIT_EXCEEDED'],
  [
    'a symbolic link of 4095 bytes',
    [[pax([['linkpath', 'x/'.repeat(2047).concat('y')]]), symlink('s', 'q')]],
    [`s -> ${'x/'.repeat(2047)}y`],
  ],
  ['a symbolic link of 4096 bytes', [[pax([['linkpath', 'x/'.repeat(2048)]]), symlink('s', 'q')]], 'ERR_LAYER_INVALID'],

  // extension headers
  ['the GNU name wins over the PAX path', [[pax([['path', 'p']]), long('L', 'gnu\0'), file('x')]], ['gnu 0+0']],
  [
    'the last GNU name wins; an empty one is none',
    [[long('L', 'a\0'), long('L', 'b\0rest\0'), file('x'), long('L', '\0'), file('y')]],
    ['b 0+0', 'y 0+0'],
  ],
  ['extensions before the end mark', [[file('a'), long('L', 'abc\0')]], ['a 0+0']],
  ['extensions before the end of the source', [Buffer.concat([file('a'), pax([['path', 'p']])])], 'ERR_TAR_INVALID'],
  [
    'sizes of links and directories are no bodies',
    [
      [
        file('b'),
        member({ name: 'a', type: '1', linkname: 'b', size: 9 }),
        dir('d/', { size: 512 }),
        member({ name: 's', type: '2', linkname: 't', size: 7 }),
      ],
    ],
    ['a 0+0', 'b = a', 'd/', 's -> t'],
  ],
  ['an unknown type', [[member({ name: 'x', type: 'Q' }, 'body')]], 'ERR_LAYER_INVALID'],
  [
    'a volume label and a contiguous file',
    [[member({ name: 'Label', type: 'V' }), member({ name: 'x', type: '7' }, 'q')]],
    ['x 0+1'],
  ],

  // ends
  ['no bytes at all', [Buffer.alloc(0)], []],
  ['zeros only', [Buffer.alloc(10_240)], []],
  ['no end mark, padding cut', [member({ name: 'x' }, 'hello').subarray(0, 517)], ['x 0+5']],
  ['anything after the end mark', [Buffer.concat([file('x'), END, file('late'), Buffer.from('garbage')])], ['x 0+0']],
  ['half a block after the last entry', [Buffer.concat([file('x'), Buffer.alloc(200)])], 'ERR_TAR_INVALID'],
  ['data cut', [member({ name: 'x' }, 'hello').subarray(0, 515)], 'ERR_TAR_INVALID'],
];

test('layers in odd forms', async (t) => {
  const folder = tempDir(t, 'odd');
  for (const [name, layers, outcome] of CASES) {
    const tars = writeTars(
      folder,
      layers.map((layer) => (Buffer.isBuffer(layer) ? layer : Buffer.concat([...layer, END]))),
    );
    if (typeof outcome === 'string') await assert.rejects(mergeLayers(tars), { code: outcome }, name);
    else assert.deepEqual(outline(await mergeLayers(tars)), outcome, name);
  }
});

test('a layer cut anywhere is its whole entries or a coded error', async (t) => {
  const path = join(tempDir(t, 'cut'), 'layer.tar');
  const whole = Buffer.concat([dir('d/'), pax([['path', 'd/long']]), file('x', 'data'), link('h', 'd/long'), END]);
  const full = ['d/', 'd/long 0+4', 'h = d/long'];
  for (let tarBytes = 0; tarBytes <= whole.length; tarBytes += 1) {
    writeFileSync(path, whole.subarray(0, tarBytes));
    try {
      const found = outline(await mergeLayers([{ path, tarBytes }]));
      assert.deepEqual(found, full.slice(0, found.length), `cut at ${tarBytes}`);
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'ERR_TAR_INVALID', `cut at ${tarBytes}`);
    }
  }
});

test('layers one by one: a hard link has what is below where it stands', async (t) => {
  const outlines = async (...layers: readonly (readonly Buffer[])[]): Promise<string[]> => {
    let last: string[] = [];
    for await (const { tree } of readLayerChanges(layerTars(t, ...layers))) last = outline(tree);
    return last;
  };
  const base = [file('b', '0'), dir('d/'), file('d/c', 'C')];
  assert.deepEqual(await outlines(base, [link('a', 'b'), whiteout('b')]), ['a 1+1']);
  assert.deepEqual(await outlines(base, [link('a', 'b'), file('b', 'new')]), ['a 1+1', 'b 1+3']);
  assert.deepEqual(await outlines(base, [link('a', 'd/c'), opaque('d')]), ['a 1+1', 'd/ (made)']);
  await assert.rejects(outlines(base, [whiteout('b'), link('a', 'b')]), { code: 'ERR_LAYER_INVALID' });
  await assert.rejects(outlines(base, [opaque(''), link('a', 'b')]), { code: 'ERR_LAYER_INVALID' });
  // what the merge finds, and who takes paths literally does not, is no fault of the image
  const [linked, through] = [[...base, symlink('l', 'd')], [link('a', 'l/c')]] as const;
  assert.ok(outline(await mergeLayers(layerTars(t, linked, through))).includes('d/c = a'));
  await assert.rejects(outlines(linked, through), {
    code: 'ERR_LAYER_INVALID',
    message:
      /"a": hard link: expected its target "l\/c" .* found a symbolic link of a lower layer .* use rootfs unpack/,
  });
  await assert.rejects(outlines(linked, [link('a', 'd/none')]), { message: /found none; the image is broken/ });
  assert.deepEqual(await outlines(linked, [...through, dir('l'), file('l/c', 'own')]), ['a 1+3', 'l/', 'l/c = a']);
});
