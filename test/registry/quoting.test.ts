/** Servers that quote what they were shown where an answer is expected: no error tells it, its causes neither. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { fetchImage } from '../../src/image/fetch-image.js';
import type { ProgressEvent } from '../../src/progress.js';
import { hideSecrets, secretsOfUrl } from '../../src/registry/hide-secrets.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import { parseJson } from '../../src/spec/parse-json.js';
import { listen } from '../support/listen.js';

const credential = { username: 'me', password: 's3cretPassw0rd' };
const BASIC = Buffer.from(`${credential.username}:${credential.password}`).toString('base64');
const TOKEN = 'tok-Abcdef0123456789';

type Answer = (request: IncomingMessage, response: ServerResponse, origin: string) => void;
type Question = (repository: RegistryRepository) => Promise<unknown>;

/** Wants a login, and then quotes it. */
const quoting =
  (quote: (response: ServerResponse, header: string) => void): Answer =>
  ({ headers }, response) => {
    if (headers.authorization === undefined) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    else quote(response, headers.authorization.slice('Basic '.length));
  };

const tags: Question = async (repository) => {
  for await (const _ of repository.tags());
};
const manifest: Question = (repository) => fetchImage(repository, 'v1');

const CASES: readonly (readonly [name: string, ask: Question, answer: Answer, code: string])[] = [
  ['a list', tags, quoting((response, header) => void response.end(header)), 'ERR_REGISTRY'],
  ['a manifest', manifest, quoting((response, header) => void response.end(header)), 'ERR_MANIFEST_INVALID'],
  [
    'an answer that is not HTTP',
    manifest,
    quoting(({ socket }, header) => void socket?.end(`HTTP/9.9 ${header}\r\n\r\n`)),
    'ERR_REGISTRY',
  ],
  [
    'a token as plain text',
    manifest,
    (request, response, origin) => {
      if (request.url?.startsWith('/token') === true) response.end(TOKEN);
      else response.writeHead(401, { 'www-authenticate': `Bearer realm="${origin}/token",service="x"` }).end();
    },
    'ERR_REGISTRY',
  ],
];

for (const [name, ask, answer, code] of CASES) {
  test(`what was shown is not told where it comes back as ${name}`, async (t) => {
    let origin = '';
    const server = createServer((request, response) => answer(request, response, origin));
    const host = await listen(t, server);
    origin = `http://${host}`;
    const repository = createRepository(`${host}/app`, {
      credentials: { credential: async () => ({ credential, source: 'test' }) },
      retry: 0,
    });
    await assert.rejects(ask(repository), (error: { code?: string }) => {
      assert.equal(error.code, code);
      const told = `${inspect(error, { depth: 10, showHidden: true })} ${JSON.stringify(error)}`;
      for (const secret of [credential.password, BASIC, TOKEN]) assert.ok(!told.includes(secret.slice(0, 8)), told);
      return true;
    });
  });
}

test('a signed URL is not told where the server that it leads to quotes it', async (t) => {
  const signature = 'Zm9v/YmFy+0123456789abcdef==';
  const signed = `?X-Date=20260101T000000Z&X-Signature=${encodeURIComponent(signature)}&digest=sha256:${'a'.repeat(64)}`;
  const server = createServer(({ url = '' }, response) => {
    if (!url.includes('X-Signature')) {
      response.writeHead(307, { location: `/else${signed}` }).end();
      return;
    }
    const warning = `299 - "${new URL(url, 'http://x').searchParams.get('X-Signature')} is old"`;
    response.writeHead(403, { warning }).end(JSON.stringify({ errors: [{ code: 'DENIED', message: `no ${url}` }] }));
  });
  const host = await listen(t, server);
  const repository = createRepository(`${host}/app`, { retry: 0 });
  const events: ProgressEvent[] = [];
  const onProgress = (event: ProgressEvent): void => void events.push(event);
  await assert.rejects(fetchImage(repository, 'v1', { onProgress }), (error: Error) => {
    assert.match(error.message, /\(no \/else\?X-Date=20260101T000000Z&X-Signature=…&digest=sha256:a{64}\)/);
    const told = `${inspect(error, { depth: 10, showHidden: true })} ${JSON.stringify(error)} ${JSON.stringify(events)}`;
    assert.ok(!told.includes('YmFy'), told);
    return true;
  });
  assert.ok(events.some((event) => event.type === 'warning:raised' && event.message === `${host}: … is old`));
});

test('what a query calls a secret is one at any length, everything else from the length of a signature on', () => {
  const query = 'sig=abcd1&X-Amz-Security-Token=hunter2&api_key=k-12345&sv=2024-01-01&X-Amz-SignedHeaders=host&token=x';
  const long = 'z'.repeat(24);
  assert.deepEqual(secretsOfUrl(new URL(`https://r.example/?${query}&policy=${long}&digest=sha256:${long}`)), [
    long,
    'hunter2',
    'k-12345',
    'abcd1',
  ]);
});

test('a secret is hidden however the other side writes it', () => {
  const secret = `a&b<c>"d'/e+f\\g=h ü\tz`;
  const go = JSON.stringify(secret).replace(/[&<>]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
  const net = JSON.stringify(secret).replace(
    /[&<>'+ü]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`,
  );
  const html = secret.replace(
    /[&<>"']/g,
    (char) => `&${{ '&': 'amp', '<': 'lt', '>': 'gt', '"': '#34', "'": '#x27' }[char]};`,
  );
  const form = `${new URLSearchParams({ x: secret })}`.slice(2);
  for (const written of [
    secret,
    JSON.stringify(secret).slice(1, -1),
    JSON.stringify(JSON.stringify(secret)).slice(3, -3),
    go.slice(1, -1),
    net.slice(1, -1),
    JSON.stringify(secret).replaceAll('/', '\\/').slice(1, -1),
    html,
    form,
    form.toLowerCase(),
    form.replaceAll('+', '%20'),
    encodeURIComponent(secret),
  ]) {
    assert.equal(hideSecrets(`"is ${written} wrong"`, [secret, 'other']), '"is … wrong"');
  }
  assert.equal(hideSecrets('tok/en and tok', ['tok', 'tok/en']), '… and …');
  assert.equal(hideSecrets('nothing', []), 'nothing');
  const large = 'x/'.repeat(20_000);
  assert.equal(hideSecrets(`-${large}-`, [large]), '-…-');
});

test('an error of parseJson says where, and quotes nothing', () => {
  assert.deepEqual(parseJson('{"a":[1]}'), { a: [1] });
  for (const text of [TOKEN, `{"token":"${TOKEN}"`, `"${TOKEN}`, '', ' ']) {
    assert.throws(
      () => parseJson(text),
      (error: Error) => error instanceof SyntaxError && !inspect(error).includes('tok-'),
    );
  }
  assert.throws(() => parseJson('[1,]'), { message: /^no JSON/ });
  assert.throws(() => parseJson(' '), { message: 'no JSON: the text is empty' });
});
