import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choicesOf, namesOf } from '../../src/content/entry-names.js';
import type { Descriptor } from '../../src/spec/descriptor.js';

const A = `sha256:${'a'.repeat(64)}` as const;

function entry(tag?: string, full?: string): Descriptor {
  const annotations = {
    ...(tag === undefined ? {} : { 'org.opencontainers.image.ref.name': tag }),
    ...(full === undefined ? {} : { 'io.containerd.image.name': full }),
  };
  return { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: A, size: 1, annotations };
}

test('a tag that several entries have gives way to their full names, unless these are one', () => {
  const entries = [entry('1', 'a:1'), entry('1', 'b:1'), entry('1'), entry('2', 'c:2'), entry('2', 'c:2'), entry()];
  assert.deepEqual(namesOf(entries), ['a:1', 'b:1', '1', '2', '2', undefined]);
  assert.deepEqual(choicesOf(entries), ['a:1', 'b:1', '1', `@${A}`, `@${A}`, `@${A}`]);
  assert.deepEqual(namesOf([entry('1'), entry('1', 'b:1'), entry(undefined, 'd:4')]), ['1', 'b:1', 'd:4']);
});

const SEARCHES = ['indexOf', 'lastIndexOf', 'includes', 'every', 'some', 'find', 'filter'] as const;

/** How often a work looks through a list from its beginning or its end. */
function searches(work: () => void): number {
  const own = SEARCHES.map((name) => ({ name, value: Array.prototype[name] as (...given: unknown[]) => unknown }));
  let calls = 0;
  const put = (name: string, value: unknown): void => {
    Object.defineProperty(Array.prototype, name, { value, configurable: true, writable: true });
  };
  for (const { name, value } of own) {
    put(name, function (this: unknown[], ...given: unknown[]) {
      calls += 1;
      return value.apply(this, given);
    });
  }
  try {
    work();
  } finally {
    for (const { name, value } of own) put(name, value);
  }
  return calls;
}

test('no name is searched for among all the others, however many there are', () => {
  for (const full of ['app:latest', undefined]) {
    const entries = Array.from({ length: 1000 }, (_, at) => entry(full === undefined ? `v${at}` : 'latest', full));
    assert.ok(searches(() => choicesOf(entries)) < 10);
  }
});

test('empty text, as Go writes what is not set, is no name', () => {
  assert.deepEqual(namesOf([entry(''), entry('', 'a:1'), entry('', ''), entry('2', '')]), [
    undefined,
    'a:1',
    undefined,
    '2',
  ]);
  assert.deepEqual(choicesOf([entry(''), entry('1')]), [`@${A}`, '1']);
});
