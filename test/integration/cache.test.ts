/** The image cache from the command line: many processes at once, no network, damaged bytes, a disk that is full. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
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
      env: { ...process.env, XDG_CACHE_HOME: cache },
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
  assert.match(other.stderr, /run once without --offline/);
  const copied = await rootfs(cache, 'copy', '--offline', name, `oci:${join(tempDir(t), 'layout')}:v1`);
  assert.equal(copied.status, 0, copied.stderr);
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
