/** Parts that somebody else wrote, each unlike our own, at a real registry: the difference shows in what the registry saw. */
import assert from 'node:assert/strict';
import { appendFileSync, createReadStream, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { MemoryStore } from '../../src/content/memory.js';
import { callPart } from '../../src/engine/call-part.js';
import type { DownloadManager } from '../../src/engine/download-manager.js';
import { getRepository } from '../../src/engine/get-repository.js';
import { type ImageConfigStore, imageConfigStoreFromStore } from '../../src/engine/image-config-store.js';
import { chainIdOf } from '../../src/engine/layer-chain.js';
import type { LayerSighting, MetadataStore } from '../../src/engine/metadata-store.js';
import { pull } from '../../src/engine/pull.js';
import { push } from '../../src/engine/push.js';
import type { PushLayer, PushLayerProvider } from '../../src/engine/push-layer.js';
import type { ReferenceStore } from '../../src/engine/reference-store.js';
import { createRegistryResolver, type RegistryResolver, repositoryInfo } from '../../src/engine/registry-resolver.js';
import type { UploadManager } from '../../src/engine/upload-manager.js';
import { RootfsError } from '../../src/errors.js';
import type { CredentialProvider } from '../../src/registry/credentials.js';
import type { Endpoint } from '../../src/registry/endpoint.js';
import { createRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import type { Digest } from '../../src/spec/digest.js';
import type { ImageLayer } from '../../src/spec/image-layer.js';
import { closedPort, digestOf, type TestRegistry } from '../../src/testing/testing.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { engineImage, engineParts, engineRegistry, layerTarsOf, ownTemporaryFolder } from '../support/engine-parts.js';
import { openFilesUnder } from '../support/open-files.js';
import { tempDir } from '../support/temp-dir.js';

function endpointOf(registry: TestRegistry, repository: string, more: Partial<Endpoint> = {}): Endpoint {
  return {
    baseUrl: registry.url,
    repository,
    credentialHost: registry.host,
    capabilities: ['pull', 'resolve', 'push'],
    source: 'the test',
    ...more,
  };
}

/** A resolver that names endpoints as it likes. */
function resolver(pullFrom: readonly Endpoint[], pushTo: readonly Endpoint[] = pullFrom): RegistryResolver {
  return {
    resolveRepository: repositoryInfo,
    lookupPullEndpoints: async () => pullFrom,
    lookupPushEndpoints: async () => pushTo,
  };
}

test('a resolver that sends the first blob to a broken mirror: the pull succeeds, the wrong bytes are not kept', async (t) => {
  const [mirror, registry] = [await engineRegistry(t), await engineRegistry(t)];
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  mirror.add('cache/app', 'v1', app);
  const broken = mirror.fault({ on: 'blob', do: 'flip' });
  const parts = await engineParts(t);
  const pulled = await pull('registry.example/team/app:v1', {
    ...parts,
    registryResolver: resolver([
      endpointOf(mirror, 'cache/app', { mirrorOf: 'registry.example', capabilities: ['pull'] }),
      endpointOf(registry, 'team/app'),
    ]),
  });
  assert.equal(pulled.id, app.manifest.config.digest);
  assert.ok(broken.struck > 0);
  assert.deepEqual(
    layerTarsOf(parts.folder, app),
    app.layers.map(({ tar }) => tar),
  );
  // Every blob was asked of the mirror first, and of the registry only because the mirror's was wrong.
  for (const { descriptor } of app.layers) {
    assert.equal(mirror.log.of('blob', descriptor.digest).length, 1);
    assert.equal(registry.log.of('blob', descriptor.digest).length, 1);
  }
});

test('a resolver whose mirror is dead, and one that knows no endpoint', async (t) => {
  const registry = await engineRegistry(t);
  registry.add('team/app', 'v1', engineImage());
  const parts = await engineParts(t);
  const dead = `http://127.0.0.1:${await closedPort()}`;
  const mirror = endpointOf(registry, 'cache/app', { baseUrl: dead, mirrorOf: 'registry.example' });
  const { warnings, onProgress } = collectWarnings();
  await pull('registry.example/team/app:v1', {
    ...parts,
    onProgress,
    registryResolver: resolver([mirror, endpointOf(registry, 'team/app')]),
  });
  assert.equal(warnings.filter((text) => text.includes('127.0.0.1')).length, 1);
  await assert.rejects(pull('registry.example/team/app:v1', { ...parts, registryResolver: resolver([]) }), {
    code: 'ERR_UNSUPPORTED',
  });
});

test('what is configured for one tag or digest alone holds for an engine, too', async (t) => {
  const [registry, mirror] = [await engineRegistry(t), await engineRegistry(t)];
  const app = engineImage();
  for (const server of [registry, mirror]) for (const tag of ['v1', 'v2']) server.add('team/app', tag, app);
  const file = join(tempDir(t), 'registries.conf');
  const rule = (prefix: string, more: string): string => `[[registry]]\nlocation = "${prefix}"\n${more}\n`;
  const tags = `[[registry.mirror]]\nlocation = "${mirror.host}/team/app"\ninsecure = true\npull-from-mirror = "tag-only"`;
  const name = `${registry.host}/team/app`;
  writeFileSync(file, rule(name, tags) + rule(`${name}:v1`, 'blocked = true'));
  const registriesConf = { named: file, files: [], folders: [] };
  const registryResolver = await createRegistryResolver({ registriesConf });
  const config = { ...(await engineParts(t)), registryResolver };
  const blocked = { code: 'ERR_DENIED', message: /blocks .*\/team\/app:v1/ };
  await assert.rejects(pull(`${name}:v1`, config), blocked);
  const opened = await getRepository(`${name}:v2`, config);
  await assert.rejects(opened.manifests.get('v1'), blocked);
  assert.equal((await opened.manifests.get('v2')).descriptor.digest, app.descriptor.digest);
  mirror.log.reset();
  await pull(`${name}@${app.descriptor.digest}`, config);
  assert.equal(mirror.log.of('manifest').length, 0);
  await pull(`${name}:v2`, config);
  assert.ok(mirror.log.of('manifest').length > 0);
});

test('a resolver with its own idea of names: what an engine calls app lies elsewhere', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('tenants/seven/app', 'v1', app);
  const parts = await engineParts(t);
  const own: RegistryResolver = {
    ...resolver([endpointOf(registry, 'tenants/seven/app')]),
    resolveRepository: (reference) => ({
      ...repositoryInfo(reference),
      host: registry.host,
      path: 'tenants/seven/app',
    }),
  };
  const config = { ...parts, registryResolver: own };
  await pull('app:v1', config);
  assert.equal(await parts.referenceStore.get('docker.io/library/app:v1'), app.manifest.config.digest);
  await parts.referenceStore.set('docker.io/library/app:v2', app.manifest.config.digest);
  await push('app:v2', config);
  assert.ok(registry.content.repository('tenants/seven/app').tags.has('v2'));
});

test('plain http is not tried at a host that spoke TLS; where TLS is not spoken it is', async (t) => {
  const secure = await engineRegistry(t, { tls: 'self-signed' });
  const ways = (host: string): Endpoint[] =>
    ['https', 'http'].map((scheme) => endpointOf(secure, 'team/app', { baseUrl: `${scheme}://${host}` }));
  const config = { registryResolver: resolver(ways(secure.host)), registry: { retry: 0 } };
  await assert.rejects(getRepository(`${secure.host}/team/app`, config), { code: 'ERR_TLS' });
  assert.equal(secure.log.requests.length, 0);
  const plain = await engineRegistry(t);
  const opened = await getRepository(`${plain.host}/team/app`, { registryResolver: resolver(ways(plain.host)) });
  assert.equal(opened.endpoint.baseUrl, plain.url);
});

test('a credential provider that rotates: what expires in the middle of a push is asked for again', async (t) => {
  const [from, to] = [
    await engineRegistry(t),
    await engineRegistry(t, { auth: { kind: 'bearer', users: { old: 'one', new: 'two' } } }),
  ];
  const app = engineImage();
  from.add('team/app', 'v1', app);
  const parts = await engineParts(t);
  const { id } = await pull(`${from.host}/team/app:v1`, parts);
  const asked: string[] = [];
  const credentials: CredentialProvider = {
    async credential({ host }) {
      asked.push(host);
      const credential =
        asked.length === 1 ? { username: 'old', password: 'one' } : { username: 'new', password: 'two' };
      return { credential, source: 'the test' };
    },
  };
  // The token ends with the second layer, and with it the first login.
  to.fault({ on: 'upload', nth: 3, times: 1, do: 'expire-tokens' });
  to.fault({ on: 'token', nth: 2, times: 1, do: 'answer', status: 401, body: { errors: [{ code: 'UNAUTHORIZED' }] } });
  await push(`${to.host}/team/app:v1`, { ...parts, id, credentials });
  assert.deepEqual(asked, [to.host, to.host]);
  const logins = to.log
    .of('token')
    .map(({ headers }) => Buffer.from(String(headers['authorization']).slice(6), 'base64').toString());
  assert.equal(logins[0], 'old:one');
  assert.equal(logins.at(-1), 'new:two');
  assert.ok(to.content.repository('team/app').tags.has('v1'));
});

test('basic credentials that rotate are asked for again, too; those that stay wrong only once more', async (t) => {
  const registry = await engineRegistry(t, { auth: { kind: 'basic', users: { user: 'right' } } });
  registry.add('team/app', 'v1', engineImage());
  let calls = 0;
  const passwords = (...list: readonly string[]): CredentialProvider => ({
    credential: async () => {
      const password = list[Math.min(calls, list.length - 1)] ?? '';
      calls += 1;
      return { credential: { username: 'user', password }, source: 'the test' };
    },
  });
  await pull(`${registry.host}/team/app:v1`, { ...(await engineParts(t)), credentials: passwords('stale', 'right') });
  assert.equal(calls, 2);
  calls = 0;
  const wrong = pull(`${registry.host}/team/app:v1`, { ...(await engineParts(t)), credentials: passwords('wrong') });
  await assert.rejects(wrong, { code: 'ERR_UNAUTHORIZED' });
  assert.equal(calls, 2);
});

test('authConfig: every way to say who one is, and nobody else hears it', async (t) => {
  const app = engineImage();
  const basic = await engineRegistry(t, { auth: { kind: 'basic', users: { user: 'pass' } } });
  const bearer = await engineRegistry(t, {
    auth: { kind: 'bearer', identityToken: 'refresh', registryToken: 'fixed', users: {} },
  });
  for (const registry of [basic, bearer]) registry.add('team/app', 'v1', app);
  const name = (registry: TestRegistry): string => `${registry.host}/team/app:v1`;
  const auth = Buffer.from('user:pass\0').toString('base64');
  for (const authConfig of [
    { username: 'user', password: 'pass' },
    { auth },
    { auth, serverAddress: basic.host },
    { auth, username: '', password: '', identityToken: '', registryToken: '', serverAddress: '' },
    { auth, serverAddress: `http://${basic.host}/v2/` },
  ]) {
    await pull(name(basic), { ...(await engineParts(t)), authConfig });
  }
  for (const authConfig of [{ identityToken: 'refresh' }, { registryToken: 'fixed' }]) {
    await pull(name(bearer), { ...(await engineParts(t)), authConfig });
  }
  const parts = await engineParts(t);
  for (const authConfig of [{}, { auth, serverAddress: 'elsewhere.example' }]) {
    await assert.rejects(pull(name(basic), { ...parts, authConfig }), { code: 'ERR_UNAUTHORIZED' });
  }
  await assert.rejects(pull(name(basic), { ...parts, authConfig: { auth: 'bm90aGluZw==' } }), {
    code: 'ERR_CREDENTIALS',
  });
});

test('a reference store in a file of lines: the default knows nothing of its names', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  const path = join(tempDir(t), 'names.txt');
  const lines = (): [string, Digest][] =>
    existsSync(path)
      ? readFileSync(path, 'utf8')
          .split('\n')
          .filter(Boolean)
          .map((line) => line.split(' ') as [string, Digest])
      : [];
  const referenceStore: ReferenceStore = {
    get: async (reference) => lines().findLast(([name]) => name === reference)?.[1],
    set: async (reference, id) => appendFileSync(path, `${reference} ${id}\n`),
    delete: async () => false,
    references: async (id) =>
      lines()
        .filter(([, found]) => found === id)
        .map(([name]) => name),
  };
  const parts = await engineParts(t);
  const name = `${registry.host}/team/app:v1`;
  const { id } = await pull(name, { ...parts, referenceStore });
  assert.equal(readFileSync(path, 'utf8'), `${name} ${id}\n`);
  assert.equal(await parts.referenceStore.get(name), undefined);
  await push(name, { ...parts, referenceStore });
});

test('a download manager with one slot: never two blobs at once, where the default has three', async (t) => {
  const app = engineImage('wide', 6);
  const most = async (downloadManager?: DownloadManager): Promise<number> => {
    const registry = await engineRegistry(t);
    registry.add('team/app', 'v1', app);
    registry.fault({ on: 'blob', do: 'latency', ms: 30 });
    const parts = await engineParts(t);
    await pull(`${registry.host}/team/app:v1`, {
      ...parts,
      ...(downloadManager === undefined ? {} : { downloadManager }),
    });
    return registry.log.mostBlobsAtOnce;
  };
  const folder = tempDir(t);
  const oneSlot: DownloadManager = {
    async download(source, layers, options) {
      const diffIds: Digest[] = [];
      for (const { descriptor } of layers) {
        const chunks: Buffer[] = [];
        for await (const chunk of await source.fetch(descriptor, options)) chunks.push(chunk as Buffer);
        const tar = gunzipSync(Buffer.concat(chunks));
        const diffId = digestOf(tar);
        await mkdir(folder, { recursive: true });
        await writeFile(join(folder, `${diffId.slice(7)}.tar`), tar);
        diffIds.push(diffId);
      }
      return diffIds;
    },
  };
  assert.equal(await most(oneSlot), 1);
  for (const { diffId, tar } of app.layers) assert.deepEqual(readFileSync(join(folder, `${diffId.slice(7)}.tar`)), tar);
  assert.equal(await most(), 3);
});

test('a download manager that brings something else is found out', async (t) => {
  const registry = await engineRegistry(t);
  registry.add('team/app', 'v1', engineImage());
  const parts = await engineParts(t);
  const downloadManager: DownloadManager = {
    download: async (_source, layers) => layers.map((): Digest => `sha256:${'0'.repeat(64)}`),
  };
  await assert.rejects(pull(`${registry.host}/team/app:v1`, { ...parts, downloadManager }), {
    code: 'ERR_DIFFID_MISMATCH',
    message: /download manager/,
  });
  assert.equal(await parts.referenceStore.get(`${registry.host}/team/app:v1`), undefined);
});

test('an upload manager that sends the top layer first', async (t) => {
  const [from, to] = [await engineRegistry(t), await engineRegistry(t)];
  const app = engineImage();
  from.add('team/app', 'v1', app);
  const parts = await engineParts(t);
  const { id } = await pull(`${from.host}/team/app:v1`, parts);
  const uploadManager: UploadManager = {
    async upload(layers, options = {}) {
      const found: Descriptor[] = [];
      for (const layer of [...layers].reverse()) found.unshift(await layer.upload(options));
      return found;
    },
  };
  const pushed = await push(`${to.host}/team/app:v1`, { ...parts, id, uploadManager });
  const order = to.log.requests
    .filter(({ method, url }) => method === 'PUT' && url.includes('digest='))
    .map(({ url }) => decodeURIComponent(url).match(/digest=([^&]+)/)?.[1]);
  assert.deepEqual(order.slice(0, 3), pushed.layers.map(({ digest }) => digest).reverse());
});

test('an upload manager that mixes its layers up is found out, and nothing is tagged', async (t) => {
  const [from, to] = [await engineRegistry(t), await engineRegistry(t)];
  from.add('team/app', 'v1', engineImage());
  const parts = await engineParts(t);
  const { id } = await pull(`${from.host}/team/app:v1`, parts);
  const pushing = (answer: (sent: readonly Descriptor[]) => unknown): Promise<unknown> =>
    push(`${to.host}/team/app:v1`, {
      ...parts,
      id,
      uploadManager: {
        upload: async (layers, options = {}) =>
          answer(await Promise.all(layers.map((layer) => layer.upload(options)))) as readonly Descriptor[],
      },
    });
  const mixed = { code: 'ERR_DIGEST_MISMATCH', message: /the upload manager says that it is sha256:/ };
  await assert.rejects(
    pushing((sent) => [...sent].reverse()),
    mixed,
  );
  await assert.rejects(
    pushing((sent) => sent.map(() => sent[0])),
    mixed,
  );
  for (const answer of [undefined, null, 3, 'abc', {}, [], [null, null, null], [{}, {}, {}]]) {
    await assert.rejects(
      pushing(() => answer),
      { code: 'ERR_INTERNAL', message: /^the upload manager gave .*, not the descriptors of 3 layers; / },
    );
  }
  assert.equal(to.content.repository('team/app').tags.size, 0);
  await pushing((sent) => sent.map((one) => ({ ...one, annotations: { own: 'one' } })));
});

test('a part that answers something else than its interface says is named', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  const name = `${registry.host}/team/app:v1`;
  const parts = await engineParts(t);
  const { id } = await pull(name, parts);
  const { imageStore } = parts;
  const own = resolver([endpointOf(registry, 'team/app')]);
  const noSighting = { get: async () => [null] as never, add: async () => {}, remove: async () => {} };
  await assert.rejects(push(`${registry.host}/new/app:v1`, { ...parts, id, metadataStore: noSighting }), {
    code: 'ERR_INTERNAL',
    message: /^the metadata store gave .*, not /,
  });
  for (const answer of [null, 3, 'x', {}] as never[]) {
    const give = async (): Promise<never> => answer;
    const named = (part: string): object => ({ code: 'ERR_INTERNAL', message: new RegExp(`^${part} gave .*, not `) });
    const pulling = (more: object): Promise<unknown> => pull(name, { ...parts, ...more });
    const pushing = (more: object): Promise<unknown> => push(`${registry.host}/new/app:v1`, { ...parts, id, ...more });
    await assert.rejects(pulling({ downloadManager: { download: give } }), named('the download manager'));
    await assert.rejects(
      pulling({ registryResolver: { ...own, resolveRepository: give } }),
      named('the registry resolver'),
    );
    await assert.rejects(
      pulling({ registryResolver: { ...own, lookupPullEndpoints: give } }),
      named('the registry resolver'),
    );
    await assert.rejects(
      pushing({ registryResolver: { ...own, lookupPushEndpoints: give } }),
      named('the registry resolver'),
    );
    const lookupPullEndpoints = async (): Promise<Endpoint[]> => [answer];
    await assert.rejects(
      pulling({ registryResolver: { ...own, lookupPullEndpoints } }),
      named('the registry resolver'),
    );
    await assert.rejects(
      getRepository(name, { registryResolver: { ...own, lookupPullEndpoints } }),
      named('the registry resolver'),
    );
    await assert.rejects(pushing({ imageStore: { ...imageStore, get: give } }), named('the image store'));
    if (answer !== null) {
      const metadataStore = { get: give, add: async () => {}, remove: async () => {} };
      await assert.rejects(pushing({ metadataStore }), named('the metadata store'));
    }
    const provided =
      answer === null || typeof answer !== 'object' ? named('the layer provider') : /layer provider gave/;
    await assert.rejects(pushing({ layerProvider: { get: give } }), provided);
  }
  const unknown = { get: async () => null } as never;
  await assert.rejects(push(name, { ...parts, referenceStore: unknown }), { code: 'ERR_NOT_FOUND' });
});

test('a layer provider of its own gives layers that are compressed already', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  const parts = await engineParts(t);
  const id = await parts.imageStore.put(app.configBytes);
  let released = 0;
  const layerProvider: PushLayerProvider = {
    get: async (chainId) => {
      let below: PushLayer | undefined;
      for (const [at, { blob, diffId, descriptor }] of app.layers.entries()) {
        below = {
          chainId: chainIdOf(app.layers.slice(0, at + 1).map((layer) => layer.diffId)),
          diffId,
          parent: below,
          mediaType: descriptor.mediaType,
          size: blob.length,
          open: async () => Readable.from([blob]),
          release: async () => {
            released += 1;
          },
        };
      }
      assert.equal(below?.chainId, chainId);
      return below ?? assert.fail();
    },
  };
  const pushed = await push(`${registry.host}/team/app:v1`, { ...parts, id, layerProvider });
  assert.deepEqual(
    pushed.layers,
    app.layers.map(({ descriptor }) => descriptor),
  );
  assert.equal(released, 3);
});

test('a metadata store that remembers one repository for everything: mounts come from there', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('golden/app', 'v1', app);
  const parts = await engineParts(t);
  const { id } = await pull(`${registry.host}/golden/app:v1`, { ...parts, metadataStore: undefined });
  const added: LayerSighting[] = [];
  const metadataStore: MetadataStore = {
    async get(diffId) {
      const layer = app.layers.find((one) => one.diffId === diffId) ?? assert.fail();
      return [{ ...layer.descriptor, repository: `${registry.host}/golden/app` }];
    },
    add: async (_diffId, sighting) => void added.push(sighting),
    remove: async () => {},
  };
  await push(`${registry.host}/team/app:v1`, { ...parts, id, metadataStore });
  const mounts = registry.log.requests.filter(({ url }) => url.includes('from=golden%2Fapp'));
  assert.equal(mounts.length, 3);
  assert.deepEqual(
    added.map(({ repository }) => repository),
    Array.from({ length: 3 }, () => `${registry.host}/team/app`),
  );
});

test('an image store in memory; one that changes what it keeps is found out', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  const kept = new Map<Digest, Uint8Array>();
  const memory: ImageConfigStore = {
    async put(config) {
      const digest = digestOf(config);
      kept.set(digest, config);
      return digest;
    },
    async get(digest) {
      return kept.get(digest) ?? assert.fail();
    },
  };
  const parts = await engineParts(t);
  const name = `${registry.host}/team/app:v1`;
  const { id } = await pull(name, { ...parts, imageStore: memory });
  assert.deepEqual(Buffer.from(kept.get(id) ?? []), app.configBytes);
  await assert.rejects(parts.imageStore.get(id), { code: 'ERR_NOT_FOUND' });
  const pretty: ImageConfigStore = {
    ...memory,
    put: (config) => memory.put(Buffer.from(JSON.stringify(JSON.parse(Buffer.from(config).toString()), null, 2))),
  };
  await assert.rejects(pull(name, { ...parts, imageStore: pretty }), {
    code: 'ERR_DIGEST_MISMATCH',
    message: /image store/,
  });
  kept.set(id, Buffer.from('{}'));
  await assert.rejects(push(name, { ...parts, id, imageStore: memory }), { code: 'ERR_DIGEST_MISMATCH' });
});

test('an event listener that throws, and one that rejects, change nothing and are told', async (t) => {
  const registry = await engineRegistry(t);
  registry.add('team/app', 'v1', engineImage());
  const parts = await engineParts(t);
  const name = `${registry.host}/team/app:v1`;
  const { warnings, onProgress } = collectWarnings();
  const thrower = (): never => {
    throw new Error('deaf');
  };
  await pull(name, { ...parts, onProgress, eventLogger: thrower });
  await pull(name, { ...parts, onProgress, eventLogger: async () => thrower() });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, ['the event logger failed: deaf', 'the event logger failed: deaf']);
  await pull(name, { ...parts, eventLogger: thrower, onProgress: thrower });
});

test('a part that throws or hangs is named; nothing is tagged', async (t) => {
  const registry = await engineRegistry(t);
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  const name = `${registry.host}/team/app:v1`;
  const disk = await engineParts(t);
  // The others answer at once, in memory: no short timeout can be theirs.
  const memory = new MemoryStore();
  const names = new Map<string, Digest>();
  const parts = {
    platform: 'linux/amd64',
    contentStore: memory,
    imageStore: imageConfigStoreFromStore(memory),
    metadataStore: { get: async () => [], add: async () => {}, remove: async () => {} },
    referenceStore: {
      get: async (reference: string) => names.get(reference),
      set: async (reference: string, id: Digest) => void names.set(reference, id),
      delete: async (reference: string) => names.delete(reference),
      references: async () => [],
    },
    downloadManager: {
      download: async (_source: unknown, layers: readonly ImageLayer[]) => layers.flatMap(({ diffId }) => diffId ?? []),
    },
    registryResolver: resolver([endpointOf(registry, 'team/app')]),
  };
  const never = (): Promise<never> => new Promise(() => {});
  const bad = async (): Promise<never> => {
    throw new TypeError('x is not a function');
  };
  const cases: [string, object, object][] = [
    [
      'the reference store',
      { referenceStore: { ...parts.referenceStore, set: never } },
      { referenceStore: { set: bad } },
    ],
    ['the metadata store', { metadataStore: { add: never } }, { metadataStore: { add: bad } }],
    ['the image store', { imageStore: { put: never } }, { imageStore: { put: bad } }],
    ['the content store', { contentStore: { push: never } }, { contentStore: { push: bad } }],
    ['the download manager', { downloadManager: { download: never } }, { downloadManager: { download: bad } }],
    [
      'the registry resolver',
      { registryResolver: { resolveRepository: never } },
      { registryResolver: { resolveRepository: bad } },
    ],
  ];
  for (const [part, hangs, throws] of cases) {
    const timed = pull(name, { ...parts, ...hangs, partTimeoutMs: 20 } as never);
    await assert.rejects(timed, (error: RootfsError) => error.code === 'ERR_TIMEOUT' && error.message.startsWith(part));
    const thrown = pull(name, { ...parts, ...throws } as never);
    await assert.rejects(
      thrown,
      (error: RootfsError) =>
        error.code === 'ERR_INTERNAL' &&
        error.message.startsWith(`${part} failed: x is not`) &&
        error.cause instanceof TypeError,
    );
  }
  assert.deepEqual([...names], []);
  const own = new RootfsError('ERR_DENIED', 'quota: no more images');
  const refused = { ...parts.referenceStore, set: async () => Promise.reject(own) } as never;
  await assert.rejects(pull(name, { ...parts, referenceStore: refused }), (error) => error === own);
  let asked = 0;
  const hangs = (): Promise<never> => {
    asked += 1;
    return never();
  };
  const lost = { credential: hangs } as CredentialProvider;
  const locked = await engineRegistry(t, { auth: { kind: 'basic', users: { user: 'pass' } } });
  await assert.rejects(
    pull(`${locked.host}/team/app:v1`, {
      ...disk,
      registryResolver: resolver([endpointOf(locked, 'team/app')]),
      credentials: lost,
      partTimeoutMs: 20,
    }),
    (error: RootfsError) => error.code === 'ERR_TIMEOUT' && error.message.startsWith('the credential provider'),
  );
  const registryResolver = { ...parts.registryResolver, lookupPullEndpoints: hangs };
  await assert.rejects(pull(name, { ...parts, registryResolver, partTimeoutMs: 20 } as never), {
    code: 'ERR_TIMEOUT',
    message: /^the registry resolver/,
  });
  assert.equal(asked, 2, 'one that does not answer is not asked again');
});

/** A registry that is empty, and an engine that has the config of an image of one layer. */
async function ready(t: TestContext) {
  const registry = await engineRegistry(t);
  const app = engineImage('one', 1);
  const parts = await engineParts(t);
  const layer = app.layers[0] ?? assert.fail();
  return { registry, parts, layer, id: await parts.imageStore.put(app.configBytes) };
}

test('a layer provider that hangs or lies is named, and nothing becomes visible', async (t) => {
  const { registry, parts, id, layer } = await ready(t);
  const provider = (open: PushLayer['open'], diffId = layer.diffId): PushLayerProvider => ({
    get: async (chainId) => ({
      chainId,
      diffId,
      parent: undefined,
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      size: layer.tar.length,
      open,
      release: async () => {
        throw new Error('cannot let go');
      },
    }),
  });
  const target = `${registry.host}/team/app:v1`;
  const attempt = (layerProvider: PushLayerProvider, partTimeoutMs?: number): Promise<unknown> =>
    push(target, { ...parts, id, layerProvider, metadataStore: undefined, partTimeoutMs });
  const temporary = ownTemporaryFolder(t);
  await assert.rejects(
    attempt(
      provider(() => new Promise(() => {})),
      500,
    ),
    {
      code: 'ERR_TIMEOUT',
      message: /layer provider/,
    },
  );
  await assert.rejects(
    attempt(
      provider(async () => new Readable({ read() {} })),
      500,
    ),
    { code: 'ERR_TIMEOUT' },
  );
  await assert.rejects(attempt(provider(async () => Readable.from([Buffer.alloc(layer.tar.length)]))), {
    code: 'ERR_DIGEST_MISMATCH',
  });
  const other: Digest = `sha256:${'1'.repeat(64)}`;
  await assert.rejects(attempt(provider(async () => Readable.from([layer.tar]), other)), {
    code: 'ERR_DIFFID_MISMATCH',
  });
  assert.equal(registry.content.repository('team/app').tags.size, 0);
  assert.deepEqual(readdirSync(temporary), []);
  const { warnings, onProgress } = collectWarnings();
  await push(target, { ...parts, id, onProgress, layerProvider: provider(async () => Readable.from([layer.tar])) });
  assert.equal(warnings.filter((text) => text.includes('cannot let go')).length, 1);
});

test('a layer whose stream fails is told of its provider, not of our temporary file', async (t) => {
  const { registry, parts, id, layer } = await ready(t);
  const { diffId, tar } = layer;
  const temporary = ownTemporaryFolder(t);
  const attempt = (open: PushLayer['open'], size = tar.length): Promise<unknown> =>
    push(`${registry.host}/team/app:v1`, {
      ...parts,
      id,
      metadataStore: undefined,
      layerProvider: {
        get: async (chainId) => ({
          chainId,
          diffId,
          parent: undefined,
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          size,
          open,
          release: async () => {},
        }),
      },
    });
  const gone = join(temporary, 'gone');
  await assert.rejects(
    attempt(async () => createReadStream(gone)),
    { code: 'ERR_FILESYSTEM', message: /^the layer provider: ENOENT/ },
  );
  const cut = async (): Promise<Readable> => {
    const stream = new Readable({ read() {} });
    stream.push('x');
    setTimeout(() => stream.destroy(), 20);
    return stream;
  };
  await assert.rejects(attempt(cut), {
    code: 'ERR_NETWORK',
    message: /^sha256:[0-9a-f]{64}: the stream closed before its end/,
  });
  await assert.rejects(
    attempt(async () => Readable.from([tar]), -1),
    { code: 'ERR_OPTION_INVALID' },
  );
  assert.deepEqual(openFilesUnder(temporary), []);
  assert.deepEqual(readdirSync(temporary), []);
});

test('a provider that never lets a layer go, or whose layers have no base, does not hold a push up', async (t) => {
  const { registry, parts, id, layer } = await ready(t);
  const { diffId, tar } = layer;
  const endless = (): PushLayer => ({
    chainId: diffId,
    diffId,
    get parent() {
      return endless();
    },
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    size: tar.length,
    open: async () => Readable.from([tar]),
    release: async () => {},
  });
  const target = `${registry.host}/team/app:v1`;
  await assert.rejects(push(target, { ...parts, id, layerProvider: { get: async () => endless() } }), {
    code: 'ERR_DIFFID_MISMATCH',
  });
  const { warnings, onProgress } = collectWarnings();
  const layerProvider: PushLayerProvider = {
    get: async () => ({
      chainId: diffId,
      diffId,
      parent: undefined,
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      size: tar.length,
      open: async () => Readable.from([tar]),
      release: () => new Promise(() => {}),
    }),
  };
  const { manifest } = await push(target, { ...parts, id, onProgress, partTimeoutMs: 300, layerProvider });
  assert.equal((await createRepository(target).resolve('v1')).digest, manifest.digest);
  assert.equal(
    warnings.filter((text) => /layer could not be released: the layer provider: no answer/.test(text)).length,
    1,
  );
  const requests = registry.log.of('manifest').filter(({ method }) => method === 'PUT');
  assert.equal(requests.length, 1);
});

test('a layer that comes when nobody waits any more is given back', async (t) => {
  const { registry, parts, id, layer } = await ready(t);
  const { diffId, tar } = layer;
  let released = (): void => {};
  const back = new Promise<void>((resolve) => {
    released = resolve;
  });
  const get = async (): Promise<PushLayer> => {
    await new Promise((resolve) => setTimeout(resolve, 600));
    return {
      chainId: diffId,
      diffId,
      parent: undefined,
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      size: tar.length,
      open: async () => Readable.from([tar]),
      release: async () => released(),
    };
  };
  const pushing = push(`${registry.host}/team/app:v1`, { ...parts, id, partTimeoutMs: 100, layerProvider: { get } });
  await assert.rejects(pushing, { code: 'ERR_TIMEOUT', message: /layer provider/ });
  await back;
});

test('a part that says that it is at work when it has failed already holds no process up', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  let alive = (): void => {};
  const failing = callPart(
    'the part',
    (_signal, sign) => {
      alive = sign;
      throw new Error('no');
    },
    { timeoutMs: 60_000 },
  );
  await assert.rejects(failing, { code: 'ERR_INTERNAL' });
  const before = timers();
  alive();
  assert.equal(timers(), before);
});

test('getRepository: the first endpoint that answers; manifests, blobs and tags are asked of it alone', async (t) => {
  const [fallen, registry] = [await engineRegistry(t), await engineRegistry(t)];
  const app = engineImage();
  registry.add('team/app', 'v1', app);
  fallen.fault({ on: 'any', do: 'html', status: 503 });
  const opened = await getRepository('registry.example/team/app', {
    registryResolver: resolver([
      endpointOf(fallen, 'cache/app', { mirrorOf: 'registry.example' }),
      endpointOf(registry, 'team/app'),
    ]),
    registry: { retry: 0 },
  });
  assert.equal(opened.endpoint.baseUrl, registry.url);
  assert.equal(opened.info.name, 'registry.example/team/app');
  const asked = fallen.log.requests.length;
  assert.deepEqual(Buffer.from((await opened.manifests.get('v1')).bytes), app.manifestBytes);
  assert.equal((await opened.manifests.resolve(app.descriptor.digest)).digest, app.descriptor.digest);
  assert.equal(await opened.manifests.exists(app.descriptor), true);
  const layer = app.layers[0] ?? assert.fail();
  assert.equal(await opened.blobs.exists(layer.descriptor), true);
  const chunks: Buffer[] = [];
  for await (const chunk of await opened.blobs.open(layer.descriptor)) chunks.push(chunk as Buffer);
  assert.deepEqual(Buffer.concat(chunks), layer.blob);
  await opened.tags.tag(app.descriptor, 'v2');
  assert.equal((await opened.tags.get('v2')).digest, app.descriptor.digest);
  const tags: string[] = [];
  for await (const tag of opened.tags.all()) tags.push(tag);
  assert.deepEqual(tags.sort(), ['v1', 'v2']);
  const blob = Buffer.from('new');
  const digest = digestOf(blob);
  const target = { mediaType: 'application/octet-stream', digest, size: blob.length };
  await opened.blobs.put(target, Readable.from([blob]));
  await opened.blobs.delete(target);
  assert.equal(await opened.blobs.exists(target), false);
  await opened.manifests.delete(app.descriptor.digest);
  assert.equal(await createRepository(`${registry.host}/team/app`).exists(app.descriptor), false);
  assert.equal(fallen.log.requests.length, asked);
});
