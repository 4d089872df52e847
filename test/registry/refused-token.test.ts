/** Tokens that run out where the registry or its token server does not say so in the usual way. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Credential } from '../../src/registry/credentials.js';
import { createRepository } from '../../src/registry/repository.js';
import { image } from '../../src/testing/testing.js';
import { type ScriptedAnswer, type ScriptedRegistry, scriptedRegistry } from '../support/scripted-registry.js';

const built = image()
  .layer((l) => l.file('a', 'b'))
  .build();
const manifest = {
  status: 200,
  headers: { 'content-type': built.descriptor.mediaType },
  body: built.manifestBytes,
};

const bearer = (origin: string): string => `Bearer realm="${origin}/token",service="s"`;
const entry = (code: string, message?: string): object => ({ errors: [{ code, message }] });

/** A registry whose tokens hold for one request each, and that refuses them as it is told to from then on. */
function forgetful(t: TestContext, ended: (origin: string) => ScriptedAnswer): Promise<ScriptedRegistry> {
  let given = 0;
  let used = 0;
  return scriptedRegistry(t, ({ url, headers }, origin) => {
    if (url.pathname === '/token') return { status: 200, body: { token: `t${++given}`, expires_in: 3600 } };
    if (headers.authorization === undefined) {
      return { status: 401, headers: { 'www-authenticate': bearer(origin) } };
    }
    if (headers.authorization !== `Bearer t${used + 1}`) return ended(origin);
    used += 1;
    return manifest;
  });
}

for (const [name, ended] of [
  ['401 without a challenge', () => ({ status: 401, body: entry('UNAUTHORIZED') })],
  ['400 in words', () => ({ status: 400, body: entry('DENIED', 'Your Authorization Token is invalid.') })],
  ['403 in words', () => ({ status: 403, body: entry('DENIED', 'Your authorization token has expired. Log in.') })],
  [
    '403 with a challenge',
    (origin: string) => ({
      status: 403,
      headers: { 'www-authenticate': `${bearer(origin)},error="invalid_token"` },
      body: entry('DENIED'),
    }),
  ],
] as const) {
  test(`a token that ran out is renewed where that is told by ${name}`, async (t) => {
    const registry = await forgetful(t, ended);
    const repository = createRepository(`${registry.host}/app`, { retry: 0 });
    for (let at = 0; at < 3; at++) await repository.fetchReference('v1');
    const tokens = registry.asked.filter((line) => line.startsWith('GET /token'));
    assert.equal(tokens.length, 3);
    assert.ok(tokens.every((line) => line.includes('service=s') && line.includes('repository%3Aapp%3Apull')));
    assert.equal(registry.asked.length, 3 + 1 + 2 + 3);
  });
}

test('a login that a registry asked for before is looked up again where its 401 says nothing', async (t) => {
  const shownAs = (password: string): string => `Basic ${Buffer.from(`user:${password}`).toString('base64')}`;
  let password = 'old';
  const registry = await scriptedRegistry(t, ({ headers }) => {
    if (headers.authorization === shownAs(password)) return manifest;
    const said = headers.authorization === undefined ? { 'www-authenticate': 'Basic realm="x"' } : {};
    return { status: 401, headers: said };
  });
  const credentials = { credential: async () => ({ credential: { username: 'user', password }, source: 'the test' }) };
  const repository = createRepository(`${registry.host}/app`, { retry: 0, credentials });
  await repository.fetchReference('v1');
  password = 'new';
  await repository.fetchReference('v1');
  assert.equal(registry.asked.length, 4);
});

test('access that is denied has no token renewed', async (t) => {
  const denied = { status: 403, body: entry('DENIED', 'requested access to the resource is denied') };
  const registry = await forgetful(t, () => denied);
  const repository = createRepository(`${registry.host}/app`, { retry: 0 });
  await repository.fetchReference('v1');
  await assert.rejects(repository.fetchReference('v1'), { code: 'ERR_DENIED' });
  assert.equal(registry.asked.filter((line) => line.startsWith('GET /token')).length, 1);
});

test('a token that is never good is renewed a bounded number of times, and that is access denied', async (t) => {
  let given = 0;
  const registry = await scriptedRegistry(t, ({ url, headers }, origin) => {
    if (url.pathname === '/token') return { status: 200, body: { token: `t${++given}` } };
    if (headers.authorization === undefined) return { status: 401, headers: { 'www-authenticate': bearer(origin) } };
    return { status: 400, body: entry('DENIED', 'Your Authorization Token is invalid.') };
  });
  await assert.rejects(createRepository(`${registry.host}/app`, { retry: 0 }).fetchReference('v1'), {
    code: 'ERR_DENIED',
    message: /\/app: access denied by 127\.0\.0\.1:\d+ \(Your Authorization Token is invalid\.\); /,
  });
  assert.equal(registry.asked.length, 5);
});

for (const [name, credential] of [
  ['an identity token', { identityToken: 'hunter2' }],
  ['a password', { username: 'user', password: 'hunter2' }],
] as const satisfies [string, Credential][]) {
  test(`${name} that a token server calls a wrong grant (400) is told as one to log in anew`, async (t) => {
    const registry = await scriptedRegistry(t, ({ url }, origin) => {
      if (url.pathname !== '/token') return { status: 401, headers: { 'www-authenticate': bearer(origin) } };
      return { status: 400, body: { error: 'invalid_grant', error_description: 'hunter2 has expired' } };
    });
    const credentials = { credential: async () => ({ credential, source: 'the test' }) };
    await assert.rejects(createRepository(`${registry.host}/app`, { retry: 0, credentials }).fetchReference('v1'), {
      code: 'ERR_UNAUTHORIZED',
      message: /did not accept the credentials from the test \(… has expired\); run: rootfs login /,
    });
    // Whom a realm refuses for the grant is not asked again another way.
    assert.equal(registry.asked.length, 2);
  });
}
