/** What callers without a type checker hand in: each verb refuses it by name, before it does anything. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as kit from '../src/index.js';
import { startRegistry } from '../src/testing/testing.js';
import { REPOSITORY } from './support/rootfs.js';
import { tempDir } from './support/temp-dir.js';

const HELLO = join(REPOSITORY, 'fixtures/hello');
const opened = await kit.openSource(`oci:${HELLO}`);
const { source, reference } = opened;
const image = await kit.fetchImage(source, reference, { platform: 'linux/amd64' });
const place = mkdtempSync(join(tmpdir(), 'rootfs-kit-bad-options-'));
const rootfs = await kit.openRootFS(source, image, place);
const { layers } = rootfs;
const tree = await kit.mergeLayers(layers);
after(async () => {
  await rootfs.close();
  await opened.close();
  rmSync(place, { recursive: true });
});

type Call = (value: never, folder: string) => unknown;

/** Calls that take a path. */
const PATHS: Readonly<Record<string, Call>> = {
  'openRootFS dst': (path) => kit.openRootFS(source, image, path),
  'extractLayers dst': (path) => kit.extractLayers(source, image.layers, path),
  'unpack dst': (path) => kit.unpack(tree, layers, path),
  'unpack ownershipFile': (path, folder) => kit.unpack(tree, layers, join(folder, 'x'), { ownershipFile: path }),
  'writeOverlay dst': (path) => kit.writeOverlay(layers, path),
  'writeErofs out': (path) => kit.writeErofs(tree, layers, path),
  'writeExt4 out': (path) => kit.writeExt4(tree, layers, path),
  'writeSquashfs out': (path) => kit.writeSquashfs(tree, layers, path),
  'flattenFile path': (path) => kit.flattenFile(tree, layers, path),
  'prepareRootfs store': (store) => kit.prepareRootfs(`oci:${HELLO}`, { store, platform: 'linux/amd64' }),
  'prepareRootfs dst': (dst, store) => kit.prepareRootfs(`oci:${HELLO}`, { store, dst, platform: 'linux/amd64' }),
  'pull path': (path) => kit.pull(source, reference, path, { platform: 'linux/amd64' }),
  'writeArchive path': (path) => kit.writeArchive(source, [{ reference }], { form: 'oci-archive', path }),
  'writeArchive folder': (path) =>
    kit.writeArchive(source, [{ reference }], { form: 'dir', path }, { platform: 'linux/amd64' }),
  'downloadImage parent': (parent) => kit.downloadImage(source, reference, { parent, platform: 'linux/amd64' }),
  'packageImage folder': (path, folder) => kit.packageImage(path, join(folder, 'x.tar')),
  'removeImageDir folder': (path) => kit.removeImageDir(path),
  'BlobDir.open root': (path) => kit.BlobDir.open(path),
  'OciLayout.open folder': (path) => kit.OciLayout.open(path, { create: true }),
  'DirLayout.open folder': (path) => kit.DirLayout.open(path),
  'DockerArchive.open file': (path) => kit.DockerArchive.open(path),
  'takeLease root': (path) => kit.takeLease(path, { purpose: 'test' }),
  'listLeases root': (path) => kit.listLeases(path),
  'openImageCache folder': (folder) => kit.openImageCache({ folder }),
  'openEngineStores folder': (folder) => kit.openEngineStores({ folder }),
  'FileReferenceStore folder': (path) => new kit.FileReferenceStore(path),
  'FileMetadataStore folder': (path) => new kit.FileMetadataStore(path),
  'LayerStoreProvider store': (path) => new kit.LayerStoreProvider(path),
  'LayerDownloadManager store': (path) => new kit.LayerDownloadManager(path),
  'listCache images': (images) => kit.listCache({ images }),
  'pruneCache layers': (layers) => kit.pruneCache({ layers, maxSize: 0 }),
  'listMounts store': (path) => kit.listMounts(path),
};

/** Calls that take one of a few words, a number or a part. */
const VALUES: readonly (readonly [option: string, value: unknown, call: Call])[] = [
  ['foreignLayers', 'all', (foreignLayers) => kit.copyImage(source, '', new kit.MemoryStore(), '', { foreignLayers })],
  ['foreignLayers', 5, (foreignLayers) => kit.validateImage(source, '', { foreignLayers })],
  ['form', 'zip', (form, folder) => kit.writeArchive(source, [{ reference }], { form, path: join(folder, 'x') })],
  [
    'fsync',
    'always',
    (fsync, folder) =>
      kit.writeArchive(source, [{ reference }], { form: 'oci-archive', path: join(folder, 'x') }, { fsync }),
  ],
  ...[undefined, null, 'alpine'].map(
    (value) => ['execute', value, (given: never) => kit.createRegistryClient().execute(given)] as const,
  ),
  ...[undefined, null, 5].flatMap((value) => [
    ['source', value, (given: never) => kit.fetchImage(given, '')] as const,
    ['source', value, (given: never) => kit.fetchManifest(given, '')] as const,
    ['source', value, (given: never, parent: string) => kit.downloadImage(given, '', { parent })] as const,
    ['source', value, (given: never, folder: string) => kit.pull(given, '', folder)] as const,
    ['reference', value, (given: never) => kit.fetchImage(source, given)] as const,
    ['reference', value, (given: never) => kit.fetchManifest(source, given)] as const,
    ['reference', value, (given: never, parent: string) => kit.downloadImage(source, given, { parent })] as const,
    ['reference', value, (given: never, folder: string) => kit.pull(source, given, folder)] as const,
    ['archive', value, (given: never, folder: string) => kit.packageImage(folder, given)] as const,
    ['credential', value, (given: never) => kit.storeCredential('localhost:1', given)] as const,
  ]),
  ...['username', 'password', 'identityToken', 'registryToken'].map(
    (field) =>
      [
        'credential',
        5,
        (given: never, folder: string) =>
          kit.storeCredential(
            'localhost:1',
            { username: 'a', password: 'b', [field]: given },
            { authFile: join(folder, 'x') },
          ),
      ] as const,
  ),
  ...[null, {}].flatMap((value) => [
    ['authFile', value, (authFile: never) => kit.createCredentialSearch({ authFile })] as const,
    ['authFile', value, (authFile: never) => kit.eraseCredential('localhost:1', { authFile })] as const,
  ]),
  ['links', 'some', (links) => kit.findNode(tree, '/', { links })],
  ['workers', Number.NaN, (workers, folder) => new kit.LayerDownloadManager(folder, { workers })],
  ['verify', 'never', (verify, folder) => new kit.LayerDownloadManager(folder, { verify })],
  ['env', ['=x'], (env) => kit.resolveProcess(image, tree, layers, { args: ['sh'], env })],
  ['env', [''], (env) => kit.resolveProcess(image, tree, layers, { args: ['sh'], env })],
  ...[-1, 1.5, Number.NaN].map(
    (size) =>
      [
        'expected.size',
        size,
        async (value: never, folder: string) =>
          (await kit.ContentStore.open(folder)).ingest('x', {
            expected: { digest: image.manifest.descriptor.digest, size: value },
          }),
      ] as const,
  ),
];

/** Calls that take parts: each is refused by name where it is missing, or a promise that nobody awaited. */
const PARTS: readonly (readonly [part: string, call: Call])[] = [
  ['tree', (given, folder) => kit.unpack(given, layers, join(folder, 'x'))],
  ['tree', (given) => kit.flatten(given, layers).toArray()],
  ['tree', (given, folder) => kit.flattenFile(given, layers, join(folder, 'x'))],
  ['tree', (given, folder) => kit.writeErofs(given, layers, join(folder, 'x'))],
  ['tree', (given, folder) => kit.writeExt4(given, layers, join(folder, 'x'))],
  ['tree', (given, folder) => kit.writeSquashfs(given, layers, join(folder, 'x'))],
  ['tree', (given, folder) => kit.writeBundle(image, given, layers, join(folder, 'x'))],
  ['tree', (given) => kit.resolveProcess(image, given, layers, { args: ['sh'] })],
  ['tree', (given) => kit.findNode(given, '/')],
  ['tree', (given) => [...kit.walkTree(given)]],
  ['path', (given) => kit.findNode(tree, given)],
  ['content', (given) => new kit.MemoryStore().push(image.config.descriptor, given ?? 5)],
  ['image', (given) => kit.resolveProcess(given, tree, layers, { args: ['sh'] })],
  ['include', (given) => kit.pathFilter({ include: given ?? 5 })],
  ['exclude', (given) => kit.flatten(tree, layers, { exclude: given ?? 5 }).toArray()],
  ['include', (given, folder) => kit.flattenFile(tree, layers, join(folder, 'x'), { include: given ?? 5 })],
  ['exclude', (given, folder) => kit.flattenFile(tree, layers, join(folder, 'x'), { exclude: given ?? 5 })],
  ['uidMap', (given, folder) => kit.unpack(tree, layers, join(folder, 'x'), { uidMap: given ?? 5 })],
  ['gidMap', (given, folder) => kit.writeOverlay(layers, join(folder, 'x'), { gidMap: given ?? 5 })],
  ['uidMap', (given, folder) => kit.writeBundle(image, tree, layers, join(folder, 'x'), { uidMap: given ?? 5 })],
  ['layers', (given) => kit.mergeLayers(given)],
  ['layers', (given, folder) => kit.unpack(tree, given, join(folder, 'x'))],
  ['layers', (given) => kit.flatten(tree, given).toArray()],
  ['layers', (given, folder) => kit.flattenFile(tree, given, join(folder, 'x'))],
  ['layers', (given, folder) => kit.writeOverlay(given, join(folder, 'x'))],
  ['layers', (given, folder) => kit.writeErofs(tree, given, join(folder, 'x'))],
  ['layers', (given, folder) => kit.extractLayers(source, given, folder)],
  ['layers[0]', (given) => kit.mergeLayers([given])],
  ['layers[0].descriptor', (given, folder) => kit.extractLayer(source, given, folder)],
  ['image', (given, folder) => kit.openRootFS(source, given, folder)],
  ['image', (given, folder) => kit.explainLayers(given, folder)],
  ['image', (given, folder) => kit.writeBundle(given, tree, layers, join(folder, 'x'))],
  ['image', (given, folder) => kit.writeBundle({ ...image, config: given ?? 5 }, tree, layers, join(folder, 'x'))],
  ['layer', (given) => kit.fetchLayer(source, given)],
  ['target', (given) => kit.fetchVerified(source, given)],
  ['target', (given) => kit.readVerified(source, given)],
  ['source', (given) => kit.fetchVerified(given, image.config.descriptor)],
  ['source', (given) => kit.readVerified(given, image.config.descriptor)],
  ['source', (given, folder) => kit.extractLayers(given, image.layers, folder)],
  ['source', (given, folder) => kit.openRootFS(given, image, folder)],
  ['source', (given) => kit.listInstances(given)],
  ['source', (given) => kit.validateImage(given, '')],
  ['source', (given) => kit.listPlatforms(given, '')],
  ['source', (given) => kit.fetchDescriptor(given, '')],
  ['source', (given) => kit.copyImage(given, '', new kit.MemoryStore(), '')],
  [
    'source',
    (given, folder) => kit.writeArchive(given, [{ reference }], { form: 'oci-archive', path: join(folder, 'x.tar') }),
  ],
  ['source', (given) => kit.allTags(given)],
  ['source', (given) => kit.readTarStream(given).next()],
  ['reference', (given) => kit.createRepository(given)],
  ['reference', (given) => kit.getToken(given)],
  ['registry', (given) => kit.storeCredential(given, { username: 'a', password: 'b' })],
  ['registry', (given) => kit.eraseCredential(given)],
  ['registry', (given) => kit.checkLogin(given, { username: 'a', password: 'b' })],
  ['reference', (given) => kit.validateImage(source, given)],
  ['reference', (given) => kit.listPlatforms(source, given)],
  ['reference', (given) => kit.fetchDescriptor(source, given)],
  ['destination', (given) => kit.copyImage(source, '', given, '')],
  ['destinationReference', (given) => kit.copyImage(source, '', new kit.MemoryStore(), given)],
];

/** Calls that take a signal. */
const SIGNALS: Readonly<Record<string, Call>> = {
  fetchImage: (signal) => kit.fetchImage(source, reference, { platform: 'linux/amd64', signal }),
  fetchDescriptor: (signal) => kit.fetchDescriptor(source, reference, { signal }),
  fetchVerified: (signal) => kit.fetchVerified(source, image.config.descriptor, { signal }),
  fetchLayer: (signal) => kit.fetchLayer(source, image.layers[0]?.descriptor as kit.Descriptor, { signal }),
  'source.fetch': (signal) => source.fetch(image.config.descriptor, { signal }),
  copyImage: (signal) => kit.copyImage(source, reference, new kit.MemoryStore(), 'x', { signal }),
  listInstances: (signal) => kit.listInstances(source, { signal }),
  extractLayers: (signal, folder) => kit.extractLayers(source, image.layers, folder, { signal }),
  openRootFS: (signal, folder) => kit.openRootFS(source, image, folder, { signal }),
  mergeLayers: (signal) => kit.mergeLayers(layers, { signal }),
  unpack: (signal, folder) => kit.unpack(tree, layers, join(folder, 'x'), { signal }),
  flatten: (signal) => kit.flatten(tree, layers, { signal }).toArray(),
  writeOverlay: (signal, folder) => kit.writeOverlay(layers, join(folder, 'x'), { signal }),
  writeErofs: (signal, folder) => kit.writeErofs(tree, layers, join(folder, 'x'), { signal }),
  // It asks a port where nobody listens: what a request fails with must come out of the call.
  openDockerDaemon: (signal) => kit.openDockerDaemon('x', { host: 'tcp://127.0.0.1:1', signal }),
  getToken: (signal) => kit.getToken('localhost:1/x', { signal }),
  storeCredential: (signal, folder) =>
    kit.storeCredential('localhost:1', { username: 'a', password: 'b' }, { authFile: join(folder, 'x'), signal }),
};

/** Options of which the type is told, not the value. */
const TYPES: ReadonlySet<string> = new Set(['source', 'reference', 'credential']);

function refused(option: string, value: unknown): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof kit.RootfsError, String(error));
    const code = /^(?:destinationR|r)eference$/.test(option) ? 'ERR_REFERENCE_INVALID' : 'ERR_OPTION_INVALID';
    assert.equal(error.code, code, error.message);
    if (typeof value === 'number' && !TYPES.has(option)) {
      assert.ok(error.message.includes(String(value)), error.message);
    }
    assert.ok(error.message.includes(option), error.message);
    return true;
  };
}

for (const [name, call] of Object.entries(PATHS)) {
  test(`${name}: an empty path is not the working folder, and what is no text is no path`, async (t) => {
    const before = readdirSync('.');
    const option = name.slice(name.lastIndexOf(' ') + 1);
    for (const value of ['', 5, {}, 'a\0b']) {
      const folder = tempDir(t);
      // An archive's suffix is looked at first.
      const expected = name.startsWith('packageImage') ? 'folder' : option === 'folder' ? '' : option;
      await assert.rejects(async () => call(value as never, folder), refused(expected, ''));
      assert.deepEqual(readdirSync(folder), []);
    }
    assert.deepEqual(readdirSync('.'), before);
  });
}

for (const [option, value, call] of VALUES) {
  test(`${option}: ${String(value)} is refused`, async (t) => {
    const folder = tempDir(t);
    await assert.rejects(async () => call(value as never, folder), refused(option, value));
    assert.deepEqual(readdirSync(folder), []);
  });
}

for (const [part, call] of PARTS) {
  test(`${part} of ${/kit\.(\w+)/.exec(String(call))?.[1]}: what is missing or was not awaited is refused by name`, async (t) => {
    for (const value of [undefined, null, 5, {}, Promise.resolve()]) {
      const folder = tempDir(t);
      await assert.rejects(async () => call(value as never, folder), refused(part, value === 5 ? '' : value));
      assert.deepEqual(readdirSync(folder), []);
    }
  });
}

for (const [name, call] of Object.entries(SIGNALS)) {
  test(`${name}: a controller is no signal`, async (t) => {
    for (const value of [new AbortController(), {}, null, 5]) {
      const folder = tempDir(t);
      await assert.rejects(async () => call(value as never, folder), refused('signal', ''));
      assert.deepEqual(readdirSync(folder), []);
    }
  });
}

test('patterns and id maps that are null are left out, as those that are undefined', async (t) => {
  const nothing = { include: null, exclude: null, uidMap: null, gidMap: null } as never;
  const folder = tempDir(t);
  const tar = join(folder, 'x.tar');
  assert.ok((await kit.unpack(tree, layers, join(folder, 'unpacked'), nothing)).entries > 0);
  await kit.writeBundle(image, tree, layers, join(folder, 'bundle'), nothing);
  const config = readFileSync(join(folder, 'bundle/config.json'), 'utf8');
  await kit.writeBundle(image, tree, layers, join(folder, 'plain'));
  assert.equal(readFileSync(join(folder, 'plain/config.json'), 'utf8'), config);
  await kit.writeOverlay(layers, join(folder, 'overlay'), nothing);
  assert.ok(kit.findOverlay(join(folder, 'overlay'), nothing));
  const { tarBytes } = await kit.flattenFile(tree, layers, tar, nothing);
  assert.equal(Buffer.concat(await kit.flatten(tree, layers, nothing).toArray()).length, tarBytes);
});

test('text where bytes are expected is refused, and never taken for nothing', async (t) => {
  const store = await kit.ContentStore.open(tempDir(t));
  const writer = await store.ingest('text');
  await assert.rejects(writer.write('hello' as never), { code: 'ERR_OPTION_INVALID' });
  await writer.write(Buffer.from('hello'));
  assert.equal((await store.info(await writer.commit())).size, 5);
  const layout = await kit.OciLayout.open(join(tempDir(t), 'layout'), { create: true });
  const { descriptor, bytes } = image.config;
  for (const target of [new kit.MemoryStore(), layout]) {
    const text = (async function* () {
      yield Buffer.from(bytes).toString() as never;
    })();
    await assert.rejects(target.push(descriptor, text), { code: 'ERR_INTERNAL', message: /chunk of type string/ });
  }
  const tar = (async function* () {
    yield 'text' as never;
  })();
  await assert.rejects(kit.readTarStream(tar).next(), { code: 'ERR_INTERNAL' });
});

test('what is no content is not pushed to a registry, as a blob or as a manifest', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  const repository = kit.createRepository(`${registry.host}/app`);
  for (const { descriptor, bytes } of [image.config, image.manifest]) {
    for (const nothing of [undefined, null, 5, {}] as never[]) {
      await assert.rejects(repository.push(descriptor, nothing), { code: 'ERR_OPTION_INVALID', message: /^content: / });
    }
    for (const text of ['text', [Buffer.from(bytes).toString()], Buffer.from(bytes)] as never[]) {
      await assert.rejects(repository.push(descriptor, text), { code: 'ERR_INTERNAL', message: /chunk of type / });
    }
    assert.equal(await repository.exists(descriptor), false);
  }
});

test('what is no text is no digest, and no name of an ingest', async (t) => {
  const blobs = await kit.BlobDir.open(tempDir(t));
  const store = await kit.ContentStore.open(tempDir(t));
  const provider = new kit.LayerStoreProvider(tempDir(t));
  for (const value of [undefined, null, 5, {}, [image.config.descriptor.digest]] as never[]) {
    assert.equal(kit.isDigest(value), false);
    const calls: readonly (() => unknown)[] = [
      () => kit.parseDigest(value),
      () => blobs.find(value),
      () => blobs.path(value),
      () => store.info(value),
      () => provider.get(value),
    ];
    for (const call of calls) await assert.rejects(async () => call(), { code: 'ERR_DIGEST_INVALID' });
    await assert.rejects(store.ingest(value), { code: 'ERR_OPTION_INVALID' });
  }
});

test('verbs of an engine without a config, without a part, with a header that is no text', async (t) => {
  const parts = await kit.openEngineStores({ folder: tempDir(t) });
  const refused = (field: string): object => ({
    code: 'ERR_OPTION_INVALID',
    message: new RegExp(`^(option )?${field}`),
  });
  const name = '127.0.0.1:1/app';
  for (const config of [undefined, null, 5] as never[]) {
    await assert.rejects(kit.engine.pull(name, config), refused('config'));
    await assert.rejects(kit.engine.push(name, config), refused('config'));
    if (config !== undefined) await assert.rejects(kit.engine.getRepository(name, config), refused('config'));
  }
  for (const part of [undefined, null, {}, 'x'] as never[]) {
    await assert.rejects(kit.engine.pull(name, { ...parts, imageStore: part }), refused('imageStore'));
    await assert.rejects(kit.engine.pull(name, { ...parts, downloadManager: part }), refused('downloadManager'));
    await assert.rejects(kit.engine.push(name, { ...parts, layerProvider: part }), refused('layerProvider'));
  }
  // These come last in a pull: nothing was asked of them, or of the registry, when they are refused.
  for (const part of [{}, 'x', 5, Promise.resolve()] as never[]) {
    for (const field of ['contentStore', 'metadataStore', 'referenceStore', 'registryResolver']) {
      await assert.rejects(kit.engine.pull(name, { ...parts, [field]: part }), refused(field));
    }
    for (const field of ['metadataStore', 'referenceStore', 'uploadManager', 'registryResolver']) {
      await assert.rejects(kit.engine.push(name, { ...parts, [field]: part }), refused(field));
    }
    await assert.rejects(kit.engine.getRepository(name, { registryResolver: part }), refused('registryResolver'));
  }
  for (const types of [5, 'x/y', [5], ['x']] as never[]) {
    await assert.rejects(kit.engine.pull(name, { ...parts, configMediaTypes: types }), refused('configMediaTypes'));
  }
  for (const type of [5, '', 'x', null] as never[]) {
    await assert.rejects(kit.engine.push(name, { ...parts, configMediaType: type }), refused('configMediaType'));
  }
  for (const login of [5, null, 'user:pass'] as never[]) {
    await assert.rejects(kit.engine.getRepository(name, { authConfig: login }), refused('authConfig'));
  }
  for (const field of ['username', 'auth', 'serverAddress']) {
    const authConfig = { [field]: 5 } as never;
    await assert.rejects(kit.engine.getRepository(name, { authConfig }), refused(`authConfig.${field}`));
  }
  for (const value of [5, null, { a: 1 }] as never[]) {
    await assert.rejects(kit.engine.getRepository(name, { metaHeaders: { meta: value } }), refused('headers.meta'));
  }
  for (const metaHeaders of [new Headers({ a: 'b' }), new Map([['a', 'b']]), 'a: b'] as never[]) {
    await assert.rejects(kit.engine.getRepository(name, { metaHeaders }), refused('headers'));
  }
});

test('actions of a token that are no list of words are refused before a registry is asked', async () => {
  for (const actions of ['push', 5, {}, [], [''], [5], ['pull,push'], ['pull push'], ['a:b']] as never[]) {
    await assert.rejects(kit.getToken('127.0.0.1:1/app', { actions }), refused('actions', ''));
    await assert.rejects(kit.createRegistryClient().getToken('127.0.0.1:1/app', { actions }), refused('actions', ''));
  }
});

test('errands at registries without a name, or without a digest', async () => {
  const client = kit.createRegistryClient({ findCredentials: false, findEndpoints: false });
  for (const value of [undefined, null, 5] as never[]) {
    const calls: readonly (() => Promise<unknown>)[] = [
      () => kit.openSource(value),
      () => kit.openDestination(value),
      async () => kit.isStream(value),
      () => kit.getToken(value),
      () => client.getToken(value),
      () => client.getManifest(value),
      () => client.downloadImage(value),
    ];
    for (const call of calls) await assert.rejects(call, { code: 'ERR_REFERENCE_INVALID' });
    await assert.rejects(client.getManifestByDigest('localhost/x', value), { code: 'ERR_DIGEST_INVALID' });
  }
});

test('a credential that is none, and switches that are not true or false, are refused before a registry is asked', async () => {
  const name = '127.0.0.1:1/app';
  const client = (options: object) => kit.createRegistryClient(options).getManifest(name);
  for (const value of [null, 5, 'user:password', { username: 5 }, { password: Buffer.from('x') }] as never[]) {
    for (const call of [
      () => client({ credential: value }),
      () => kit.openSource(name, { credential: value }),
      () => kit.openDestination(`docker://${name}`, { credential: value }),
      () => kit.checkLogin('127.0.0.1:1', value),
      () => kit.explainRegistry(name, { credential: value }),
    ]) {
      await assert.rejects(call, refused('credential', ''));
    }
  }
  await assert.rejects(kit.checkLogin('127.0.0.1:1', undefined as never), refused('credential', ''));
  for (const option of ['findCredentials', 'findEndpoints', 'mirrors']) {
    for (const value of [0, 'false', null]) {
      await assert.rejects(client({ [option]: value }), refused(option, value));
      await assert.rejects(kit.openSource(name, { [option]: value }), refused(option, value));
    }
  }
});

test('a range that is none is refused as one that lies outside', async () => {
  for (const range of [null, 5, 'all', {}] as never[]) {
    await assert.rejects(source.fetch(image.config.descriptor, { range }), { code: 'ERR_RANGE_INVALID' });
  }
});

test('a signal that has aborted ends what reads no network, too', async (t) => {
  const folder = tempDir(t);
  const reason = { mine: true };
  const signal = AbortSignal.abort(reason);
  const { digest } = image.manifest.descriptor;
  const store = await kit.ContentStore.open(folder);
  const references = new kit.FileReferenceStore(join(folder, 'references'));
  for (const call of [
    () => kit.openSource(`oci:${HELLO}`, { signal }),
    () => store.info(digest, { signal }),
    () => references.set('docker.io/library/a:b', digest, { signal }),
  ]) {
    await assert.rejects(call, (error) => error === reason);
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('content that stands in its descriptor hears an abort like any other', async () => {
  const controller = new AbortController();
  const bytes = image.config.bytes;
  const data = Buffer.from(bytes).toString('base64');
  const stream = await kit.fetchVerified(source, { ...image.config.descriptor, data }, { signal: controller.signal });
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(stream.toArray(), (error) => error === reason);
});

test('a stream that is aborted with null fails, as one with any other reason', async () => {
  for (const reason of [null, 0, '']) {
    const controller = new AbortController();
    const stream = await kit.fetchVerified(source, image.manifest.descriptor, { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(stream.toArray(), { name: 'AbortError' });
  }
});
