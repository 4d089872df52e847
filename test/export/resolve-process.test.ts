import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProcessOptions, type ResolvedProcess, resolveProcess } from '../../src/export/resolve-process.js';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { configImage } from '../support/config-image.js';
import { mergeBuilt } from '../support/layers.js';
import { tempDir } from '../support/temp-dir.js';

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const passwd = [
  'root:x:0:0:root:/root:/bin/sh',
  'broken:x:zero:zero::/:/bin/sh',
  '',
  'app:x:1000:1001:App:/home/app:/bin/sh',
  '42:x:4242:4343::/number:/bin/sh',
  'big:x:2147483648:1::/:/bin/sh',
  'nohome:x:77:78:::',
].join('\n');
const group = [
  'root:x:0:',
  'app:x:1001:',
  'video:x:44:other,app',
  'audio:x:45:app',
  'oops:x:none:app',
  '#wheel:x:10:app',
  ' # docker:x:11:app',
].join('\n');

async function resolve(
  t: { after(fn: () => void): void },
  config: Readonly<Record<string, unknown>>,
  options: ProcessOptions = {},
  base: LayerBuilder = new LayerBuilder().file('etc/passwd', passwd).file('etc/group', group),
): Promise<ResolvedProcess> {
  const { tree, layers } = await mergeBuilt(tempDir(t), base);
  return resolveProcess(configImage({ Cmd: ['sh'], ...config }), tree, layers, options);
}

const users: readonly (readonly [spec: string, uid: number, gid: number, groups: readonly number[], home: string])[] = [
  ['', 0, 0, [0], '/root'],
  ['root', 0, 0, [0], '/root'],
  ['0', 0, 0, [0], '/root'],
  ['app', 1000, 1001, [1001, 44, 45], '/home/app'],
  ['1000', 1000, 1001, [1001, 44, 45], '/home/app'],
  ['app:', 1000, 1001, [1001, 44, 45], '/home/app'],
  ['app:video', 1000, 44, [44], '/home/app'],
  ['app:5', 1000, 5, [5], '/home/app'],
  ['5000', 5000, 0, [0], '/'],
  ['5000:6000', 5000, 6000, [6000], '/'],
  ['5000:audio', 5000, 45, [45], '/'],
  [':video', 0, 44, [44], '/root'],
  ['42', 42, 0, [0], '/'],
  ['app:44', 1000, 44, [44], '/home/app'],
  ['nohome', 77, 78, [78], '/'],
];

for (const [spec, uid, gid, groups, home] of users) {
  test(`user ${JSON.stringify(spec)} is ${uid}:${gid}`, async (t) => {
    const found = await resolve(t, { User: spec });
    assert.deepEqual([found.uid, found.gid, found.additionalGids], [uid, gid, groups]);
    assert.ok(found.env.includes(`HOME=${home}`));
  });
}

test('the layers need not be given again for a tree that mergeLayers made', async (t) => {
  const base = new LayerBuilder().file('etc/passwd', passwd).file('etc/group', group);
  const { tree } = await mergeBuilt(tempDir(t), base);
  const found = resolveProcess(configImage({ Cmd: ['sh'], User: 'app' }), tree);
  assert.deepEqual([found.uid, found.gid, found.additionalGids], [1000, 1001, [1001, 44, 45]]);
  assert.throws(() => resolveProcess(configImage({ Cmd: ['sh'] }), { ...tree }), {
    code: 'ERR_OPTION_INVALID',
    message: /^layers: /,
  });
});

for (const [spec, code, message] of [
  [
    'nobody',
    'ERR_NOT_FOUND',
    /unable to find user nobody: no matching entries in passwd file; give another .*; rootfs unpack/,
  ],
  ['broken', 'ERR_NOT_FOUND', /unable to find user broken/],
  ['5000:#wheel', 'ERR_NOT_FOUND', /unable to find group #wheel/],
  ['app:none', 'ERR_NOT_FOUND', /unable to find group none: no matching entries in group file/],
  [
    '2147483648',
    'ERR_CONFIG_INVALID',
    /uids and gids must be in range 0-2147483647, found 2147483648; give another .*; rootfs unpack/,
  ],
  ['-1', 'ERR_CONFIG_INVALID', /range/],
  ['app:-5', 'ERR_CONFIG_INVALID', /range/],
  ['a b', 'ERR_NOT_FOUND', /user a b/],
  ['../../etc', 'ERR_NOT_FOUND', /user/],
] as const) {
  test(`user ${JSON.stringify(spec)} is refused`, async (t) => {
    await assert.rejects(resolve(t, { User: spec }), (error: Error & { code?: string }) => {
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  });
}

test('accounts are read inside the root, through its links, and nothing else is taken for them', async (t) => {
  const linked = new LayerBuilder()
    .file('private/accounts', 'inner:x:7:8::/inner:')
    .symlink('etc', '/private/../../private')
    .symlink('private/passwd', '/../../private/accounts')
    .symlink('private/group', '/no/such');
  assert.equal((await resolve(t, { User: 'inner' }, {}, linked)).uid, 7);
  const outside = new LayerBuilder().symlink('etc/passwd', '../../../../../../../../etc/passwd');
  await assert.rejects(resolve(t, { User: 'daemon' }, {}, outside), { code: 'ERR_NOT_FOUND' });
  const device = new LayerBuilder().device('etc/passwd', 'char', 1, 5).fifo('etc/group');
  assert.equal((await resolve(t, { User: '9' }, {}, device)).uid, 9);
  const huge = new LayerBuilder().file('etc/passwd', Buffer.alloc(9 * 1024 * 1024));
  await assert.rejects(resolve(t, {}, {}, huge), { code: 'ERR_LIMIT_EXCEEDED' });
});

test('arguments, environment and directory: image first, options over it', async (t) => {
  const config = {
    Entrypoint: ['/entry', '-x'],
    Cmd: ['one'],
    Env: ['A=1', 'B=2=3', 'A=4', 'HOME=/mine', '=odd', 'TAKEN'],
    WorkingDir: 'srv/../app/',
  };
  const plain = await resolve(t, config);
  assert.deepEqual(plain.argv, ['/entry', '-x', 'one']);
  assert.deepEqual(plain.env, [PATH, 'HOME=/mine', 'A=4', 'B=2=3']);
  assert.equal(plain.cwd, '/app');
  const changed = await resolve(t, config, { args: ['two'], env: ['B', 'PATH=/bin', 'C='], cwd: '/../x', user: 'app' });
  assert.deepEqual(changed.argv, ['/entry', '-x', 'two']);
  assert.deepEqual(changed.env, ['PATH=/bin', 'HOME=/mine', 'A=4', 'C=']);
  assert.equal(changed.cwd, '/x');
  assert.equal(changed.uid, 1000);
  assert.deepEqual((await resolve(t, config, { entrypoint: ['/sh'] })).argv, ['/sh']);
  assert.deepEqual((await resolve(t, config, { entrypoint: [], args: ['ls'] })).argv, ['ls']);
  assert.equal((await resolve(t, {})).cwd, '/');
  assert.equal((await resolve(t, { WorkingDir: '/var/run/../app//' })).cwd, '/var/run/../app//', 'word for word');
  assert.deepEqual((await resolve(t, {}, { env: ['PATH', 'HOME'] })).env, []);
});

test('an entry point of one empty text is none', async (t) => {
  assert.deepEqual((await resolve(t, { Entrypoint: [''], Cmd: ['sh', '-c', 'x'] })).argv, ['sh', '-c', 'x']);
  assert.deepEqual((await resolve(t, { Entrypoint: ['/e'] }, { entrypoint: [''], args: ['ls'] })).argv, ['ls']);
  assert.deepEqual((await resolve(t, { Entrypoint: ['/e', ''], Cmd: [''] })).argv, ['/e', '', '']);
  await assert.rejects(resolve(t, { Entrypoint: ['', 'x'] }), { code: 'ERR_CONFIG_INVALID' });
});

test('no command is an error, and so are options that are none', async (t) => {
  await assert.rejects(resolve(t, { Cmd: [] }), { code: 'ERR_CONFIG_INVALID', message: /no command specified/ });
  await assert.rejects(resolve(t, { Cmd: [''] }), { code: 'ERR_CONFIG_INVALID' });
  await assert.rejects(resolve(t, {}, { args: ['a\0b'] }), { code: 'ERR_OPTION_INVALID' });
  await assert.rejects(resolve(t, {}, { cwd: 5 as never }), { code: 'ERR_OPTION_INVALID' });
});

test('a user without a name is in no group that has no members', async (t) => {
  const accounts = new LayerBuilder().file('etc/passwd', ':x:0:0::/root:').file('etc/group', 'root:x:0:\napp:x:7:');
  const { additionalGids } = await resolve(t, {}, {}, accounts);
  assert.deepEqual(additionalGids, [0]);
});

test('CVE-2016-3697: a user whose name is a number is not found by that number', async (t) => {
  const base = new LayerBuilder().file('etc/passwd', '1000:x:0:0::/root:/bin/sh').file('etc/group', '1000:x:0:');
  const found = await resolve(t, { User: '1000:1000' }, {}, base);
  assert.deepEqual([found.uid, found.gid], [1000, 1000]);
});

test('CVE-2024-40635: ids that overflow do not become root', async (t) => {
  for (const User of ['4294967296', '2147483648:0', '18446744073709551616', '0:4294967296', '99999999999999999999']) {
    await assert.rejects(resolve(t, { User }), { code: 'ERR_CONFIG_INVALID' });
  }
});

test('CVE-2026-46680: a number out of range is no name either, though an account be called so', async (t) => {
  const odd = ['-42', '9223372036854775807', '9223372036854775808', '4294967296', '10000000000000000000'];
  const base = new LayerBuilder()
    .file('etc/passwd', odd.map((name) => `${name}:x:0:0::/root:/bin/sh`).join('\n'))
    .file('etc/group', odd.map((name) => `${name}:x:0:`).join('\n'));
  for (const User of odd.flatMap((name) => [name, `5:${name}`])) {
    await assert.rejects(resolve(t, { User }, {}, base), { code: 'ERR_CONFIG_INVALID', message: /in range/ });
  }
});

test('CVE-2026-57231, CVE-2021-3602: no variable of this process comes in', async (t) => {
  process.env['ROOTFS_TEST_SECRET'] = 'hunter2';
  t.after(() => delete process.env['ROOTFS_TEST_SECRET']);
  const Env = ['ROOTFS_TEST_SECRET', 'ROOTFS_*', '*', '$ROOTFS_TEST_SECRET', 'A=$ROOTFS_TEST_SECRET', 'B=*', '=C', ''];
  const { env } = await resolve(t, { Env });
  assert.deepEqual(env, [PATH, 'HOME=/root', 'A=$ROOTFS_TEST_SECRET', 'B=*']);
});

test('CVE-2026-47262: more groups than a process can have are refused', async (t) => {
  const lines = Array.from({ length: 70_000 }, (_, index) => `g${index}:x:${index}:app`).join('\n');
  const base = new LayerBuilder().file('etc/passwd', passwd).file('etc/group', lines);
  await assert.rejects(resolve(t, { User: 'app' }, {}, base), { code: 'ERR_LIMIT_EXCEEDED' });
});

test('CVE-2024-9676: accounts that are links, devices or pipes are not followed out nor waited for', async (t) => {
  const zero = new LayerBuilder().symlink('etc/passwd', '/dev/zero').device('dev/zero', 'char', 1, 5).fifo('etc/group');
  assert.equal((await resolve(t, { User: '5' }, {}, zero)).uid, 5);
});

test('a NUL, which no process can be given, is an error where the image has it, and no home directory', async (t) => {
  for (const config of [{ Cmd: ['a\0b'] }, { Entrypoint: ['\0'] }, { Env: ['A=\0'] }, { WorkingDir: '/a\0' }]) {
    await assert.rejects(resolve(t, config), { code: 'ERR_CONFIG_INVALID', message: /without NUL/ });
  }
  assert.deepEqual((await resolve(t, { Cmd: ['a\0b'] }, { args: ['ls'] })).argv, ['ls'], 'what replaces it is fine');
  const base = new LayerBuilder().file('etc/passwd', 'app:x:5:6::/a\0b:/bin/sh');
  const { uid, env } = await resolve(t, { User: 'app' }, {}, base);
  assert.equal(uid, 5);
  assert.ok(env.includes('HOME=/'), String(env));
});
