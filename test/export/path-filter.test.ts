import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathFilter } from '../../src/export/path-filter.js';

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
