import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { flattenFile } from '../../src/export/flatten-file.js';
import { type PathPatterns, pathFilter } from '../../src/export/path-filter.js';
import { unpack } from '../../src/export/unpack.js';
import type { ProgressEvent } from '../../src/progress.js';
import { handTree } from '../support/hand-tree.js';
import { tempDir } from '../support/temp-dir.js';

function matches(pattern: string, path: string): boolean {
  return pathFilter({ exclude: [pattern] }).excludes(path.split('/'));
}

const cases: readonly (readonly [pattern: string, yes: readonly string[], no: readonly string[]])[] = [
  ['etc', ['etc'], ['etc2', 'a/etc', 'etc/passwd']],
  ['/etc/', ['etc'], ['a/etc']],
  ['./etc/./x', ['etc/x'], ['etc/y']],
  ['*.py', ['a.py', '.py'], ['a.pyc', 'd/a.py']],
  ['**/*.py', ['a.py', 'd/a.py', 'd/e/f.py'], ['a.txt']],
  ['usr/**', ['usr/a', 'usr/a/b'], ['usr', 'usr2/a']],
  ['usr/**/doc', ['usr/doc', 'usr/a/doc', 'usr/a/b/doc'], ['usr/doc/x', 'doc']],
  ['**', ['a', 'a/b'], []],
  ['a?c', ['abc', 'a*c'], ['ac', 'abbc']],
  ['[a-c]x', ['ax', 'cx'], ['dx', 'x']],
  ['[!a-c]x', ['dx'], ['ax']],
  ['[]x]y', [']y', 'xy'], ['ay']],
  ['[abc', ['[abc'], ['a']],
  ['a\\*', ['a*'], ['ab']],
  ['*a*a*b', ['aab', 'xaxaxb'], ['ab', 'aac']],
  ['caf\u00e9', [Buffer.from('caf\u00e9').toString('latin1')], ['cafe']],
];

for (const [pattern, yes, no] of cases) {
  test(`the pattern ${JSON.stringify(pattern)}`, () => {
    for (const path of yes) assert.equal(matches(pattern, path), true, path);
    for (const path of no) assert.equal(matches(pattern, path), false, path);
  });
}

test('patterns that are none are refused', () => {
  for (const pattern of ['', '/', '../x', 'a/../b', 'a'.repeat(5000)]) {
    assert.throws(() => pathFilter({ include: [pattern] }), { code: 'ERR_OPTION_INVALID' });
  }
});

test('a pattern made to be slow costs a product of lengths, no more', () => {
  const filter = pathFilter({ exclude: [`${'*a'.repeat(100)}b`, `${'**/a/'.repeat(60)}b`] });
  assert.equal(filter.excludes(['a'.repeat(255)]), false);
  assert.equal(filter.excludes(Array.from({ length: 255 }, () => 'a')), false);
});

test('an include that matches nothing leaves the root, and is told', async (t) => {
  const folder = tempDir(t, 'nothing');
  const { tree, layers } = handTree(folder, [{ path: 'etc/passwd', content: 'p' }]);
  const warned = async (patterns: PathPatterns, form: 'unpack' | 'flatten'): Promise<string[]> => {
    const said: string[] = [];
    const onProgress = (event: ProgressEvent): void => {
      if (event.type === 'warning:raised') said.push(event.message);
    };
    const dst = mkdtempSync(join(folder, 'dst-'));
    if (form === 'unpack') await unpack(tree, layers, dst, { ...patterns, onProgress });
    else await flattenFile(tree, layers, join(dst, 'tar'), { ...patterns, onProgress });
    return said.filter((message) => message.startsWith('include'));
  };
  for (const form of ['unpack', 'flatten'] as const) {
    const [first = '', ...more] = await warned({ include: ['passwd'] }, form);
    assert.match(first, /^include: nothing in the image matches "passwd"; .*\*\*\/NAME/);
    assert.deepEqual(more, []);
    const [two = '', ...none] = await warned({ include: ['etc', 'usr'], exclude: ['etc'] }, form);
    assert.match(two, /matches "etc" or the other pattern and is not excluded;/);
    assert.deepEqual(none, []);
    const [three = ''] = await warned({ include: ['a', 'b', 'c'] }, form);
    assert.match(three, /matches "a" or the 2 other patterns;/);
    assert.deepEqual(await warned({ include: ['passwd', '**/passwd'] }, form), []);
    assert.deepEqual(await warned({ exclude: ['**'] }, form), []);
  }
});

test('more patterns than anybody writes are refused, whatever they are', () => {
  const many = (count: number): PathPatterns => ({ exclude: Array.from({ length: count }, (_, at) => `a${at}`) });
  assert.equal(pathFilter(many(10_000)).excludes(['a9999']), true);
  assert.throws(() => pathFilter(many(10_001)), {
    code: 'ERR_OPTION_INVALID',
    message: 'exclude: at most 10000 patterns, found 10001',
  });
});
