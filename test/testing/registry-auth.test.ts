/** Credentials at the test registry: challenges, tokens and their ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BearerAuth, image, startRegistry } from '../../src/testing/testing.js';
import { exchange } from './exchange.js';

const built = image()
  .layer((l) => l.file('a'))
  .build();
const users = { me: 'secret:with:colons' };
const basic = `Basic ${Buffer.from('me:secret:with:colons').toString('base64')}`;

async function start(auth: Omit<BearerAuth, 'kind'> = {}) {
  const registry = await startRegistry({ auth: { kind: 'bearer', ...auth } });
  registry.add('app', 'latest', built);
  const manifestUrl = `${registry.url}/v2/app/manifests/latest`;
  const get = (authorization?: string, url = manifestUrl, method = 'GET') =>
    exchange(url, { method, headers: authorization === undefined ? {} : { authorization } });
  const token = async (scope = 'repository:app:pull', authorization?: string) => {
    const realm = `${auth.server === 'other' ? registry.tokenUrl : registry.url}/token?scope=${scope}`;
    const got = await get(authorization, realm);
    return { status: got.status, value: got.body.length === 0 ? {} : JSON.parse(got.body.toString()) };
  };
  return { registry, get, token, [Symbol.asyncDispose]: () => registry.close() };
}

test('basic', async () => {
  await using registry = await startRegistry({ auth: { kind: 'basic', users } });
  registry.add('app', 'latest', built);
  const get = (authorization?: string) =>
    exchange(`${registry.url}/v2/app/manifests/latest`, {
      headers: authorization === undefined ? {} : { authorization },
    });
  const without = await get();
  assert.equal(without.status, 401);
  assert.equal(without.headers['www-authenticate'], 'Basic realm="test registry"');
  assert.equal((await get(basic)).status, 200);
  assert.equal((await get(`Basic ${Buffer.from('me:wrong').toString('base64')}`)).status, 401);
  assert.equal((await get(`Basic ${Buffer.from('__proto__:x').toString('base64')}`)).status, 401);
});

test('an anonymous token pulls and does not push', async () => {
  await using it = await start();
  const challenge = String((await it.get()).headers['www-authenticate']);
  assert.equal(
    challenge,
    `Bearer realm="${it.registry.url}/token",service="test-registry",scope="repository:app:pull"`,
  );
  const { value } = await it.token();
  assert.deepEqual(Object.keys(value), ['token']);
  assert.equal((await it.get(`Bearer ${value.token}`)).status, 200);
  const push = await it.get(`Bearer ${value.token}`, `${it.registry.url}/v2/app/blobs/uploads/`, 'POST');
  assert.match(String(push.headers['www-authenticate']), /scope="repository:app:pull,push",error="insufficient_scope"/);
  const other = await it.token('repository:other:pull');
  assert.equal((await it.get(`Bearer ${other.value.token}`)).status, 401);
});

test('a user gets more; the wrong password gets nothing', async () => {
  await using it = await start({ users, server: 'other', field: 'access_token' });
  assert.equal((await it.token()).status, 401);
  assert.equal((await it.token('repository:app:pull', 'Basic bWU6bm8=')).status, 401);
  const { value } = await it.token('repository:app:pull,push', basic);
  assert.deepEqual(Object.keys(value), ['access_token']);
  const upload = await it.get(`Bearer ${value.access_token}`, `${it.registry.url}/v2/app/blobs/uploads/`, 'POST');
  assert.equal(upload.status, 202);
  assert.equal((await it.get(`Bearer ${value.access_token}`)).status, 200);
  assert.equal((await it.get(basic, `${it.registry.url}/token`)).status, 404);
  assert.equal((await it.token('repository:app:pull', `Bearer ${value.access_token}`)).status, 401);
  assert.equal(it.registry.log.leaked.length, 1);
  await using empty = await start({ users, refuse: 'empty-token' });
  const nothing = await empty.token();
  assert.equal(nothing.status, 200);
  assert.equal((await empty.get(`Bearer ${nothing.value.token}`)).status, 401);
});

test('tokens end: by use, by time, by decree', async () => {
  await using used = await start({ uses: 2 });
  const first = (await used.token()).value.token;
  const statuses = [];
  for (let at = 0; at < 3; at += 1) statuses.push((await used.get(`Bearer ${first}`)).status);
  assert.deepEqual(statuses, [200, 200, 401]);
  await using never = await start({ uses: 0 });
  assert.equal((await never.get(`Bearer ${(await never.token()).value.token}`)).status, 401);
  await using old = await start({ expiresIn: 60, issuedAt: '2020-01-01T00:00:00Z' });
  const stale = (await old.token()).value;
  assert.deepEqual([stale.expires_in, stale.issued_at], [60, '2020-01-01T00:00:00Z']);
  assert.equal((await old.get(`Bearer ${stale.token}`)).status, 401);
  await using void_ = await start();
  const token = (await void_.token()).value.token;
  void_.registry.fault({ on: 'blob', times: 1, do: 'expire-tokens' });
  const blobUrl = `${void_.registry.url}/v2/app/blobs/${built.layers[0]?.descriptor.digest}`;
  assert.equal((await void_.get(`Bearer ${token}`)).status, 200);
  assert.equal((await void_.get(`Bearer ${token}`, blobUrl)).status, 401);
  assert.equal((await void_.get(`Bearer ${token}`)).status, 401);
  assert.equal((await void_.get(`Bearer ${(await void_.token()).value.token}`, blobUrl)).status, 200);
});

test('identity tokens by POST, registry tokens as they are', async () => {
  await using it = await start({ users, identityToken: 'refresh-me', registryToken: 'always' });
  const post = async (form: Record<string, string>) =>
    exchange(`${it.registry.url}/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(new URLSearchParams({ scope: 'repository:app:pull', ...form }).toString()),
    });
  assert.equal((await post({ grant_type: 'refresh_token', refresh_token: 'wrong' })).status, 401);
  const good = await post({ grant_type: 'refresh_token', refresh_token: 'refresh-me' });
  assert.equal((await it.get(`Bearer ${JSON.parse(good.body.toString()).token}`)).status, 200);
  const login = { grant_type: 'password', username: 'me', password: users.me, access_type: 'offline' };
  assert.equal(JSON.parse((await post(login)).body.toString()).refresh_token, 'refresh-me');
  assert.equal((await it.get('Bearer always')).status, 200);
  await using none = await start({ users, post: false });
  assert.equal((await exchange(`${none.registry.url}/token`, { method: 'POST' })).status, 404);
});

test('challenges of every shape', async () => {
  const challenge = async (auth: Omit<BearerAuth, 'kind'>) => {
    await using it = await start(auth);
    const text = (await it.get()).headers['www-authenticate'] as unknown as string;
    return text.replaceAll(it.registry.url, 'SELF').replaceAll(it.registry.storageUrl, 'STORAGE');
  };
  assert.match(await challenge({ realm: 'ftp://x/token' }), /realm="ftp:\/\/x\/token"/);
  assert.match(await challenge({ realm: '{storage}/token' }), /realm="STORAGE\/token"/);
  assert.match(await challenge({ scope: 'wrong' }), /scope="repository:some\/other:pull"/);
  assert.doesNotMatch(await challenge({ scope: 'none' }), /scope=/);
  assert.equal(
    await challenge({ challenge: ['Negotiate', 'bEaReR  scope = "{scope}" , realm="{realm}"'] }),
    'Negotiate, bEaReR  scope = "repository:app:pull" , realm="SELF/token"',
  );
});

test('faults wait for credentials unless they are told not to', async () => {
  await using it = await start({ users });
  const late = it.registry.fault({ on: 'manifest', do: 'answer', status: 500 });
  assert.equal((await it.get()).status, 401);
  assert.equal(late.struck, 0);
  it.registry.fault({ on: 'manifest', beforeAuth: true, do: 'answer', status: 503 });
  assert.equal((await it.get()).status, 503);
  it.registry.fault({ on: 'token', do: 'html' });
  assert.equal((await exchange(`${it.registry.url}/token`)).headers['content-type'], 'text/html; charset=utf-8');
});
