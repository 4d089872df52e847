/** Registries that answer the question for referrers with something else. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { MediaType } from '../../src/spec/media-types.js';
import { digestOf } from '../../src/testing/testing.js';
import { type ScriptedAnswer, scriptedRegistry } from '../support/scripted-registry.js';

const entry = { mediaType: MediaType.ociManifest, size: 7 };
const subject = { ...entry, digest: `sha256:${'1'.repeat(64)}` } as const;
const byApi = { ...entry, digest: `sha256:${'2'.repeat(64)}` } as const;
const byTag = { ...entry, digest: `sha256:${'3'.repeat(64)}` } as const;

const index = (...manifests: readonly object[]): ScriptedAnswer => ({
  status: 200,
  headers: { 'content-type': MediaType.ociIndex },
  body: { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests },
});

async function ask(
  t: TestContext,
  answer: (page: string | null) => ScriptedAnswer,
  tagged: ScriptedAnswer = index(byTag),
  of: Descriptor = subject,
): Promise<unknown[]> {
  const { host } = await scriptedRegistry(t, ({ url }) => {
    if (url.pathname.includes('/referrers/')) return answer(url.searchParams.get('page'));
    return url.pathname.endsWith(`/manifests/${of.digest.replace(':', '-')}`) ? tagged : { status: 404 };
  });
  const found: unknown[] = [];
  for await (const one of createRepository(`${host}/app`, { retry: 0 }).referrers(of)) found.push(one);
  return found;
}

for (const [name, answer] of [
  ['a page of HTML', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html></html>' }],
  ['nothing', { status: 200 }],
  ['other JSON', { status: 200, headers: { 'content-type': 'application/json' }, body: { status: 'ok' } }],
  ['a list', { status: 200, headers: { 'content-type': 'application/json' }, body: [] }],
  ...[400, 401, 403, 404, 405, 406, 415, 501].map((status) => [String(status), { status }] as const),
] as const) {
  test(`${name}: the tag that stands in for the API is read`, async (t) => {
    assert.deepEqual(await ask(t, () => answer), [byTag]);
  });
}

for (const [status, code] of [
  [401, 'ERR_UNAUTHORIZED'],
  [403, 'ERR_DENIED'],
] as const) {
  test(`${status}, and no such tag: the refusal is told`, async (t) => {
    await assert.rejects(
      ask(t, () => ({ status }), { status: 404 }),
      { code },
    );
  });
}

test('an index that a registry without the API gives for the tag of its own digest lists no referrers', async (t) => {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [byTag] }));
  const digest = digestOf(bytes);
  const itself = { status: 200, headers: { 'content-type': MediaType.ociIndex }, body: bytes };
  const of = { mediaType: MediaType.ociIndex, digest, size: bytes.length };
  assert.deepEqual(await ask(t, () => ({ status: 404 }), itself, of), []);
});

test('an index under another label is one, and null is an empty one', async (t) => {
  const label = { 'content-type': 'application/json' };
  assert.deepEqual(await ask(t, () => ({ ...index(byApi), status: 200, headers: label })), [byApi]);
  assert.deepEqual(await ask(t, () => ({ status: 200, headers: label, body: { manifests: null } })), []);
});

test('what is labelled as an index and is none is an error', async (t) => {
  const cut = { status: 200, headers: { 'content-type': MediaType.ociIndex }, body: '{"manifests":[' };
  await assert.rejects(
    ask(t, () => cut),
    { code: 'ERR_REGISTRY', message: /it is not JSON/ },
  );
});

for (const [status, code] of [
  [404, 'ERR_NOT_FOUND'],
  [400, 'ERR_REGISTRY'],
  [501, 'ERR_REGISTRY'],
] as const) {
  test(`a list that breaks off with ${status} is not whole, and is not taken for another one`, async (t) => {
    const first = {
      ...index(byApi),
      status: 200,
      headers: { 'content-type': MediaType.ociIndex, link: '<?page=2>; rel="next"' },
    };
    await assert.rejects(
      ask(t, (page) => (page === null ? first : { status })),
      { code },
    );
  });
}

test('a type of artifacts is asked for as it is written, also where that is no Unicode', async (t) => {
  const { host, requests } = await scriptedRegistry(t, () => index(byApi));
  const repository = createRepository(`${host}/app`, { retry: 0 });
  for (const type of ['application/x+y;a=b&c d', 'x/\ud800']) {
    for await (const one of repository.referrers(subject, type)) assert.fail(JSON.stringify(one));
  }
  assert.deepEqual(
    requests.map(({ url }) => url.searchParams.get('artifactType')),
    ['application/x+y;a=b&c d', 'x/\ufffd'],
  );
});

test('a tag that holds no list says what to do about it', async (t) => {
  const held = (body: string): ScriptedAnswer => ({
    status: 200,
    headers: { 'content-type': MediaType.ociIndex },
    body,
  });
  const gone = (): ScriptedAnswer => ({ status: 404 });
  await assert.rejects(ask(t, gone, held('not json')), {
    code: 'ERR_MANIFEST_INVALID',
    message: /the list of referrers is not JSON; delete its tag if nobody needs it$/,
  });
  await assert.rejects(ask(t, gone, held('{"manifests":5}')), {
    code: 'ERR_REGISTRY',
    message: /the list of referrers is no image index; ask who runs the registry$/,
  });
});
