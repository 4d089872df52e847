/** The registry client's errands, against the testing registry. */
import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Agent } from 'undici';
import { createRegistryClient, type RegistryClient } from '../../src/client/registry-client.js';
import { DockerArchive } from '../../src/content/docker-archive.js';
import { openDestination } from '../../src/open-destination.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { Endpoint } from '../../src/registry/endpoint.js';
import { getToken } from '../../src/registry/get-token.js';
import { compareInstances, type Instance, instancesOf } from '../../src/registry/listed-instances.js';
import { createRepository } from '../../src/registry/repository.js';
import type { Digest } from '../../src/spec/digest.js';
import { image, startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { openFilesUnder } from '../support/open-files.js';
import { sampleIndex } from '../support/sample-index.js';
import { tempDir } from '../support/temp-dir.js';

const { built, amd64, arm64 } = sampleIndex(1000);

async function start(t: TestContext): Promise<{ registry: TestRegistry; client: RegistryClient; app: string }> {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('team/app', 'v1', built);
  registry.add('team/app', 'amd', amd64);
  const client = createRegistryClient({ findCredentials: false, findEndpoints: false });
  return { registry, client, app: `${registry.host}/team/app` };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test('manifests, digests and configs by name', async (t) => {
  const { client, app } = await start(t);
  const index = await client.getManifest(`${app}:v1`);
  assert.equal(index.kind, 'index');
  assert.ok(Buffer.from(index.bytes).equals(built.indexBytes));
  const manifest = await client.getManifestByDigest(app, arm64.descriptor.digest);
  assert.equal(manifest.kind, 'manifest');
  assert.ok(Buffer.from(manifest.bytes).equals(arm64.manifestBytes));
  assert.equal(await client.getDigest(`${app}:v1`), built.descriptor.digest);
  const config = await client.getConfig(`${app}:v1`, { platform: 'linux/arm64' });
  assert.equal(config.value.architecture, 'arm64');
  const blob = await client.getBlob(app, amd64.layers[0]?.descriptor ?? amd64.descriptor);
  assert.ok(Buffer.concat(await blob.toArray()).equals(amd64.layers[0]?.blob ?? Buffer.alloc(0)));
  await assert.rejects(client.getManifest(`${app}:absent`), { code: 'ERR_NOT_FOUND' });
  await assert.rejects(client.getManifestByDigest(app, 'nothing'), { code: 'ERR_DIGEST_INVALID' });
  for (const asked of [
    () => client.getManifest('scratch'),
    () => client.getToken('docker.io/scratch:v1'),
    () => getToken('scratch'),
    () => client.downloadImage(`${app}:v1`, { name: 'scratch', platform: 'linux/amd64', parent: tempDir(t) }),
  ]) {
    await assert.rejects(asked, { code: 'ERR_REFERENCE_INVALID', message: /^[^ ]*scratch[^ ]*: .* reserved/ });
  }
});

test('a digest is computed where HEAD is refused or finds nothing', async (t) => {
  const { registry, client, app } = await start(t);
  for (const status of [405, 404]) {
    registry.fault({ on: 'manifest', method: 'HEAD', do: 'answer', status });
    assert.equal(await client.getDigest(`${app}:v1`), built.descriptor.digest);
  }
  await assert.rejects(client.getDigest(`${app}:none`), { code: 'ERR_NOT_FOUND', method: 'GET' });
});

test('a tag is set and a manifest deleted by its bytes where HEAD lies', async (t) => {
  const { registry, client, app } = await start(t);
  const set = { 'docker-content-digest': `sha256:${'a'.repeat(64)}`, 'content-type': amd64.descriptor.mediaType };
  registry.fault({ on: 'manifest', method: 'HEAD', do: 'headers', set });
  assert.deepEqual(await client.setTag(`${app}:v1`, 'v2'), built.descriptor);
  assert.equal((await client.getManifest(`${app}:v2`)).descriptor.mediaType, built.descriptor.mediaType);
  assert.equal((await client.deleteManifest(`${app}:v1`)).digest, built.descriptor.digest);
  await assert.rejects(client.getManifest(`${app}:v1`), { code: 'ERR_NOT_FOUND' });
});

test('bytes that are not those of the digest get no tag', async (t) => {
  const { registry, app } = await start(t);
  registry.fault({ on: 'manifest', method: 'GET', do: 'flip' });
  await assert.rejects(createRepository(app).tag(built.descriptor, 'v2'), { code: 'ERR_DIGEST_MISMATCH' });
  assert.deepEqual(
    registry.log.of('manifest').filter(({ method }) => method === 'PUT'),
    [],
  );
});

test('a manifest that is damaged goes by its digest', async (t) => {
  const { registry, client, app } = await start(t);
  registry.fault({ on: 'manifest', method: 'GET', do: 'flip' });
  const { digest } = built.descriptor;
  await assert.rejects(client.getManifest(`${app}@${digest}`), { code: 'ERR_DIGEST_MISMATCH' });
  assert.equal((await client.deleteManifest(`${app}@${digest}`)).digest, digest);
  await assert.rejects(client.getDigest(`${app}@${digest}`), { code: 'ERR_NOT_FOUND' });
});

test('tags and repositories are listed as they come', async (t) => {
  const { registry, client, app } = await start(t);
  registry.add('other', 'x', amd64);
  assert.deepEqual((await all(client.listTags(app))).sort(), ['amd', 'v1']);
  assert.deepEqual((await all(client.listRepositories(registry.host))).sort(), ['other', 'team/app']);
  await assert.rejects(all(client.listRepositories('not a host')), { code: 'ERR_REFERENCE_INVALID' });
});

test('a new tag has the same bytes, and a deleted manifest loses all its tags', async (t) => {
  const { client, app } = await start(t);
  assert.equal((await client.setTag(`${app}:v1`, 'stable')).digest, built.descriptor.digest);
  const again = await client.getManifest(`${app}:stable`);
  assert.ok(Buffer.from(again.bytes).equals(built.indexBytes));
  assert.equal(again.descriptor.mediaType, built.descriptor.mediaType);
  await assert.rejects(client.setTag(`${app}:v1`, built.descriptor.digest), { code: 'ERR_REFERENCE_INVALID' });
  assert.equal((await client.deleteManifest(`${app}:stable`)).digest, built.descriptor.digest);
  await assert.rejects(client.getDigest(`${app}:v1`), { code: 'ERR_NOT_FOUND' });
  await assert.rejects(client.deleteManifest(`${app}:v1`), { code: 'ERR_NOT_FOUND' });
});

test('what was read by its tag is not asked for again, to name it or to delete it', async (t) => {
  const { registry, client, app } = await start(t);
  const asked = (): string[] => registry.log.requests.splice(0).map(({ method }) => method);
  await client.setTag(`${app}:v1`, 'stable');
  assert.deepEqual(asked(), ['GET', 'PUT']);
  await client.deleteManifest(`${app}:stable`);
  assert.deepEqual(asked(), ['GET', 'DELETE']);
});

test('a tag is read where it is changed, whatever a mirror has kept of it', async (t) => {
  const { registry, app } = await start(t);
  const mirror = await startRegistry();
  t.after(() => mirror.close());
  for (const tag of ['v1', 'amd']) mirror.add('team/app', tag, arm64);
  registry.add('team/app', 'arm', arm64);
  const at = ({ url, host }: TestRegistry, mirrorOf?: string): Endpoint => ({
    baseUrl: url,
    repository: 'team/app',
    mirrorOf,
    credentialHost: host,
    capabilities: mirrorOf === undefined ? ['pull', 'resolve', 'push'] : ['pull', 'resolve'],
    source: 'the test',
  });
  const endpoints = { endpoints: async () => [at(mirror, registry.host), at(registry)] };
  const client = createRegistryClient({ findCredentials: false, endpoints });
  assert.equal(await client.getDigest(`${app}:amd`), arm64.descriptor.digest);
  const asked = mirror.log.requests.length;
  assert.equal((await client.setTag(`${app}:v1`, 'stable')).digest, built.descriptor.digest);
  const destination = await openDestination(`docker://${app}:copied`, { findCredentials: false, endpoints });
  const source = createRepository(app);
  assert.equal((await destination.copyFrom(source, 'stable', {})).descriptor.digest, built.descriptor.digest);
  assert.equal((await client.deleteManifest(`${app}:amd`)).digest, amd64.descriptor.digest);
  assert.equal(mirror.log.requests.length, asked);
  assert.deepEqual(await all(client.listTags(app)), ['arm', 'copied', 'stable', 'v1']);
  // Where nothing takes pushes, that is told.
  const mirrors = { endpoints: async () => [at(mirror, registry.host)] };
  await assert.rejects(
    createRegistryClient({ findCredentials: false, endpoints: mirrors }).setTag(`${app}:v1`, 'new'),
    {
      code: 'ERR_UNSUPPORTED',
      message: /no configured endpoint may be asked to push; /,
    },
  );
});

test('referrers by the API, all and of one type', async (t) => {
  const { registry, client, app } = await start(t);
  const signature = image().subject(amd64.descriptor, 'application/x.signature').build();
  registry.add('team/app', undefined, signature);
  const found = await all(client.referrers(`${app}:amd`));
  assert.deepEqual(
    found.map(({ digest }) => digest),
    [signature.descriptor.digest],
  );
  assert.deepEqual(await all(client.referrers(`${app}:amd`, { artifactType: 'application/x.other' })), []);
});

test('referrers of a digest whose manifest is not there', async (t) => {
  const { registry, client, app } = await start(t);
  const gone = { ...amd64.descriptor, digest: `sha256:${'0'.repeat(64)}` } as const;
  await assert.rejects(all(client.referrers(`${app}@${gone.digest}`)), { code: 'ERR_NOT_FOUND' });
  const signature = image().subject(gone, 'application/x.signature').build();
  registry.add('team/app', undefined, signature);
  const found = await all(client.referrers(`${app}@${gone.digest}`, { artifactType: 'application/x.signature' }));
  assert.deepEqual(
    found.map(({ digest }) => digest),
    [signature.descriptor.digest],
  );
  assert.deepEqual(await all(client.referrers(`${app}@${gone.digest}`, { artifactType: 'application/x.other' })), []);
  await assert.rejects(all(client.referrers(`${app}:gone`)), { code: 'ERR_NOT_FOUND' });
});

test('validate reads everything once and names what is wrong', async (t) => {
  const { registry, client, app } = await start(t);
  const valid = await client.validate(`${app}:v1`);
  assert.deepEqual([valid.manifests, valid.blobs], [4, built.blobs.size - 4]);
  const layer = amd64.layers[1]?.descriptor.digest;
  registry.fault({ on: 'blob', reference: layer, do: 'flip' });
  await assert.rejects(client.validate(`${app}:v1`), {
    code: 'ERR_DIGEST_MISMATCH',
    message: new RegExp(String(layer)),
  });
  assert.equal((await client.validate(`${app}:v1`, { platform: 'linux/arm64' })).manifests, 1);
});

test('instances are gathered where the registry does not list them', async (t) => {
  const { registry, client, app } = await start(t);
  const made = image()
    .configFields({ created: '2020-01-02T03:04:05Z' })
    .layer((layer) => layer.file('x', 'y'))
    .build();
  registry.add('team/app', 'b', made);
  registry.add('team/app', 'a', made);
  const found = await client.listInstances(app);
  const instance = found.get(made.descriptor.digest);
  const sizes = [made.manifest.config, ...made.manifest.layers].reduce((sum, { size }) => sum + size, 0);
  assert.deepEqual(instance, {
    digest: made.descriptor.digest,
    size: made.manifestBytes.length + sizes,
    tags: ['a', 'b'],
    created: new Date('2020-01-02T03:04:05Z'),
  });
  assert.equal(found.size, 3);
  const list = [...found.values()];
  assert.deepEqual(list, [...list].sort(compareInstances));
  assert.ok((found.get(built.descriptor.digest)?.size ?? 0) > (found.get(amd64.descriptor.digest)?.size ?? 0));
  for (const jobs of [0, 65, 1.5]) {
    await assert.rejects(client.listInstances(app, { jobs }), { code: 'ERR_OPTION_INVALID', message: /from 1 to 64/ });
  }
});

test("instances come from the registry's own list where it has one", async (t) => {
  const { registry, client, app } = await start(t);
  const digest = (hex: string): Digest => `sha256:${hex.repeat(64)}`;
  const body = {
    name: 'team/app',
    tags: ['x'],
    manifest: {
      [digest('a')]: {
        imageSizeBytes: '12',
        tag: ['z', 'x'],
        timeCreatedMs: '1500000000000',
        timeUploadedMs: '1600000000000',
      },
      [digest('b')]: { imageSizeBytes: '7', tag: [], timeCreatedMs: '1400000000000', timeUploadedMs: '0' },
      [digest('c')]: { imageSizeBytes: 'many', tag: null, timeCreatedMs: '-1' },
      'no digest': { imageSizeBytes: '1' },
      __proto__: { imageSizeBytes: '1' },
    },
  };
  registry.fault({ on: 'tags', do: 'answer', status: 200, headers: { 'content-type': 'application/json' }, body });
  const found = await client.listInstances(app);
  assert.deepEqual(
    [...found.values()],
    [
      { digest: digest('c'), size: 0, tags: [] },
      { digest: digest('b'), size: 7, tags: [], created: new Date(1400000000000) },
      {
        digest: digest('a'),
        size: 12,
        tags: ['x', 'z'],
        created: new Date(1500000000000),
        uploaded: new Date(1600000000000),
      },
    ],
  );
  assert.equal(registry.log.requests.length, 1);
  for (const page of [null, 7, { manifest: [] }, { manifest: null }]) assert.equal(instancesOf(page), undefined);
});

test('the order of instances: created, uploaded, size, digest', () => {
  const one = (created?: number, uploaded?: number, size = 1, digest: Digest = 'sha256:a'): Instance => ({
    digest,
    size,
    tags: [],
    ...(created === undefined ? {} : { created: new Date(created) }),
    ...(uploaded === undefined ? {} : { uploaded: new Date(uploaded) }),
  });
  const ordered = [one(), one(1), one(1, 1), one(1, 2), one(1, 2, 2), one(1, 2, 2, 'sha256:b'), one(2)];
  assert.deepEqual([...ordered].reverse().sort(compareInstances), ordered);
});

test('the stages of a pull give what the pull gives, and leave nothing', async (t) => {
  const { client, app } = await start(t);
  const folder = tempDir(t);
  const amd = { platform: 'linux/amd64' };
  const files = await client.downloadImage(`${app}:v1`, { ...amd, parent: folder });
  assert.deepEqual(readdirSync(files).sort(), ['blobs', 'index.json', 'manifest.json', 'oci-layout']);
  for (const name of ['one.tar', 'two.tar.gz']) {
    const path = await client.packageImage(files, join(folder, name));
    const archive = await DockerArchive.open(path);
    assert.equal((await archive.resolve(`${app}:v1`)).digest, amd64.descriptor.digest);
    await archive.close();
  }
  await assert.rejects(client.packageImage(files, join(folder, 'x.zip')), { code: 'ERR_OPTION_INVALID' });
  await client.removeImageDir(files);
  await client.removeImageDir(files);
  assert.deepEqual(readdirSync(folder).sort(), ['one.tar', 'two.tar.gz']);
  const whole = await client.execute({ image: app, tag: 'v1', arch: 'amd64', os: 'linux', path: folder });
  assert.equal(whole, join(folder, 'team_app_v1_amd64_linux.tar.gz'));
  assert.ok(lstatSync(whole).size > 0);
  const plain = await client.execute({ image: app, tag: 'v1', arch: 'amd64', path: join(folder, 'three.tar') });
  assert.ok(readFileSync(plain).equals(readFileSync(join(folder, 'one.tar'))));
  const pinned = { image: app, tag: amd64.descriptor.digest, path: join(folder, 'pinned.tar') };
  assert.equal(await client.execute(pinned), join(folder, 'pinned.tar'));
  await assert.rejects(client.execute({ image: `${app}:v1`, tag: 'v2' }), { code: 'ERR_OPTION_INVALID' });
});

test('the stages give the bytes of the pull, whatever its layers are compressed with', async (t) => {
  const folder = tempDir(t);
  const registry = await startRegistry();
  t.after(() => registry.close());
  const client = createRegistryClient({ findCredentials: false, findEndpoints: false });
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const built = image().compression(compression);
    for (const name of ['base', 'top']) built.layer((layer) => layer.file(name, Buffer.alloc(50_000, name)));
    registry.add('team/app', compression, built.build());
    const name = `${registry.host}/team/app:${compression}`;
    const files = await client.downloadImage(name, { parent: folder });
    for (const suffix of ['.tar', '.tar.gz']) {
      const staged = await client.packageImage(files, join(folder, `staged${suffix}`));
      const whole = await client.execute({ image: name, path: join(folder, `whole${suffix}`) });
      assert.ok(readFileSync(staged).equals(readFileSync(whole)), `${compression} ${suffix}`);
    }
  }
});

test('of a tag with a digest, an archive has the tag', async (t) => {
  const { client, app } = await start(t);
  const folder = tempDir(t);
  const both = `${app}:v1@${built.descriptor.digest}`;
  const whole = await client.execute({ image: both, arch: 'amd64', path: folder });
  assert.equal(whole, join(folder, 'team_app_v1_amd64_linux.tar.gz'));
  const files = await client.downloadImage(both, { platform: 'linux/amd64', parent: folder });
  const [{ RepoTags }] = JSON.parse(readFileSync(join(files, 'manifest.json'), 'utf8')) as [{ RepoTags: unknown }];
  assert.deepEqual(RepoTags, [`${app}:v1`]);
  const other = await client.execute({ image: both, name: 'other:1', path: folder });
  assert.equal(other, join(folder, 'other_1_amd64_linux.tar.gz'));
});

test('what is no text is no tag: none of that name is made', async (t) => {
  const { client, app } = await start(t);
  for (const value of [undefined, null, 5, true] as unknown as string[]) {
    await assert.rejects(client.setTag(`${app}:v1`, value), { code: 'ERR_REFERENCE_INVALID' });
  }
  assert.deepEqual(await all(client.listTags(app)), ['amd', 'v1']);
});

test('a folder that is no image is neither packed nor removed', async (t) => {
  const { client, app } = await start(t);
  const folder = tempDir(t);
  const other = join(folder, 'other');
  mkdirSync(other);
  writeFileSync(join(other, 'precious'), 'x');
  await assert.rejects(client.removeImageDir(other), { code: 'ERR_LAYOUT_INVALID' });
  await assert.rejects(client.packageImage(other, join(folder, 'x.tar')), { code: 'ERR_LAYOUT_INVALID' });
  const files = await client.downloadImage(`${app}:amd`, { parent: folder });
  writeFileSync(join(files, 'manifest.json'), JSON.stringify([{ Config: '../other/precious', Layers: [] }]));
  await assert.rejects(client.packageImage(files, join(folder, 'x.tar')), { code: 'ERR_LAYOUT_INVALID' });
  assert.deepEqual(readdirSync(other), ['precious']);
});

test('every request goes through the dispatcher that was given', async (t) => {
  const { app } = await start(t);
  const paths: string[] = [];
  const agent = new Agent().compose((dispatch) => (options, handler) => {
    paths.push(String(options.path));
    return dispatch(options, handler);
  });
  const client = createRegistryClient({ dispatcher: agent, findCredentials: false, findEndpoints: false });
  await client.validate(`${app}:amd`);
  await all(client.listTags(app));
  assert.equal(paths.length, 1 + amd64.layers.length + 1 + 1);
  await agent.close();
});

test('a packing that is given up leaves no archive and no file open', async (t) => {
  const { client, app } = await start(t);
  const folder = tempDir(t);
  const files = await client.downloadImage(`${app}:amd`, { parent: folder, platform: 'linux/amd64' });
  for (const name of ['x.tar', 'x.tar.gz']) {
    for (let turns = 0; turns < 60; turns += 1) {
      const controller = new AbortController();
      const reason = new Error('enough');
      const packing = client.packageImage(files, join(folder, name), { signal: controller.signal });
      let settled = false;
      const ended = packing.then(
        () => true,
        (error: unknown) => error !== reason,
      );
      void ended.then(() => {
        settled = true;
      });
      for (let turn = 0; turn < turns && !settled; turn += 1) await new Promise((go) => setImmediate(go));
      controller.abort(reason);
      if (await ended) break;
      assert.deepEqual(
        readdirSync(folder).filter((found) => found.includes('x.tar')),
        [],
      );
    }
    await new Promise((go) => setTimeout(go, 20));
    assert.deepEqual(openFilesUnder(files), []);
    rmSync(join(folder, name), { force: true });
  }
});

test('a download plans its blobs, and what comes adds up to that', async (t) => {
  const { client, app } = await start(t);
  const events: ProgressEvent[] = [];
  await client.downloadImage(`${app}:amd`, {
    parent: tempDir(t),
    platform: 'linux/amd64',
    onProgress: (event) => events.push(event),
  });
  const planned = events.filter((event) => event.type === 'blobs:planned');
  const copied = events.filter((event) => event.type === 'blob:copied');
  const bytes = copied.reduce((sum, event) => sum + event.bytes, 0);
  assert.ok(bytes > 0);
  assert.deepEqual(planned, [{ type: 'blobs:planned', blobs: copied.length, bytes }]);
});
