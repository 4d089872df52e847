/** Advisories of registry clients that gave credentials away, each by its id: nothing secret reaches another origin. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { ProgressEvent } from '../../src/progress.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { digestOf } from '../../src/testing/testing.js';
import {
  type ScriptedAnswer,
  type ScriptedRegistry,
  type ScriptedRequest,
  scriptedRegistry,
} from '../support/scripted-registry.js';

const SECRETS = ['hunter2', Buffer.from('user:hunter2').toString('base64'), 'the-key', 'refresh-me'];
const content = Buffer.alloc(150_000, 'layer');
const blob: Descriptor = {
  mediaType: 'application/vnd.oci.image.layer.v1.tar',
  digest: digestOf(content),
  size: content.length,
};

type Script = (request: ScriptedRequest, origin: string, thief: string) => ScriptedAnswer;

interface Places {
  readonly registry: ScriptedRegistry;
  readonly thief: ScriptedRegistry;
  readonly repository: RegistryRepository;
}

/** A registry that wants a password and then does as told, and somebody else's server. */
async function places(t: TestContext, home: Script, away: Script, identityToken?: string): Promise<Places> {
  const thief = await scriptedRegistry(t, (request, origin) => away(request, origin, origin));
  const registry = await scriptedRegistry(t, (request, origin) =>
    request.headers.authorization === undefined && !request.url.pathname.startsWith('/open/')
      ? { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }
      : home(request, origin, thief.origin),
  );
  const credential = identityToken === undefined ? { username: 'user', password: 'hunter2' } : { identityToken };
  const repository = createRepository(`${registry.host}/app`, {
    timeoutMs: 2_000,
    retry: 0,
    headers: { 'x-key': 'the-key' },
    uploadChunkBytes: 65_536,
    credentials: { credential: async () => ({ credential, source: 'the test' }) },
  });
  return { registry, thief, repository };
}

/** The other server was asked, and learned nothing. */
function learnedNothing({ thief }: Places, asked = 1): void {
  assert.ok(thief.requests.length >= asked, `asked ${thief.requests.length} times`);
  for (const { method, url, headers, body } of thief.requests) {
    const told = JSON.stringify([url.href, headers, body.toString()]);
    for (const secret of SECRETS)
      assert.ok(!told.includes(secret), `${method} ${url.pathname} told ${secret}: ${told}`);
  }
}

const to = (location: string, status = 307): ScriptedAnswer => ({ status, headers: { location } });
const basic: ScriptedAnswer = { status: 401, headers: { 'www-authenticate': 'Basic realm="y"' } };
/** A server that is its own realm, and takes what that gives. */
const ownRealm: Script = ({ url, headers }, origin) => {
  if (url.pathname === '/token') return { status: 200, body: { token: 'anonymous' } };
  const challenge = `Bearer realm="${origin}/token",service="s"`;
  if (headers.authorization === undefined) return { status: 401, headers: { 'www-authenticate': challenge } };
  return { status: 200, body: content };
};

async function read({ repository }: Places, target = blob): Promise<string> {
  return Buffer.concat(await (await repository.fetch(target)).toArray()).toString();
}

test('CVE-2020-15157 (containerd): the URL of a foreign layer asks for a login', async (t) => {
  const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar';
  const own = await places(t, () => ({ status: 404 }), ownRealm);
  assert.equal(
    await read(own, { ...blob, mediaType: foreign, urls: [`${own.thief.origin}/layer`] }),
    content.toString(),
  );
  learnedNothing(own, 3);
  const password = await places(
    t,
    () => ({ status: 404 }),
    () => basic,
  );
  await assert.rejects(read(password, { ...blob, mediaType: foreign, urls: [`${password.thief.origin}/layer`] }));
  learnedNothing(password);
});

test('CVE-2026-49349 (regclient): the store that a blob is redirected to asks for a login', async (t) => {
  const own = await places(t, (_, __, thief) => to(`${thief}/blob`), ownRealm);
  assert.equal(await read(own), content.toString());
  learnedNothing(own, 3);
  const password = await places(
    t,
    (_, __, thief) => to(`${thief}/blob`),
    () => basic,
  );
  await assert.rejects(read(password), { code: 'ERR_UNAUTHORIZED' });
  learnedNothing(password);
});

test('CVE-2023-45289, CVE-2024-45336, CVE-2025-4673 (Go): what was left at home stays there on later hops', async (t) => {
  const found = await places(
    t,
    ({ url }, _, thief) => to(url.pathname === '/open/back' ? `${thief}/3` : `${thief}/1`, 302),
    ({ url }) => {
      if (url.pathname === '/1') return to('/2', 302);
      return url.pathname === '/2' ? to(`${found.registry.origin}/open/back`, 302) : { status: 200, body: content };
    },
  );
  assert.equal(await read(found), content.toString());
  learnedNothing(found, 3);
});

test('GHSA-vh4v-2xq2-g5cg, CVE-2022-23538, CVE-2021-32690 (oras, scs-library-client, helm): documents are redirected', async (t) => {
  const found = await places(
    t,
    ({ url }, _, thief) => to(`${thief}${url.pathname}`),
    () => basic,
  );
  await assert.rejects(found.repository.resolve('v1'), { code: 'ERR_UNAUTHORIZED' });
  learnedNothing(found);
});

for (const step of ['POST', 'PATCH'] as const) {
  for (const [how, away] of [
    ['takes it', (): ScriptedAnswer => ({ status: 201 })],
    ['asks for a password', (): ScriptedAnswer => basic],
    ['is its own realm', ownRealm],
  ] as const) {
    test(`CVE-2026-50151 (oras-go): the ${step} of an upload leads to a host that ${how}`, async (t) => {
      const upload: Script = ({ method, url }, _, thief) => {
        if (method === 'HEAD') return { status: 404 };
        const next = method === step ? `${thief}/upload` : `${url.origin}/v2/app/blobs/uploads/1`;
        return method === 'PUT' ? { status: 201 } : { status: 202, headers: { location: next } };
      };
      const found = await places(t, upload, away);
      const push = found.repository.push(blob, Readable.from([content]));
      await push.catch((error: { code?: string }) =>
        assert.match(String(error.code), /^ERR_(?:UNAUTHORIZED|REGISTRY)$/),
      );
      learnedNothing(found);
    });
  }
}

test('CVE-2022-35949 (undici): a list goes on at a path that begins with two slashes', async (t) => {
  const next = async (link: (host: string) => string): Promise<Places> => {
    const page: Script = (_, __, thief) => ({
      status: 200,
      headers: { 'content-type': 'application/json', link: `<${link(new URL(thief).host)}>; rel="next"` },
      body: { name: 'app', tags: ['a'] },
    });
    const found = await places(t, page, () => ({ status: 200, body: { tags: ['b'] } }));
    await assert.rejects(
      async () => {
        for await (const _ of found.repository.tags()) {
          // One page of them, then the error.
        }
      },
      { code: 'ERR_REGISTRY' },
    );
    return found;
  };
  for (const link of ['//HOST/v2/app/tags/list', '/\\HOST/v2/app/tags/list', 'http://HOST/v2/app/tags/list?last=a']) {
    const found = await next((host) => link.replace('HOST', host));
    assert.deepEqual(found.thief.asked, [], link);
  }
});

test('CVE-2026-48978, CVE-2026-33540, CVE-2026-24845 (oras-go, distribution, malcontent): a realm elsewhere', async (t) => {
  const seen: string[] = [];
  const onProgress = (event: ProgressEvent): void => {
    if (event.type === 'warning:raised') seen.push(event.message);
  };
  const registry = await scriptedRegistry(t, () => ({
    status: 401,
    headers: { 'www-authenticate': 'Bearer realm="http://tokens.rootfs.invalid/token",service="s"' },
  }));
  const repository = createRepository(`${registry.host}/app`, {
    timeoutMs: 2_000,
    retry: 0,
    credentials: { credential: async () => ({ credential: { identityToken: 'refresh-me' }, source: 'the test' }) },
  });
  await assert.rejects(repository.resolve('v1', { onProgress }), { code: 'ERR_NETWORK' });
  assert.match(seen.join(), /credentials for 127\.0\.0\.1:\d+ \(the test\) are shown to tokens\.rootfs\.invalid/);
  for (const realm of [
    'file:///etc/passwd',
    'http://user:hunter2@127.0.0.1/',
    'gopher://127.0.0.1/',
    '//127.0.0.1/t',
  ]) {
    const found = await scriptedRegistry(t, () => ({
      status: 401,
      headers: { 'www-authenticate': `Bearer realm="${realm}"` },
    }));
    const refused = createRepository(`${found.host}/app`, { timeoutMs: 2_000, retry: 0 }).resolve('v1');
    await assert.rejects(refused, { code: 'ERR_REGISTRY', message: /token realm refused/ }, realm);
  }
});

test('a token server that redirects is told no password and no identity token', async (t) => {
  const login: Script = (_, origin) => ({
    status: 401,
    headers: { 'www-authenticate': `Bearer realm="${origin}/open/t"` },
  });
  for (const identity of [undefined, 'refresh-me']) {
    const found = await places(
      t,
      (request, origin, thief) =>
        request.url.pathname === '/open/t' ? to(`${thief}/token`, 302) : login(request, origin, thief),
      () => ({ status: 200, body: { token: 'x' } }),
      identity,
    );
    await assert.rejects(found.repository.resolve('v1'));
    learnedNothing(found, 0);
  }
});
