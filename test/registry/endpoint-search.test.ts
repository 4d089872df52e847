/** Where a repository is asked for: defaults, options, hosts.toml, registries.conf, folders of certificates. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { RootfsError } from '../../src/errors.js';
import type { Endpoint } from '../../src/registry/endpoint.js';
import { createEndpointSearch, type EndpointSearchOptions } from '../../src/registry/endpoint-search.js';
import { explainEndpoint } from '../../src/registry/explain-endpoint.js';
import { tempDir } from '../support/temp-dir.js';

const CA = '-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n';
const KEY = '-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n';

function put(path: string, content: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** A machine of its own: nothing of the real one is read. */
function machine(dir: string): EndpointSearchOptions {
  return {
    env: {},
    home: join(dir, 'home'),
    hostsDirs: [join(dir, 'containerd'), join(dir, 'docker')],
    certsDirs: [join(dir, 'user-certs'), join(dir, 'system-certs')],
    registriesConf: {
      named: undefined,
      files: [join(dir, 'user/registries.conf'), join(dir, 'system/registries.conf')],
      folders: [join(dir, 'system/registries.conf.d'), join(dir, 'user/registries.conf.d')],
    },
  };
}

async function ask(
  options: EndpointSearchOptions,
  host: string,
  repository = 'ns/app',
  reference?: string,
): Promise<readonly Endpoint[]> {
  return await createEndpointSearch(options).endpoints(host, repository, { reference });
}

async function urls(...args: Parameters<typeof ask>): Promise<string[]> {
  return (await ask(...args)).map(
    ({ baseUrl, repository, tls }) => `${baseUrl}/${repository}${tls?.skipVerify === true ? ' unverified' : ''}`,
  );
}

async function refusal(work: Promise<unknown>): Promise<RootfsError> {
  const error = await work.then(
    () => assert.fail('expected a refusal'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof RootfsError, inspect(error));
  assert.ok(!`${inspect(error, { depth: 10 })} ${JSON.stringify(error)}`.includes('hunter2'), 'a secret shows');
  return error;
}

test('without files: https, plain http for loopback hosts, Docker Hub under its own name', async (t) => {
  const options = machine(tempDir(t));
  const table: [string, string][] = [
    ['reg.example', 'https://reg.example'],
    ['reg.example:5000', 'https://reg.example:5000'],
    ['docker.io', 'https://registry-1.docker.io'],
    ['localhost:5000', 'http://localhost:5000'],
    ['a.localhost', 'http://a.localhost'],
    ['127.9.9.9:1', 'http://127.9.9.9:1'],
    ['[::1]:5000', 'http://[::1]:5000'],
    ['localhost.example', 'https://localhost.example'],
    ['128.0.0.1', 'https://128.0.0.1'],
  ];
  for (const [host, base] of table) assert.deepEqual(await urls(options, host), [`${base}/ns/app`]);
  assert.deepEqual(await ask(options, 'docker.io', 'library/alpine'), [
    {
      baseUrl: 'https://registry-1.docker.io',
      repository: 'library/alpine',
      credentialHost: 'docker.io',
      capabilities: ['pull', 'resolve', 'push'],
      source: 'default',
    },
  ]);
});

test('what is said wins over what is assumed', async (t) => {
  const dir = tempDir(t);
  const caFile = put(join(dir, 'ca.pem'), CA);
  const table: [EndpointSearchOptions, remote: string[], loopback: string[]][] = [
    [{ plainHttp: true }, ['http'], ['http']],
    [{ plainHttp: false }, ['https'], ['https']],
    [{ tlsVerify: true }, ['https'], ['https']],
    [{ tlsVerify: false }, ['https unverified', 'http'], ['https unverified', 'http']],
    [{ tlsVerify: false, plainHttp: false }, ['https unverified'], ['https unverified']],
    [{ caFile }, ['https'], ['https']],
  ];
  for (const [said, remote, loopback] of table) {
    const ways = async (host: string): Promise<string[]> =>
      (await urls({ ...machine(dir), ...said }, host)).map((url) => url.replace(/:\/\/\S*/, ''));
    assert.deepEqual(await ways('reg.example'), remote, inspect(said));
    assert.deepEqual(await ways('localhost:5000'), loopback, inspect(said));
  }
  assert.deepEqual((await ask({ ...machine(dir), caFile }, 'localhost:1'))[0]?.tls, { ca: [CA] });
  const wrong = await refusal(ask({ ...machine(dir), caFile: join(dir, 'none.pem') }, 'reg.example'));
  assert.equal(wrong.code, 'ERR_NOT_FOUND');
  put(join(dir, 'none.pem'), 'hunter2');
  const noPem = await refusal(ask({ ...machine(dir), caFile: join(dir, 'none.pem') }, 'reg.example'));
  assert.equal(noPem.code, 'ERR_TLS');
});

test('bad hosts and options are refused, an abort is answered with its reason', async (t) => {
  const options = machine(tempDir(t));
  const noUrls = ['10.0.0.256', '1.2.3.4.5:5000', 'registry.1'];
  for (const host of ['', '..', '../x', 'a/b', 'a b', 'a:b', 'http://x', '-a', `${'a'.repeat(9)}:123456`, ...noUrls]) {
    assert.equal((await refusal(ask(options, host))).code, 'ERR_OPTION_INVALID', host);
  }
  const wrong = [{ caFile: '' }, { plainHttp: 'yes' }, { tlsVerify: 0 }] as unknown as EndpointSearchOptions[];
  for (const each of wrong) assert.throws(() => createEndpointSearch(each), { code: 'ERR_OPTION_INVALID' });
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  await assert.rejects(createEndpointSearch(options).endpoints('a.example', 'b', { signal }), reason);
});

test('certs.d: the first folder that is there, authorities and a pair', async (t) => {
  const dir = tempDir(t);
  const system = join(dir, 'system-certs/reg.example:5000');
  put(join(system, 'ca.crt'), CA);
  put(join(system, 'other.crt'), CA);
  put(join(system, 'client.cert'), CA);
  put(join(system, 'client.key'), KEY);
  put(join(system, 'README'), 'hunter2');
  const [endpoint] = await ask(machine(dir), 'reg.example:5000');
  assert.deepEqual(endpoint?.tls, { ca: [CA, CA], cert: CA, key: KEY });
  assert.equal(endpoint?.source, system);
  assert.equal((await ask(machine(dir), 'reg.example'))[0]?.tls, undefined);
  put(join(dir, 'user-certs/reg.example:5000/ca.crt'), CA);
  assert.deepEqual((await ask(machine(dir), 'reg.example:5000'))[0]?.tls, { ca: [CA] });
  put(join(dir, 'system-certs/localhost:5000/ca.crt'), CA);
  assert.deepEqual(await urls(machine(dir), 'localhost:5000'), ['https://localhost:5000/ns/app']);
  mkdirSync(join(dir, 'system-certs/localhost:5001'));
  assert.deepEqual(await urls(machine(dir), 'localhost:5001'), ['http://localhost:5001/ns/app']);
  // As Fedora's packages have it for Red Hat's registry, on machines without a subscription.
  mkdirSync(join(dir, 'system-certs/link.example'));
  symlinkSync(join(dir, 'gone.pem'), join(dir, 'system-certs/link.example/redhat-ca.crt'));
  assert.deepEqual(await urls(machine(dir), 'link.example'), ['https://link.example/ns/app']);
  put(join(dir, 'docker/bare.example/ca.crt'), CA);
  assert.deepEqual((await ask(machine(dir), 'bare.example'))[0]?.tls, { ca: [CA] });

  const broken: [files: Record<string, string>, pattern: RegExp][] = [
    [{ 'ca.crt': 'hunter2' }, /ca\.crt: holds no certificate/],
    // One that was cut would be passed over, and its registry said to be trusted by nobody.
    [{ 'ca.crt': CA.slice(0, 40) }, /ca\.crt: holds no certificate/],
    [{ 'client.cert': CA }, /client\.cert: .*\.key/],
    [{ 'client.key': KEY }, /client\.key: .*\.cert/],
    [{ 'client.cert': CA, 'client.key': 'hunter2' }, /client\.key: holds no private key/],
  ];
  for (const [index, [files, pattern]] of broken.entries()) {
    for (const [name, content] of Object.entries(files))
      put(join(dir, `system-certs/b${index}.example`, name), content);
    const error = await refusal(ask(machine(dir), `b${index}.example`));
    assert.equal(error.code, 'ERR_TLS');
    assert.match(error.message, pattern);
  }
});

test('hosts.toml: hosts in the order of the file, then the server', async (t) => {
  const dir = tempDir(t);
  const path = put(
    join(dir, 'containerd/docker.io/hosts.toml'),
    `server = "https://docker.io"

[host."https://z-first.example"]
  capabilities = ["pull"]
[host."http://10.0.0.9:5000/prefix/v2/"]
  capabilities = ["Pull", "resolve"]
[host."https://a-last.example:8443/raw"]
  override_path = true
  skip_verify = true
  [host."https://a-last.example:8443/raw".header]
    x-one = "1"
    x-two = ["a", "b"]
[host."bare.example"]
`,
  );
  const found = await ask(machine(dir), 'docker.io', 'library/alpine');
  const mirror = { repository: 'library/alpine', mirrorOf: 'docker.io', source: path };
  assert.deepEqual(found, [
    { ...mirror, baseUrl: 'https://z-first.example', credentialHost: 'z-first.example', capabilities: ['pull'] },
    {
      ...mirror,
      baseUrl: 'http://10.0.0.9:5000/prefix',
      credentialHost: '10.0.0.9:5000',
      capabilities: ['pull', 'resolve'],
    },
    {
      ...mirror,
      baseUrl: 'https://a-last.example:8443/raw',
      overridePath: true,
      credentialHost: 'a-last.example:8443',
      capabilities: ['pull', 'resolve', 'push'],
      tls: { skipVerify: true },
      headers: { 'x-one': '1', 'x-two': 'a, b' },
    },
    {
      ...mirror,
      baseUrl: 'https://bare.example',
      credentialHost: 'bare.example',
      capabilities: ['pull', 'resolve', 'push'],
    },
    {
      baseUrl: 'https://registry-1.docker.io',
      repository: 'library/alpine',
      credentialHost: 'docker.io',
      capabilities: ['pull', 'resolve', 'push'],
      source: path,
    },
  ]);
});

test('hosts.toml: capabilities, containerd’s newest included', async (t) => {
  const dir = tempDir(t);
  for (const [text, expected] of [
    ['[]', ['pull', 'resolve', 'push']],
    ['["push", "PULL", "push"]', ['pull', 'push']],
    ['["referrers"]', []],
    ['["pull", "referrers"]', ['pull']],
    ['"resolve"', ['resolve']],
  ] as const) {
    put(join(dir, 'containerd/reg.example/hosts.toml'), `[host."https://m.example"]\ncapabilities = ${text}`);
    assert.deepEqual((await ask(machine(dir), 'reg.example'))[0]?.capabilities, expected, text);
  }
});

test('hosts.toml: which folder speaks for a host', async (t) => {
  const dir = tempDir(t);
  const server = (folder: string, name: string): string =>
    put(join(dir, folder, 'hosts.toml'), `server = "https://${name}.example"`);
  const first = async (host: string): Promise<string | undefined> => (await ask(machine(dir), host))[0]?.baseUrl;
  server('docker/_default', 'docker-default');
  assert.equal(await first('reg.example:5000'), 'https://docker-default.example');
  server('docker/reg.example:5000', 'docker');
  assert.equal(await first('reg.example:5000'), 'https://docker.example');
  server('containerd/_default', 'default');
  assert.equal(await first('reg.example:5000'), 'https://default.example');
  server('containerd/reg.example:5000', 'colon');
  assert.equal(await first('reg.example:5000'), 'https://colon.example');
  server('containerd/reg.example_5000_', 'underscore');
  assert.equal(await first('reg.example:5000'), 'https://underscore.example');
  assert.equal(await first('reg.example'), 'https://default.example');
  const [only] = await ask(machine(dir), 'other.example');
  assert.equal(only?.mirrorOf, 'other.example');
  assert.equal(only?.credentialHost, 'default.example');
});

test('hosts.toml: settings without a server are the registry’s own, and TLS files may be relative', async (t) => {
  const dir = tempDir(t);
  const folder = join(dir, 'containerd/reg.example');
  put(join(folder, 'ca.pem'), CA);
  put(join(folder, 'both.pem'), CA + KEY);
  put(join(folder, 'c.key'), KEY);
  const forms: [string, object][] = [
    ['ca = "ca.pem"', { ca: [CA] }],
    [`ca = ["ca.pem", "${join(folder, 'ca.pem')}"]`, { ca: [CA, CA] }],
    ['client = "both.pem"', { cert: CA + KEY, key: CA + KEY }],
    ['client = ["both.pem"]', { cert: CA + KEY, key: CA + KEY }],
    ['client = [["ca.pem", "c.key"]]', { cert: CA, key: KEY }],
    ['client = [["both.pem", ""]]', { cert: CA + KEY, key: CA + KEY }],
    ['skip_verify = true', { skipVerify: true }],
    ['skip_verify = false', { skipVerify: false }],
  ];
  for (const [text, tls] of forms) {
    const path = put(join(folder, 'hosts.toml'), text);
    const found = await ask(machine(dir), 'reg.example');
    assert.equal(found.length, 1);
    assert.deepEqual(found[0]?.tls, tls, text);
    assert.equal(found[0]?.baseUrl, 'https://reg.example');
    assert.equal(found[0]?.source, path);
    assert.equal(found[0]?.mirrorOf, undefined);
  }
  put(join(folder, 'hosts.toml'), 'skip_verify = true');
  assert.deepEqual((await ask({ ...machine(dir), tlsVerify: true }, 'reg.example'))[0]?.tls, { skipVerify: false });
  put(join(folder, 'hosts.toml'), 'server = "http://reg.example"');
  assert.deepEqual(await urls(machine(dir), 'reg.example'), ['http://reg.example/ns/app']);
  assert.deepEqual(await urls({ ...machine(dir), plainHttp: false }, 'reg.example'), ['https://reg.example/ns/app']);
});

test('hosts.toml that makes no sense is refused with its path and without its secrets', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'containerd/reg.example/hosts.toml');
  const table: [string, string][] = [
    ['server = "hunter2', 'ERR_OPTION_INVALID'],
    ['server = 5', 'ERR_OPTION_INVALID'],
    ['server = "ftp://x.example"', 'ERR_OPTION_INVALID'],
    ['server = "https://u:hunter2@x.example"', 'ERR_OPTION_INVALID'],
    ['server = "https://x.example/?token=hunter2"', 'ERR_OPTION_INVALID'],
    ['[host."https://"]', 'ERR_OPTION_INVALID'],
    ['host = "https://x.example"', 'ERR_OPTION_INVALID'],
    ['capabilities = ["fly"]', 'ERR_OPTION_INVALID'],
    ['capabilities = 3', 'ERR_OPTION_INVALID'],
    ['skip_verify = "yes"', 'ERR_OPTION_INVALID'],
    ['override_path = 1', 'ERR_OPTION_INVALID'],
    ['client = 3', 'ERR_OPTION_INVALID'],
    ['client = [["a", "b", "c"]]', 'ERR_OPTION_INVALID'],
    ['ca = "absent.pem"', 'ERR_NOT_FOUND'],
    ['ca = "hosts.toml"', 'ERR_TLS'],
    ['[header]\n"a b" = "hunter2"', 'ERR_OPTION_INVALID'],
    ['[header]\nauthorization = "hunter2\\r\\nx: y"', 'ERR_OPTION_INVALID'],
    ['[header]\nauthorization = ["hunter2"', 'ERR_OPTION_INVALID'],
    ['[header]\nauthorization = 5', 'ERR_OPTION_INVALID'],
  ];
  for (const [text, code] of table) {
    put(path, text);
    const error = await refusal(ask(machine(dir), 'reg.example'));
    assert.equal(error.code, code, `${text}: ${error.message}`);
    assert.ok(error.message.includes(dirname(path)), error.message);
  }
  put(path, '[host."https://m.example".header]\nauthorization = "hunter2"\n[host."__proto__"]\n');
  const shown = (await ask(machine(dir), 'reg.example')).map(explainEndpoint);
  assert.deepEqual(shown[0]?.headers, ['authorization']);
  assert.ok(!JSON.stringify(shown).includes('hunter2'));
});

test('hosts.toml: what is not done is said', async (t) => {
  const dir = tempDir(t);
  put(join(dir, 'containerd/reg.example/hosts.toml'), 'proxy = "http://u:hunter2@proxy.example"');
  const warnings: string[] = [];
  const onProgress: EndpointSearchOptions['onProgress'] = (event) =>
    event.type === 'warning:raised' && warnings.push(event.message);
  await ask({ ...machine(dir), onProgress }, 'reg.example');
  assert.match(warnings.join(), /hosts\.toml: proxy/);
  assert.ok(!warnings.join().includes('hunter2'));
  const pem = put(join(dir, 'containerd/two.example/both.pem'), CA + KEY);
  put(join(dir, 'containerd/two.example/hosts.toml'), `[host."https://m.example"]\nclient = ["${pem}", "${pem}"]`);
  await ask({ ...machine(dir), onProgress }, 'two.example');
  assert.match(warnings.pop() ?? '', /two\.example\/hosts\.toml: only the first client certificate/);
  put(join(dir, 'containerd/three.example/hosts.toml'), '[host."https://m.example"]\ndial_timeout = "3s"');
  await ask({ ...machine(dir), onProgress }, 'three.example');
  assert.match(warnings.pop() ?? '', /three\.example\/hosts\.toml: dial_timeout .* --timeout/);
});

test('registries.conf: a mirror on the registry’s own host is still a mirror', async (t) => {
  const dir = tempDir(t);
  const text = '[[registry]]\nlocation = "reg.example"\n[[registry.mirror]]\nlocation = "reg.example/cache"\n';
  put(join(dir, 'system/registries.conf'), text);
  const found = await ask(machine(dir), 'reg.example', 'x');
  assert.deepEqual(
    found.map(({ repository, mirrorOf }) => [repository, mirrorOf]),
    [
      ['cache/x', 'reg.example'],
      ['x', undefined],
    ],
  );
});

test('registries.conf: the longest prefix, where it points, its mirrors first', async (t) => {
  const dir = tempDir(t);
  const path = put(
    join(dir, 'system/registries.conf'),
    `unqualified-search-registries = ["docker.io"]
[[registry]]
location = "reg.example"
[[registry.mirror]]
location = "m0.example/cache"
[[registry]]
prefix = "reg.example/ns"
location = "moved.example:5000/other/"
[[registry.mirror]]
location = "m1.example/ns"
[[registry.mirror]]
location = "localhost:5001"
[[registry.mirror]]
location = "m2.example"
insecure = true
[[registry]]
prefix = "*.wild.example"
insecure = true
[[registry]]
prefix = "deep.wild.example"
location = "deep.wild.example"
[[registry]]
prefix = "*.all.example"
location = "one.example/all"
[[registry]]
prefix = "*.port.example"
location = "two.example"
[[registry.mirror]]
location = "three.example:8443"
[[registry]]
location = "loop.localhost:5000"
insecure = false
`,
  );
  const table: [host: string, repository: string, expected: string[]][] = [
    ['reg.example', 'x/y', ['https://m0.example/cache/x/y', 'https://reg.example/x/y']],
    ['reg.example', 'nsx', ['https://m0.example/cache/nsx', 'https://reg.example/nsx']],
    [
      'reg.example',
      'ns/app',
      [
        'https://m1.example/ns/app',
        'http://localhost:5001/app',
        'https://m2.example/app unverified',
        'http://m2.example/app',
        'https://moved.example:5000/other/app',
      ],
    ],
    ['reg.example:5000', 'ns/app', ['https://reg.example:5000/ns/app']],
    ['a.b.wild.example', 'x', ['https://a.b.wild.example/x unverified', 'http://a.b.wild.example/x']],
    ['a.wild.example:99', 'x', ['https://a.wild.example:99/x unverified', 'http://a.wild.example:99/x']],
    ['wild.example', 'x', ['https://wild.example/x']],
    ['evilwild.example', 'x', ['https://evilwild.example/x']],
    ['deep.wild.example', 'x', ['https://deep.wild.example/x']],
    ['a.all.example', 'x/y', ['https://one.example/all/x/y']],
    ['a.all.example:99', 'x/y', ['https://one.example/all/x/y']],
    // What skopeo makes of it: the wildcard matches the host without its port.
    ['a.port.example:99', 'x', ['https://three.example:8443/x', 'https://two.example:99/x']],
    ['loop.localhost:5000', 'x', ['https://loop.localhost:5000/x']],
  ];
  for (const [host, repository, expected] of table) {
    assert.deepEqual(await urls(machine(dir), host, repository), expected, `${host}/${repository}`);
  }
  const [mirror, , , , itself] = await ask(machine(dir), 'reg.example', 'ns/app');
  assert.deepEqual(mirror, {
    baseUrl: 'https://m1.example',
    repository: 'ns/app',
    mirrorOf: 'reg.example',
    credentialHost: 'm1.example',
    capabilities: ['pull', 'resolve'],
    source: path,
    sendsNamespace: false,
  });
  assert.equal(itself?.mirrorOf, undefined);
  assert.equal(itself?.credentialHost, 'moved.example:5000');
  assert.deepEqual(itself?.capabilities, ['pull', 'resolve', 'push']);
});

test('registries.conf: a host alone in the place of a whole name is refused, and no part of it asked', async (t) => {
  const dir = tempDir(t);
  const options = machine(dir);
  const itself = 'prefix = "reg.example/ns/app"\nlocation = "moved.example"\n';
  const mirror = 'location = "reg.example/ns/app"\n[[registry.mirror]]\nlocation = "moved.example"\n';
  for (const text of [itself, mirror]) {
    const path = put(join(dir, 'user/registries.conf'), `[[registry]]\n${text}`);
    const error = await refusal(ask(options, 'reg.example', 'ns/app', 'v1'));
    assert.equal(error.code, 'ERR_OPTION_INVALID');
    assert.ok(error.message.startsWith(`${path}: the location "moved.example" names no repository, `), error.message);
    assert.equal((await urls(options, 'reg.example', 'ns/app/part'))[0], 'https://moved.example/part');
  }
});

test('registries.conf: mirrors for digests or tags only', async (t) => {
  const dir = tempDir(t);
  put(
    join(dir, 'system/registries.conf'),
    `[[registry]]
location = "reg.example"
[[registry.mirror]]
location = "d.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "t.example"
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "a.example"
pull-from-mirror = ""
[[registry]]
location = "old.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "d.example"
`,
  );
  const hosts = async (host: string, reference?: string): Promise<string[]> =>
    (await ask(machine(dir), host, 'x', reference)).map((endpoint) => endpoint.credentialHost);
  const digest = `sha256:${'0'.repeat(64)}`;
  assert.deepEqual(await hosts('reg.example', 'latest'), ['t.example', 'a.example', 'reg.example']);
  assert.deepEqual(await hosts('reg.example', digest), ['d.example', 'a.example', 'reg.example']);
  assert.deepEqual(await hosts('reg.example'), ['d.example', 't.example', 'a.example', 'reg.example']);
  assert.deepEqual((await ask(machine(dir), 'reg.example', 'x'))[0]?.capabilities, ['pull']);
  assert.deepEqual(await hosts('old.example', 'latest'), ['old.example']);
  assert.deepEqual(await hosts('old.example', digest), ['d.example', 'old.example']);
});

test('registries.conf: blocked names are refused, and the file is named', async (t) => {
  const dir = tempDir(t);
  const path = put(
    join(dir, 'system/registries.conf'),
    `[[registry]]
location = "bad.example"
blocked = true
[[registry]]
location = "bad.example/good"
[[registry]]
prefix = "one.example/app:v1"
location = "one.example/app"
blocked = true
`,
  );
  const error = await refusal(ask(machine(dir), 'bad.example', 'x'));
  assert.equal(error.code, 'ERR_DENIED');
  assert.ok(error.message.includes(path) && error.message.startsWith('bad.example/x: '), error.message);
  assert.deepEqual(await urls(machine(dir), 'bad.example', 'good/x'), ['https://bad.example/good/x']);
  assert.equal((await refusal(ask(machine(dir), 'one.example', 'app', 'v1'))).code, 'ERR_DENIED');
  assert.deepEqual(await urls(machine(dir), 'one.example', 'app', 'v2'), ['https://one.example/app']);
});

test('a file that changes counts from the next question on, long ones too', async (t) => {
  const dir = tempDir(t);
  const options = machine(dir);
  for (const padding of ['', `# ${'x'.repeat(100_000)}\n`]) {
    for (const name of ['one', 'two']) {
      put(join(dir, 'containerd/reg.example/hosts.toml'), `${padding}server = "https://${name}.example"`);
      for (const _ of ['first', 'again']) {
        assert.deepEqual(await urls(options, 'reg.example'), [`https://${name}.example/ns/app`]);
      }
    }
  }
});

test('registries.conf: which files are read, and which of two rules is kept', async (t) => {
  const dir = tempDir(t);
  const moved = (path: string, to: string): string =>
    put(join(dir, path), `[[registry]]\nprefix = "reg.example"\nlocation = "${to}.example"\n`);
  const options = machine(dir);
  const first = async (given = options): Promise<string | undefined> => (await ask(given, 'reg.example'))[0]?.baseUrl;
  moved('system/registries.conf', 'system');
  assert.equal(await first(), 'https://system.example');
  moved('system/registries.conf.d/10.conf', 'drop10');
  moved('system/registries.conf.d/20.conf', 'drop20');
  moved('system/registries.conf.d/30.txt', 'nothing');
  assert.equal(await first(), 'https://drop20.example');
  moved('user/registries.conf.d/00.conf', 'userdrop');
  assert.equal(await first(), 'https://userdrop.example');
  const named = moved('named.conf', 'named');
  const places = { ...machine(dir).registriesConf, named } as NonNullable<EndpointSearchOptions['registriesConf']>;
  assert.equal(await first({ ...options, registriesConf: places }), 'https://userdrop.example');
  assert.equal(await first({ ...options, registriesConf: { ...places, folders: [] } }), 'https://named.example');
  put(join(dir, 'user/registries.conf.d/00.conf'), '');
  moved('user/registries.conf', 'user');
  assert.equal(await first(), 'https://user.example');
  const gone = { ...places, named: join(dir, 'gone.conf') };
  assert.equal((await refusal(first({ ...options, registriesConf: gone }))).code, 'ERR_NOT_FOUND');

  const home = join(dir, 'other-home');
  put(join(home, '.config/containers/registries.conf'), '[[registry]]\nlocation = "reg.example"\nblocked = true\n');
  const { registriesConf: _, ...own } = options;
  assert.equal((await refusal(first({ ...own, home }))).code, 'ERR_DENIED');
  const env = { CONTAINERS_REGISTRIES_CONF: named };
  assert.equal(await first({ ...own, home: join(dir, 'empty'), env }), 'https://named.example');
  const xdg = { XDG_CONFIG_HOME: join(home, '.config') };
  assert.equal((await refusal(first({ ...own, home: join(dir, 'empty'), env: xdg }))).code, 'ERR_DENIED');
});

test('registries.conf: the old form is read, what makes no sense is refused', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'system/registries.conf');
  put(
    path,
    `[registries.search]\nregistries = ["x.example"]\n[registries.insecure]\nregistries = ["i.example", "b.example"]\n[registries.block]\nregistries = ["b.example"]\n`,
  );
  assert.deepEqual(await urls(machine(dir), 'i.example', 'x'), [
    'https://i.example/x unverified',
    'http://i.example/x',
  ]);
  assert.equal((await refusal(ask(machine(dir), 'b.example'))).code, 'ERR_DENIED');
  for (const text of [
    '[[registry]]\n',
    '[[registry]]\nprefix = "a.example"\n',
    '[[registry]]\nlocation = "https://a.example"\n',
    '[[registry]]\nprefix = "*.a.example/x"\n',
    '[[registry]]\nprefix = "*"\n',
    '[[registry]]\nprefix = "a.*.example"\nlocation = "b.example"\n',
    '[[registry]]\nprefix = "a.example"\nlocation = "b.example/x:tag"\n',
    '[[registry]]\nlocation = "a.example"\ninsecure = "yes"\n',
    '[[registry]]\nlocation = "a.example"\nblocked = 1\n',
    '[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\n',
    '[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\nlocation = "../x"\n',
    '[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\nlocation = "b.example"\npull-from-mirror = "never"\n',
    '[[registry]]\nlocation = "a.example"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "b.example"\npull-from-mirror = "all"\n',
    '[registry]\nlocation = "a.example"\n',
    '[[registry]]\nlocation = "a.example"\npull-from-mirror = "digest-only"\n',
    // Said twice and differently: whichever won, somebody's block or trust would be lost.
    '[[registry]]\nlocation = "a.example"\n[[registry]]\nlocation = "a.example"\nblocked = true\n',
    '[[registry]]\nlocation = "a.example"\ninsecure = true\n[[registry]]\nlocation = "a.example"\n',
    '[[registry]]\nlocation = "a.example"\n[[registry]]\nprefix = "b.example"\nlocation = "a.example"\nblocked = true\n',
    'unqualified-search-registries = []\n[registries.search]\nregistries = []\n',
    '[registries.block]\nregistries = ["https://a.example"]\n',
    '[registries.insecure]\nregistries = ["https://a.example"]\n',
    '[[registry]]\nlocation = "a.example"\n[registries.search]\nregistries = []\n',
    'hunter2 = [',
    'x = 1\nx = 2',
  ]) {
    put(path, text);
    const error = await refusal(ask(machine(dir), 'a.example'));
    assert.equal(error.code, 'ERR_OPTION_INVALID', text);
    assert.ok(error.message.startsWith(`${path}: `), error.message);
  }
  put(path, '\n\nx = hunter2');
  assert.match((await refusal(ask(machine(dir), 'a.example'))).message, /line 3/);
});

test('both kinds of files at once: mirrors of both, each place once', async (t) => {
  const dir = tempDir(t);
  put(
    join(dir, 'containerd/reg.example/hosts.toml'),
    '[host."https://m.example"]\ncapabilities = ["pull", "resolve"]\n',
  );
  put(
    join(dir, 'system/registries.conf'),
    '[[registry]]\nlocation = "reg.example"\n[[registry.mirror]]\nlocation = "m.example"\n[[registry.mirror]]\nlocation = "n.example"\n',
  );
  assert.deepEqual(await urls(machine(dir), 'reg.example', 'x'), [
    'https://m.example/x',
    'https://n.example/x',
    'https://reg.example/x',
  ]);
  const ends = await ask({ ...machine(dir), plainHttp: true }, 'reg.example', 'x');
  assert.deepEqual(
    ends.map((endpoint) => endpoint.baseUrl),
    ['https://m.example', 'https://n.example', 'http://reg.example'],
  );
});

test('a file that is there and cannot be read is an error with its path', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'system/registries.conf');
  mkdirSync(path, { recursive: true });
  const folder = await refusal(ask(machine(dir), 'reg.example'));
  assert.equal(folder.code, 'ERR_FILESYSTEM');
  assert.ok(folder.message.startsWith(path), folder.message);
});

test('an explanation names everything but secrets', () => {
  const endpoint: Endpoint = {
    baseUrl: 'https://m.example/root',
    overridePath: true,
    repository: 'a/b',
    mirrorOf: 'reg.example',
    credentialHost: 'm.example',
    capabilities: ['pull'],
    tls: { ca: [CA], cert: CA, key: KEY, skipVerify: true },
    headers: { 'x-token': 'hunter2' },
    source: '/etc/x',
  };
  assert.deepEqual(explainEndpoint(endpoint), {
    url: 'https://m.example/root',
    repository: 'a/b',
    mirrorOf: 'reg.example',
    credentialHost: 'm.example',
    capabilities: ['pull'],
    tls: 'unverified',
    ownAuthorities: true,
    clientCertificate: true,
    headers: ['x-token'],
    source: '/etc/x',
  });
  const { overridePath: _o, mirrorOf: _m, tls: _t, headers: _h, ...plain } = endpoint;
  assert.deepEqual(explainEndpoint({ ...plain, baseUrl: 'http://localhost' }), {
    url: 'http://localhost/v2',
    repository: 'a/b',
    credentialHost: 'm.example',
    capabilities: ['pull'],
    tls: 'none',
    ownAuthorities: false,
    clientCertificate: false,
    headers: [],
    source: '/etc/x',
  });
});

test('a file in the place of a host folder is passed over for the next root', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'containerd'), { recursive: true });
  writeFileSync(join(dir, 'containerd', 'a.example'), 'no folder');
  mkdirSync(join(dir, 'docker', 'a.example'), { recursive: true });
  writeFileSync(join(dir, 'docker', 'a.example', 'hosts.toml'), 'server = "https://b.example"\n');
  assert.deepEqual(await urls(machine(dir), 'a.example'), ['https://b.example/ns/app']);
});
