/** What `index.json` says once an entry that engines know by a full name has another name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameEntry } from '../../src/content/name-entry.js';
import type { Descriptor } from '../../src/spec/descriptor.js';

type Called = readonly [digit: string, refName?: string | undefined, fullName?: string];

function entry([digit, refName, fullName]: Called): Descriptor {
  const annotations = {
    ...(fullName === undefined ? {} : { 'io.containerd.image.name': fullName }),
    ...(refName === undefined ? {} : { 'org.opencontainers.image.ref.name': refName }),
  };
  const plain = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${digit.repeat(64)}`,
    size: 1,
  };
  return { ...plain, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) } as Descriptor;
}

function check(before: readonly Called[], target: Called, name: string | undefined, after: readonly Called[]): void {
  assert.deepEqual(nameEntry(before.map(entry), entry(target), name), after.map(entry));
}

const app1: Called = ['a', '1', 'docker.io/team/app:1'];
const app2: Called = ['b', '2', 'docker.io/team/app:2'];

test('a tag becomes that of the same repository, a full name is taken as it is', () => {
  check([app1, app2], app1, 'new', [app1, app2, ['a', 'new', 'docker.io/team/app:new']]);
  check([app1], app1, 'other:v1', [app1, ['a', 'other:v1', 'docker.io/library/other:v1']]);
  check([app1], app1, 'v1+x', [app1, ['a', 'v1+x']]);
  check([app1], app1, '1', [app1]);
  check([['a', 'x']], ['a', 'x'], 'y', [
    ['a', 'x'],
    ['a', 'y'],
  ]);
});

test('what had the name loses it, in full too, and keeps what else it is called', () => {
  check([app1, app2], app2, '1', [app2, ['b', '1', 'docker.io/team/app:1']]);
  const full = 'docker.io/team/app:1';
  check([app1, app2], app2, full, [['a', '1'], app2, ['b', full, full]]);
  check([['a', undefined, full], app2], app2, '1', [app2, ['b', '1', full]]);
});

test('a full name that is given to content without one is taken from whatever engines know by it', () => {
  const full = 'docker.io/team/app:1';
  check([app1, app2], ['c'], full, [['a', '1'], app2, ['c', full]]);
  check([app1, app2], ['c'], 'team/app:1', [['a', '1'], app2, ['c', 'team/app:1']]);
  check([['a', undefined, full], app2], ['c'], full, [app2, ['c', full]]);
  check([app1], ['c'], 'v1', [app1, ['c', 'v1']]);
});

test('an entry that has a full name alone has a name: another one for its content takes nothing from it', () => {
  const only: Called = ['a', undefined, 'docker.io/team/app:1'];
  check([only], ['a'], '2', [only, ['a', '2']]);
  check([only], only, '2', [only, ['a', '2', 'docker.io/team/app:2']]);
  check([only], ['a'], undefined, [only]);
  check([['a']], ['a'], '2', [['a', '2']]);
});
