/** Where credentials are found: every place, every spelling of a key, helpers, and that no error holds a secret. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { RootfsError } from '../../src/errors.js';
import type { CredentialSearchOptions } from '../../src/registry/credential-search.js';
import { createCredentialSearch } from '../../src/registry/credential-search.js';
import type { Credential } from '../../src/registry/credentials.js';
import { createRepository } from '../../src/registry/repository.js';
import { startRegistry } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const SECRET = 'hunter2-do-not-show';

function basic(username: string, password = SECRET): { auth: string } {
  return { auth: Buffer.from(`${username}:${password}`).toString('base64') };
}

function put(path: string, content: unknown, mode = 0o600): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  chmodSync(path, mode);
  return path;
}

/** A machine of its own: nothing of the real one is read. */
function machine(dir: string, env: NodeJS.ProcessEnv = {}): CredentialSearchOptions {
  return {
    home: join(dir, 'home'),
    uid: 4242,
    platform: 'linux',
    env: { XDG_RUNTIME_DIR: join(dir, 'run'), PATH: `${join(dir, 'bin')}:/usr/bin:/bin`, ...env },
  };
}

async function user(options: CredentialSearchOptions, host: string, repository?: string): Promise<string | undefined> {
  const found = await createCredentialSearch(options).credential({ host, repository });
  return found?.credential.username;
}

async function refusal(work: Promise<unknown>): Promise<RootfsError> {
  const error = await work.then(
    () => assert.fail('expected a refusal'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof RootfsError, inspect(error));
  const shown = `${inspect(error, { depth: 10 })} ${JSON.stringify(error)} ${error.stack}`;
  assert.ok(!shown.includes('hunter2'), 'a secret shows in the error');
  assert.ok(
    !shown.includes(Buffer.from(SECRET).toString('base64').slice(0, 8)),
    'an encoded secret shows in the error',
  );
  return error;
}

test('the places are asked in their order', async (t) => {
  const dir = tempDir(t);
  const at = (path: string, auths: unknown): NodeJS.ProcessEnv => {
    put(join(dir, path), { auths });
    return {};
  };
  const places: [name: string, write: (auths: unknown) => NodeJS.ProcessEnv][] = [
    ['docker', (auths) => at('home/.docker/config.json', auths)],
    ['xdg-config', (auths) => at('home/.config/containers/auth.json', auths)],
    ['runtime', (auths) => at('run/containers/auth.json', auths)],
    ['env-file', (auths) => ({ REGISTRY_AUTH_FILE: put(join(dir, 'env.json'), { auths }) })],
    ['env-text', (auths) => ({ DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) })],
  ];
  let env: NodeJS.ProcessEnv = {};
  for (const [name, write] of places) {
    env = { ...env, ...write({ 'reg.example': basic(name) }) };
    assert.equal(await user(machine(dir, env), 'reg.example'), name);
  }
  const explicit = [{ host: 'reg.example', credential: { username: 'given', password: 'x' } }];
  assert.equal(await user({ ...machine(dir, env), explicit }, 'reg.example'), 'given');
  const authFile = put(join(dir, 'only.json'), { auths: { 'other.example': basic('only') } });
  assert.equal(await user({ ...machine(dir, env), authFile }, 'other.example'), 'only');
  assert.equal(await user({ ...machine(dir, env), authFile }, 'reg.example'), undefined);
});

test('folders named by the environment replace the defaults', async (t) => {
  const dir = tempDir(t);
  put(join(dir, 'home/.docker/config.json'), { auths: { 'a.example': basic('default') } });
  put(join(dir, 'dc/config.json'), { auths: { 'a.example': basic('docker-config') } });
  put(join(dir, 'xdg/containers/auth.json'), { auths: { 'b.example': basic('xdg') } });
  const env = { DOCKER_CONFIG: join(dir, 'dc'), XDG_CONFIG_HOME: join(dir, 'xdg') };
  assert.equal(await user(machine(dir, env), 'a.example'), 'docker-config');
  assert.equal(await user(machine(dir, env), 'b.example'), 'xdg');
  assert.equal(await user(machine(dir, { DOCKER_CONFIG: '' }), 'a.example'), 'default');
  assert.equal(await user({ ...machine(dir), env: {} }, 'a.example'), 'default');
});

test('a place that does not know the registry passes on to the next', async (t) => {
  const dir = tempDir(t);
  put(join(dir, 'run/containers/auth.json'), { auths: { 'reg.example': {}, 'x.example': basic('x') } });
  put(join(dir, 'home/.docker/config.json'), { auths: { 'reg.example': basic('docker') } });
  assert.equal(await user(machine(dir), 'reg.example'), 'docker');
});

test('keys: hosts exactly, the longest first, spellings of one key', async (t) => {
  const dir = tempDir(t);
  const authFile = put(join(dir, 'auth.json'), {
    auths: {
      'reg.example': basic('host'),
      'reg.example/ns': basic('ns'),
      'reg.example/ns/repo': basic('repo'),
      'reg.example:5000': basic('port'),
      'https://index.docker.io/v1/': basic('hub'),
      'docker.io/team': basic('team'),
      'https://url.example/v2/': basic('url'),
      'http://deep.example/some/path': basic('deep'),
      'slash.example/': basic('slash'),
      'v1.example/v1/': basic('v1'),
      'twice.example': basic('exact'),
      'https://twice.example': basic('url-of-twice'),
      'half.example': {},
      'https://half.example/v1/': basic('half'),
      '[::1]:5000': basic('six'),
      __proto__x: basic('proto'),
    },
  });
  const table: [host: string, repository: string | undefined, expected: string | undefined][] = [
    ['reg.example', undefined, 'host'],
    ['reg.example', 'other/repo', 'host'],
    ['reg.example', 'ns/other', 'ns'],
    ['reg.example', 'ns/repo', 'repo'],
    ['reg.example', 'ns/repo/deeper', 'repo'],
    ['reg.example', 'nsx/repo', 'host'],
    ['reg.example:5000', 'ns/repo', 'port'],
    ['reg.example:5001', 'ns/repo', undefined],
    ['reg.example:443', undefined, undefined],
    ['evil-reg.example', undefined, undefined],
    ['reg.example.evil', undefined, undefined],
    ['sub.reg.example', undefined, undefined],
    ['example', undefined, undefined],
    ['docker.io', 'library/alpine', 'hub'],
    ['index.docker.io', undefined, 'hub'],
    ['registry-1.docker.io', undefined, 'hub'],
    ['docker.io', 'team/app', 'team'],
    ['url.example', undefined, 'url'],
    ['deep.example', undefined, 'deep'],
    ['slash.example', 'a/b', 'slash'],
    ['v1.example', undefined, 'v1'],
    ['twice.example', undefined, 'exact'],
    ['half.example', undefined, 'half'],
    ['[::1]:5000', undefined, 'six'],
    ['__proto__', undefined, undefined],
    ['constructor', undefined, undefined],
  ];
  for (const [host, repository, expected] of table) {
    assert.equal(await user({ ...machine(dir), authFile }, host, repository), expected, `${host} ${repository}`);
  }
});

test('entries: passwords with colons, tokens, plain fields, empty files', async (t) => {
  const dir = tempDir(t);
  const authFile = put(
    join(dir, 'auth.json'),
    `\uFEFF${JSON.stringify({
      auths: {
        'colon.example': basic('u', 'p:q:r'),
        'utf8.example': basic('ü', 'пароль'),
        'id.example': { ...basic('00000000-0000', ''), identitytoken: 'idt' },
        'registry.example': { registrytoken: 'rt' },
        'fields.example': { username: 'u', password: 'p' },
        'token.example': basic('<token>', 'refresh'),
        'nul.example': basic('u', 'p\0\0'),
        'nopassword.example': basic('u', ''),
        'lines.example': { auth: 'dTpw\r\nOnE6\ncg==\n' },
        'newline.example': { registrytoken: 'rt\n' },
      },
    })}`,
  );
  const search = createCredentialSearch({ ...machine(dir), authFile });
  const table: [string, Credential][] = [
    ['colon.example', { username: 'u', password: 'p:q:r' }],
    ['utf8.example', { username: 'ü', password: 'пароль' }],
    ['id.example', { username: '00000000-0000', identityToken: 'idt' }],
    ['registry.example', { registryToken: 'rt' }],
    ['fields.example', { username: 'u', password: 'p' }],
    ['token.example', { identityToken: 'refresh' }],
    ['nul.example', { username: 'u', password: 'p' }],
    ['nopassword.example', { username: 'u', password: '' }],
    ['lines.example', { username: 'u', password: 'p:q:r' }],
    ['newline.example', { registryToken: 'rt' }],
  ];
  for (const [host, expected] of table) {
    assert.deepEqual(await search.credential({ host }), { credential: expected, source: authFile }, host);
  }
  for (const content of ['', '  \n', '{}', '{"auths":null}', '{"auths":{}}', '{"__proto__":{"auths":{}}}']) {
    const empty = put(join(dir, 'empty.json'), content);
    assert.equal(await user({ ...machine(dir), authFile: empty }, 'a.example'), undefined, content);
  }
});

test('a file that cannot be read is an error that names it and shows nothing of it', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'home/.docker/config.json');
  const broken: [content: unknown, pattern: RegExp][] = [
    [`{"auths": {"reg.example": {"auth": "${SECRET}"`, /not JSON/],
    [`{\n\n"password": ${SECRET}}`, /not JSON/],
    [`["${SECRET}"]`, /object/],
    [{ auths: SECRET }, /auths/],
    [{ auths: { 'reg.example': SECRET } }, /reg\.example/],
    [{ auths: { 'reg.example': { auth: `${SECRET}!` } } }, /base64/],
    [{ auths: { 'reg.example': { auth: Buffer.from(SECRET).toString('base64') } } }, /user:password/],
    [{ auths: { 'reg.example': { auth: Buffer.from('u:\xff\xfe', 'latin1').toString('base64') } } }, /base64/],
    [{ auths: { 'reg.example': { auth: 12 } } }, /auth that is no string/],
    [{ auths: { 'reg.example': { identitytoken: [SECRET] } } }, /identitytoken/],
    [{ credHelpers: { 'reg.example': `../${SECRET}` } }, /helper/],
    [{ credHelpers: { 'reg.example': 7 } }, /helper/],
    [{ credsStore: `/bin/${SECRET}` }, /helper/],
    [{ credsStore: 'a b' }, /helper/],
    [{ credsStore: { a: SECRET } }, /credsStore/],
    [`{"x":"${'y'.repeat(4 * 1024 * 1024)}"}`, /larger/],
  ];
  for (const [content, pattern] of broken) {
    put(path, content);
    const error = await refusal(createCredentialSearch(machine(dir)).credential({ host: 'reg.example' }));
    assert.equal(error.code, 'ERR_CREDENTIALS', error.message);
    assert.ok(error.message.startsWith(path), error.message);
    assert.match(error.message, pattern);
  }
  const text = await refusal(
    createCredentialSearch(machine(dir, { DOCKER_AUTH_CONFIG: SECRET })).credential({ host: 'reg.example' }),
  );
  assert.equal(text.code, 'ERR_CREDENTIALS');
  assert.match(text.message, /^DOCKER_AUTH_CONFIG: /);
  const folder = await refusal(createCredentialSearch({ ...machine(dir), authFile: dir }).credential({ host: 'a.b' }));
  assert.equal(folder.code, 'ERR_CREDENTIALS');
  const absent = await refusal(
    createCredentialSearch({ ...machine(dir), authFile: join(dir, 'none.json') }).credential({ host: 'a.b' }),
  );
  assert.equal(absent.code, 'ERR_CREDENTIALS');
  assert.match(absent.message, /none\.json: no such/);
});

test('an entry that is not asked for may be broken', async (t) => {
  const dir = tempDir(t);
  put(join(dir, 'home/.docker/config.json'), { auths: { 'bad.example': 3, 'good.example': basic('u') } });
  assert.equal(await user(machine(dir), 'good.example'), 'u');
});

test('an explicit credential goes to its own registry only', async (t) => {
  const dir = tempDir(t);
  const options: CredentialSearchOptions = {
    ...machine(dir),
    explicit: [{ host: 'reg.example:5000', credential: { username: 'given', password: SECRET }, source: '--password' }],
  };
  const search = createCredentialSearch(options);
  assert.equal((await search.credential({ host: 'reg.example:5000' }))?.source, '--password');
  for (const host of ['reg.example', 'reg.example:5001', 'mirror.example:5000', 'x.reg.example:5000']) {
    assert.equal(await search.credential({ host }), undefined, host);
  }
});

test('nothing is remembered: a changed file counts at the next question', async (t) => {
  const dir = tempDir(t);
  const path = put(join(dir, 'home/.docker/config.json'), { auths: { 'a.example': basic('before') } });
  const search = createCredentialSearch(machine(dir));
  assert.equal((await search.credential({ host: 'a.example' }))?.credential.username, 'before');
  put(path, { auths: { 'a.example': basic('after') } });
  assert.equal((await search.credential({ host: 'a.example' }))?.credential.username, 'after');
});

/** A helper that knows `answers` by server, writes what it was asked to `asked`, and says no in Docker's words. */
function helper(dir: string, name: string, answers: Record<string, unknown>): void {
  const lines = Object.entries(answers).map(
    ([server, answer]) => `  '${server}') echo '${JSON.stringify(answer)}'; exit 0;;`,
  );
  put(
    join(dir, 'bin', `docker-credential-${name}`),
    `#!/bin/sh\nserver=$(cat)\necho "${name} $1 $server" >> ${dir}/asked\ncase "$server" in\n${lines.join('\n')}\n  *) echo 'credentials not found in native keychain'; exit 1;;\nesac\n`,
    0o755,
  );
}

test('helpers: which is asked, under which name, and what its answer means', async (t) => {
  const dir = tempDir(t);
  const login = (Username: string, Secret = SECRET): unknown => ({ ServerURL: 'x', Username, Secret });
  helper(dir, 'own', { 'a.example': login('own'), 'ns.example/team': login('team') });
  helper(dir, 'store', {
    'b.example': login('store'),
    'https://index.docker.io/v1/': login('hub'),
    't.example': login('<token>', 'refresh'),
    'a.example': login('wrong'),
  });
  helper(dir, 'short', { 'docker.io': login('short') });
  const warnings: string[] = [];
  const search = (config: unknown): ReturnType<typeof createCredentialSearch> => {
    put(join(dir, 'home/.docker/config.json'), config);
    return createCredentialSearch({
      ...machine(dir),
      onProgress: (event) => event.type === 'warning:raised' && warnings.push(event.message),
    });
  };
  const all = search({
    credHelpers: { 'a.example': 'own', 'ns.example/team': 'own', 'file.example': '' },
    credsStore: 'store',
    auths: { 'file.example': basic('file'), 'c.example': basic('entry'), 'd.example/ns': basic('closer') },
  });
  const name = async (host: string, repository?: string): Promise<string | undefined> =>
    (await all.credential({ host, repository }))?.credential.username;
  assert.equal(await name('a.example', 'x/y'), 'own');
  assert.equal(await name('ns.example', 'team/app'), 'team');
  assert.equal(await name('b.example'), 'store');
  assert.equal(await name('docker.io'), 'hub');
  assert.equal(await name('file.example'), 'file');
  assert.equal(await name('c.example'), 'entry');
  assert.equal(await name('d.example', 'ns/x'), 'closer');
  assert.equal(await name('nobody.example'), undefined);
  assert.deepEqual((await all.credential({ host: 't.example' }))?.credential, { identityToken: 'refresh' });
  assert.match(
    (await all.credential({ host: 'b.example' }))?.source ?? '',
    /^docker-credential-store \(named in .*config\.json\)$/,
  );
  assert.deepEqual(warnings, []);

  assert.equal((await search({ credsStore: 'short' }).credential({ host: 'docker.io' }))?.credential.username, 'short');

  await search({ credsStore: 'store', auths: { 'gone.example': {} } }).credential({ host: 'gone.example' });
  assert.match(warnings.pop() ?? '', /docker-credential-store, named in .*: it knows no credentials for gone\.example/);
  await search({ credHelpers: { 'gone.example': 'own' } }).credential({ host: 'gone.example' });
  assert.match(warnings.pop() ?? '', /docker-credential-own/);
  const missing = search({ credsStore: 'absent', auths: { 'a.example': basic('entry') } });
  assert.equal((await missing.credential({ host: 'a.example' }))?.credential.username, 'entry');
  assert.match(warnings.pop() ?? '', /docker-credential-absent.*not on the PATH/);
  assert.equal(await missing.credential({ host: 'z.example' }), undefined);
  assert.deepEqual(warnings, []);
});

test('CVE-2021-41092 (docker): a helper that is not there sends no other password to Docker Hub', async (t) => {
  const dir = tempDir(t);
  const auths = { 'private.example': basic('private'), 'index.docker.io.example': basic('private') };
  for (const config of [
    { credsStore: 'absent', auths },
    { credHelpers: { 'docker.io': 'absent', 'private.example': 'absent' }, auths },
    { credsStore: 'absent', auths: { ...auths, '': basic('private'), 'https://': basic('private') } },
  ]) {
    put(join(dir, 'home/.docker/config.json'), config);
    const search = createCredentialSearch(machine(dir));
    for (const host of ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'example', 'e.private.example']) {
      assert.equal(await search.credential({ host, repository: 'library/debian' }), undefined, host);
    }
  }
});

test('where no more files can be opened, a helper is one that cannot be started', () => {
  const module = JSON.stringify(new URL('../../src/registry/credential-helper.js', import.meta.url));
  const script = `
    const { askHelper } = await import(${module});
    const { openSync } = await import('node:fs');
    await import('node:child_process');
    try { for (;;) openSync('/dev/null'); } catch {}
    const { signal } = new AbortController();
    console.log(JSON.stringify(await askHelper('odd', 'a.example', { env: process.env, timeoutMs: 1_000, signal })));`;
  const limited = ['-c', 'ulimit -n 64 && exec "$0" "$@"', process.execPath, '--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync('sh', limited, { encoding: 'utf8' });
  assert.equal(stdout.trim(), '{"kind":"failed","reason":"it cannot be started (EMFILE)"}', stderr);
});

test('helpers that misbehave', { timeout: 14_000 }, async (t) => {
  const dir = tempDir(t);
  const script = (body: string, mode = 0o755): void => {
    put(join(dir, 'bin/docker-credential-odd'), `#!/bin/sh\n${body}\n`, mode);
  };
  put(join(dir, 'home/.docker/config.json'), { credHelpers: { 'a.example': 'odd' } });
  const warnings: string[] = [];
  const search = createCredentialSearch({
    ...machine(dir),
    helperTimeoutMs: 20_000,
    onProgress: (event) => event.type === 'warning:raised' && warnings.push(event.message),
  });
  for (const body of [
    `echo ${SECRET}`,
    `echo '{"Username":"u"}'`,
    'echo null',
    `echo '"${SECRET}"'`,
    'exit 0',
    'yes',
  ]) {
    script(body);
    const error = await refusal(search.credential({ host: 'a.example' }));
    assert.equal(error.code, 'ERR_CREDENTIALS', body);
    assert.match(error.message, /^docker-credential-odd: /);
  }
  script(`echo '${SECRET}'; exit 3`);
  assert.equal(await search.credential({ host: 'a.example' }), undefined);
  assert.match(warnings.pop() ?? '', /code 3/);
  script('', 0o644);
  assert.equal(await search.credential({ host: 'a.example' }), undefined);
  assert.match(warnings.pop() ?? '', /cannot be started/);
  script(`exec 0<&-; echo '{"Username":"u","Secret":"${SECRET}"}'`);
  assert.equal((await search.credential({ host: 'a.example' }))?.credential.username, 'u');
  for (const [username, secret] of [
    ['username', 'secret'],
    ['USERNAME', 'Secret'],
  ]) {
    script(`echo '{"serverURL":"a.example","${username}":"any case","${secret}":"${SECRET}"}'`);
    const found = await search.credential({ host: 'a.example' });
    assert.deepEqual(found?.credential, { username: 'any case', password: SECRET });
  }
  assert.ok(!warnings.join().includes('hunter2'));
  script(`sleep 15 & echo '{"Username":"agent","Secret":"${SECRET}"}'`);
  assert.equal((await search.credential({ host: 'a.example' }))?.credential.username, 'agent');

  script('exec sleep 1000');
  const slow = createCredentialSearch({ ...machine(dir), helperTimeoutMs: 50 });
  assert.match((await refusal(slow.credential({ host: 'a.example' }))).message, /within 50 ms/);
  const reason = new Error('enough');
  const waiting = new AbortController();
  const pending = search.credential({ host: 'a.example' }, { signal: waiting.signal });
  setImmediate(() => waiting.abort(reason));
  await assert.rejects(pending, reason);
  await assert.rejects(search.credential({ host: 'a.example' }, { signal: AbortSignal.abort(reason) }), reason);
});

test('options are checked at once', () => {
  for (const options of [{ helperTimeoutMs: 0 }, { helperTimeoutMs: Number.NaN }, { authFile: '' }]) {
    assert.throws(() => createCredentialSearch(options), { code: 'ERR_OPTION_INVALID' });
  }
});

test('a linked file is read, a dangling link is no file', async (t) => {
  const dir = tempDir(t);
  const real = put(join(dir, 'real.json'), { auths: { 'a.example': basic('linked') } });
  mkdirSync(join(dir, 'home/.docker'), { recursive: true });
  mkdirSync(join(dir, 'run/containers'), { recursive: true });
  symlinkSync(real, join(dir, 'home/.docker/config.json'));
  symlinkSync(join(dir, 'nowhere'), join(dir, 'run/containers/auth.json'));
  assert.equal(await user(machine(dir), 'a.example'), 'linked');
});

test('a provider of somebody else: null is nobody, what is no credential is said and not shown', async (t) => {
  const registry = await startRegistry({ auth: { kind: 'basic', users: { user: 'secret' } } });
  t.after(() => registry.close());
  const asking = (answer: unknown): Promise<unknown> =>
    createRepository(`${registry.host}/team/app`, {
      credentials: { credential: async () => answer as never },
    }).resolve('v1');
  await assert.rejects(asking(null), { code: 'ERR_UNAUTHORIZED' });
  for (const answer of ['secret', { username: 'user', password: 'secret' }, { credential: null }, {}]) {
    await assert.rejects(asking(answer), (error: RootfsError) => {
      assert.equal(error.code, 'ERR_INTERNAL');
      assert.match(error.message, /^the credential provider gave .*, not a credential and its source; /);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
});
