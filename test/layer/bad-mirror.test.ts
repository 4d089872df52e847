/** Mirrors out of hosts.toml that give wrong bytes, or nothing: the registry itself heals what they do. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { createEndpointSearch } from '../../src/registry/endpoint-search.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import { openRootFS } from '../../src/rootfs/open-rootfs.js';
import { type Fault, startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { app, appIndex, big, PULL } from '../support/fault-table.js';
import { layerNames, wrongLayers } from '../support/layer-files.js';
import { tempDir } from '../support/temp-dir.js';

/** A registry whose mirrors, in this order, stand in hosts.toml. */
function behindMirrors(folder: string, registry: TestRegistry, mirrors: readonly TestRegistry[]): RegistryRepository {
  const hosts = join(folder, 'hosts', registry.host);
  mkdirSync(hosts, { recursive: true });
  const lines = mirrors.map(({ url }) => `[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`);
  writeFileSync(join(hosts, 'hosts.toml'), `server = "${registry.url}"\n${lines.join('')}`);
  const endpoints = createEndpointSearch({
    env: {},
    home: join(folder, 'home'),
    hostsDirs: [join(folder, 'hosts')],
    certsDirs: [],
    registriesConf: { named: undefined, files: [], folders: [] },
  });
  return createRepository(`${registry.host}/app`, { endpoints, retry: 1, timeoutMs: 500 });
}

interface Ended {
  readonly error: unknown;
  readonly dst: string;
  readonly warnings: readonly string[];
  readonly registry: TestRegistry;
  readonly mirrors: readonly TestRegistry[];
}

async function pull(
  t: TestContext,
  faults: readonly Fault[],
  mirrorFaults: readonly (readonly Fault[])[],
): Promise<Ended> {
  const [registry, ...mirrors] = await Promise.all(
    [faults, ...mirrorFaults].map((list) => startRegistry({ faults: list })),
  );
  assert.ok(registry !== undefined);
  t.after(() => Promise.all([registry, ...mirrors].map((one) => one.close())));
  for (const one of [registry, ...mirrors]) one.add('app', 'latest', appIndex);
  const folder = tempDir(t);
  const dst = join(folder, 'dst');
  mkdirSync(dst);
  const repository = behindMirrors(folder, registry, mirrors);
  const warnings: string[] = [];
  const onProgress = (event: { type: string; message?: string }): void => {
    if (event.type === 'warning:raised') warnings.push(String(event.message));
  };
  try {
    const image = await fetchImage(repository, 'latest', { platform: 'linux/amd64', onProgress });
    const rootfs = await openRootFS(repository, image, dst, { fsync: 'none', onProgress });
    await rootfs.close();
    return { error: undefined, dst, warnings, registry, mirrors };
  } catch (error) {
    return { error, dst, warnings, registry, mirrors };
  }
}

function checkWhole({ error, dst }: Ended): void {
  assert.equal(error, undefined);
  assert.equal(layerNames(dst).length, app.layers.length);
  assert.deepEqual(wrongLayers(dst), []);
  assert.deepEqual(readdirSync(join(dst, 'ingest')), []);
}

const digest = big.descriptor.digest;
const BAD: readonly (readonly [what: string, ...faults: Fault[]])[] = [
  ['has one bit of a layer wrong', { on: 'blob', reference: digest, do: 'flip' }],
  ['gives a layer that is too short', { on: 'blob', reference: digest, do: 'short', by: 10 }],
  ['gives a layer that is too long', { on: 'blob', reference: digest, do: 'long', by: 10 }],
  ['gives a layer that never ends', { on: 'blob', reference: digest, do: 'endless' }],
  ['has every blob wrong', { on: 'blob', do: 'flip' }],
  ['gives web pages as blobs', { on: 'blob', do: 'html' }],
  ['gives nothing as blobs', { on: 'blob', do: 'answer', status: 200 }],
  ['gives a page under the tag', { on: 'manifest', reference: 'latest', do: 'answer', status: 200, body: '<html>' }],
  [
    'gives errors under the tag',
    { on: 'manifest', reference: 'latest', do: 'answer', status: 200, body: { errors: [] } },
  ],
  ['turns an index into schema 1', { on: 'manifest', reference: 'latest', do: 'schema1' }],
  [
    'calls an index a manifest',
    { on: 'manifest', reference: 'latest', do: 'headers', set: { 'content-type': app.descriptor.mediaType } },
  ],
  ['has wrong manifests by digest', { on: 'manifest', reference: app.descriptor.digest, do: 'flip' }],
  [
    'cuts a layer and goes on with wrong bytes',
    { on: 'blob', reference: digest, do: 'cut', after: 600_000, times: 1 },
    { on: 'blob', reference: digest, do: 'range', as: 'wrong-bytes' },
  ],
];

describe('a mirror that lies is healed by the registry', { concurrency: 4 }, () => {
  for (const [what, ...faults] of BAD) {
    test(`a mirror that ${what}`, async (t) => {
      const ended = await pull(t, [], [faults]);
      checkWhole(ended);
      const { registry, mirrors } = ended;
      // Only what was wrong is asked of the registry itself.
      assert.ok(registry.log.requests.length >= 1 && registry.log.requests.length <= app.layers.length + 1);
      assert.ok(registry.log.requests.every(({ kind }) => kind === faults[0]?.on));
      assert.ok((mirrors[0]?.log.requests.length ?? 99) <= PULL + 1);
    });
  }
});

test('two mirrors that lie, one after the other, and the warnings that say so', async (t) => {
  const faults: Fault[] = [{ on: 'blob', reference: digest, do: 'flip' }];
  const ended = await pull(t, [], [faults, faults]);
  checkWhole(ended);
  assert.deepEqual(
    [...ended.mirrors, ended.registry].map(({ log }) => log.of('blob', digest).length),
    [1, 1, 1],
  );
  assert.equal(ended.warnings.filter((line) => line.includes(`${digest}: the bytes that came were wrong`)).length, 2);
});

test('a wrong config of a mirror is healed too, and said', async (t) => {
  const config = app.manifest.config.digest;
  const ended = await pull(t, [], [[{ on: 'blob', reference: config, do: 'flip' }]]);
  checkWhole(ended);
  assert.equal(ended.registry.log.requests.length, 1);
  assert.equal(ended.warnings.filter((line) => line.startsWith(`${config}: the bytes that came were wrong`)).length, 1);
});

test('a layer that mirror and registry have wrong is refused, after one request each', async (t) => {
  const faults: Fault[] = [{ on: 'blob', reference: digest, do: 'flip' }];
  const { error, dst, mirrors, registry } = await pull(t, faults, [faults]);
  assert.ok(error instanceof RootfsError);
  assert.equal(error.code, 'ERR_DIGEST_MISMATCH');
  assert.deepEqual(wrongLayers(dst), []);
  assert.deepEqual(readdirSync(join(dst, 'ingest')), []);
  assert.equal(mirrors[0]?.log.of('blob', digest).length, 1);
  assert.equal(registry.log.of('blob', digest).length, 1);
});

test('a mirror that dies in the middle of a layer: the registry goes on from there', async (t) => {
  const mirrorFaults: Fault[] = [
    { on: 'blob', reference: digest, do: 'cut', after: 600_000, times: 1 },
    { on: 'any', do: 'hang-up', nth: 4 },
  ];
  const ended = await pull(t, [], [mirrorFaults]);
  checkWhole(ended);
  const bytes = [...ended.mirrors, ended.registry].reduce((sum, { log }) => sum + log.bytesOf(digest), 0);
  assert.ok(bytes <= big.descriptor.size * 1.01, `${bytes} bytes of ${big.descriptor.size}`);
});

/** What a mirror begins and does not get on with, each time that it is asked. */
const STUCK: readonly (readonly [what: string, ...faults: Fault[]])[] = [
  [
    'cuts a layer at the same place each time',
    { on: 'blob', reference: digest, do: 'cut', after: 90_000 },
    { on: 'blob', reference: digest, do: 'range', as: 'ignored' },
  ],
  ['cuts a layer after its first bytes', { on: 'blob', reference: digest, do: 'cut', after: 10 }],
  ['falls silent in a layer', { on: 'blob', reference: digest, do: 'stall', after: 10 }],
  ['ends every blob early, without a length', { on: 'blob', do: 'short', by: 200, declared: 'none' }],
];

describe('a mirror that does not get on is left, for the registry', { concurrency: 4 }, () => {
  for (const [what, ...faults] of STUCK) {
    test(`a mirror that ${what}`, async (t) => {
      const ended = await pull(t, [], [faults]);
      checkWhole(ended);
      assert.ok(ended.registry.log.requests.every(({ kind }) => kind === 'blob'));
      assert.ok(ended.mirrors.every(({ log }) => log.of('blob', digest).length <= 2));
      assert.match(ended.warnings.join('\n'), /^mirror 127\.0\.0\.1:\d+ \(.*hosts\.toml\) failed: /m);
    });
  }
});

test('a layer that neither mirror nor registry get on with ends in what the registry failed with', async (t) => {
  const { error, mirrors, registry } = await pull(
    t,
    [{ on: 'blob', reference: digest, do: 'stall', after: 10 }],
    [[{ on: 'blob', reference: digest, do: 'cut', after: 10 }]],
  );
  assert.ok(error instanceof RootfsError);
  assert.equal(error.code, 'ERR_TIMEOUT');
  assert.equal(mirrors[0]?.log.of('blob', digest).length, 1);
  assert.equal(registry.log.of('blob', digest).length, 2);
});

test('a mirror that breaks off a layer is asked again where nobody else is there', async (t) => {
  const ended = await pull(
    t,
    [{ on: 'any', do: 'hang-up' }],
    [[{ on: 'blob', reference: digest, do: 'cut', after: 10, times: 1 }]],
  );
  checkWhole(ended);
  assert.equal(ended.mirrors[0]?.log.of('blob', digest).length, 2);
});
