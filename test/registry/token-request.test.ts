/** What a realm answers, and what is made of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import type { Credential } from '../../src/registry/credentials.js';
import { type RegistryToken, requestToken, type Send } from '../../src/registry/token-request.js';
import { WireHeaders, type WireResponse } from '../../src/registry/wire.js';
import { wholeBody } from '../../src/registry/wire-body.js';

const realm = new URL('https://auth.example/token');
const subject = {
  kind: 'manifest',
  registry: 'r.example',
  repository: 'r.example/app',
  name: 'r.example/app:1',
} as const;

function answer(status: number, body: object): WireResponse {
  return {
    status,
    url: realm,
    headers: new WireHeaders({}),
    body: wholeBody(Buffer.from(JSON.stringify(body))),
    timeoutMs: 100,
  };
}

async function ask(send: Send, credential?: Credential): Promise<RegistryToken> {
  return requestToken({ realm, service: 's', scopes: ['repository:app:pull'], credential, subject }, send, {});
}

for (const [name, fields, seconds] of [
  ['nothing is said', {}, 60],
  ['an hour', { expires_in: 3600 }, 3600],
  ['a text', { expires_in: '300' }, 300],
  ['one second: not asked for again with every request', { expires_in: 1 }, 60],
  ['nothing at all', { expires_in: 0 }, 60],
  ['less than nothing', { expires_in: -5 }, 60],
  ['a year', { expires_in: 31_536_000 }, 86_400],
  ['no number', { expires_in: {} }, 60],
  ['it was issued in another century', { expires_in: 300, issued_at: '2001-01-01T00:00:00Z' }, 300],
  ['it was issued at the zero of Go', { expires_in: 300, issued_at: '0001-01-01T00:00:00Z' }, 300],
  ['it will be issued', { expires_in: 300, issued_at: '2091-01-01T00:00:00Z' }, 300],
  ['it was issued a while ago', { expires_in: 300, issued_at: new Date(Date.now() - 100_000).toISOString() }, 200],
] as const) {
  test(`how long a token holds: ${name}`, async () => {
    const { expiresAt } = await ask(async () => answer(200, { token: 't', ...fields }));
    const holds = (expiresAt - Date.now()) / 1000;
    assert.ok(Math.abs(holds - seconds) < 5, `${holds} s`);
  });
}

for (const status of [201, 203]) {
  test(`a token that comes with ${status} is one`, async () => {
    assert.equal((await ask(async () => answer(status, { token: 'hunter2' }))).token, 'hunter2');
  });
}

for (const body of [
  { token: 'hunter2' },
  { access_token: 'hunter2', refresh_token: 'hunter2 "too"', expires_in: 60 },
  { errors: [{ code: 'X', message: 'no', detail: { registry_token: 'hunter2' } }] },
  { data: { client_secret: 'hunter2' } },
]) {
  test(`what a refusal calls a secret is not said: ${JSON.stringify(body)}`, async () => {
    for (const status of [300, 400, 401, 403, 404, 429, 503]) {
      await assert.rejects(
        ask(async () => answer(status, body)),
        (error: Error) => {
          assert.doesNotMatch(inspect(error, { depth: 9 }), /hunter2/);
          return true;
        },
      );
    }
  });
}

test('a realm that knows no GET gets user name and password by POST', async () => {
  const seen: string[] = [];
  const send: Send = async ({ method, url, body }) => {
    seen.push(`${method} ${url.href.includes('hunter2')}`);
    if (method === 'GET') return answer(405, {});
    const form = new URLSearchParams(String(body));
    assert.equal(form.get('grant_type'), 'password');
    assert.equal(form.get('password'), 'hunter2');
    assert.equal(form.get('scope'), 'repository:app:pull');
    return answer(200, { access_token: 't' });
  };
  assert.equal((await ask(send, { username: 'u', password: 'hunter2' })).token, 't');
  assert.deepEqual(seen, ['GET false', 'POST false']);
  await assert.rejects(ask(send), {
    code: 'ERR_REGISTRY',
    message: /^token realm auth\.example: it answered with status 405/,
  });
});

test('a realm that redirects a password by POST to another origin is refused', async () => {
  const send: Send = async ({ method }) => ({
    ...answer(method === 'GET' ? 405 : 307, {}),
    headers: new WireHeaders({ location: 'https://other.example/token' }),
  });
  await assert.rejects(ask(send, { username: 'u', password: 'hunter2' }), {
    code: 'ERR_REGISTRY',
    message: /a secret/,
  });
});
