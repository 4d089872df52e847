/** Which names an entry of a layout may get: those that other tools can read again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkEntryName } from '../../src/content/entry-name.js';

const SPECIFIED = [
  'a',
  'v1.3.1+dev',
  'A--2.C+9@e-3',
  'etc/passwd/123',
  'localhost:5000/a/b:v1',
  'Jj9KkLl@MmNnOo/Vv.Ww:X',
];
const DOCKERS = ['_', 'v1_', 'a..b', '1.0---x', 'a__b:v1', 'registry.example/a---b/c_d:e-'];
const NONE = [
  'x/',
  'x//y',
  'x+1+',
  'a++b',
  'a-./b',
  '/a/b',
  '--x',
  '.x',
  '@x',
  ':x',
  'a+/b',
  'with space',
  'ü',
  '',
  'a\n',
];

test('the grammar of the specification, and what Docker takes for a tag or a full name', () => {
  for (const name of [...SPECIFIED, ...DOCKERS, 'x'.repeat(1024)]) checkEntryName(name);
});

test('what neither takes is refused, and so is an entry by its place', () => {
  for (const name of [...NONE, '@0', '@12', 'x'.repeat(1025), `${'a+'.repeat(500)}+`]) {
    assert.throws(() => checkEntryName(name), { code: 'ERR_REFERENCE_INVALID' }, name);
  }
});
