/** Challenges that offer several ways, one of them broken, and what must not be shown or said on any of them. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { MockAgent } from 'undici';
import type { ProgressEvent } from '../../src/progress.js';
import type { Credential } from '../../src/registry/credentials.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { MediaType } from '../../src/spec/media-types.js';
import { image } from '../../src/testing/testing.js';
import { type ScriptedAnswer, type ScriptedRegistry, scriptedRegistry } from '../support/scripted-registry.js';

const SECRET = 'hunter2 "Geheim"+&';
const BASIC = Buffer.from(`user:${SECRET}`).toString('base64');
const built = image()
  .layer((l) => l.file('a', 'b'))
  .build();

interface Asking {
  readonly challenge: (origin: string) => string | readonly string[];
  readonly token?: ScriptedAnswer;
  /** The status that the challenge comes with. */
  readonly status?: number;
  readonly root?: ScriptedAnswer;
}

/** A registry that takes the token `good`, and the password unless it is told to want a token. */
function asking(t: TestContext, { challenge, token, status = 401, root }: Asking): Promise<ScriptedRegistry> {
  return scriptedRegistry(t, ({ url, headers }, origin) => {
    if (url.pathname === '/token') return token ?? { status: 200, body: { token: 'good' } };
    if (url.pathname === '/v2/' && root !== undefined) return root;
    if (headers.authorization !== 'Bearer good' && headers.authorization !== `Basic ${BASIC}`) {
      return { status, headers: { 'www-authenticate': challenge(origin) } };
    }
    return { status: 200, headers: { 'content-type': built.descriptor.mediaType }, body: built.manifestBytes };
  });
}

function open({ host }: ScriptedRegistry, credential?: Credential): RegistryRepository {
  const credentials = { credential: async () => credential && { credential, source: 'the test' } };
  return createRepository(`${host}/app`, { timeoutMs: 500, retry: 0, credentials });
}

async function readAll(repository: RegistryRepository, target: Descriptor): Promise<void> {
  for await (const _ of await repository.fetch(target));
}

const bearer = (origin: string): string => `Bearer realm="${origin}/token",service="s"`;
const user = { username: 'user', password: SECRET };

test('a Bearer challenge without a realm stands before one with a realm', async (t) => {
  const registry = await asking(t, { challenge: (origin) => ['Bearer service="x"', bearer(origin)] });
  await open(registry).fetchReference('v1');
});

for (const challenge of [['Negotiate'], ['NTLM', 'Negotiate oYG=='], ['Digest realm="x", nonce="y"']]) {
  test(`a registry that takes logins by ${challenge.join(' or ')} is told, and no login is advised`, async (t) => {
    const registry = await asking(t, { challenge: () => challenge });
    for (const credential of [user, undefined]) {
      await assert.rejects(open(registry, credential).fetchReference('v1'), (error: Error & { code?: unknown }) => {
        assert.equal(error.code, 'ERR_UNAUTHORIZED');
        assert.match(error.message, /takes logins by (?:negotiate|ntlm, negotiate|digest) only/);
        assert.doesNotMatch(error.message, /rootfs login/);
        return true;
      });
    }
  });
}

for (const challenge of [[], ['Bearer service="x"']]) {
  test(`a credential that no challenge of [${challenge}] asks for is not shown, and that is told`, async (t) => {
    const registry = await asking(t, { challenge: () => challenge });
    await assert.rejects(open(registry, user).fetchReference('v1'), {
      code: 'ERR_UNAUTHORIZED',
      message:
        /refuses and does not say in WWW-Authenticate how to log in; the credentials from the test were not shown/,
    });
    await assert.rejects(open(registry).fetchReference('v1'), { message: /may require login.* rootfs login/ });
  });
}

test('a login that a registry wants over https, to which its plain http leads, is told with the option', async (t) => {
  const agent = new MockAgent();
  t.after(() => agent.close());
  agent.disableNetConnect();
  const path = '/v2/app/manifests/v1';
  const headers = { location: `https://registry.example${path}`, 'www-authenticate': 'Basic realm="x"' };
  agent.get('http://registry.example').intercept({ path }).reply(301, '', { headers });
  agent.get('https://registry.example').intercept({ path }).reply(401, '', { headers });
  const credentials = { credential: async () => ({ credential: user, source: 'the test' }) };
  const options = { dispatcher: agent, plainHttp: true, findEndpoints: false, retry: 0, credentials };
  await assert.rejects(createRepository('registry.example/app', options).fetchReference('v1'), {
    code: 'ERR_UNAUTHORIZED',
    message:
      'registry.example/app: registry.example leads from plain http to https, and wants a login there; use --plain-http=false',
  });
});

test('a push that needs a login is not told as a pull', async (t) => {
  const [layer] = built.layers;
  assert.ok(layer !== undefined);
  const registry = await asking(t, { challenge: () => 'Basic realm="x"' });
  const denied = `access denied for ${registry.host}/app, repository does not exist or may require login; check the name, or run: rootfs login ${registry.host}`;
  await assert.rejects(open(registry).exists(layer.descriptor), { code: 'ERR_UNAUTHORIZED', message: denied });
  const pushed = open(registry).push(layer.descriptor, Readable.from([layer.blob]));
  await assert.rejects(pushed, { code: 'ERR_UNAUTHORIZED', message: denied });
  await assert.rejects(readAll(open(registry), layer.descriptor), { message: `pull ${denied}` });
});

test('a login that another host wants, to which the registry or the image leads, is not advised', async (t) => {
  const storage = await scriptedRegistry(t, () => ({
    status: 401,
    headers: { 'www-authenticate': 'Basic realm="x"' },
  }));
  const [layer] = built.layers;
  assert.ok(layer !== undefined);
  const foreign = { mediaType: MediaType.dockerForeignLayerGzip, digest: built.descriptor.digest, size: 1 };
  const registry = await scriptedRegistry(t, ({ method, url, headers }) => {
    if (headers.authorization !== `Basic ${BASIC}`) {
      return { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } };
    }
    if (method === 'POST') return { status: 202, headers: { location: `${storage.origin}/upload` } };
    if (method === 'HEAD' || url.pathname.endsWith(foreign.digest)) return { status: 404 };
    return { status: 307, headers: { location: `${storage.origin}/blob` } };
  });
  const repository = open(registry, user);
  const refused = (leader: string, who: string): { code: string; message: string } => ({
    code: 'ERR_UNAUTHORIZED',
    message: `${registry.host}/app: ${storage.host}, where ${leader} leads, wants a login; no credentials go there, ask who ${who} ${leader}`,
  });
  await assert.rejects(readAll(repository, layer.descriptor), refused(registry.host, 'runs'));
  const pushed = repository.push(layer.descriptor, Readable.from([layer.blob]));
  await assert.rejects(pushed, refused(registry.host, 'runs'));
  const elsewhere = { ...foreign, urls: [`${storage.origin}/layer`] };
  await assert.rejects(readAll(repository, elsewhere), refused('the image', 'publishes'));
  assert.ok(storage.requests.every(({ headers }) => headers.authorization === undefined));
});

test('an empty challenge names no way in: the root of the API is asked', async (t) => {
  const registry = await scriptedRegistry(t, ({ url, headers }, origin) => {
    if (url.pathname === '/token') return { status: 200, body: { token: 'good' } };
    if (headers.authorization === 'Bearer good') {
      return { status: 200, headers: { 'content-type': built.descriptor.mediaType }, body: built.manifestBytes };
    }
    return { status: 401, headers: { 'www-authenticate': url.pathname === '/v2/' ? bearer(origin) : ' ' } };
  });
  await open(registry).fetchReference('v1');
});

for (const [name, token] of [
  ['is not there', { status: 404 }],
  ['fails', { status: 500 }],
  ['hangs up', undefined],
  ['talks nonsense', { status: 200, body: '<html>' }],
] as const) {
  test(`where a password is taken too, a token server that ${name} is no loss`, async (t) => {
    const registry = await scriptedRegistry(t, ({ url, headers }, origin) => {
      if (url.pathname === '/token') return token;
      return headers.authorization === `Basic ${BASIC}`
        ? { status: 200, headers: { 'content-type': built.descriptor.mediaType }, body: built.manifestBytes }
        : { status: 401, headers: { 'www-authenticate': ['Basic realm="x"', bearer(origin)] } };
    });
    const repository = open(registry, user);
    await repository.fetchReference('v1');
    await repository.fetchReference('v1');
    assert.equal(registry.asked.filter((line) => line.startsWith('GET /token')).length, 1);
  });
}

test('where a password is taken too, a token server that refuses it is believed', async (t) => {
  const registry = await asking(t, {
    challenge: (origin) => ['Basic realm="x"', bearer(origin)],
    token: { status: 401 },
  });
  await assert.rejects(open(registry, user).fetchReference('v1'), { code: 'ERR_UNAUTHORIZED' });
  assert.ok(registry.requests.every(({ url, headers }) => url.pathname === '/token' || !headers.authorization));
});

test('an identity token is not shown to a registry that asks for a password', async (t) => {
  const registry = await asking(t, { challenge: () => 'Basic realm="x"' });
  const shown = open(registry, { username: 'user', identityToken: SECRET }).fetchReference('v1');
  await assert.rejects(shown, { code: 'ERR_UNAUTHORIZED' });
  assert.ok(registry.requests.every(({ headers }) => headers.authorization === undefined));
});

for (const status of [403, 404]) {
  test(`a challenge that comes with ${status} is answered`, async (t) => {
    const registry = await asking(t, { challenge: bearer, status, root: { status: 200 } });
    await open(registry).fetchReference('v1');
    assert.ok(!registry.asked.includes('GET /v2/'));
  });
}

test('a registry token that no header can hold is told, and not tried', async (t) => {
  const registry = await asking(t, { challenge: bearer });
  await assert.rejects(open(registry, { registryToken: 'line\nline' }).fetchReference('v1'), {
    code: 'ERR_CREDENTIALS',
    message: /^the test: the registry token for .* holds characters that no header can; log in to it again$/,
  });
  assert.equal(registry.asked.length, 1);
});

test('a registry token that was refused, and a login has taken the place of, is not shown again', async (t) => {
  const registry = await asking(t, { challenge: bearer });
  let credential: Credential = { registryToken: 'old' };
  const credentials = { credential: async () => ({ credential, source: 'the test' }) };
  const repository = createRepository(`${registry.host}/app`, { retry: 0, credentials });
  await assert.rejects(repository.fetchReference('v1'), { code: 'ERR_UNAUTHORIZED' });
  credential = user;
  await repository.fetchReference('v1');
  await repository.fetchReference('v1');
  const shown = registry.requests.flatMap(({ url, headers }) =>
    url.pathname === '/token' ? [] : headers.authorization,
  );
  assert.deepEqual(shown, [undefined, 'Bearer old', 'Bearer old', 'Bearer good', 'Bearer good']);
});

test('what was shown is not said, whoever quotes it', async (t) => {
  const quoted = [
    BASIC,
    SECRET,
    JSON.stringify(SECRET),
    encodeURIComponent(SECRET),
    String(new URLSearchParams({ p: SECRET })),
    `x ${SECRET} y`,
  ];
  for (const at of ['registry', 'token server']) {
    for (const text of quoted) {
      for (const body of [
        { errors: [{ code: 'DENIED', message: `bad: ${text}`, detail: { header: text } }] },
        `<html><title>bad ${text}</title>`,
        `bad: ${text}`,
      ]) {
        const refusal = { status: 403, body, headers: { warning: `299 - "bad: ${text.replace(/["\\]/g, '\\$&')}"` } };
        const registry = await scriptedRegistry(t, ({ url, headers }, origin) => {
          if (url.pathname === '/token' || headers.authorization !== undefined) {
            return refusal;
          }
          const challenge = at === 'registry' ? 'Basic realm="x"' : bearer(origin);
          return { status: 401, headers: { 'www-authenticate': challenge } };
        });
        const events: ProgressEvent[] = [];
        const call = { onProgress: (event: ProgressEvent) => void events.push(event) };
        const error = await open(registry, user)
          .fetchReference('v1', call)
          .catch((caught: unknown) => caught);
        assert.ok(error instanceof Error);
        const all = `${error.stack}${JSON.stringify(error)}${JSON.stringify(events)}`;
        for (const secret of [BASIC, 'hunter2', 'Geheim']) assert.ok(!all.includes(secret), `${at} ${text}: ${all}`);
        assert.match(error.message, /access denied .*bad/);
      }
    }
  }
});

test('a registry that says it stored another blob than was sent is not believed to have it', async (t) => {
  const [layer] = built.layers;
  assert.ok(layer !== undefined);
  const other = `sha256:${'0'.repeat(64)}`;
  const said: Readonly<Record<string, boolean>> = { [layer.descriptor.digest]: true, [other]: false, nonsense: true };
  for (const [digest, isTaken] of Object.entries(said)) {
    const registry = await scriptedRegistry(t, ({ method }) => {
      if (method === 'POST') return { status: 202, headers: { location: '/upload?a=b' } };
      return method === 'PUT' ? { status: 201, headers: { 'docker-content-digest': digest } } : { status: 404 };
    });
    const pushed = open(registry).push(layer.descriptor, Readable.from([layer.blob]));
    if (isTaken) await pushed;
    else await assert.rejects(pushed, { code: 'ERR_DIGEST_MISMATCH', message: /says that it stored sha256:0/ });
  }
});
