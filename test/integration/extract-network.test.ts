/** The command on bad networks: cut for ever, interrupted, killed, in company; every byte and every request counted. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  closedPort,
  type Fault,
  image,
  index,
  SeededRandom,
  startRegistry,
  type TestRegistry,
} from '../../src/testing/testing.js';
import { layerNames, wrongLayers } from '../support/layer-files.js';
import { type Ran, rootfs } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const random = new SeededRandom(11);
const noise = (bytes: number): Buffer => Buffer.from(random.bytes(bytes));

/** One layer of 6 MB. */
const large = image()
  .layer((layer) => layer.file('noise', noise(6_000_000)), { compression: 'none' })
  .build();
const [layer] = large.layers;
assert.ok(layer !== undefined);
const { digest, size } = layer.descriptor;
const partialName = `${digest.replace(':', '-')}.partial`;

/** Five layers, two of them spooled to disk, for linux/amd64 in an index. */
const five = image();
for (const bytes of [1_500_000, 1_200_000, 50_000, 2_000, 300]) {
  five.layer((one) => one.file(`f${bytes}`, noise(bytes)), { compression: 'none' });
}
const fiveImage = five.build();
const fiveIndex = index()
  .add(fiveImage, { platform: { os: 'linux', architecture: 'amd64' } })
  .build();

async function serve(t: TestContext, ...faults: Fault[]): Promise<{ registry: TestRegistry; dst: string }> {
  const registry = await startRegistry({ faults });
  t.after(() => registry.close());
  registry.add('large', 'latest', large);
  registry.add('five', 'v1', fiveIndex);
  return { registry, dst: join(tempDir(t), 'dst') };
}

function extract(place: { registry: TestRegistry; dst: string }, name: string, ...words: string[]): Promise<Ran> {
  return rootfs([
    'extract',
    '-q',
    '--platform',
    'linux/amd64',
    '--dst',
    place.dst,
    ...words,
    `${place.registry.host}/${name}`,
  ]);
}

function checkWhole(place: { dst: string }, { code, stderr }: Ran, layers: number): void {
  assert.equal(code, 0, stderr);
  assert.equal(layerNames(place.dst).length, layers);
  assert.deepEqual(wrongLayers(place.dst), []);
  assert.deepEqual(readdirSync(join(place.dst, 'ingest')), []);
}

test('a registry that cuts every connection after 64 KiB: it completes, and no byte comes twice', async (t) => {
  const place = await serve(t, { on: 'any', do: 'cut', after: 65_536, per: 'connection' });
  checkWhole(place, await extract(place, 'large', '--retry', '2'), 1);
  const { bytesSent } = place.registry.log;
  assert.ok(bytesSent <= size * 1.05, `${bytesSent} bytes were sent for ${size}`);
});

for (const [what, fault, code] of [
  ['is cut before its first byte', { on: 'blob', do: 'cut', after: 0 }, 'ERR_NETWORK'],
  ['is hung up on', { on: 'any', do: 'hang-up' }, 'ERR_NETWORK'],
  ['is never answered', { on: 'any', do: 'silence' }, 'ERR_TIMEOUT'],
  ['stalls at once', { on: 'blob', do: 'stall', after: 0 }, 'ERR_TIMEOUT'],
  ['fails', { on: 'any', do: 'answer', status: 503 }, 'ERR_REGISTRY'],
] as const satisfies readonly (readonly [string, Fault, string])[]) {
  test(`a connection that always ${what}: three attempts, exit code 6, nothing left`, {
    timeout: 60_000,
  }, async (t) => {
    const place = await serve(t, fault);
    const ended = await extract(place, 'large', '--retry', '2', '--timeout', '300ms');
    assert.equal(ended.code, 6, ended.stderr);
    assert.match(ended.stderr, new RegExp(`\\[${code}\\]`));
    assert.ok(place.registry.log.requests.length <= 2 + 3);
    assert.deepEqual(layerNames(place.dst), []);
    assert.ok(!existsSync(join(place.dst, 'ingest')) || readdirSync(join(place.dst, 'ingest')).length === 0);
  });
}

/** Starts an extract and ends it by a signal when half of the layer has come and no more comes. */
async function interrupted(t: TestContext, signal: NodeJS.Signals) {
  const half = size / 2;
  const place = await serve(t, { on: 'blob', reference: digest, do: 'stall', after: half });
  const { registry } = place;
  const partial = join(place.dst, 'ingest', partialName);
  const ended = await rootfs(['extract', '-q', '--dst', place.dst, `${registry.host}/large`], {
    started: (child) => {
      const look = setInterval(() => {
        if (statSync(partial, { throwIfNoEntry: false })?.size !== half) return;
        clearInterval(look);
        child.kill(signal);
      }, 20);
      child.once('exit', () => clearInterval(look));
    },
  });
  const firstBytes = registry.log.bytesOf(digest);
  assert.equal(firstBytes, half);
  assert.deepEqual(layerNames(place.dst), []);
  const kept = statSync(join(place.dst, 'ingest', partialName)).size;
  assert.equal(kept, half);
  registry.clearFaults();
  registry.log.reset();
  return { ended, firstBytes, ...place };
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
  ['SIGKILL', null],
] as const) {
  test(`${signal} in the middle of a layer: the next run fetches the rest`, async (t) => {
    const { ended, firstBytes, ...place } = await interrupted(t, signal);
    assert.equal(ended.code, code, ended.stderr);
    checkWhole(place, await extract(place, 'large'), 1);
    assert.equal(firstBytes + place.registry.log.bytesOf(digest), size);
    assert.equal(place.registry.log.of('blob', digest).length, 1);
  });
}

test('--no-resume begins at the first byte', async (t) => {
  const { ended, firstBytes, ...place } = await interrupted(t, 'SIGKILL');
  assert.equal(ended.code, null);
  checkWhole(place, await extract(place, 'large', '--no-resume'), 1);
  assert.ok(firstBytes > 0);
  assert.equal(place.registry.log.bytesOf(digest), size);
});

function putPartial(dst: string, name: string, bytes: Uint8Array, ageDays: number): void {
  const path = join(dst, 'ingest', name);
  mkdirSync(join(dst, 'ingest'), { recursive: true });
  writeFileSync(path, bytes);
  const moment = new Date(Date.now() - ageDays * 86_400_000);
  utimesSync(path, moment, moment);
}

test('partials older than seven days are swept, younger ones of other layers stay', async (t) => {
  const place = await serve(t);
  const old = `sha256-${'1'.repeat(64)}.partial`;
  const young = `sha256-${'2'.repeat(64)}.partial`;
  putPartial(place.dst, old, Buffer.from('x'), 8);
  putPartial(place.dst, young, Buffer.from('x'), 6);
  const { code, stderr } = await extract(place, 'five:v1');
  assert.equal(code, 0, stderr);
  assert.deepEqual(readdirSync(join(place.dst, 'ingest')), [young]);
});

test('wrong bytes leave no partial, not even one that an earlier run left', async (t) => {
  const place = await serve(t, { on: 'blob', reference: digest, do: 'flip' });
  putPartial(place.dst, partialName, layer.blob.subarray(0, 3_000_000), 0);
  const { code, stderr } = await extract(place, 'large');
  assert.equal(code, 5, stderr);
  assert.match(stderr, /\[ERR_DIGEST_MISMATCH\]/);
  assert.deepEqual(readdirSync(join(place.dst, 'ingest')), []);
  assert.deepEqual(layerNames(place.dst), []);
});

test('many processes on one image into one folder: each layer is fetched once', async (t) => {
  const place = await serve(t, { on: 'blob', do: 'latency', ms: 300 });
  const ended = await Promise.all(Array.from({ length: 10 }, () => extract(place, 'five:v1')));
  for (const one of ended) checkWhole(place, one, 5);
  assert.equal(new Set(ended.map(({ stdout }) => stdout)).size, 1);
  for (const { descriptor } of fiveImage.layers) {
    assert.equal(place.registry.log.of('blob', descriptor.digest).length, 1, descriptor.digest);
  }
});

test('a process that waits for another takes over when that is killed, and goes on from its bytes', async (t) => {
  const half = size / 2;
  const { registry, dst } = await serve(t, { on: 'blob', reference: digest, do: 'stall', after: half });
  const words = ['extract', '--progress', 'json', '--dst', dst, `${registry.host}/large`];
  let holder: ChildProcess | undefined;
  let first: Promise<Ran> | undefined;
  await new Promise<void>((halfway) => {
    first = rootfs(words, {
      started: (child) => {
        holder = child;
        child.stderr?.on('data', (text: string) => {
          if (text.includes(`"fetchedBytes":${half}`)) halfway();
        });
      },
    });
  });
  const second = rootfs(words);
  // The second has read the config, and asks for no layer.
  await registry.log.until((log) => log.of('blob', large.manifest.config.digest).length === 2);
  registry.clearFaults();
  holder?.kill('SIGKILL');
  assert.equal((await first)?.code, null);
  checkWhole({ dst }, await second, 1);
  const fetched = registry.log.of('blob', digest);
  assert.deepEqual(
    fetched.map(({ headers }) => headers['range']),
    [undefined, `bytes=${half}-${size - 1}`],
  );
  assert.equal(registry.log.bytesOf(digest), size);
});

test('a full pull by tag through an index makes N + 3 requests, and again 3; a token costs 2 more', async (t) => {
  const place = await serve(t);
  checkWhole(place, await extract(place, 'five:v1'), 5);
  assert.equal(place.registry.log.requests.length, 5 + 3);
  place.registry.log.reset();
  checkWhole(place, await extract(place, 'five:v1'), 5);
  assert.equal(place.registry.log.requests.length, 3);
  const asking = await startRegistry({ auth: { kind: 'bearer' } });
  t.after(() => asking.close());
  asking.add('five', 'v1', fiveIndex);
  const other = { registry: asking, dst: join(tempDir(t), 'dst') };
  checkWhole(other, await extract(other, 'five:v1'), 5);
  assert.equal(asking.log.requests.length, 5 + 3 + 2);
  assert.deepEqual(asking.log.leaked, []);
});

test('a registry that asks to come back later: waited for up to --max-retry-after, then told when', async (t) => {
  const place = await serve(t, { on: 'blob', reference: digest, do: 'retry-later', seconds: 2, times: 2 });
  const refused = await extract(place, 'large', '--max-retry-after', '1s');
  assert.equal(refused.code, 6, refused.stderr);
  assert.match(refused.stderr, /come back in 2 s, at \d{4}-\d\d-\d\dT[\d:.]+Z.*1 s.*\[ERR_RATE_LIMITED\]/);
  assert.equal(place.registry.log.of('blob', digest).length, 1);
  checkWhole(place, await extract(place, 'large', '--max-retry-after', '3s'), 1);
});

test('mirrors of registries.conf: one is down, one lies, the registry heals; a blocked registry is not asked', async (t) => {
  const { registry, dst } = await serve(t);
  const { registry: liar } = await serve(t, { on: 'blob', do: 'flip' });
  const file = join(tempDir(t), 'registries.conf');
  const mirrors = [`127.0.0.1:${await closedPort()}`, liar.host];
  writeFileSync(
    file,
    [
      `[[registry]]\nprefix = "reg.example"\nlocation = "${registry.host}"\ninsecure = true`,
      ...mirrors.map((host) => `[[registry.mirror]]\nlocation = "${host}"\ninsecure = true`),
      '[[registry]]\nlocation = "blocked.example"\nblocked = true',
    ].join('\n'),
  );
  const env = { CONTAINERS_REGISTRIES_CONF: file };
  const words = ['extract', '--platform', 'linux/amd64', '--dst', dst];
  const healed = await rootfs([...words, 'reg.example/five:v1'], { env });
  checkWhole({ dst }, healed, 5);
  assert.equal(healed.stderr.match(/warning: mirror 127\.0\.0\.1:\d+ .* connection refused/g)?.length, 1);
  assert.equal(healed.stderr.match(/warning: sha256:\w+: the bytes that came were wrong/g)?.length, 5 + 1);
  // Config and layers, each once; index and manifest came from the mirror.
  assert.equal(registry.log.requests.length, 5 + 1);
  const blocked = await rootfs([...words, 'blocked.example/five:v1'], { env });
  assert.equal(blocked.code, 4, blocked.stderr);
  assert.match(blocked.stderr, /registries\.conf blocks blocked\.example/);
});
