/** Lists whose pages never end and bring nothing new. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { CallOptions } from '../../src/content/content.js';
import { createRegistry } from '../../src/registry/registry.js';
import { createRepository } from '../../src/registry/repository.js';
import { MediaType } from '../../src/spec/media-types.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { type ScriptedRegistry, scriptedRegistry } from '../support/scripted-registry.js';

const digest = `sha256:${'1'.repeat(64)}` as const;
const descriptor = { mediaType: MediaType.ociManifest, digest, size: 7 };
const google = { [digest]: { imageSizeBytes: '7', tag: ['a'] } };

/** A server whose every page links to another one, with an address that was not there before. */
function endless(t: TestContext, page: (at: number) => object): Promise<ScriptedRegistry> {
  return scriptedRegistry(t, ({ url }) => {
    const at = Number(url.searchParams.get('page') ?? 0);
    const headers = { 'content-type': MediaType.ociIndex, link: `<?page=${at + 1}>; rel="next"` };
    return { status: 200, headers, body: page(at) };
  });
}

async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of list) found.push(one);
  return found;
}

type List = (host: string, call: CallOptions) => AsyncIterable<unknown>;
const repository = (host: string) => createRepository(`${host}/app`, { retry: 0 });

for (const [name, list, page] of [
  ['tags', (host, call) => repository(host).tags(call), { tags: ['a'] }],
  ['tags with what is told of them', (host, call) => repository(host).listing(call), { tags: ['a'] }],
  ['manifests that are told', (host, call) => repository(host).listing(call), { tags: [], manifest: google }],
  ['repositories', (host, call) => createRegistry(host).repositories(call), { repositories: ['a'] }],
  ['referrers', (host, call) => repository(host).referrers(descriptor, undefined, call), { manifests: [descriptor] }],
  [
    'referrers, none of them wanted',
    (host, call) => repository(host).referrers(descriptor, 'application/other', call),
    { manifests: [descriptor] },
  ],
] satisfies [string, List, object][]) {
  test(`${name}: the second page that brings nothing new is the last, with a warning`, async (t) => {
    const { warnings, onProgress } = collectWarnings();
    const registry = await endless(t, () => page);
    const ask: List = list;
    await all(ask(registry.host, { onProgress }));
    assert.equal(registry.asked.length, 2);
    assert.equal(warnings.length, 1, warnings.join('\n'));
    assert.match(warnings[0] ?? '', /come round again; it may not be whole/);
  });
}

test('a page with new manifests and known tags is no repetition', async (t) => {
  const hex = (at: number): string => String(at % 3).repeat(64);
  const registry = await endless(t, (at) => ({ tags: ['a'], manifest: { [`sha256:${hex(at)}`]: { tag: ['a'] } } }));
  const pages = await all(repository(registry.host).listing());
  const instances = pages.flatMap((page) => page.instances ?? []);
  assert.deepEqual(
    instances.map((one) => one.digest),
    [0, 1, 2].map((at) => `sha256:${hex(at)}`),
  );
  assert.deepEqual(
    pages.flatMap(({ tags }) => tags),
    ['a'],
  );
});

test('a last page that brings nothing new ends the list without a word', async (t) => {
  const { warnings, onProgress } = collectWarnings();
  const { host } = await scriptedRegistry(t, ({ url }) => ({
    status: 200,
    ...(url.search === '' ? { headers: { link: '<?page=1>; rel="next"' } } : {}),
    body: { tags: ['a', 'b'] },
  }));
  assert.deepEqual(await all(repository(host).tags({ onProgress })), ['a', 'b']);
  assert.deepEqual(warnings, []);
});
