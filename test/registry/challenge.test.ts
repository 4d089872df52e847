/** WWW-Authenticate in all the ways it is written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseChallenges } from '../../src/registry/challenge.js';
import { mergeScopes, scopeKey } from '../../src/registry/scopes.js';

function parsed(...lines: string[]): unknown {
  return parseChallenges(lines).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

for (const [lines, expected] of [
  [[], []],
  [[''], []],
  [['Basic'], [['basic', {}]]],
  [['Basic realm="a, b"'], [['basic', { realm: 'a, b' }]]],
  [['BASIC ReAlM=x'], [['basic', { realm: 'x' }]]],
  [
    ['Bearer realm="https://a/token",service="s",scope="repository:x:pull,push"'],
    [['bearer', { realm: 'https://a/token', service: 's', scope: 'repository:x:pull,push' }]],
  ],
  [['Bearer  realm = "r" ,  service= "s"'], [['bearer', { realm: 'r', service: 's' }]]],
  [['Bearer realm="a\\"b\\\\c"'], [['bearer', { realm: 'a"b\\c' }]]],
  [
    ['Negotiate, Basic realm="x", Bearer realm="y"'],
    [
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
      ['bearer', { realm: 'y' }],
    ],
  ],
  [
    ['Negotiate', 'Bearer realm="y"'],
    [
      ['negotiate', {}],
      ['bearer', { realm: 'y' }],
    ],
  ],
  [['Bearer realm="first",realm="second"'], [['bearer', { realm: 'first' }]]],
  [['Bearer realm="unended'], [['bearer', { realm: 'unended' }]]],
  [
    ['realm="nobody"'],
    [
      ['realm', {}],
      ['nobody', {}],
    ],
  ],
  [['Bearer realm='], [['bearer', { realm: '' }]]],
  [['Bearer __proto__="x",realm="y"'], [['bearer', JSON.parse('{"__proto__":"x","realm":"y"}')]]],
] as const) {
  test(`${JSON.stringify(lines)}`, () => {
    assert.deepEqual(parsed(...lines), expected);
  });
}

test('whatever stands there, reading it ends', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (lines) => {
      for (const { scheme } of parseChallenges(lines)) assert.match(scheme, /^[!#$%&'*+.^_`|~0-9a-z-]+$/);
    }),
  );
});

test('a challenge that is quoted is read back', () => {
  const value = fc.string({ unit: fc.constantFrom(...'ab ,="\\:/;') });
  fc.assert(
    fc.property(value, value, (realm, scope) => {
      const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;
      assert.deepEqual(parsed(`Bearer realm=${quote(realm)}, scope = ${quote(scope)}`), [['bearer', { realm, scope }]]);
    }),
  );
});

test('long headers without sense take no time', () => {
  for (const text of ['"', '=', ',', ' ', 'a', 'a=', 'a="', '\\', 'a =', 'Bearer a="\\']) {
    assert.ok(parseChallenges([text.repeat(100_000)]).length < 20_000);
  }
});

test('scopes are joined by what they are about', () => {
  assert.deepEqual(mergeScopes(['repository:a:pull'], undefined), ['repository:a:pull']);
  assert.deepEqual(mergeScopes(['repository:a:pull'], 'repository:a:push,pull'), ['repository:a:pull,push']);
  assert.deepEqual(mergeScopes(['repository:a:pull'], 'repository:b:pull  x\u0001:y nonsense'), [
    'repository:a:pull',
    'repository:b:pull',
  ]);
  assert.equal(scopeKey(['b', 'a']), scopeKey(['a', 'b']));
});
