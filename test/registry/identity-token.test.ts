/** Realms that give a new identity token with each answer and take the old one no more. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { CredentialProvider } from '../../src/registry/credentials.js';
import { createRepository } from '../../src/registry/repository.js';
import { image } from '../../src/testing/testing.js';
import { type ScriptedRegistry, scriptedRegistry } from '../support/scripted-registry.js';

const { manifestBytes, descriptor } = image()
  .layer((l) => l.file('a', 'b'))
  .build();

/** A registry whose realm takes `id-0`, then only what it gave last. @param give What comes after the n-th answer. */
function rotating(t: TestContext, give = (n: number): string => `id-${n}`): Promise<ScriptedRegistry> {
  let takes = 'id-0';
  let count = 0;
  return scriptedRegistry(t, ({ method, url, headers, body }, origin) => {
    if (url.pathname === '/token') {
      const form = new URLSearchParams(body.toString());
      if (form.get('refresh_token') !== takes) return { status: 401 };
      takes = give(++count);
      return { status: 200, body: { access_token: form.get('scope'), refresh_token: takes } };
    }
    const repository = url.pathname.split('/')[2];
    const scope = `repository:${repository}:${method === 'PUT' ? 'pull,push' : 'pull'}`;
    if (headers.authorization !== `Bearer ${scope}`)
      return { status: 401, headers: { 'www-authenticate': `Bearer realm="${origin}/token"` } };
    if (method === 'PUT') return { status: 201 };
    return { status: 200, headers: { 'content-type': descriptor.mediaType }, body: manifestBytes };
  });
}

function given(identityToken: string): CredentialProvider {
  return { credential: async () => ({ credential: { identityToken }, source: 'the test' }) };
}

const shown = ({ requests }: ScriptedRegistry): (string | null)[] =>
  requests
    .filter(({ url, method }) => url.pathname === '/token' && method === 'POST')
    .map(({ body }) => new URLSearchParams(body.toString()).get('refresh_token'));

test('an identity token that the realm replaces is not shown again, in no repository of the registry', async (t) => {
  const registry = await rotating(t);
  const options = { retry: 0, timeoutMs: 500, credentials: given('id-0') };
  const repository = createRepository(`${registry.host}/one`, options);
  await repository.fetchReference('v1');
  await repository.push(descriptor, Readable.from([manifestBytes]));
  await createRepository(`${registry.host}/two`, options).fetchReference('v1');
  assert.deepEqual(shown(registry), ['id-0', 'id-1', 'id-2']);

  const other = createRepository(`${registry.host}/one`, { ...options, credentials: given('id-0') });
  await other.fetchReference('v1');
  assert.deepEqual(shown(registry), ['id-0', 'id-1', 'id-2', 'id-3']);
  const foreign = await rotating(t);
  await createRepository(`${foreign.host}/one`, options).fetchReference('v1');
  assert.deepEqual(shown(foreign), ['id-0'], 'another registry is not told');
});

test('two tokens asked for at once: whose identity token came second goes on with the new one', async (t) => {
  const registry = await rotating(t);
  const options = { retry: 0, timeoutMs: 500, credentials: given('id-0') };
  const names = ['one', 'two'];
  await Promise.all(names.map((name) => createRepository(`${registry.host}/${name}`, options).fetchReference('v1')));
  assert.deepEqual(shown(registry), ['id-0', 'id-0', 'id-1']);
});

test('an identity token that is given back, or comes round again, is shown', async (t) => {
  const registry = await rotating(t, (n) => `id-${n % 2}`);
  const options = { retry: 0, timeoutMs: 500, credentials: given('id-0') };
  for (const name of ['one', 'two', 'three', 'four'])
    await createRepository(`${registry.host}/${name}`, options).fetchReference('v1');
  assert.deepEqual(shown(registry), ['id-0', 'id-1', 'id-0', 'id-1']);
  const same = await rotating(t, () => 'id-0');
  const repository = createRepository(`${same.host}/one`, options);
  await repository.fetchReference('v1');
  await repository.push(descriptor, Readable.from([manifestBytes]));
  assert.deepEqual(shown(same), ['id-0', 'id-0']);
});

test('where what a realm gave is not taken, the first token is shown again', async (t) => {
  const registry = await scriptedRegistry(t, ({ url, headers, body }, origin) => {
    if (url.pathname === '/token') {
      if (new URLSearchParams(body.toString()).get('refresh_token') !== 'id-0') return { status: 401 };
      return { status: 200, body: { access_token: url.search, refresh_token: 'useless' } };
    }
    const realm = `${origin}/token?${url.pathname.split('/')[2]}`;
    if (headers.authorization !== `Bearer ${new URL(realm).search}`)
      return { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}"` } };
    return { status: 200, headers: { 'content-type': descriptor.mediaType }, body: manifestBytes };
  });
  const options = { retry: 0, timeoutMs: 500, credentials: given('id-0') };
  for (const name of ['one', 'two']) await createRepository(`${registry.host}/${name}`, options).fetchReference('v1');
  assert.deepEqual(shown(registry), ['id-0', 'useless', 'id-0']);
});
