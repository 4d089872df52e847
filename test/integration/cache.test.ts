/** The image cache from the command line: many processes at once, no network, damaged bytes, a disk that is full. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { listLeases } from '../../src/content/lease.js';
import { pruneCache } from '../../src/engine/prune-cache.js';
import { type BuiltImage, image, SeededRandom, startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const COMMAND = fileURLToPath(new URL('../../../bin/rootfs.js', import.meta.url));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function rootfs(cache: string, ...argv: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [COMMAND, ...argv], {
      // Under another Node than the one that built it, the command would keep what it compiles.
      env: { ...process.env, XDG_CACHE_HOME: cache, NODE_DISABLE_COMPILE_CACHE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text) => {
      stdout += String(text);
    });
    child.stderr.on('data', (text) => {
      stderr += String(text);
    });
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

const app = threeLayers();

function threeLayers(): BuiltImage {
  const random = new SeededRandom(7);
  const builder = image();
  for (const size of [3_000_000, 200_000, 10_000]) {
    builder.layer((layer) => layer.file(`file-${size}`, random.bytes(size)));
  }
  return builder.build();
}

async function served(t: TestContext): Promise<{ readonly registry: TestRegistry; readonly name: string }> {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('team/app', 'v1', app);
  return { registry, name: `${registry.host}/team/app:v1` };
}

function lines(dst: string): string {
  return app.layers
    .map(({ diffId, tar }) => `${diffId}\t${tar.length}\t${join(dst, diffId.replace(':', '/'))}\n`)
    .join('');
}

test('ten processes with one cache and one registry fetch each content once', async (t) => {
  const { registry, name } = await served(t);
  const cache = tempDir(t);
  const all = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const dst = tempDir(t);
      return { dst, ended: await rootfs(cache, 'extract', '--cache', '--platform', 'linux/amd64', '--dst', dst, name) };
    }),
  );
  for (const { dst, ended } of all) {
    assert.equal(ended.status, 0, ended.stderr);
    assert.equal(ended.stdout, lines(dst));
  }
  const got = (digest: string): number =>
    registry.log.requests.filter(({ method, url }) => method === 'GET' && url.includes(digest)).length;
  for (const { descriptor } of app.layers) assert.equal(got(descriptor.digest), 1, descriptor.digest);
  assert.equal(got(app.manifest.config.digest), 1);
  assert.deepEqual(readdirSync(join(cache, 'rootfs-kit', 'images-v1', 'locks')), []);
});

test('a digest that was asked for through the cache is known there', async (t) => {
  const { registry, name } = await served(t);
  const cache = tempDir(t);
  for (const option of ['--cache', '--offline']) {
    const { status, stdout, stderr } = await rootfs(cache, 'digest', option, name);
    assert.deepEqual([status, stdout], [0, `${app.descriptor.digest}\n`], stderr);
    await registry.close();
  }
});

test('--offline works with the network shut, and only on what is there', async (t) => {
  const { registry, name } = await served(t);
  const cache = tempDir(t);
  const none = await rootfs(cache, 'extract', '--offline', '--dst', tempDir(t), name);
  assert.equal(none.status, 3);
  assert.match(none.stderr, /--cache.*ERR_NOT_FOUND/s);
  const platform = ['--platform', 'linux/amd64'];
  assert.equal((await rootfs(cache, 'extract', '--cache', ...platform, '--dst', tempDir(t), name)).status, 0);
  await registry.close();
  const dst = tempDir(t);
  const ended = await rootfs(cache, 'extract', '--offline', ...platform, '--dst', dst, name);
  assert.equal(ended.status, 0, ended.stderr);
  assert.equal(ended.stdout, lines(dst));
  assert.equal((await rootfs(cache, 'digest', '--offline', name)).stdout, `${app.descriptor.digest}\n`);
  const inspected = await rootfs(cache, 'inspect', '--json', '--offline', ...platform, name);
  assert.equal((JSON.parse(inspected.stdout) as { digest: string }).digest, app.descriptor.digest);
  const other = await rootfs(cache, 'inspect', '--offline', name.replace('v1', 'v2'));
  assert.equal(other.status, 3);
  assert.match(other.stderr, /run once without --offline but with --cache to fetch it/);
  const copied = await rootfs(cache, 'copy', '--offline', name, `oci:${join(tempDir(t), 'layout')}:v1`);
  assert.equal(copied.status, 0, copied.stderr);
  const folder = tempDir(t);
  const pulled = await rootfs(cache, 'pull', '--offline', ...platform, '-o', folder, name);
  assert.equal(pulled.status, 0, pulled.stderr);
  assert.deepEqual(readdirSync(folder), ['team_app_v1_amd64_linux.tar.gz']);
});

test('without --cache nothing is kept; the switches are checked', async (t) => {
  const { name } = await served(t);
  const cache = tempDir(t);
  const plain = await rootfs(cache, 'extract', '--platform', 'linux/amd64', '--dst', tempDir(t), name);
  assert.equal(plain.status, 0, plain.stderr);
  assert.equal((await rootfs(cache, 'digest', '--no-cache', name)).status, 0);
  assert.equal(existsSync(join(cache, 'rootfs-kit')), false);
  for (const wrong of [['--offline', '--no-cache'], ['--offline', '--pull=always'], ['--pull=always'], ['--pull=x']]) {
    assert.equal((await rootfs(cache, 'digest', ...wrong, name)).status, 2, wrong.join(' '));
  }
});

test('--pull always sees a tag that moved; --cache alone keeps what it knows', async (t) => {
  const { registry, name } = await served(t);
  const cache = tempDir(t);
  const platform = ['--platform', 'linux/amd64'];
  assert.equal((await rootfs(cache, 'inspect', '--cache', ...platform, name)).status, 0);
  const moved = image()
    .layer((layer) => layer.file('moved', 'yes'))
    .build();
  registry.add('team/app', 'v1', moved);
  assert.equal((await rootfs(cache, 'digest', '--cache', name)).stdout, `${app.descriptor.digest}\n`);
  assert.equal(
    (await rootfs(cache, 'digest', '--cache', '--pull', 'always', name)).stdout,
    `${moved.descriptor.digest}\n`,
  );
});

test('a flipped byte in a cached layer is found, said and healed by the next extract', async (t) => {
  const { name } = await served(t);
  const cache = tempDir(t);
  const extract = (dst: string): Promise<Ended> =>
    rootfs(cache, 'extract', '--cache', '--platform', 'linux/amd64', '--dst', dst, name);
  assert.equal((await extract(tempDir(t))).status, 0);
  for (const { descriptor, blob } of app.layers) {
    const path = join(cache, 'rootfs-kit', 'images-v1', 'blobs', 'sha256', descriptor.digest.slice(7));
    chmodSync(path, 0o644);
    const bytes = Buffer.from(blob);
    const at = bytes.length >> 1;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const dst = tempDir(t);
    const healed = await extract(dst);
    assert.equal(healed.status, 0, healed.stderr);
    assert.ok(healed.stderr.includes(`${descriptor.digest}: the bytes that came were wrong`), healed.stderr);
    assert.equal(healed.stdout, lines(dst));
    assert.deepEqual(readFileSync(path), blob);
  }
});

test('a cache of a newer version, and one that is no layout, are refused by name', async (t) => {
  const { name } = await served(t);
  const cache = tempDir(t);
  const folder = join(cache, 'rootfs-kit', 'images-v1');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}');
  writeFileSync(join(folder, 'index.json'), '{"schemaVersion":2,"manifests":[]}');
  const newer = await rootfs(cache, 'digest', '--cache', name);
  assert.equal(newer.status, 5);
  assert.ok(newer.stderr.includes(folder), newer.stderr);
});

test('prune during ten running extracts breaks none of them', async (t) => {
  const { name } = await served(t);
  const cache = tempDir(t);
  const images = join(cache, 'rootfs-kit', 'images-v1');
  const layers = join(cache, 'rootfs-kit', 'layers-v1');
  const extract = (): Promise<Ended> =>
    rootfs(cache, 'extract', '--cache', '--platform', 'linux/amd64', '--dst', layers, name);
  assert.equal((await extract()).status, 0);
  let running = 10;
  const all = Promise.all(
    Array.from({ length: running }, async () => {
      const ended = await extract();
      running -= 1;
      return ended;
    }),
  );
  let removed = 0;
  for (let rounds = 0; running > 0; rounds += 1) {
    const pruned = await pruneCache({ images, layers, maxSize: 0 });
    removed += pruned.removed.length;
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(rounds < 100_000);
  }
  for (const ended of await all) {
    assert.equal(ended.status, 0, ended.stderr);
    assert.equal(ended.stdout, lines(layers));
  }
  // Before the first of them took its lease, everything was free to go.
  assert.ok(removed > 0);
  assert.deepEqual(await listLeases(images), []);
  assert.deepEqual(await listLeases(layers), []);
});

test('cache ls, verify and prune from the command line', async (t) => {
  const { name } = await served(t);
  const cache = tempDir(t);
  const layers = join(cache, 'rootfs-kit', 'layers-v1');
  await rootfs(cache, 'extract', '--cache', '--platform', 'linux/amd64', '--dst', layers, name);
  const listed = await rootfs(cache, 'cache', 'ls');
  assert.equal(listed.status, 0, listed.stderr);
  assert.equal(listed.stdout.split('\n').filter((line) => line.startsWith('image')).length, 1);
  assert.equal(listed.stdout.split('\n').filter((line) => line.startsWith('layer')).length, 3);
  assert.ok(listed.stdout.includes(name));
  assert.equal((await rootfs(cache, 'cache', 'verify')).status, 0);
  const path = join(layers, app.layers[1]?.diffId.replace(':', '/') ?? '');
  chmodSync(path, 0o644);
  writeFileSync(path, 'damaged');
  const damaged = await rootfs(cache, 'cache', 'verify');
  assert.equal(damaged.status, 5);
  assert.equal(damaged.stdout, `layer\t${app.layers[1]?.diffId}\t${path}\n`);
  // Nothing is fetched by this command.
  assert.match(damaged.stderr, /its bytes hash to .*; it is removed, to be made again$/m);
  const bare = await rootfs(cache, 'cache', 'prune');
  assert.deepEqual([bare.status, bare.stdout], [0, '']);
  assert.match(
    bare.stderr,
    /^rootfs: 0 removed, .*\nrootfs: without --older-than or --max-size only what no image names/,
  );
  const dry = await rootfs(cache, 'cache', 'prune', '--max-size', '0', '--dry-run', '--json');
  const planned = JSON.parse(dry.stdout) as { removed: { kind: string }[] };
  assert.deepEqual(planned.removed.map(({ kind }) => kind).sort(), ['image', 'layer', 'layer']);
  const pruned = await rootfs(cache, 'cache', 'prune', '--max-size', '0');
  assert.equal(pruned.stdout.split('\n').length, 4, pruned.stdout);
  const empty = JSON.parse((await rootfs(cache, 'cache', 'ls', '--json')).stdout) as { images: unknown[] };
  assert.deepEqual(empty.images, []);
  for (const wrong of [
    ['cache'],
    ['cache', 'burn'],
    ['cache', 'ls', '--dry-run'],
    ['cache', 'prune', '--max-size=x'],
  ]) {
    assert.equal((await rootfs(cache, ...wrong)).status, 2, wrong.join(' '));
  }
});

const isRoot = process.getuid?.() === 0;

test('a cache on a full or read-only disk serves what it can, says so, and the command succeeds', {
  skip: isRoot ? false : 'a file system of its own needs root',
}, async (t) => {
  const { registry, name } = await served(t);
  const cache = tempDir(t);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', cache], { encoding: 'utf8' });
  if (mounted.status !== 0) {
    assert.notEqual(process.env['ROOTFS_REQUIRE_TOOLS'], '1', mounted.stderr);
    return t.skip(`no mounts here: ${mounted.stderr}`);
  }
  try {
    const extract = async (): Promise<Ended> => {
      const dst = tempDir(t);
      const ended = await rootfs(cache, 'extract', '--cache', '--platform', 'linux/amd64', '--dst', dst, name);
      assert.equal(ended.status, 0, ended.stderr);
      assert.equal(ended.stdout, lines(dst));
      return ended;
    };
    assert.match((await extract()).stderr, /the cache cannot keep anything now, going on without: .*ENOSPC/);
    assert.deepEqual(
      readdirSync(join(cache, 'rootfs-kit', 'images-v1')).filter((entry) => entry === 'ingest'),
      [],
    );
    spawnSync('mount', ['-o', 'remount,ro', cache]);
    registry.log.reset();
    assert.match((await extract()).stderr, /the cache cannot keep anything now, going on without: /);
    spawnSync('mount', ['-o', 'remount,rw', cache]);
    spawnSync('umount', [cache]);
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', cache]);
    const none = await rootfs(cache, 'extract', '--cache', '--dst', tempDir(t), name);
    assert.equal(none.status, 1);
    assert.match(none.stderr, /set XDG_CACHE_HOME to a folder that can be written, or leave out --cache/);
  } finally {
    spawnSync('umount', [cache]);
  }
});
