/** Keeping and forgetting credentials: which file, what in it changes, helpers, and what would win over it. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { RootfsError } from '../../src/errors.js';
import { processMark } from '../../src/io/process-mark.js';
import { checkLogin } from '../../src/registry/check-login.js';
import { createCredentialSearch } from '../../src/registry/credential-search.js';
import type { Credential } from '../../src/registry/credentials.js';
import type { Endpoint } from '../../src/registry/endpoint.js';
import { eraseCredential, type LoginOptions, storeCredential } from '../../src/registry/login.js';
import { startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const LOGIN: Credential = { username: 'u', password: 'hunter2' };

function put(path: string, content: unknown, mode = 0o600): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  chmodSync(path, mode);
  return path;
}

function json(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
}

function basic(text: string): { auth: string } {
  return { auth: Buffer.from(text).toString('base64') };
}

/** A machine of its own; warnings are collected. */
function machine(dir: string, env: NodeJS.ProcessEnv = {}): LoginOptions & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return {
    home: join(dir, 'home'),
    uid: 4242,
    platform: 'linux',
    env: { XDG_RUNTIME_DIR: join(dir, 'run'), PATH: `${join(dir, 'bin')}:/usr/bin:/bin`, ...env },
    warnings,
    onProgress: (event) => event.type === 'warning:raised' && warnings.push(event.message),
  };
}

async function refusal(work: Promise<unknown>): Promise<RootfsError> {
  const error = await work.then(
    () => assert.fail('expected a refusal'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof RootfsError, inspect(error));
  const shown = `${inspect(error, { depth: 10 })} ${JSON.stringify(error)}`;
  assert.ok(!/hunter2|aHVudGVyM|dTpodW50ZXIy/.test(shown), `a secret shows: ${shown}`);
  return error;
}

test('a login makes the file, for its owner only, and the search finds it', async (t) => {
  const dir = tempDir(t);
  const options = machine(dir);
  const path = join(dir, 'home/.docker/config.json');
  assert.deepEqual(await storeCredential('reg.example:5000', LOGIN, options), { key: 'reg.example:5000', path });
  assert.equal(statSync(path).mode & 0o7777, 0o600);
  assert.equal(statSync(dirname(path)).mode & 0o7777, 0o700);
  assert.deepEqual(readdirSync(dirname(path)), ['config.json']);
  assert.deepEqual(json(path), { auths: { 'reg.example:5000': basic('u:hunter2') } });
  const found = await createCredentialSearch(options).credential({ host: 'reg.example:5000' });
  assert.deepEqual(found, { credential: LOGIN, source: path });
  assert.deepEqual(options.warnings, []);
});

test('which file a login goes to', async (t) => {
  const dir = tempDir(t);
  const env = { DOCKER_CONFIG: join(dir, 'dc') };
  assert.equal((await storeCredential('a.example', LOGIN, machine(dir, env))).path, join(dir, 'dc/config.json'));
  const named = { ...env, REGISTRY_AUTH_FILE: join(dir, 'named.json') };
  assert.equal((await storeCredential('a.example', LOGIN, machine(dir, named))).path, join(dir, 'named.json'));
  const authFile = join(dir, 'deep/er/given.json');
  assert.equal((await storeCredential('a.example', LOGIN, { ...machine(dir, named), authFile })).path, authFile);
  assert.ok(existsSync(authFile));
});

test('everything else in the file stays, spellings of the key are the key', async (t) => {
  const dir = tempDir(t);
  const path = put(
    join(dir, 'home/.docker/config.json'),
    `{"HttpHeaders":{"X":"y"},"auths":{"other.example":{"auth":"x","odd":[1,null]},"https://reg.example/v1/":{"auth":"old","email":"me@x"},"reg.example/ns":{},"reg.example:5000":{}},"__proto__":{"a":1},"psFormat":"t","z":1.5}`,
    0o644,
  );
  await storeCredential('reg.example', LOGIN, machine(dir));
  const text = readFileSync(path, 'utf8');
  assert.deepEqual(
    JSON.parse(text),
    JSON.parse(
      `{"HttpHeaders":{"X":"y"},"auths":{"other.example":{"auth":"x","odd":[1,null]},"https://reg.example/v1/":{"email":"me@x","auth":"${basic('u:hunter2').auth}"},"reg.example/ns":{},"reg.example:5000":{}},"__proto__":{"a":1},"psFormat":"t","z":1.5}`,
    ),
  );
  assert.ok(text.includes('__proto__'));
  assert.deepEqual(Object.keys(json(path)), ['HttpHeaders', 'auths', '__proto__', 'psFormat', 'z']);
  assert.equal(statSync(path).mode & 0o7777, 0o600);

  const erased = await eraseCredential('reg.example', machine(dir));
  assert.deepEqual(erased, { key: 'reg.example', path, erased: true });
  assert.deepEqual(Object.keys(json(path)['auths'] as object), ['other.example', 'reg.example/ns', 'reg.example:5000']);
  assert.equal((await eraseCredential('reg.example', machine(dir))).erased, false);
});

test('Docker Hub has Docker’s key, whatever it is called; parts of a registry have their own', async (t) => {
  const dir = tempDir(t);
  const options = machine(dir);
  const path = join(dir, 'home/.docker/config.json');
  for (const name of ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'https://index.docker.io/v1/']) {
    assert.equal((await storeCredential(name, LOGIN, options)).key, 'docker.io');
    assert.deepEqual(Object.keys(json(path)['auths'] as object), ['https://index.docker.io/v1/']);
  }
  assert.equal((await storeCredential('https://url.example/', LOGIN, options)).key, 'url.example');
  assert.equal(
    (await storeCredential('ns.example/team', { username: 't', password: 'p' }, options)).key,
    'ns.example/team',
  );
  const search = createCredentialSearch(options);
  assert.equal((await search.credential({ host: 'ns.example', repository: 'team/x' }))?.credential.username, 't');
  assert.equal(await search.credential({ host: 'ns.example', repository: 'x' }), undefined);
  assert.equal((await eraseCredential('docker.io', options)).erased, true);
  assert.equal(await search.credential({ host: 'docker.io' }), undefined);
});

test('what Docker keeps of its own session with the Hub is no login, and ends with the login', async (t) => {
  const dir = tempDir(t);
  const options = machine(dir);
  const path = join(dir, 'home/.docker/config.json');
  const session = {
    'https://index.docker.io/v1/access-token': basic('access:a'),
    'https://index.docker.io/v1/refresh-token': basic('refresh:r'),
  };
  const search = createCredentialSearch(options);
  const found = async (config: object): Promise<string | undefined> => {
    put(path, config);
    return (await search.credential({ host: 'docker.io', repository: 'library/x' }))?.credential.username;
  };
  assert.equal(await found({ auths: session }), undefined);
  assert.equal(await found({ auths: { ...session, 'https://index.docker.io/v1/': basic('hub:p') } }), 'hub');
  const credHelpers = Object.fromEntries(Object.keys(session).map((key) => [key, 'absent']));
  assert.equal(await found({ auths: { 'docker.io': basic('hub:p') }, credHelpers }), 'hub');
  assert.deepEqual(options.warnings, []);

  put(path, { auths: session });
  await storeCredential('docker.io', LOGIN, options);
  assert.deepEqual(json(path)['auths'], { ...session, 'https://index.docker.io/v1/': basic('u:hunter2') });
  assert.equal((await eraseCredential('docker.io', options)).erased, true);
  assert.deepEqual(json(path)['auths'], {});
});

test('tokens are kept and found as tokens', async (t) => {
  const dir = tempDir(t);
  const options = machine(dir);
  const table: Credential[] = [
    { identityToken: 'idt' },
    { username: 'u', identityToken: 'idt' },
    { registryToken: 'rt' },
    { username: 'u', password: 'p:q' },
    { username: 'ü', password: 'ß' },
  ];
  for (const credential of table) {
    await storeCredential('a.example', credential, options);
    const found = await createCredentialSearch(options).credential({ host: 'a.example' });
    assert.deepEqual(found?.credential, credential);
  }
});

test('what makes no sense is refused before anything is touched', async (t) => {
  const dir = tempDir(t);
  const options = machine(dir);
  const names = [
    '',
    'a b',
    '../x',
    'http://u:hunter2@x.example',
    '__proto__',
    'reg.example/UP',
    'reg.example//x',
    'x'.repeat(600),
    'reg.example:port',
  ];
  for (const name of names) {
    assert.equal((await refusal(storeCredential(name, LOGIN, options))).code, 'ERR_OPTION_INVALID', name);
    assert.equal((await refusal(eraseCredential(name, options))).code, 'ERR_OPTION_INVALID', name);
  }
  for (const credential of [{}, { username: 'u' }, { password: 'hunter2' }, { username: 'u:hunter2', password: 'x' }]) {
    assert.equal((await refusal(storeCredential('a.example', credential, options))).code, 'ERR_OPTION_INVALID');
  }
  assert.equal((await refusal(storeCredential('a.b', LOGIN, { ...options, authFile: '' }))).code, 'ERR_OPTION_INVALID');
  const impatient = { ...options, helperTimeoutMs: -1 };
  assert.equal((await refusal(storeCredential('a.b', LOGIN, impatient))).code, 'ERR_OPTION_INVALID');
  const reason = new Error('enough');
  await assert.rejects(storeCredential('a.b', LOGIN, { ...options, signal: AbortSignal.abort(reason) }), reason);
  assert.deepEqual(readdirSync(dir), []);
});

test('a file that is no auth file is left as it is', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'home/.docker/config.json');
  for (const content of [
    '{"auths": "hunter2"',
    '["hunter2"]',
    '{"auths":["hunter2"]}',
    '{"credsStore":"/bin/hunter2"}',
  ]) {
    put(path, content);
    for (const work of [
      () => storeCredential('a.example', LOGIN, machine(dir)),
      () => eraseCredential('a.example', machine(dir)),
    ]) {
      const error = await refusal(work());
      assert.equal(error.code, 'ERR_CREDENTIALS', content);
      assert.ok(error.message.startsWith(`${path}: `), error.message);
    }
    assert.equal(readFileSync(path, 'utf8'), content);
    assert.deepEqual(readdirSync(dirname(path)), ['config.json']);
  }
});

test('a device or a pipe is not replaced by a file', async (t) => {
  const dir = tempDir(t);
  const authFile = join(dir, 'null');
  // Unlike a device it can be made without root.
  execFileSync('mkfifo', [authFile]);
  spawn('sh', ['-c', 'echo {} > "$0"', authFile]);
  const error = await refusal(storeCredential('a.example', LOGIN, { ...machine(dir), authFile }));
  assert.equal(error.code, 'ERR_CREDENTIALS');
  assert.match(error.message, /null: expected a regular file, found something else; .*--authfile/);
  assert.ok(lstatSync(authFile).isFIFO());
  assert.deepEqual(readdirSync(dir), ['null']);
});

test('a linked file is followed, over other links too, and stays a link', async (t) => {
  const dir = tempDir(t);
  const link = join(dir, 'home/.docker/config.json');
  const real = join(dir, 'real/config.json');
  mkdirSync(dirname(link), { recursive: true });
  mkdirSync(dirname(real));
  const between = join(dir, 'between.json');
  symlinkSync('../../between.json', link);
  symlinkSync('real/config.json', between);
  await storeCredential('a.example', LOGIN, machine(dir));
  await storeCredential('b.example', LOGIN, machine(dir));
  for (const one of [link, between]) assert.ok(lstatSync(one).isSymbolicLink());
  assert.deepEqual(Object.keys(json(real)['auths'] as object), ['a.example', 'b.example']);
});

test('a login is tried at the registry that it is for, and at nobody in its place', async (t) => {
  const named = await startRegistry({ auth: { kind: 'basic', users: { u: 'right' } } });
  const other = await startRegistry();
  t.after(() => Promise.all([named.close(), other.close()]));
  const at = ({ url, host }: TestRegistry, capabilities: Endpoint['capabilities'], mirrorOf?: string): Endpoint => {
    return { baseUrl: url, repository: '', credentialHost: host, capabilities, mirrorOf, source: 'the test' };
  };
  const moved = [at(other, ['pull', 'resolve', 'push'])];
  const pullOnly = [at(other, ['pull', 'push'], named.host), at(named, ['pull'])];
  const check = (all: readonly Endpoint[], password: string): Promise<void> =>
    checkLogin(named.host, { username: 'u', password }, { endpoints: { endpoints: async () => all }, retry: 0 });
  for (const all of [moved, pullOnly]) {
    await check(all, 'right');
    await assert.rejects(check(all, 'wrong'), { code: 'ERR_UNAUTHORIZED', message: /did not accept the credentials/ });
  }
  await named.close();
  for (const all of [moved, pullOnly]) await assert.rejects(check(all, 'right'), { code: 'ERR_NETWORK' });
  assert.equal(other.log.requests.length, 0);
});

test('twenty logins at once are all kept', async (t) => {
  const dir = tempDir(t);
  const hosts = Array.from({ length: 20 }, (_, index) => `h${index}.example`);
  await Promise.all(hosts.map((host) => storeCredential(host, LOGIN, machine(dir))));
  const path = join(dir, 'home/.docker/config.json');
  assert.deepEqual(Object.keys(json(path)['auths'] as object).sort(), [...hosts].sort());
  await Promise.all(hosts.map((host) => eraseCredential(host, machine(dir))));
  assert.deepEqual(json(path), { auths: {} });
  assert.deepEqual(readdirSync(dirname(path)), ['config.json']);
});

test('what a login that was killed left is gone after the next one', async (t) => {
  const dir = tempDir(t);
  const authFile = put(join(dir, 'auth.json'), {});
  const mark = processMark().replace(/-\d+-\d+$/, '');
  put(join(dir, `.rootfs-auth-${mark}-4194303-77-0123456789ab`), { auths: { 'a.example': basic('u:hunter2') } });
  const living = `.rootfs-auth-${processMark()}-0123456789ab`;
  put(join(dir, living), '');
  await storeCredential('a.example', LOGIN, { ...machine(dir), authFile });
  assert.deepEqual(readdirSync(dir).sort(), [living, 'auth.json']);
});

test('logging out where nobody logged in makes no file', async (t) => {
  const dir = tempDir(t);
  assert.equal((await eraseCredential('a.example', machine(dir))).erased, false);
  assert.equal((await eraseCredential('a.example', { ...machine(dir), authFile: join(dir, 'x.json') })).erased, false);
  assert.deepEqual(readdirSync(dir), []);
});

test('what the same file says of parts of the registry is told: it would win there', async (t) => {
  const dir = tempDir(t);
  const auths = {
    'a.example/empty': {},
    'a.example/team': basic('part:x'),
    'a.example.org/team': basic('other:x'),
    'b.example/one': basic('part:x'),
    'b.example/two/app': basic('part:x'),
  };
  const authFile = put(join(dir, 'auth.json'), { auths, credHelpers: { 'c.example/team': 'x' } });
  const options = { ...machine(dir), authFile };
  for (const host of ['a.example', 'b.example', 'c.example', 'd.example']) await storeCredential(host, LOGIN, options);
  await storeCredential('a.example/team', LOGIN, options);
  const told = (parts: string): string =>
    `${authFile} also holds credentials for ${parts}, which will be used there instead; remove them there if they have ended`;
  assert.deepEqual(
    options.warnings,
    ['a.example/team', 'b.example/one and other parts of b.example', 'c.example/team'].map(told),
  );
});

test('an earlier place that would win is told, and one that still knows after a logout', async (t) => {
  const dir = tempDir(t);
  const auths = { 'a.example': basic('early:x') };
  const early = put(join(dir, 'run/containers/auth.json'), { auths });
  const options = machine(dir, { DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) });
  await storeCredential('a.example', LOGIN, options);
  assert.equal(options.warnings.length, 2, options.warnings.join());
  assert.match(options.warnings[0] ?? '', /^DOCKER_AUTH_CONFIG is read before .*config\.json/);
  assert.ok(options.warnings[1]?.startsWith(early));
  await storeCredential('b.example', LOGIN, options);
  assert.equal(options.warnings.length, 2);

  const later = machine(dir);
  await eraseCredential('a.example', later);
  assert.equal(later.warnings.length, 1);
  assert.match(later.warnings[0] ?? '', /auth\.json still holds credentials for a\.example/);
  put(early, 'hunter2');
  const broken = machine(dir);
  await storeCredential('a.example', LOGIN, broken);
  assert.match(broken.warnings.join(), /auth\.json: this is not JSON/);
  assert.ok(!broken.warnings.join().includes('hunter2'));
  const own = { ...machine(dir), authFile: join(dir, 'own.json') };
  await storeCredential('a.example', LOGIN, own);
  assert.deepEqual(own.warnings, []);
});

test('helpers keep what their file says they keep', async (t) => {
  const dir = tempDir(t);
  const log = join(dir, 'log');
  put(
    join(dir, 'bin/docker-credential-fake'),
    `#!/bin/sh\nprintf '%s %s\\n' "$1" "$(cat)" >> ${log}\ncase "$1" in erase) exit 0;; store) exit 0;; esac\nexit 1\n`,
    0o755,
  );
  const path = put(join(dir, 'home/.docker/config.json'), {
    credHelpers: { 'a.example': 'fake', 'file.example': '' },
    auths: { 'a.example': { ...basic('old:old'), email: 'e' } },
  });
  const options = machine(dir);
  const said = (): string[] => {
    const lines = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
    writeFileSync(log, '');
    return lines;
  };
  assert.equal((await storeCredential('a.example', LOGIN, options)).helper, 'docker-credential-fake');
  assert.deepEqual(said(), ['store {"ServerURL":"a.example","Username":"u","Secret":"hunter2"}']);
  assert.deepEqual(json(path)['auths'], { 'a.example': { email: 'e' } });
  assert.equal((await storeCredential('file.example', LOGIN, options)).helper, undefined);
  assert.equal((await storeCredential('a.example/ns', LOGIN, options)).helper, undefined);
  assert.deepEqual(said().join(''), '');
  assert.equal((await eraseCredential('a.example', options)).erased, true);
  assert.deepEqual(said(), ['erase a.example']);

  put(path, { credsStore: 'fake' });
  await storeCredential('docker.io', { identityToken: 'hunter2' }, options);
  assert.deepEqual(said(), [
    'store {"ServerURL":"https://index.docker.io/v1/","Username":"<token>","Secret":"hunter2"}',
  ]);
  assert.deepEqual(json(path), { credsStore: 'fake', auths: { 'https://index.docker.io/v1/': {} } });
  await eraseCredential('docker.io', options);
  assert.deepEqual(said(), ['erase https://index.docker.io/v1/', 'erase docker.io']);
  assert.equal(
    (await refusal(storeCredential('b.example', { registryToken: 'hunter2' }, options))).code,
    'ERR_CREDENTIALS',
  );

  put(path, { credsStore: 'absent' });
  assert.equal((await refusal(storeCredential('a.example', LOGIN, options))).code, 'ERR_TOOL_MISSING');
  assert.deepEqual(json(path), { credsStore: 'absent' });
  put(join(dir, 'bin/docker-credential-absent'), '#!/bin/sh\ncat; echo hunter2 >&2; exit 7\n', 0o755);
  const failed = await refusal(storeCredential('a.example', LOGIN, options));
  assert.equal(failed.code, 'ERR_CREDENTIALS');
  assert.match(failed.message, /code 7/);
  assert.equal((await refusal(eraseCredential('a.example', options))).code, 'ERR_CREDENTIALS');
  put(
    join(dir, 'bin/docker-credential-absent'),
    '#!/bin/sh\necho "credentials not found in native keychain"; exit 1\n',
    0o755,
  );
  assert.equal((await eraseCredential('a.example', options)).erased, false);
});

test('a login that fails leaves no folder behind', async (t) => {
  const dir = tempDir(t);
  // The name has room for the file, and none for the lock beside it: the failure comes after the folders were made.
  const authFile = join(dir, 'made/deep', 'n'.repeat(252));
  const late = await refusal(storeCredential('a.example', LOGIN, { ...machine(dir), authFile }));
  assert.equal(late.detail['errno'], 'ENAMETOOLONG');
  put(join(dir, 'file'), '');
  const blocked = await refusal(
    storeCredential('a.example', LOGIN, { ...machine(dir), authFile: join(dir, 'file/a/b.json') }),
  );
  assert.equal(blocked.code, 'ERR_FILESYSTEM');
  assert.deepEqual(readdirSync(dir), ['file']);
});
