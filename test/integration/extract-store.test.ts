/** Extracting under SIGKILL, in company, on a full disk, and with layers far larger than memory should hold. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createGzip } from 'node:zlib';
import { type BuiltImage, image, SeededRandom, startRegistry, writeLayout } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const CHILD = fileURLToPath(new URL('./extract-child.js', import.meta.url));
const ROUNDS = Number(process.env['ROOTFS_KILL_ROUNDS'] ?? 50);

/** Layers of several sizes: one in memory, the others over a spool, one large enough for two workers. */
function fiveLayers(seed: number): BuiltImage {
  const random = new SeededRandom(seed);
  const builder = image();
  for (const size of [9_000_000, 2_500_000, 400_000, 3_000_000, 20_000]) {
    const words = Array.from({ length: 300 }, () => random.bytes(random.int(20) + 4));
    const content = Buffer.alloc(size);
    for (let at = 0; at < size; ) at += random.pick(words).copy(content, at);
    builder.layer((layer) => layer.file(`file-${size}`, content));
  }
  return builder.build();
}

const built = fiveLayers(5);
const diffIds = built.layers.map((layer) => layer.diffId);

interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** Starts a child; `begun` when it is about to extract. */
function extract(
  dst: string,
  from: string,
  options: object = {},
): { kill(): void; begun: Promise<void>; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [CHILD, dst, from, 'test', JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const begun = new Promise<void>((resolve) => {
    child.stdout.on('data', (text) => {
      output += text;
      resolve();
    });
    child.once('exit', () => resolve());
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (status, signal) => resolve({ status, signal, output }));
  });
  return { kill: () => child.kill('SIGKILL'), begun, ended };
}

function digestOfFile(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    createReadStream(path)
      .on('data', (chunk) => hash.update(chunk))
      .once('error', reject)
      .once('end', () => resolve(hash.digest('hex')));
  });
}

/** Every name in the store hashes to itself. @returns the names */
async function soundNames(dst: string): Promise<string[]> {
  const folder = join(dst, 'sha256');
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of names) assert.equal(await digestOfFile(join(folder, name)), name);
  return names.sort();
}

async function allThere(dst: string): Promise<void> {
  assert.deepEqual(await soundNames(dst), [...new Set(diffIds.map((diffId) => diffId.slice(7)))].sort());
  assert.deepEqual(readdirSync(join(dst, 'ingest')), []);
}

async function layoutOf(t: TestContext): Promise<string> {
  const layout = join(tempDir(t), 'layout');
  await writeLayout(layout, { test: built });
  return layout;
}

for (const over of ['layout', 'registry'] as const) {
  const rounds = Math.ceil(ROUNDS / 2);
  test(`killed ${rounds} times at random moments: no name shows other bytes, the next run succeeds (${over})`, {
    timeout: 600_000,
  }, async (t) => {
    const random = new SeededRandom(11);
    const registry = await startRegistry();
    t.after(() => registry.close());
    registry.add('team/app', 'test', built);
    const from = over === 'layout' ? await layoutOf(t) : `${registry.host}/team/app`;
    let dst = tempDir(t);
    let killed = 0;
    for (let round = 0; round < rounds; round++) {
      const child = extract(dst, from);
      await child.begun;
      await new Promise((resolve) => setTimeout(resolve, random.int(400)));
      child.kill();
      if ((await child.ended).signal === 'SIGKILL') killed++;
      const names = await soundNames(dst);
      if (names.length === built.layers.length) dst = tempDir(t);
    }
    assert.ok(killed > 0, 'no child was killed');
    const last = await extract(dst, from).ended;
    assert.equal(last.status, 0, last.output);
    await allThere(dst);
  });
}

test('ten processes on one image: each layer is fetched once, all succeed and agree', {
  timeout: 120_000,
}, async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('team/app', 'test', built);
  const dst = tempDir(t);
  const all = await Promise.all(Array.from({ length: 10 }, () => extract(dst, `${registry.host}/team/app`).ended));
  for (const { status, output } of all) {
    assert.equal(status, 0, output);
    assert.deepEqual(output.match(/sha256:\S+/g), diffIds);
  }
  const asked = registry.log.of('blob').map(({ reference }) => reference);
  for (const { descriptor } of built.layers) {
    assert.equal(asked.filter((reference) => reference === descriptor.digest).length, 1, descriptor.digest);
  }
  await allThere(dst);
});

test('five processes on one layout all succeed and agree', { timeout: 120_000 }, async (t) => {
  const dst = tempDir(t);
  const layout = await layoutOf(t);
  for (const { status, output } of await Promise.all([1, 2, 3, 4, 5].map(() => extract(dst, layout).ended))) {
    assert.equal(status, 0, output);
    assert.deepEqual(output.match(/sha256:\S+/g), diffIds);
  }
  await allThere(dst);
});

test('a process that dies while others wait is taken over, its partial continued', { timeout: 120_000 }, async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('team/app', 'test', built);
  const [big] = built.layers;
  assert.ok(big !== undefined);
  const { digest, size } = big.descriptor;
  const fault = registry.fault({ on: 'blob', reference: digest, do: 'stall', after: size >> 1, times: 1 });
  const dst = tempDir(t);
  const first = extract(dst, `${registry.host}/team/app`);
  await registry.log.until(() => registry.log.bytesOf(digest) >= size >> 1);
  const partial = join(dst, 'ingest', `${digest.replace(':', '-')}.partial`);
  // What was sent arrives and is written; a file watcher would not be more certain.
  while (!existsSync(partial) || statSync(partial).size < size >> 2)
    await new Promise((resolve) => setTimeout(resolve, 10));
  const kept = statSync(partial).size;
  const second = extract(dst, `${registry.host}/team/app`);
  await second.begun;
  fault.remove();
  first.kill();
  assert.equal((await first.ended).signal, 'SIGKILL');
  const { status, output } = await second.ended;
  assert.equal(status, 0, output);
  await allThere(dst);
  const asked = registry.log.of('blob', digest);
  assert.equal(asked.length, 2);
  const from = Number(/^bytes=(\d+)-/.exec(String(asked[1]?.headers['range']))?.[1]);
  assert.ok(from >= kept, `continued from ${from}, ${kept} were there`);
});

/** Whether this machine lets us mount a small disk of our own. */
function cannotMount(): false | string {
  const tried = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs -o size=1m tmpfs /mnt']);
  return tried.status === 0 ? false : 'needs unshare -rm and a mount of tmpfs in it';
}

test('a full disk ends in a clear error and leaves nothing half-made', {
  skip: cannotMount(),
  timeout: 120_000,
}, async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('team/app', 'test', built);
  const layout = await layoutOf(t);
  const folder = tempDir(t);
  // 512 KiB: no room for the tars; 4 MiB: room for small layers, not for the big one's spool or tar.
  for (const from of [layout, `${registry.host}/team/app`]) {
    for (const size of ['512k', '4m', '8m']) {
      const script = `mount -t tmpfs -o size=${size} tmpfs "$1" && "$2" "$3" "$1" "$4" test '{}'; cd "$1" && find . -type f; cat sha256/* >/dev/null 2>&1; for f in sha256/*; do [ -e "$f" ] && sha256sum "$f"; done; true`;
      const child = spawn('unshare', ['-rm', 'sh', '-c', script, 'sh', folder, process.execPath, CHILD, from], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      child.stdout.on('data', (text) => {
        output += text;
      });
      await new Promise((resolve) => child.once('close', resolve));
      assert.match(output, /failed ERR_NO_SPACE\n.*free some space/, `${size}: ${output}`);
      assert.doesNotMatch(output, /^\.\/ingest\//m, `${size}: ${output}`);
      for (const [, hash, name] of output.matchAll(/^([0-9a-f]{64}) {2}sha256\/([0-9a-f]{64})$/gm))
        assert.equal(hash, name);
    }
  }
});

test('a large layer takes no more memory than a small one', { timeout: 300_000 }, async (t) => {
  const layout = join(tempDir(t), 'layout');
  const blobs = join(layout, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const random = new SeededRandom(3).bytes(1 << 20);
  function* chunks(): Generator<Buffer> {
    // 700 MiB, the same mebibyte shifted each time: far more than fits, compressed about 30 to 1 (the window is 32 KiB).
    for (let index = 0; index < 700; index++)
      yield Buffer.alloc(1 << 20, random.subarray(index * 64, index * 64 + 30_000));
  }
  const path = join(blobs, 'layer');
  const tarHash = createHash('sha256');
  await pipeline(
    Readable.from(chunks()),
    async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        tarHash.update(chunk);
        yield chunk;
      }
    },
    createGzip({ level: 1 }),
    createWriteStream(path),
  );
  const digest = await digestOfFile(path);
  execFileSync('mv', [path, join(blobs, digest)]);
  const put = (content: object): { digest: string; size: number } => {
    const bytes = Buffer.from(JSON.stringify(content));
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(blobs, hex), bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  };
  const type = 'application/vnd.oci.image';
  const config = put({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [`sha256:${tarHash.digest('hex')}`] },
  });
  const manifest = put({
    schemaVersion: 2,
    mediaType: `${type}.manifest.v1+json`,
    config: { mediaType: `${type}.config.v1+json`, ...config },
    layers: [
      { mediaType: `${type}.layer.v1.tar+gzip`, digest: `sha256:${digest}`, size: statSync(join(blobs, digest)).size },
    ],
  });
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [
        {
          mediaType: `${type}.manifest.v1+json`,
          ...manifest,
          annotations: { 'org.opencontainers.image.ref.name': 'test' },
        },
      ],
    }),
  );
  const { status, output } = await extract(tempDir(t), layout, { fsync: 'none' }).ended;
  assert.equal(status, 0, output);
  const peakKiB = Number(/^peak (\d+)$/m.exec(output)?.[1]);
  assert.ok(peakKiB > 0 && peakKiB < 240 * 1024, `peak was ${peakKiB} KiB`);
});

test('layers compressed by the zstd command, every level of care', {
  skip: needs('zstd'),
  timeout: 120_000,
}, async (t) => {
  const random = new SeededRandom(17);
  const words = Array.from({ length: 500 }, () => random.bytes(random.int(30) + 3));
  const content = Buffer.alloc(6_000_000);
  for (let at = 0; at < content.length; ) at += random.pick(words).copy(content, at);
  const file = join(tempDir(t), 'tar');
  writeFileSync(file, content);
  const { openZstdInflater, hasNativeZstd } = await import('../../src/codec/zstd-inflater.js');
  for (const flags of [
    ['-1'],
    ['-19'],
    ['--fast=5'],
    ['-3', '--no-check'],
    ['-5', '--long=27'],
    ['-T2', '-4'],
    ['-1', '--no-content-size'],
  ]) {
    const compressed = execFileSync('zstd', [...flags, '-c', file], {
      maxBuffer: 1 << 26,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    for (const native of hasNativeZstd() ? [true, false] : [false]) {
      const hash = createHash('sha256');
      const room = Buffer.alloc(1 << 18);
      const inflater = await openZstdInflater(
        'x',
        { space: () => room, filled: (length) => hash.update(room.subarray(0, length)) },
        native,
      );
      for (let at = 0; at < compressed.length; at += 100_000) inflater.push(compressed.subarray(at, at + 100_000));
      inflater.finish();
      inflater.close();
      assert.equal(hash.digest('hex'), createHash('sha256').update(content).digest('hex'), flags.join(' '));
    }
  }
});
