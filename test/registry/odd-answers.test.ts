/** Answers in the forms that others than registries give them: URLs in UTF-8, reasons in XML, what a proxy compressed. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { fetchVerified } from '../../src/content/fetch-verified.js';
import { RootfsError } from '../../src/errors.js';
import type { ProgressEvent } from '../../src/progress.js';
import { createRegistry } from '../../src/registry/registry.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { big, built } from '../support/fault-case.js';
import { type ScriptedAnswer, type ScriptedRegistry, scriptedRegistry } from '../support/scripted-registry.js';

function open({ host }: ScriptedRegistry): RegistryRepository {
  return createRepository(`${host}/app`, { timeoutMs: 500, retry: 0 });
}

async function refusal(promise: Promise<unknown>): Promise<RootfsError> {
  const error = await promise.then(
    () => assert.fail('it was not refused'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof RootfsError);
  return error;
}

/** A header as it goes over the wire: UTF-8, which Node writes and reads as Latin-1. */
const inHeader = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

test('a Location in UTF-8 is followed as it is meant', async (t) => {
  const [layer] = built.layers;
  assert.ok(layer !== undefined);
  const registry = await scriptedRegistry(t, ({ url }) =>
    url.pathname.startsWith('/v2/')
      ? { status: 307, headers: { location: inHeader('/ébène?name=tōkyō&sig=a%2Fb') } }
      : { status: 200, body: layer.blob },
  );
  const content = await fetchVerified(open(registry), big.descriptor);
  assert.deepEqual(Buffer.concat(await content.toArray()), layer.blob);
  assert.equal(registry.asked[1], 'GET /%C3%A9b%C3%A8ne?name=t%C5%8Dky%C5%8D&sig=a%2Fb');
});

test('so is one of an upload, and the next page of a list', async (t) => {
  const [layer] = built.layers;
  assert.ok(layer !== undefined);
  const registry = await scriptedRegistry(t, ({ method, url }): ScriptedAnswer => {
    if (method === 'POST') return { status: 202, headers: { location: inHeader('/upload?name=é') } };
    if (method === 'PUT') return { status: 201 };
    if (method !== 'GET') return { status: 404 };
    const isFirst = url.search === '';
    const headers = isFirst ? { link: inHeader(`<${url.pathname}?last=é>; rel="next"`) } : {};
    // A body that is text would have Node write the headers before it as UTF-8.
    return { status: 200, headers, body: Buffer.from(JSON.stringify({ tags: [isFirst ? 'a' : 'b'] })) };
  });
  const repository = open(registry);
  await repository.push(
    layer.descriptor,
    (async function* () {
      yield layer.blob;
    })(),
  );
  assert.ok(registry.asked.some((line) => line.startsWith('PUT /upload?name=%C3%A9&digest=')));
  const tags: string[] = [];
  for await (const tag of repository.tags()) tags.push(tag);
  assert.deepEqual(tags, ['a', 'b']);
  assert.equal(registry.asked.at(-1), 'GET /v2/app/tags/list?last=%C3%A9');
});

/** A registry behind something that changes each answer for a blob. `whole`: what it would have given. */
function behindProxy(
  t: TestContext,
  change: (whole: Buffer, nth: number) => ScriptedAnswer,
): Promise<ScriptedRegistry> {
  let nth = 0;
  const whole = built.layers[0]?.blob ?? Buffer.alloc(0);
  return scriptedRegistry(t, () => change(whole, ++nth));
}

async function readLayer(registry: ScriptedRegistry, onProgress?: (event: ProgressEvent) => void): Promise<Buffer> {
  const repository = createRepository(`${registry.host}/app`, { timeoutMs: 500, retry: 2 });
  return Buffer.concat(await (await fetchVerified(repository, big.descriptor, { onProgress })).toArray());
}

for (const [encoding, encode] of [
  ['gzip', gzipSync],
  ['X-GZIP', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
] as const) {
  test(`a layer that was compressed on its way (${encoding}) is what it was`, async (t) => {
    const registry = await behindProxy(t, (whole) => {
      const body = encode(whole);
      return { status: 200, headers: { 'content-encoding': encoding, 'content-length': `${body.length}` }, body };
    });
    assert.deepEqual(await readLayer(registry), built.layers[0]?.blob);
    assert.equal(registry.asked.length, 1);
  });
}

test('one that is cut goes on, however it comes then', async (t) => {
  const registry = await behindProxy(t, (whole, nth) => {
    const body = gzipSync(whole);
    const headers = { 'content-encoding': 'gzip', 'content-length': `${body.length + (nth === 1 ? 1 : 0)}` };
    return { status: 200, headers, body: nth === 1 ? body.subarray(0, body.length >> 1) : body };
  });
  assert.deepEqual(await readLayer(registry), built.layers[0]?.blob);
});

test('one that is not what its label says, or ends too early or too late, is told with its label', async (t) => {
  const label = { 'content-encoding': 'gzip' };
  const broken = await behindProxy(t, (whole) => {
    const body = gzipSync(whole).subarray(0, 500);
    return { status: 200, headers: { ...label, 'content-length': `${body.length}` }, body };
  });
  await assert.rejects(readLayer(broken), {
    code: 'ERR_REGISTRY',
    message: /with Content-Encoding: gzip, which cannot/,
  });
  const short = await behindProxy(t, (whole) => ({
    status: 200,
    headers: { ...label, 'transfer-encoding': 'chunked' },
    body: gzipSync(whole).subarray(0, 500),
  }));
  await assert.rejects(readLayer(short), {
    code: 'ERR_REGISTRY',
    message: /with Content-Encoding: gzip, which cannot be undone \(unexpected end of file\); a proxy/,
  });
  assert.equal(short.asked.length, 1);
  const { warnings, onProgress } = collectWarnings();
  const long = await behindProxy(t, (whole) => ({
    status: 200,
    headers: { ...label, 'transfer-encoding': 'chunked' },
    body: Buffer.concat([whole, whole]),
  }));
  await assert.rejects(readLayer(long, onProgress), { code: 'ERR_SIZE_MISMATCH' });
  assert.match(warnings.join(), /longer than \d+ bytes, and came with Content-Encoding: gzip; a proxy/);
});

const json = JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message: 'slow down, please' }] });
for (const [encoding, body] of [
  ['gzip', gzipSync(json)],
  ['deflate', deflateSync(json)],
  ['br', brotliCompressSync(json)],
  ['gzip', json],
] as const) {
  test(`a reason that is labelled ${encoding} is read (${typeof body === 'string' ? 'and is not' : 'and is'})`, async (t) => {
    const headers = { 'content-encoding': encoding, 'content-type': 'application/json' };
    const registry = await scriptedRegistry(t, () => ({ status: 400, headers, body }));
    const error = await refusal(open(registry).fetchReference('v1'));
    assert.equal(error.code, 'ERR_RATE_LIMITED');
    assert.match(error.message, /\(slow down, please\)/);
  });
}

test('a reason that unpacks to a flood is none', async (t) => {
  const headers = { 'content-encoding': 'gzip' };
  const body = gzipSync(Buffer.alloc(10_000_000, 'a'));
  const registry = await scriptedRegistry(t, () => ({ status: 403, headers, body }));
  const error = await refusal(open(registry).fetchReference('v1'));
  assert.equal(error.code, 'ERR_DENIED');
  assert.ok(!error.message.includes('aaaa'));
});

for (const [form, body, reason] of [
  [
    "a storage service's",
    '<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>',
    'Request has expired',
  ],
  ["a storage service's without a message", '<Error><Code>AccessDenied</Code></Error>', 'AccessDenied'],
  ["Docker Hub's", '{"details":"incorrect username or password"}', 'incorrect username or password'],
  ["OAuth's", '{"error":"invalid_scope","error_description":"no such scope"}', 'no such scope'],
  ["OAuth's without a description", '{"error":"invalid_scope"}', 'invalid_scope'],
  ['a message', '{"code":7,"message":"over its quota\\u001b[2J"}', 'over its quota [2J'],
  ['a page', '<html><title>Sign in</title>', 'an HTML page: Sign in'],
  ['null', 'null', 'null'],
] as const) {
  test(`a reason in another form is told: ${form}`, async (t) => {
    const registry = await scriptedRegistry(t, () => ({ status: 403, body }));
    const { message } = await refusal(open(registry).fetchReference('v1'));
    assert.ok(message.includes(`(${reason})`), message);
  });
}

for (const [status, errors, code, reason] of [
  [
    400,
    [{ code: 'MANIFEST_INVALID', message: 'manifest invalid', detail: { message: 'no such schema' } }],
    'ERR_MANIFEST_INVALID',
    'manifest invalid: no such schema',
  ],
  [400, [{ code: 'UNSUPPORTED', message: 'no OCI', detail: 'no OCI' }], 'ERR_UNSUPPORTED', 'no OCI'],
  [
    415,
    [{ code: 'MANIFEST_INVALID', detail: 'OCI artifacts are off' }],
    'ERR_UNSUPPORTED',
    'manifest invalid: OCI artifacts are off',
  ],
  [422, [{ code: 'X', message: 'policy', detail: { other: 1 } }], 'ERR_REGISTRY', 'policy'],
] as const) {
  test(`a manifest that is not taken (${status}, ${reason}): why, and whom to ask`, async (t) => {
    const registry = await scriptedRegistry(t, () => ({ status, body: { errors } }));
    const error = await refusal(open(registry).push(built.descriptor, Readable.from([built.manifestBytes])));
    assert.equal(error.code, code);
    assert.ok(
      error.message.endsWith(` refused it with status ${status} (${reason}); ask who runs it what it accepts`),
      error.message,
    );
  });
}

for (const status of [409, 412]) {
  test(`a manifest that may not be deleted (${status}): that is a refusal, and says so`, async (t) => {
    const registry = await scriptedRegistry(t, ({ method }) =>
      method === 'DELETE' ? { status, body: { errors: [{ code: 'X', message: 'it is in use' }] } } : { status: 404 },
    );
    const error = await refusal(open(registry).delete(built.descriptor));
    assert.equal(error.code, 'ERR_DENIED');
    assert.match(error.message, / refuses to delete it with status 4\d\d \(it is in use\); something may refer to it/);
  });
}

test('what a token server says is told with its status', async (t) => {
  const registry = await scriptedRegistry(t, ({ url }, origin) =>
    url.pathname === '/token'
      ? { status: 400, body: { error: 'invalid_scope', error_description: 'no such scope' } }
      : { status: 401, headers: { 'www-authenticate': `Bearer realm="${origin}/token"` } },
  );
  const { message } = await refusal(open(registry).fetchReference('v1'));
  assert.match(message, /^token realm \S+: it answered with status 400 \(no such scope\); .*, ask who runs that$/);
});

test('a realm that is a path is the own one of the registry, and one that names a host by slashes is none', async (t) => {
  const asked: string[] = [];
  let realm = '/token?x=1';
  const registry = await scriptedRegistry(t, ({ url }) => {
    asked.push(url.pathname + url.search);
    return url.pathname === '/token'
      ? { status: 400, body: { error: 'invalid_scope' } }
      : { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}",service="s"` } };
  });
  await refusal(open(registry).fetchReference('v1'));
  assert.match(asked.find((path) => path.startsWith('/token')) ?? '', /^\/token\?x=1&service=s/);
  for (realm of ['//elsewhere.example/token', '/\\\\elsewhere.example/token']) {
    const { message } = await refusal(open(registry).fetchReference('v1'));
    assert.match(message, /token realm refused: .* no absolute URL/);
  }
});

for (const [name, answer, expected] of [
  [
    'an error that comes as a success',
    { status: 200, body: { errors: [{ code: 'TOOMANYREQUESTS', message: 'Bearer abc' }] } },
    /: 127\.0\.0\.1:\d+ answered with an error \(TOOMANYREQUESTS\) instead of a manifest; check the host, and /,
  ],
  ...[402, 451].map(
    (status) =>
      [
        `a refusal with ${status}`,
        { status, body: { errors: [{ code: 'DENIED', message: 'not for you' }] } },
        /: access denied by 127\.0\.0\.1:\d+ \(not for you\); ask its owner for access, or log in as someone who has it$/,
      ] as const,
  ),
  ['a redirect that leads nowhere', { status: 307 }, /redirect refused: .*\(no Location header\); .* ask who runs it$/],
  [
    'a realm that is no URL',
    { status: 401, headers: { 'www-authenticate': 'Bearer realm="token"' } },
    /token realm refused: .* no absolute URL; ask who runs it$/,
  ],
  [
    'a manifest that is refused',
    { status: 400, body: { errors: [{ code: 'MANIFEST_INVALID' }] } },
    /refused it with status 400 \(manifest invalid\); ask/,
  ],
] as const) {
  test(`an error says what to do: ${name}`, async (t) => {
    const registry = await scriptedRegistry(t, () => answer);
    assert.match((await refusal(open(registry).fetchReference('v1'))).message, expected);
  });
}

test('a manifest that is too large cannot be sent in pieces', async (t) => {
  const registry = await scriptedRegistry(t, () => ({ status: 413 }));
  const pushing = open(registry).push(built.descriptor, Readable.from([built.manifestBytes]));
  const { message, code } = await refusal(pushing);
  assert.deepEqual([code, /; raise the limit there$/.test(message)], ['ERR_LIMIT_EXCEEDED', true], message);
});

test('who is nobody is told what was refused: the registry itself, a deletion, a pull', async (t) => {
  const registry = await scriptedRegistry(t, () => ({
    status: 401,
    headers: { 'www-authenticate': 'Basic realm="x"' },
  }));
  const { host } = registry;
  const repositories = createRegistry(host, { retry: 0 }).repositories();
  assert.match(
    (await refusal(repositories.next())).message,
    new RegExp(`^${host}: it answers only who logs in; run: `),
  );
  const deleted = await refusal(open(registry).delete(`sha256:${'0'.repeat(64)}`));
  assert.match(deleted.message, new RegExp(`^delete access denied for ${host}/app, `));
  assert.match(
    (await refusal(open(registry).resolve('v1'))).message,
    new RegExp(`^pull access denied for ${host}/app, `),
  );
});

test('warnings that were joined in one header are told one by one, what they quote is no other one', async (t) => {
  const warning =
    '110 - "stale", 299 - "first, 299 - \\"no\\"" "Wed, 21 Oct 2015 07:28:00 GMT",299 agent "second", 299 -';
  const headers = { warning: [warning, '299 - "third"'], 'content-type': built.descriptor.mediaType };
  const registry = await scriptedRegistry(t, () => ({ status: 200, headers, body: built.manifestBytes }));
  const { warnings, onProgress } = collectWarnings();
  await open(registry).fetchReference('v1', { onProgress });
  const told = ['first, 299 - "no"', 'second', 'third'];
  assert.deepEqual(
    warnings,
    told.map((text) => `${registry.host}: ${text}`),
  );
});

test('a warning in UTF-8 is told as it was written, one in Latin-1 too', async (t) => {
  const asBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  const headers = {
    warning: [asBytes('299 - "žluťoučký \u{1f433}"'), '299 - "caf\xe9"'],
    'content-type': built.descriptor.mediaType,
  };
  const registry = await scriptedRegistry(t, () => ({ status: 200, headers, body: built.manifestBytes }));
  const { warnings, onProgress } = collectWarnings();
  await open(registry).fetchReference('v1', { onProgress });
  assert.deepEqual(warnings, [`${registry.host}: žluťoučký \u{1f433}`, `${registry.host}: café`]);
});

test('why a token was refused may stand in the challenge alone', async (t) => {
  const challenge = 'Basic realm="x",error="invalid_token",error_description="The access token expired"';
  const registry = await scriptedRegistry(t, ({ url }) =>
    url.pathname === '/v2/' ? { status: 200 } : { status: 401, headers: { 'www-authenticate': challenge } },
  );
  assert.match((await refusal(open(registry).resolve('v1'))).message, /\(The access token expired\)/);
});

test('an error code that every object has a property of is an unknown one', async (t) => {
  const registry = await scriptedRegistry(t, () => ({
    status: 400,
    body: JSON.stringify({ errors: [{ code: 'constructor', message: 'no' }, { code: '__proto__' }] }),
  }));
  const { code } = await refusal(open(registry).resolve('v1'));
  assert.equal(code, 'ERR_REGISTRY');
});
