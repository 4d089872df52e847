import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BundleOptions, writeBundle } from '../../src/export/bundle.js';
import { writeOverlay } from '../../src/export/overlay.js';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { configImage } from '../support/config-image.js';
import { handTree } from '../support/hand-tree.js';
import { mergeBuilt, writeLayers } from '../support/layers.js';
import { tempDir } from '../support/temp-dir.js';

const isRoot = process.geteuid?.() === 0;

interface Written {
  readonly path: string;
  // The document is JSON of unknown shape to the test: it looks at what it expects.
  readonly config: {
    readonly process: {
      user: Record<string, unknown>;
      capabilities: Record<string, string[]>;
      noNewPrivileges: boolean;
      args?: readonly string[];
      env: readonly string[];
    };
    readonly linux: Record<string, { type: string; containerID: number; hostID: number; size: number }[] & string[]>;
    readonly mounts: { destination: string; options: string[] }[];
    readonly annotations: Record<string, string>;
    readonly root: { path: string; readonly: boolean };
  };
  readonly warnings: readonly string[];
}

async function bundle(
  t: { after(fn: () => void): void },
  config: Readonly<Record<string, unknown>>,
  options: BundleOptions = {},
): Promise<Written> {
  const folder = tempDir(t);
  const base = new LayerBuilder()
    .file('etc/passwd', 'app:x:1000:1000::/:/bin/sh')
    .file('etc/group', 'app:x:1000:\nvideo:x:44:app');
  const { tree, layers } = await mergeBuilt(folder, base);
  const path = join(folder, 'bundle');
  const warnings: string[] = [];
  await writeBundle(configImage({ Cmd: ['sh'], ...config }), tree, layers, path, {
    ...options,
    onProgress: (event) => event.type === 'warning:raised' && warnings.push(event.message),
  });
  return { path, config: JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')), warnings };
}

test('CVE-2021-41103, CVE-2021-41091, CVE-2024-25621: bundles and layers are for their owner alone', async (t) => {
  const { path } = await bundle(t, {});
  assert.equal(lstatSync(path).mode & 0o7777, 0o700);
  const folder = tempDir(t);
  const layers = writeLayers(folder, new LayerBuilder().file('su', 'x', { mode: 0o4755 }));
  const overlay = await writeOverlay(layers, join(folder, 'overlay'));
  assert.equal(lstatSync(overlay.path).mode & 0o7777, 0o700);
});

test('CVE-2022-24769, CVE-2022-27649, CVE-2022-27651: nothing is inheritable or ambient', async (t) => {
  const { capabilities, noNewPrivileges } = (await bundle(t, {})).config.process;
  assert.equal(capabilities['inheritable'], undefined);
  assert.equal(capabilities['ambient'], undefined);
  assert.equal(noNewPrivileges, true);
  for (const name of ['CAP_SYS_ADMIN', 'CAP_SYS_PTRACE', 'CAP_DAC_READ_SEARCH', 'CAP_SYS_MODULE', 'CAP_NET_ADMIN']) {
    assert.ok(!capabilities['bounding']?.includes(name), name);
  }
});

test('CVE-2018-10856: a user that is not root holds no capabilities', {
  skip: isRoot ? false : 'needs root',
}, async (t) => {
  const { capabilities, user } = (await bundle(t, { User: 'app' })).config.process;
  assert.equal(user['uid'], 1000);
  assert.deepEqual([capabilities['effective'], capabilities['permitted']], [[], []]);
});

test('CVE-2022-36109, CVE-2023-25173, CVE-2022-2989: groups are the primary one and those of the image', {
  skip: isRoot ? false : 'needs root',
}, async (t) => {
  const { user } = (await bundle(t, { User: 'app' })).config.process;
  assert.deepEqual(user, { uid: 1000, gid: 1000, additionalGids: [1000, 44] });
});

test('CVE-2018-10892, CVE-2017-16539, GHSA-jq35-85cj-fj4p: what tells of the host is masked', async (t) => {
  const { linux } = (await bundle(t, {})).config;
  for (const path of ['/proc/acpi', '/proc/scsi', '/proc/kcore', '/sys/firmware', '/sys/devices/virtual/powercap']) {
    assert.ok(linux['maskedPaths']?.includes(path), path);
  }
  assert.ok(linux['readonlyPaths']?.includes('/proc/sys'));
});

test('CVE-2022-23648: volumes of the image neither read nor make anything outside', async (t) => {
  const { path, config } = await bundle(t, { Volumes: { '/../../../../../../etc': {}, '/data': {} } });
  assert.deepEqual(
    config.mounts.map(({ destination }) => destination).filter((one) => !/^\/(proc|dev|sys)/.test(one)),
    [],
  );
  assert.deepEqual(
    readdirSync(path)
      .filter((name) => name !== 'rootfs.ownership')
      .sort(),
    ['config.json', 'rootfs'],
  );
});

test('CVE-2026-55686, CVE-2026-41579: a working directory and a /dev that are links make nothing outside', async (t) => {
  const folder = tempDir(t);
  const outside = join(folder, 'outside');
  mkdirSync(outside);
  const base = new LayerBuilder().symlink('home', outside).symlink('dev', outside).symlink('proc', outside);
  const { tree, layers } = await mergeBuilt(folder, base);
  const config = { Cmd: ['sh'], WorkingDir: '/home/new/folder', Volumes: { '/home/data': {} } };
  await writeBundle(configImage(config), tree, layers, join(folder, 'bundle'));
  assert.deepEqual(readdirSync(outside), []);
  for (const name of ['home', 'dev', 'proc']) {
    assert.ok(lstatSync(join(folder, 'bundle', 'rootfs', name)).isSymbolicLink(), name);
  }
});

test('CVE-2026-53488: labels become annotations and nothing else', async (t) => {
  const Labels = { 'containerd.io/restart.loguri': 'binary:///bin/sh', __proto__x: 'y' };
  const { config } = await bundle(t, { Labels, ExposedPorts: { '80/tcp': {} }, StopSignal: 'SIGINT' });
  assert.equal(config.annotations['containerd.io/restart.loguri'], 'binary:///bin/sh');
  assert.equal(config.annotations['org.opencontainers.image.exposedPorts'], '80/tcp');
  assert.equal(config.annotations['org.opencontainers.image.stopSignal'], 'SIGINT');
  assert.equal(config.annotations['org.opencontainers.image.os'], 'linux');
});

test('the rootless variant has a user namespace with one user, and no network or device rules of its own', async (t) => {
  const { config, warnings } = await bundle(t, { User: 'app' }, { rootless: true, readOnly: true });
  const types = config.linux['namespaces']?.map(({ type }) => type);
  assert.ok(types?.includes('user') && !types.includes('network'));
  assert.deepEqual(config.linux['uidMappings'], [{ containerID: 0, hostID: process.geteuid?.(), size: 1 }]);
  assert.deepEqual(config.process.user, { uid: 0, gid: 0 });
  assert.match(warnings.join(), /runs as 1000:1000.*root of its user namespace/);
  assert.equal(config.linux['resources'], undefined);
  assert.deepEqual(config.root, { path: 'rootfs', readonly: true });
});

test("as root, the files of the rootless variant are root's, who is alone in it, unless maps say more", {
  skip: isRoot ? false : 'needs root',
}, async (t) => {
  const folder = tempDir(t);
  const base = new LayerBuilder().dir('home', { uid: 1000, gid: 1001, mode: 0o700 });
  const { tree, layers } = await mergeBuilt(folder, base);
  const written = async (name: string, options: BundleOptions): Promise<unknown[]> => {
    const warnings: string[] = [];
    const path = join(folder, name);
    await writeBundle(configImage({ Cmd: ['sh'] }), tree, layers, path, {
      ...options,
      rootless: true,
      onProgress: (event) => event.type === 'warning:raised' && warnings.push(event.message),
    });
    const { uid, gid } = lstatSync(join(path, 'rootfs/home'));
    return [uid, gid, warnings.length];
  };
  assert.deepEqual(await written('alone', {}), [0, 0, 1]);
  const map = [{ containerId: 0, hostId: 0, size: 65_536 }];
  assert.deepEqual(await written('mapped', { uidMap: map, gidMap: map }), [1000, 1001, 0]);
  assert.deepEqual(await written('asked', { sameOwner: true }), [1000, 1001, 0]);
});

test('maps that no user namespace takes are refused', async (t) => {
  const first = { containerId: 0, hostId: 100_000, size: 1_000 };
  const maps = [first, { containerId: 1_000, hostId: 100_999, size: 1 }];
  for (const option of ['uidMap', 'gidMap'] as const) {
    await assert.rejects(bundle(t, {}, { [option]: maps }), {
      code: 'ERR_OPTION_INVALID',
      message: new RegExp(`^${option} 1000:100999:1: maps overlap on this machine`),
    });
  }
  const besides = [first, { containerId: 1_000, hostId: 101_000, size: 1 }];
  await bundle(t, {}, { uidMap: besides, gidMap: besides });
});

test('id maps must hold the user of the image', { skip: isRoot ? false : 'needs root' }, async (t) => {
  const map = (size: number): BundleOptions => {
    const maps = [{ containerId: 0, hostId: 100_000, size }];
    return { uidMap: maps, gidMap: maps };
  };
  const { config, path } = await bundle(t, { User: 'app' }, map(65_536));
  assert.ok(config.linux['namespaces']?.some(({ type }) => type === 'user'));
  assert.equal(lstatSync(join(path, 'rootfs', 'etc', 'passwd')).uid, 100_000);
  const { uid, gid, mode } = lstatSync(path);
  assert.deepEqual([uid, gid, mode & 0o7777], [process.geteuid?.(), 100_000, 0o710]);
  await assert.rejects(bundle(t, { User: 'app' }, map(1000)), { code: 'ERR_OPTION_INVALID' });
});

test('terminals belong to their group only where the user namespace has it', {
  skip: isRoot ? false : 'needs root',
}, async (t) => {
  const groups = async (size?: number): Promise<string[]> => {
    const gidMap = size === undefined ? undefined : [{ containerId: 0, hostId: 100_000, size }];
    const { config } = await bundle(t, {}, { gidMap });
    return config.mounts.flatMap(({ destination, options }) => (destination === '/dev/pts' ? options : []));
  };
  assert.ok((await groups()).includes('gid=5'));
  assert.ok((await groups(6)).includes('gid=5'));
  assert.ok(!(await groups(5)).some((option) => option.startsWith('gid=')));
});

test('a bundle that fails leaves nothing; one that is there is not touched', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, new LayerBuilder().file('a', 'a'));
  const image = configImage({ Cmd: ['sh'] });
  const dst = join(folder, 'bundle');
  await assert.rejects(writeBundle(image, tree, layers, dst, { process: { entrypoint: [] } }), {
    code: 'ERR_CONFIG_INVALID',
  });
  await assert.rejects(writeBundle(image, tree, layers, dst, { limits: { maxEntries: 0 } }), {
    code: 'ERR_LIMIT_EXCEEDED',
  });
  assert.equal(existsSync(dst), false);
  mkdirSync(join(dst, 'mine'), { recursive: true });
  await assert.rejects(writeBundle(image, tree, layers, dst), { code: 'ERR_OPTION_INVALID' });
  assert.deepEqual(readdirSync(folder).sort(), ['bundle', 'layer-0.tar']);
});

test('an image that names no command gets a shell, and that is said', async (t) => {
  for (const none of [{ Cmd: [] }, { Cmd: [], Entrypoint: [''] }, { Cmd: [''] }, { Cmd: ['', 'x'] }]) {
    const { config, warnings } = await bundle(t, none);
    assert.deepEqual(config.process.args, ['sh']);
    assert.equal(warnings.filter((text) => text.includes('names no command')).length, 1);
  }
});

test('a terminal has a type, where neither the image nor the options say one', async (t) => {
  const terms = async (config: Readonly<Record<string, unknown>>, options: BundleOptions): Promise<string[]> =>
    (await bundle(t, config, options)).config.process.env.filter((entry) => entry.startsWith('TERM'));
  assert.deepEqual(await terms({}, { terminal: true }), ['TERM=xterm']);
  assert.deepEqual(await terms({}, {}), []);
  assert.deepEqual(await terms({ Env: ['TERM=linux'] }, { terminal: true }), ['TERM=linux']);
  assert.deepEqual(await terms({}, { terminal: true, process: { env: ['TERM'] } }), []);
});

test('an image for another system than Linux is refused: its config would say nothing to any runtime', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, new LayerBuilder().file('a', 'a'));
  const linux = configImage({ Cmd: ['cmd'] });
  const image = { ...linux, config: { ...linux.config, value: { ...linux.config.value, os: 'windows' } } };
  await assert.rejects(writeBundle(image, tree, layers, join(folder, 'bundle')), {
    code: 'ERR_UNSUPPORTED',
    message: /expected an image for linux, found one for windows/,
  });
  assert.equal(existsSync(join(folder, 'bundle')), false);
});

test('a failure names the path that was asked for, not the one of the time of writing', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, new LayerBuilder().file('etc/a', 'content'));
  truncateSync(layers[0]?.path ?? '', 600);
  const dst = join(folder, 'bundle');
  const asked = (error: unknown): boolean => {
    assert.doesNotMatch(JSON.stringify(error), /\.rootfs-/);
    return true;
  };
  await assert.rejects(writeBundle(configImage({ Cmd: ['sh'] }), tree, layers, dst), asked);
  await assert.rejects(writeOverlay(layers, join(folder, 'overlay')), asked);
  const found = handTree(tempDir(t), [{ path: 'n'.repeat(256), content: 'too long' }]);
  const failed = await writeBundle(configImage({ Cmd: ['sh'] }), found.tree, found.layers, dst).catch((error) => error);
  asked(failed);
  assert.deepEqual(failed.detail.subject, join(dst, 'rootfs', 'n'.repeat(256)));
});

test('maps without ids are none', { skip: isRoot ? false : 'needs root' }, async (t) => {
  const map = [{ containerId: 0, hostId: 100_000, size: 65_536 }];
  const { config } = await bundle(t, {}, { uidMap: [], gidMap: [] });
  assert.equal(config.linux['uidMappings'], undefined);
  const one = await bundle(t, {}, { uidMap: map, gidMap: [] });
  assert.deepEqual(one.config.linux['gidMappings'], [{ containerID: 0, hostID: 100_000, size: 65_536 }]);
  const rootless = await bundle(t, {}, { uidMap: [], gidMap: [], rootless: true });
  assert.deepEqual(rootless.config.linux['uidMappings'], [{ containerID: 0, hostID: 0, size: 1 }]);
});

test('as root, id maps of users alone are those of groups too: a runtime wants both', {
  skip: isRoot ? false : 'needs root',
}, async (t) => {
  const map = [{ containerId: 0, hostId: 100_000, size: 65_536 }];
  const expected = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  for (const given of [{ uidMap: map }, { gidMap: map }]) {
    const { path, config } = await bundle(t, {}, given);
    assert.deepEqual(config.linux['uidMappings'], expected);
    assert.deepEqual(config.linux['gidMappings'], expected);
    const { uid, gid } = lstatSync(join(path, 'rootfs/etc/passwd'));
    assert.deepEqual([uid, gid], [100_000, 100_000]);
  }
});
