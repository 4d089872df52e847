/** Bad input through the command: each a stable code, a message with its subject first, an exit code, nothing left. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type BuiltImage,
  closedPort,
  type document,
  type Fault,
  image,
  index,
  startRegistry,
  writeLayout,
} from '../../src/testing/testing.js';
import { layerNames } from '../support/layer-files.js';
import { rootfs } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const built: BuiltImage = image()
  .layer((layer) => layer.file('a', 'base'))
  .layer((layer) => layer.file('b', 'middle'.repeat(1000)))
  .layer((layer) => layer.file('c', 'top'))
  .build();

interface Expected {
  readonly code: string;
  readonly exit: number;
  readonly message: RegExp;
}

/** Runs extract and checks how it fails: as text, as JSON, and that nothing under a final name is left. */
async function assertFails(
  t: { after(fn: () => void): void },
  reference: string,
  expected: Expected,
  ...options: string[]
): Promise<void> {
  const dst = join(tempDir(t), 'dst');
  const done = await rootfs(['extract', '-q', '--retry', '1', '--timeout', '2s', '--dst', dst, ...options, reference]);
  const shown = `${reference}: ${done.stderr}`;
  assert.equal(done.code, expected.exit, shown);
  assert.equal(done.stdout, '', shown);
  assert.match(done.stderr, expected.message, shown);
  assert.ok(done.stderr.trimEnd().split('\n').length <= 2, shown);
  assert.ok(done.stderr.includes(`[${expected.code}]`), shown);
  assert.deepEqual(
    layerNames(dst).filter((name) => !built.layers.some(({ diffId }) => diffId.endsWith(name))),
    [],
  );
  if (existsSync(join(dst, 'ingest'))) assert.deepEqual(readdirSync(join(dst, 'ingest')), [], shown);
  const again = await rootfs([
    'extract',
    '-q',
    '--json',
    '--retry',
    '1',
    '--timeout',
    '2s',
    '--dst',
    dst,
    ...options,
    reference,
  ]);
  assert.equal(again.code, expected.exit);
  const { error } = JSON.parse(again.stderr) as { error: { code: string; message: string } };
  assert.equal(error.code, expected.code);
}

const REFERENCES: readonly (readonly [reference: string, code: string, exit: number, message: RegExp])[] = [
  ['localhost:5000/Upper', 'ERR_REFERENCE_INVALID', 2, /lower.?case/i],
  ['a b', 'ERR_REFERENCE_INVALID', 2, /a b/],
  ['name:', 'ERR_REFERENCE_INVALID', 2, /name:/],
  ['name:-tag', 'ERR_REFERENCE_INVALID', 2, /name:-tag/],
  ['name@sha256:short', 'ERR_DIGEST_INVALID', 2, /sha256:short/],
  ['name@sha256:../../etc/passwd', 'ERR_DIGEST_INVALID', 2, /passwd/],
  ['e'.repeat(64), 'ERR_REFERENCE_INVALID', 2, /image ID/],
  ['oci:', 'ERR_REFERENCE_INVALID', 2, /oci:/],
  ['oci:/nowhere/at/all', 'ERR_NOT_FOUND', 3, /\/nowhere\/at\/all/],
];

for (const [reference, code, exit, message] of REFERENCES) {
  test(`reference ${reference}`, (t) => assertFails(t, reference, { code, exit, message }));
}

test('a flipped byte in each blob of an image in turn', async (t) => {
  const folder = tempDir(t);
  for (const [digest, bytes] of built.blobs) {
    const layout = join(folder, digest.slice(7, 19));
    await writeLayout(layout, { latest: built });
    const damaged = Buffer.from(bytes);
    const at = damaged.length >> 1;
    damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
    const path = join(layout, 'blobs', digest.replace(':', '/'));
    rmSync(path);
    writeFileSync(path, damaged);
    await assertFails(t, `oci:${layout}:latest`, { code: 'ERR_DIGEST_MISMATCH', exit: 5, message: /sha256:/ });
  }
  assert.ok(built.blobs.size >= 5);
});

test('a truncated and an over-long blob, and one that is missing', async (t) => {
  const layer = built.layers[1]?.descriptor;
  assert.ok(layer !== undefined);
  const spoil = async (how: (path: string) => void): Promise<string> => {
    const layout = join(tempDir(t), 'layout');
    await writeLayout(layout, { latest: built });
    how(join(layout, 'blobs', layer.digest.replace(':', '/')));
    return `oci:${layout}:latest`;
  };
  const integrity = { exit: 5, message: new RegExp(layer.digest) };
  await assertFails(t, await spoil((path) => truncateSync(path, layer.size - 3)), {
    code: 'ERR_DIGEST_MISMATCH',
    ...integrity,
  });
  await assertFails(
    t,
    await spoil((path) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('x')]))),
    { code: 'ERR_SIZE_MISMATCH', ...integrity },
  );
  await assertFails(t, await spoil((path) => rmSync(path)), {
    code: 'ERR_NOT_FOUND',
    exit: 3,
    message: new RegExp(layer.digest),
  });
});

const WRONG_IMAGES: readonly (readonly [
  what: string,
  make: () => ReturnType<typeof document> | BuiltImage,
  Expected,
])[] = [
  [
    'a wrong diff_id',
    () =>
      image()
        .layer((layer) => layer.file('a', 'x'))
        .configFields({ rootfs: { type: 'layers', diff_ids: [`sha256:${'1'.repeat(64)}`] } })
        .build(),
    { code: 'ERR_DIFFID_MISMATCH', exit: 5, message: /sha256:1111/ },
  ],
  [
    'more layers than diff_ids',
    () =>
      image()
        .layer((layer) => layer.file('a', 'x'))
        .configFields({ rootfs: { type: 'layers', diff_ids: [] } })
        .build(),
    { code: 'ERR_CONFIG_INVALID', exit: 5, message: /1 .*0 / },
  ],
  [
    'a config that is no image config',
    () =>
      image()
        .layer((layer) => layer.file('a', 'x'))
        .configFields({ rootfs: 'none', os: 7 })
        .build(),
    { code: 'ERR_CONFIG_INVALID', exit: 5, message: /config/ },
  ],
  [
    'a layer of unknown type',
    () =>
      image()
        .layer((layer) => layer.file('a', 'x'), { mediaType: 'application/x-cpio' })
        .build(),
    { code: 'ERR_MEDIA_TYPE_UNSUPPORTED', exit: 1, message: /application\/x-cpio/ },
  ],
  [
    'garbage behind gzip',
    () => {
      const good = image()
        .layer((layer) => layer.file('a', 'x'))
        .build();
      const [layer] = good.layers;
      assert.ok(layer !== undefined);
      const blob = Buffer.concat([good.blobs.get(layer.descriptor.digest) ?? Buffer.alloc(0), Buffer.from('garbage')]);
      return image().layer(layer.tar, { blob }).build();
    },
    { code: 'ERR_DECOMPRESS', exit: 5, message: /sha256:/ },
  ],
  [
    'a manifest over 4 MiB',
    () =>
      image()
        .layer((layer) => layer.file('a', 'x'))
        .annotations({ long: 'x'.repeat(4 * 1024 * 1024) })
        .build(),
    { code: 'ERR_LIMIT_EXCEEDED', exit: 5, message: /4194304|4 MiB/ },
  ],
  ['an index of nothing', () => index().build(), { code: 'ERR_PLATFORM_NOT_FOUND', exit: 3, message: /linux/ }],
];

for (const [what, make, expected] of WRONG_IMAGES) {
  test(what, async (t) => {
    const layout = join(tempDir(t), 'layout');
    await writeLayout(layout, { latest: make() });
    await assertFails(t, `oci:${layout}:latest`, expected);
  });
}

test('bombs: by ratio and by absolute size', async (t) => {
  const layout = join(tempDir(t), 'layout');
  const bomb = image()
    .layer((layer) => layer.file('zeros', Buffer.alloc(8 * 1024 * 1024)))
    .build();
  await writeLayout(layout, { latest: bomb });
  await assertFails(
    t,
    `oci:${layout}:latest`,
    { code: 'ERR_LIMIT_EXCEEDED', exit: 5, message: /1048576/ },
    '--max-layer-size',
    '1MiB',
  );
});

test('a pattern that is none: a usage error before anything is asked', async (t) => {
  const image = `127.0.0.1:${await closedPort()}/app:v1`;
  const dst = join(tempDir(t), 'dst');
  for (const words of [
    ['unpack', '--dst', dst, '--include', '../etc'],
    ['bundle', '--dst', dst, '--exclude', 'a/../b'],
    ['flatten', '-o', dst, '--include', '/'],
  ]) {
    const { code, stderr } = await rootfs([...words, image]);
    assert.equal(code, 2, `${words[0]}: ${stderr}`);
    assert.match(stderr, /(include|exclude) "[^"]*": expected a path pattern below the root/);
  }
});

test('--dst is a file, a dangling link, or below one: a usage error before anything is asked, whoever makes it', async (t) => {
  const folder = tempDir(t);
  const file = join(folder, 'file');
  const link = join(folder, 'link');
  writeFileSync(file, 'kept');
  symlinkSync(join(folder, 'nowhere'), link);
  const image = `127.0.0.1:${await closedPort()}/app:v1`;
  for (const command of ['extract', 'unpack', 'bundle', 'overlay']) {
    for (const dst of [file, join(file, 'dst'), link]) {
      const done = await rootfs([command, '-q', '--dst', dst, image]);
      assert.equal(done.code, 2, `${command} ${dst}: ${done.stderr}`);
      assert.ok(done.stderr.startsWith(`rootfs: --dst ${dst}: expected `), done.stderr);
      assert.match(done.stderr, /found something .*; name another folder \[ERR_OPTION_INVALID\]\n$/);
    }
  }
  assert.equal(readFileSync(file, 'utf8'), 'kept');
  assert.deepEqual(readdirSync(folder), ['file', 'link']);
});

test('overlay without a place for it: said before anything is asked', async () => {
  const image = `127.0.0.1:${await closedPort()}/app:v1`;
  for (const options of [[], ['--no-store'], ['--no-store', '--rw', 'run']]) {
    const done = await rootfs(['overlay', '-q', ...options, image]);
    assert.equal(done.code, 2, done.stderr);
    assert.match(done.stderr, /^rootfs: overlay: --dst is missing; .*\[ERR_OPTION_INVALID\]\n$/);
  }
});

test('the caches: a store that was named is there, or that is the error; one that nobody named may be missing', async (t) => {
  const folder = tempDir(t);
  const file = join(folder, 'file');
  const none = join(folder, 'none');
  writeFileSync(file, '');
  for (const action of ['ls', 'verify', 'prune']) {
    const missing = await rootfs(['cache', action, '--store', none]);
    assert.equal(missing.code, 3, missing.stderr);
    assert.equal(missing.stderr, `rootfs: --store ${none}: there is no such folder; check the path [ERR_NOT_FOUND]\n`);
    const wrong = await rootfs(['cache', action, '--store', file]);
    assert.equal(wrong.code, 2, wrong.stderr);
    assert.match(wrong.stderr, /--store .*file: expected a folder, .*\[ERR_OPTION_INVALID\]/);
    const fresh = await rootfs(['cache', action], { env: { XDG_CACHE_HOME: none } });
    assert.equal(fresh.code, 0, fresh.stderr);
  }
  assert.deepEqual(readdirSync(folder), ['file']);
});

test('DIR where nobody may write', async (t) => {
  const layout = join(tempDir(t), 'layout');
  await writeLayout(layout, { latest: built });
  const proc = await rootfs(['extract', '-q', '--dst', '/proc/rootfs-kit', `oci:${layout}`]);
  assert.equal(proc.code, 1);
  assert.match(proc.stderr, /\/proc\/rootfs-kit/);
  const root = await rootfs(['unpack', '-q', '--no-store', '--dst', '/proc/rootfs-kit', `oci:${layout}`]);
  assert.equal(root.code, 1);
  assert.match(root.stderr, /^rootfs: \/proc\/rootfs-kit: ENOENT: .*; choose another place \[ERR_FILESYSTEM\]$/m);
});

const SERVED: readonly (readonly [what: string, fault: Fault, Expected])[] = [
  ['schema 1', { on: 'manifest', do: 'schema1' }, { code: 'ERR_SCHEMA1_UNSUPPORTED', exit: 1, message: /schema 1/ }],
  ['a web page', { on: 'manifest', do: 'html' }, { code: 'ERR_REGISTRY', exit: 6, message: /127\.0\.0\.1/ }],
  [
    '401 for ever',
    { on: 'any', do: 'expire-tokens', beforeAuth: true },
    { code: 'ERR_UNAUTHORIZED', exit: 4, message: /denied|unauthorized|login/i },
  ],
  [
    'no such tag',
    { on: 'manifest', do: 'answer', status: 404, body: { errors: [{ code: 'MANIFEST_UNKNOWN' }] } },
    { code: 'ERR_NOT_FOUND', exit: 3, message: /not found/ },
  ],
  [
    '403',
    { on: 'any', do: 'answer', status: 403, body: { errors: [{ code: 'DENIED' }] } },
    { code: 'ERR_DENIED', exit: 4, message: /denied/ },
  ],
  ['500 for ever', { on: 'blob', do: 'answer', status: 500 }, { code: 'ERR_REGISTRY', exit: 6, message: /500/ }],
  ['a flipped blob', { on: 'blob', do: 'flip' }, { code: 'ERR_DIGEST_MISMATCH', exit: 5, message: /sha256:/ }],
  ['an endless blob', { on: 'blob', do: 'endless' }, { code: 'ERR_SIZE_MISMATCH', exit: 5, message: /sha256:/ }],
];

for (const [what, fault, expected] of SERVED) {
  test(`a registry that serves ${what}`, async (t) => {
    const needsToken = what.startsWith('401');
    await using registry = await startRegistry(needsToken ? { auth: { kind: 'bearer' } } : {});
    registry.add('bad', 'latest', built);
    registry.fault(fault);
    await assertFails(t, `${registry.host}/bad`, expected);
  });
}

test('a realm that is not http(s)', async (t) => {
  await using registry = await startRegistry({ auth: { kind: 'bearer', realm: 'file:///etc/passwd' } });
  registry.add('bad', 'latest', built);
  await assertFails(t, `${registry.host}/bad`, {
    code: 'ERR_REGISTRY',
    exit: 6,
    message: /realm refused: it is a file: address/,
  });
});

test('nobody there, no such host, the wrong protocol', async (t) => {
  const port = await closedPort();
  await assertFails(t, `127.0.0.1:${port}/x`, {
    code: 'ERR_NETWORK',
    exit: 6,
    message: /127\.0\.0\.1:\d+: connection refused/,
  });
  await assertFails(t, 'no-such-host.invalid/x', { code: 'ERR_NETWORK', exit: 6, message: /no-such-host\.invalid/ });
  await using registry = await startRegistry({ tls: 'self-signed' });
  registry.add('tls', 'latest', built);
  await assertFails(t, `${registry.host}/tls`, { code: 'ERR_TLS', exit: 6, message: /TLS/ });
  await assertFails(
    t,
    `${registry.host}/tls`,
    { code: 'ERR_TLS', exit: 6, message: /certificate/ },
    '--plain-http=false',
  );
});

test('a folder in the way is named', async (t) => {
  const layout = join(tempDir(t), 'layout');
  await writeLayout(layout, { latest: built });
  const dst = join(tempDir(t), 'dst');
  mkdirSync(join(dst, 'sha256', built.layers[0]?.diffId.slice(7) ?? ''), { recursive: true });
  const done = await rootfs(['extract', '-q', '--dst', dst, `oci:${layout}`]);
  assert.equal(done.code, 1, done.stderr);
  assert.match(done.stderr, /a folder stands where a blob belongs/);
});

test('what is only read says how it is deleted instead', async (t) => {
  const folder = tempDir(t);
  const layout = join(folder, 'layout');
  await writeLayout(layout, { latest: built });
  for (const [place, advice] of [
    [`dir:${join(folder, 'dir')}`, 'remove its folder instead'],
    [`oci-archive:${join(folder, 'image.tar')}`, 'remove its file instead'],
  ] as const) {
    assert.equal((await rootfs(['copy', '-q', `oci:${layout}`, place])).code, 0);
    const refused = await rootfs(['delete', place]);
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(refused.stderr, new RegExp(`is only read; ${advice}.*\\[ERR_UNSUPPORTED\\]`));
  }
});
