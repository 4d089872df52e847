/** Lists that are large, and those that only look so: what they may cost. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MAX_PAGE_BYTES, MAX_PAGE_VALUES } from '../../src/registry/list-page.js';
import { MAX_NAME_BYTES } from '../../src/registry/paged-list.js';
import { createRegistry } from '../../src/registry/registry.js';
import { createRepository } from '../../src/registry/repository.js';
import { scriptedRegistry } from '../support/scripted-registry.js';

async function tagsOf(t: TestContext, body: string): Promise<string[]> {
  const { host } = await scriptedRegistry(t, () => ({ status: 200, body }));
  const tags: string[] = [];
  for await (const tag of createRepository(`${host}/app`, { retry: 0 }).tags()) tags.push(tag);
  return tags;
}

test('100,000 tags of 40 bytes in one page, as registries without pages answer', async (t) => {
  const tags = Array.from({ length: 100_000 }, (_, at) => `${at}`.padStart(40, 'v'));
  assert.deepEqual(await tagsOf(t, JSON.stringify({ tags })), tags);
});

for (const [name, body, message] of [
  ['longer than 16 MiB', `{"tags":["${'x'.repeat(MAX_PAGE_BYTES)}"]}`, /16777216/],
  ['of very many objects', `{"tags":[${'{},'.repeat(MAX_PAGE_VALUES / 2)}{}]}`, /more than 1000000 values/],
  ['of very many numbers', `{"tags":[${'1,'.repeat(MAX_PAGE_VALUES)}1]}`, /more than 1000000 values/],
  ['of very many fields', `{${'"a":0,'.repeat(MAX_PAGE_VALUES)}"tags":[]}`, /more than 1000000 values/],
  ['nested very deep', `{"tags":${'['.repeat(64)}${']'.repeat(64)}}`, /64 levels deep/],
] as const) {
  test(`a page that is ${name} is refused`, async (t) => {
    await assert.rejects(tagsOf(t, body), { code: 'ERR_LIMIT_EXCEEDED', message });
  });
}

test('a page of a portal is told as what it is, whatever its scripts hold', async (t) => {
  await assert.rejects(tagsOf(t, `<html><script>${'{['.repeat(100)}</script></html>`), {
    code: 'ERR_REGISTRY',
    message: /it is not JSON/,
  });
});

test('brackets and commas within names count for nothing', async (t) => {
  const odd = `\\"${'[{,'.repeat(100)}\\\\`;
  assert.deepEqual(await tagsOf(t, `{"tags":["a","${odd}","b"],"x":[[["${'['.repeat(100)}"]]]}`), ['a', 'b']);
});

test('CVE-2023-33957, CVE-2023-46737 (notation, cosign): referrers of very many entries are refused too', async (t) => {
  const { host } = await scriptedRegistry(t, () => ({
    status: 200,
    headers: { 'content-type': 'application/vnd.oci.image.index.v1+json' },
    body: `{"manifests":[${'{},'.repeat(MAX_PAGE_VALUES / 2)}{}]}`,
  }));
  const subject = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${'1'.repeat(64)}`,
    size: 7,
  } as const;
  await assert.rejects(createRepository(`${host}/app`, { retry: 0 }).referrers(subject).next(), {
    code: 'ERR_LIMIT_EXCEEDED',
  });
});

test('names are kept up to 64 MiB in all', async (t) => {
  const each = 50_000;
  const registry = await scriptedRegistry(t, ({ url }) => {
    const page = Number(url.searchParams.get('page') ?? 0);
    const repositories = Array.from({ length: each }, (_, at) => `${page * each + at}`.padStart(250, 'x'));
    return { status: 200, headers: { link: `<?page=${page + 1}>; rel="next"` }, body: { repositories } };
  });
  await assert.rejects(
    async () => {
      for await (const _ of createRegistry(registry.host).repositories());
    },
    { code: 'ERR_LIMIT_EXCEEDED', message: /67108864 bytes of names/ },
  );
  assert.equal(registry.asked.length, Math.ceil(MAX_NAME_BYTES / (each * 250)));
});
