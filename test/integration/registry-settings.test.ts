/** skopeo and this library read and write the same auth files, mirrors and certificates, against docker-registry. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { RootfsError } from '../../src/errors.js';
import { createCredentialSearch } from '../../src/registry/credential-search.js';
import { createEndpointSearch, type EndpointSearchOptions } from '../../src/registry/endpoint-search.js';
import { eraseCredential, storeCredential } from '../../src/registry/login.js';
import { createRepository } from '../../src/registry/repository.js';
import { atEnd } from '../support/at-end.js';
import { type DockerRegistry, type DockerRegistryOptions, startDockerRegistry } from '../support/docker-registry.js';
import { type LayoutFixture, writeLayout } from '../support/oci-layout-fixture.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip = needs('docker-registry', 'skopeo', 'htpasswd', 'openssl');
const run = promisify(execFile);

interface Bench {
  readonly dir: string;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  /** Runs skopeo with a home of its own; answers its output, or `undefined` when it failed. */
  skopeo(...args: string[]): Promise<string | undefined>;
  put(path: string, content: string): string;
  serve(name: string, options?: DockerRegistryOptions): Promise<DockerRegistry>;
}

function bench(t: TestContext): Bench {
  const dir = tempDir(t, 'settings');
  const home = join(dir, 'home');
  const env = { HOME: home, PATH: process.env['PATH'], XDG_RUNTIME_DIR: join(dir, 'run') };
  mkdirSync(home);
  mkdirSync(env.XDG_RUNTIME_DIR);
  return {
    dir,
    home,
    env,
    async skopeo(...args) {
      return await run('skopeo', args, { env, timeout: 60_000 }).then(
        ({ stdout }) => stdout.trim(),
        () => undefined,
      );
    },
    put(path, content) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), content);
      return join(dir, path);
    },
    async serve(name, options) {
      const folder = join(dir, name);
      mkdirSync(folder);
      const registry = await startDockerRegistry(folder, options);
      atEnd(t, () => registry.stop());
      return registry;
    },
  };
}

function htpasswd(at: Bench, user: string, password: string): string {
  const line = execFileSync('htpasswd', ['-nbB', '-C', '4', user, password], { encoding: 'utf8' });
  return at.put('htpasswd', line.trim());
}

function image(at: Bench): LayoutFixture {
  return writeLayout(join(at.dir, 'layout'), [100, 5_000], 'one');
}

function endpoints(at: Bench, more: EndpointSearchOptions = {}): ReturnType<typeof createEndpointSearch> {
  return createEndpointSearch({
    env: at.env,
    hostsDirs: [join(at.dir, 'hosts')],
    certsDirs: [join(at.home, '.config/containers/certs.d')],
    registriesConf: {
      named: undefined,
      files: [join(at.home, '.config/containers/registries.conf')],
      folders: [],
    },
    ...more,
  });
}

test('what skopeo logs in is found here, what is stored here opens the door for skopeo', { skip }, async (t) => {
  const at = bench(t);
  const registry = await at.serve('private', { htpasswd: htpasswd(at, 'anna', 'p:ß "q"') });
  const { manifest } = image(at);
  const authFile = join(at.dir, 'skopeo-auth.json');
  const login = ['login', '--tls-verify=false', '--authfile', authFile, '-u', 'anna', '-p', 'p:ß "q"', registry.host];
  assert.notEqual(await at.skopeo(...login), undefined);
  const copy = ['copy', '--dest-tls-verify=false', '--authfile', authFile, `oci:${join(at.dir, 'layout')}:one`];
  assert.notEqual(await at.skopeo(...copy, `docker://${registry.host}/tests/image:one`), undefined);

  const name = `${registry.host}/tests/image`;
  const credentials = createCredentialSearch({ env: at.env, authFile });
  const resolved = await createRepository(name, { credentials, endpoints: endpoints(at) }).resolve('one');
  assert.equal(resolved.digest, manifest.digest);
  await assert.rejects(createRepository(name, { endpoints: endpoints(at) }).resolve('one'), {
    code: 'ERR_UNAUTHORIZED',
  });

  const ours = { env: at.env, authFile: join(at.dir, 'our-auth.json') };
  const inspect = ['inspect', '--raw', '--tls-verify=false', '--authfile', ours.authFile, `docker://${name}:one`];
  await storeCredential(registry.host, { username: 'anna', password: 'wrong' }, ours);
  assert.equal(await at.skopeo(...inspect), undefined);
  const refused = createRepository(name, { credentials: createCredentialSearch(ours), endpoints: endpoints(at) });
  const error = await refused.resolve('one').catch((caught: unknown) => caught);
  assert.ok(error instanceof RootfsError && error.code === 'ERR_UNAUTHORIZED', String(error));
  assert.ok(!`${error.message} ${JSON.stringify(error)}`.includes('wrong"'));
  await storeCredential(registry.host, { username: 'anna', password: 'p:ß "q"' }, ours);
  assert.ok(JSON.parse((await at.skopeo(...inspect)) ?? '') !== undefined);
  assert.equal(await at.skopeo('login', '--get-login', '--authfile', ours.authFile, registry.host), 'anna');
  await eraseCredential(registry.host, ours);
  assert.equal(await at.skopeo('login', '--get-login', '--authfile', ours.authFile, registry.host), undefined);
});

test('one file, the same answers: keys, spellings, parts of a registry', { skip }, async (t) => {
  const at = bench(t);
  const auth = (user: string): { auth: string } => ({ auth: Buffer.from(`${user}:x`).toString('base64') });
  const authFile = at.put(
    'auth.json',
    JSON.stringify({
      auths: {
        'https://index.docker.io/v1/': auth('hub'),
        'reg.example': auth('host'),
        'reg.example/ns': auth('ns'),
        'reg.example/ns/repo': auth('repo'),
        'reg.example:5000': auth('port'),
        'http://url.example/v2/': auth('url'),
        'empty.example': {},
      },
    }),
  );
  const search = createCredentialSearch({ env: at.env, authFile });
  for (const name of [
    'docker.io',
    'index.docker.io',
    'reg.example',
    'reg.example/other',
    'reg.example/ns',
    'reg.example/ns/x',
    'reg.example/ns/repo',
    'reg.example/nsx',
    'reg.example:5000',
    'reg.example:5001',
    'xreg.example',
    'reg.example.x',
    'url.example',
    'empty.example',
    'none.example',
  ]) {
    const [host = '', ...rest] = name.split('/');
    const repository = rest.length === 0 ? undefined : rest.join('/');
    const ours = (await search.credential({ host, repository }))?.credential.username;
    assert.equal(ours, await at.skopeo('login', '--get-login', '--authfile', authFile, name), name);
  }
});

test('skopeo keeps what is stored here, and this library what skopeo stored', { skip }, async (t) => {
  const at = bench(t);
  const registry = await at.serve('private', { htpasswd: htpasswd(at, 'anna', 'secret') });
  const options = { env: at.env, authFile: join(at.dir, 'auth.json') };
  await storeCredential('docker.io', { username: 'hub', password: 'x' }, options);
  await storeCredential('other.example/ns', { username: 'ns', password: 'y' }, options);
  const flags = ['--tls-verify=false', '--authfile', options.authFile];
  assert.notEqual(await at.skopeo('login', ...flags, '-u', 'anna', '-p', 'secret', registry.host), undefined);
  await storeCredential('third.example', { username: 'third', password: 'z' }, options);
  const { auths } = JSON.parse(readFileSync(options.authFile, 'utf8')) as { auths: object };
  assert.deepEqual(
    Object.keys(auths).sort(),
    ['https://index.docker.io/v1/', 'other.example/ns', 'third.example', registry.host].sort(),
  );
  assert.equal((await eraseCredential(registry.host, options)).erased, true);
  assert.equal(await at.skopeo('login', '--get-login', '--authfile', options.authFile, 'docker.io'), 'hub');
});

test('a moved and mirrored registry: skopeo and this library end at the same image', { skip }, async (t) => {
  const at = bench(t);
  const registry = await at.serve('real');
  const { manifest, layers, bytes } = image(at);
  const copy = ['copy', '--dest-tls-verify=false', `oci:${join(at.dir, 'layout')}:one`];
  for (const name of ['tests/image', 'cache/ns/image']) {
    assert.notEqual(await at.skopeo(...copy, `docker://${registry.host}/${name}:one`), undefined);
  }
  at.put(
    'home/.config/containers/registries.conf',
    `[[registry]]
prefix = "moved.example/team"
location = "${registry.host}/tests"
insecure = true
[[registry]]
prefix = "mirrored.example"
location = "127.0.0.1:1"
insecure = true
[[registry.mirror]]
location = "${registry.host}/cache"
insecure = true
[[registry]]
prefix = "*.wild.example"
location = "${registry.host}"
insecure = true
[[registry]]
location = "blocked.example"
blocked = true
`,
  );
  for (const name of ['moved.example/team/image', 'mirrored.example/ns/image', 'a.b.wild.example/tests/image']) {
    const theirs = await at.skopeo('inspect', '--no-tags', '--format', '{{.Digest}}', `docker://${name}:one`);
    assert.equal(theirs, manifest.digest, name);
    const repository = createRepository(name, { endpoints: endpoints(at), retry: 0 });
    assert.equal((await repository.resolve('one')).digest, theirs, name);
    const [layer] = layers;
    assert.ok(layer);
    const got: Uint8Array[] = [];
    for await (const chunk of await repository.fetch(layer)) got.push(chunk as Uint8Array);
    assert.deepEqual(Buffer.concat(got), bytes.get(layer.digest), name);
  }
  const absent = createRepository('moved.example/team/absent', { endpoints: endpoints(at), retry: 0 });
  await assert.rejects(absent.resolve('one'), { code: 'ERR_NOT_FOUND' });
  assert.equal(await at.skopeo('inspect', 'docker://blocked.example/x:one'), undefined);
  await assert.rejects(createRepository('blocked.example/x', { endpoints: endpoints(at) }).resolve('one'), {
    code: 'ERR_DENIED',
  });
});

test('hosts.toml: a host that is down falls back to the next, and to the server', { skip }, async (t) => {
  const at = bench(t);
  const registry = await at.serve('real');
  const { manifest } = image(at);
  const source = `oci:${join(at.dir, 'layout')}:one`;
  await at.skopeo('copy', '--dest-tls-verify=false', source, `docker://${registry.host}/ns/image:one`);
  const hosts = (text: string): string => at.put('hosts/far.example/hosts.toml', text);
  const digest = async (): Promise<string> =>
    (await createRepository('far.example/ns/image', { endpoints: endpoints(at), retry: 0 }).resolve('one')).digest;
  hosts(`server = "http://${registry.host}"\n[host."http://127.0.0.1:1"]\n`);
  assert.equal(await digest(), manifest.digest);
  hosts(`server = "http://127.0.0.1:1"\n[host."http://${registry.host}/v2"]\ncapabilities = ["pull", "resolve"]\n`);
  assert.equal(await digest(), manifest.digest);
  assert.match(registry.log(), /ns=far\.example/);
  hosts(`server = "http://127.0.0.1:1"\n[host."http://${registry.host}/v2"]\noverride_path = true\n`);
  assert.equal(await digest(), manifest.digest);
});

test('TLS: an authority from a folder of certificates, from an option, or no proof at all', { skip }, async (t) => {
  const at = bench(t);
  const file = (name: string): string => join(at.dir, name);
  const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.pem'),
    '-subj',
    '/CN=tests',
    '-days',
    '2',
  );
  openssl('req', ...key, '-keyout', file('tls.key'), '-out', file('tls.csr'), '-subj', '/CN=127.0.0.1');
  at.put('tls.ext', 'subjectAltName=IP:127.0.0.1\n');
  const sign = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', file('tls.ext')];
  openssl('x509', '-req', '-in', file('tls.csr'), '-out', file('tls.pem'), '-days', '2', ...sign);
  const registry = await at.serve('secure', { tls: { certificate: file('tls.pem'), key: file('tls.key') } });
  const { manifest } = image(at);
  const name = `${registry.host}/ns/image`;
  await at.skopeo('copy', '--dest-tls-verify=false', `oci:${join(at.dir, 'layout')}:one`, `docker://${name}:one`);
  const digest = async (said: EndpointSearchOptions = {}): Promise<string> =>
    (await createRepository(name, { endpoints: endpoints(at, said), retry: 0 }).resolve('one')).digest;

  await assert.rejects(digest({ tlsVerify: true }), { code: 'ERR_TLS' });
  assert.equal(await digest({ tlsVerify: false }), manifest.digest);
  assert.equal(await digest({ caFile: file('ca.pem') }), manifest.digest);
  const inspect = ['inspect', '--format', '{{.Digest}}', `docker://${name}:one`];
  assert.equal(await at.skopeo(...inspect), undefined);
  const folder = join(at.home, '.config/containers/certs.d', registry.host);
  mkdirSync(folder, { recursive: true });
  copyFileSync(file('ca.pem'), join(folder, 'ca.crt'));
  assert.equal(await at.skopeo(...inspect), manifest.digest);
  assert.equal(await digest(), manifest.digest);
  assert.ok(!existsSync(join(at.dir, 'hosts')));
});

test('a registry without proof that speaks http: what is not there is not found, not a failed handshake', {
  skip,
}, async (t) => {
  const at = bench(t);
  const registry = await at.serve('real');
  const { manifest } = image(at);
  const source = `oci:${join(at.dir, 'layout')}:one`;
  await at.skopeo('copy', '--dest-tls-verify=false', source, `docker://${registry.host}/ns/image:one`);
  const said = { endpoints: endpoints(at, { tlsVerify: false }), retry: 0 };
  await assert.rejects(createRepository(`${registry.host}/ns/absent`, said).resolve('one'), { code: 'ERR_NOT_FOUND' });
  assert.equal((await createRepository(`${registry.host}/ns/image`, said).resolve('one')).digest, manifest.digest);
});
