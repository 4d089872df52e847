/** writeArchive and pull: what lies in the files, that they repeat, and that nothing half-made is seen. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs, {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { ReadOnlyStorage } from '../../src/content/content.js';
import { DirLayout } from '../../src/content/dir-layout.js';
import { DockerArchive } from '../../src/content/docker-archive.js';
import { readVerified } from '../../src/content/fetch-verified.js';
import { MemoryStore } from '../../src/content/memory.js';
import { OciArchive } from '../../src/content/oci-archive.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { downloadImage, packageImage } from '../../src/image/image-folder.js';
import { archiveFileName, pull, pullAllTags } from '../../src/image/pull.js';
import { writeArchive } from '../../src/image/write-archive.js';
import { openSource } from '../../src/open.js';
import { openDestination } from '../../src/open-destination.js';
import type { ProgressEvent } from '../../src/progress.js';
import { createRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { readTarFile } from '../../src/tar/read-tar-file.js';
import {
  type Built,
  describe,
  image,
  startRegistry,
  type TestRegistry,
  writeLayout,
} from '../../src/testing/testing.js';
import { dockerArchive } from '../support/archives.js';
import { ownTemporaryFolder } from '../support/engine-parts.js';
import { hangingSource } from '../support/hanging-source.js';
import { memoryWith } from '../support/memory-with.js';
import { openFilesUnder } from '../support/open-files.js';
import { sampleIndex } from '../support/sample-index.js';
import { tempDir } from '../support/temp-dir.js';

async function registryWith(t: TestContext, tags: Readonly<Record<string, Built>>): Promise<TestRegistry> {
  const registry = await startRegistry();
  t.after(() => registry.close());
  for (const [tag, built] of Object.entries(tags)) registry.add('team/app', tag, built);
  return registry;
}

async function checkWhole(store: ReadOnlyStorage, built: Built): Promise<void> {
  for (const [digest, bytes] of built.blobs) {
    const mediaType = built.documents.get(digest) ?? 'application/octet-stream';
    assert.ok((await readVerified(store, { mediaType, digest, size: bytes.length })).equals(bytes), digest);
  }
}

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function names(path: string): string[] {
  return [...readTarFile(path)].map(({ name }) => name);
}

const AMD64 = { platform: 'linux/amd64' } as const;

test('a pulled archive is a docker-archive and an OCI archive, whole and in order', async (t) => {
  const { built, amd64 } = sampleIndex();
  const registry = await registryWith(t, { v1: built });
  const file = join(tempDir(t), 'app.tar');
  const pulled = await pull(createRepository(`${registry.host}/team/app`), 'v1', file, AMD64);
  assert.equal(pulled.path, file);
  assert.deepEqual(
    [pulled.descriptor.digest, pulled.source.digest, pulled.copiedBlobs],
    [amd64.descriptor.digest, built.descriptor.digest, 3],
  );
  const name = `${registry.host}/team/app:v1`;
  for (const archive of [await DockerArchive.open(file), await OciArchive.open(file)]) {
    assert.deepEqual((await archive.resolve(name)).digest, amd64.descriptor.digest);
    await checkWhole(archive, amd64);
    await archive.close();
  }
  const blob = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
  const { config, layers } = amd64.manifest;
  assert.deepEqual(names(file), [
    'blobs/',
    'blobs/sha256/',
    'oci-layout',
    'index.json',
    'manifest.json',
    ...[amd64.descriptor, config, ...layers].map(({ digest }) => blob(digest)),
  ]);
});

test('an image whose digests are of SHA-512 keeps its own in a docker-archive', async (t) => {
  const built = image()
    .layer((layer) => layer.file('a', 'b'))
    .build();
  const source = new MemoryStore();
  const put = async (mediaType: string, bytes: Buffer): Promise<Descriptor> => {
    const descriptor = describe(mediaType, bytes, 'sha512');
    await source.push(descriptor, Readable.from([bytes]));
    return descriptor;
  };
  const layers = await Promise.all(built.layers.map(({ blob, descriptor }) => put(descriptor.mediaType, blob)));
  const config = await put(built.manifest.config.mediaType, built.configBytes);
  const target = await put(
    built.descriptor.mediaType,
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: built.descriptor.mediaType, config, layers })),
  );
  const path = join(tempDir(t), 'image.tar');
  await writeArchive(source, [{ reference: target.digest }], { form: 'docker-archive', path });
  await using archive = await DockerArchive.open(path);
  assert.deepEqual(await archive.resolve(''), target);
  assert.ok((await readVerified(archive, config)).equals(built.configBytes));

  const bytes = readFileSync(path);
  bytes[bytes.indexOf(built.configBytes) + 1] = 0x20;
  writeFileSync(path, bytes);
  await using damaged = await DockerArchive.open(path);
  await assert.rejects(damaged.resolve(''), { code: 'ERR_DIGEST_MISMATCH', message: /found sha512:/ });
});

test('the same image gives the same bytes, plain and compressed, whatever the umask', async (t) => {
  const { built } = sampleIndex();
  const registry = await registryWith(t, { v1: built });
  const folder = tempDir(t);
  for (const suffix of ['.tar', '.tar.gz']) {
    const files = [0o022, 0o077].map((umask, at) => ({ umask, path: join(folder, `${at}${suffix}`) }));
    const before = process.umask();
    for (const { umask, path } of files) {
      process.umask(umask);
      await pull(createRepository(`${registry.host}/team/app`), 'v1', path, {
        ...AMD64,
        jobs: umask === 0o022 ? 1 : 8,
      });
      process.umask(before);
    }
    assert.equal(hashOf(files[0]?.path ?? ''), hashOf(files[1]?.path ?? ''));
  }
  const plain = readFileSync(join(folder, '0.tar'));
  assert.ok(gunzipSync(readFileSync(join(folder, '0.tar.gz'))).equals(plain));
  const streamed: Uint8Array[] = [];
  const write = async (chunk: Uint8Array): Promise<void> => void streamed.push(Uint8Array.from(chunk));
  await pull(createRepository(`${registry.host}/team/app`), 'v1', '-', { ...AMD64, write });
  assert.ok(Buffer.concat(streamed).equals(plain));
  assert.deepEqual(readdirSync(folder).sort(), ['0.tar', '0.tar.gz', '1.tar', '1.tar.gz']);
  const archive = await DockerArchive.open(join(folder, '0.tar.gz'));
  await checkWhole(archive, sampleIndex().amd64);
  await archive.close();
});

test('layers that are not compressed are compressed in a .tar.gz, others are not again', async (t) => {
  const plain = image()
    .compression('none')
    .layer((layer) => layer.file('zeros', Buffer.alloc(1_000_000)))
    .build();
  const folder = tempDir(t);
  await writeLayout(join(folder, 'layout'), { plain });
  const layout = await OciLayout.open(join(folder, 'layout'));
  await pull(layout, 'plain', join(folder, 'plain.tar.gz'));
  assert.ok(lstatSync(join(folder, 'plain.tar.gz')).size < 20_000);
});

test("names: the registry's, the one asked for, none for a digest", async (t) => {
  const { built, amd64 } = sampleIndex(10);
  const registry = await registryWith(t, { v1: built });
  const source = createRepository(`${registry.host}/team/app`);
  const folder = tempDir(t);
  const list = async (reference: string, name?: string): Promise<unknown> => {
    const file = join(folder, 'x.tar');
    await pull(source, reference, file, { ...AMD64, name });
    const entry = [...readTarFile(file)].find((one) => one.name === 'manifest.json');
    const bytes = readFileSync(file).subarray(entry?.dataOffset, (entry?.dataOffset ?? 0) + (entry?.size ?? 0));
    return JSON.parse(bytes.toString())[0].RepoTags;
  };
  assert.deepEqual(await list('v1'), [`${registry.host}/team/app:v1`]);
  assert.deepEqual(await list(amd64.descriptor.digest), null);
  assert.deepEqual(await list('v1', 'alpine'), ['alpine:latest']);
  assert.deepEqual(await list('v1', 'docker.io/a/b:c'), ['a/b:c']);
  await assert.rejects(list('v1', 'Not A Name'), { code: 'ERR_REFERENCE_INVALID' });
  await assert.rejects(list('v1', 'scratch'), { code: 'ERR_REFERENCE_INVALID', message: /^scratch: .* reserved/ });
  assert.deepEqual(await list('v1', 'example/scratch'), ['example/scratch:latest']);
});

function readMember(path: string, name: string): unknown {
  const entry = [...readTarFile(path)].find((one) => one.name === name);
  assert.ok(entry, `${path}: ${name}`);
  return JSON.parse(readFileSync(path).toString('utf8', entry.dataOffset, entry.dataOffset + entry.size));
}

function repoTags(path: string): unknown {
  return (readMember(path, 'manifest.json') as readonly { readonly RepoTags: unknown }[]).map((one) => one.RepoTags);
}

test('an archive hands on the name by which its image was asked, or the only one it has', async (t) => {
  const { amd64 } = sampleIndex(10);
  const other = image()
    .layer((layer) => layer.file('other', 'x'))
    .build();
  const folder = tempDir(t);
  const at = (name: string): string => join(folder, name);
  const write = (name: string, images: Parameters<typeof dockerArchive>[0]): void =>
    writeFileSync(at(name), dockerArchive(images));
  write('one', [{ built: amd64, tags: ['foo:1'] }]);
  write('twice', [{ built: amd64, tags: ['foo:1', 'docker.io/library/foo:1'] }]);
  write('two', [{ built: amd64, tags: ['foo:1', 'bar:2'] }]);
  write('odd', [{ built: amd64, tags: ['Odd/Name:1'] }]);
  write('both', [
    { built: amd64, tags: ['foo:1'] },
    { built: other, tags: ['localhost:5000/bar:2'] },
  ]);
  const copy = async (from: string, to: string): Promise<void> => {
    const opened = await openSource(from);
    const destination = await openDestination(to);
    await destination.copyFrom(opened.source, opened.reference);
    await opened.close();
  };
  const digest = await openSource(`docker-archive:${at('one')}`).then(async ({ source, close }) => {
    const found = await source.resolve('');
    await close();
    return found.digest;
  });
  const cases: readonly (readonly [from: string, tags: readonly string[] | null])[] = [
    ['one', ['foo:1']],
    ['one:foo:1', ['foo:1']],
    ['one:docker.io/library/foo:1', ['foo:1']],
    ['one:@0', ['foo:1']],
    [`one@${digest}`, null],
    ['twice', ['foo:1']],
    ['two', null],
    ['two:bar:2', ['bar:2']],
    ['odd', null],
    ['both:@1', ['localhost:5000/bar:2']],
    ['both:foo:1', ['foo:1']],
  ];
  for (const [from, tags] of cases) {
    await copy(`docker-archive:${at(from)}`, `docker-archive:${at('copy.tar')}`);
    assert.deepEqual(repoTags(at('copy.tar')), [tags], from);
  }
  await copy(`docker-archive:${at('one')}`, `docker-archive:${at('first.tar')}`);
  const first = hashOf(at('first.tar'));
  await copy(`docker-archive:${at('first.tar')}`, `docker-archive:${at('first.tar')}`);
  assert.equal(hashOf(at('first.tar')), first, 'an archive over itself is the same');
  const { source, reference, close } = await openSource(`docker-archive:${at('one')}`);
  const pulled = await pull(source, reference, folder);
  assert.equal(pulled.path, at('foo_1_amd64_linux.tar.gz'));
  await close();
});

test('a layout, in a folder or an archive, hands on a name in full and no tag alone', async (t) => {
  const { amd64 } = sampleIndex(10);
  const folder = tempDir(t);
  const at = (name: string): string => join(folder, name);
  const refName = 'org.opencontainers.image.ref.name';
  const containerdName = 'io.containerd.image.name';
  const cases: readonly (readonly [names: readonly Record<string, string>[], reference: string, tags: unknown])[] = [
    [[{ [refName]: 'v1' }], ':v1', null],
    [[{ [refName]: 'example.org/app:v1' }], '', ['example.org/app:v1']],
    [[{ [refName]: 'docker.io/library/app:v1' }], ':docker.io/library/app:v1', ['app:v1']],
    [[{ [refName]: 'v1', [containerdName]: 'docker.io/library/app:v1' }], ':v1', ['app:v1']],
    [[{ [refName]: 'a/b:1' }, { [refName]: 'a/c:2' }], '', null],
    [[{ [refName]: 'a/b:1' }, { [refName]: 'a/c:2' }], ':a/c:2', ['a/c:2']],
    [[{ [refName]: 'a/b:1' }], `@${amd64.descriptor.digest}`, null],
  ];
  for (const [number, [names, reference, tags]] of cases.entries()) {
    const layout = at(`layout${number}`);
    await writeLayout(layout, { any: amd64 });
    const manifests = names.map((annotations) => ({ ...amd64.descriptor, annotations }));
    writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    execFileSync('tar', ['-C', layout, '-cf', `${layout}.tar`, '.']);
    for (const from of [`oci:${layout}`, `oci-archive:${layout}.tar`]) {
      const opened = await openSource(`${from}${reference}`);
      await pull(opened.source, opened.reference, at('copy.tar'));
      assert.deepEqual(repoTags(at('copy.tar')), [tags], `${from}${reference}`);
      const place = { form: 'oci-archive', path: at('oci.tar') } as const;
      await writeArchive(opened.source, [{ reference: opened.reference }], place);
      const { manifests: listed } = readMember(at('oci.tar'), 'index.json') as {
        readonly manifests: readonly { readonly annotations?: Readonly<Record<string, string>> }[];
      };
      const kept = tags === null ? undefined : names.at(-1)?.[refName];
      assert.deepEqual(
        listed.map(({ annotations }) => annotations?.[refName]),
        [kept],
        `${from}${reference}`,
      );
      await opened.close();
    }
  }
});

test('of several names or images each is written in full: podman reads those by manifest.json alone', async (t) => {
  const { amd64 } = sampleIndex(10);
  const other = image()
    .platform('linux/amd64')
    .layer((layer) => layer.file('other', 'x'))
    .build();
  const folder = tempDir(t);
  await writeLayout(join(folder, 'layout'), { amd64, other });
  const layout = await OciLayout.open(join(folder, 'layout'));
  const path = join(folder, 'x.tar');
  const list = async (...wanted: Parameters<typeof writeArchive>[1]): Promise<unknown> => {
    await writeArchive(layout, wanted, { form: 'docker-archive', path });
    return repoTags(path);
  };
  const bar = { reference: 'amd64', name: 'bar' };
  assert.deepEqual(await list(bar), [['bar:latest']]);
  assert.deepEqual(await list(bar, bar), [['bar:latest']]);
  assert.deepEqual(await list(bar, { reference: 'amd64', name: 'user/bar:2' }), [
    ['docker.io/library/bar:latest', 'docker.io/user/bar:2'],
  ]);
  assert.deepEqual(await list(bar, { reference: 'other' }), [['docker.io/library/bar:latest'], null]);
});

test('the usual file name, and suffixes that are refused', async (t) => {
  const { built } = sampleIndex(10);
  const registry = await registryWith(t, { v1: built });
  const source = createRepository(`${registry.host}/team/app`);
  const folder = tempDir(t);
  const { path } = await pull(source, 'v1', folder, { platform: 'linux/arm64' });
  assert.equal(path, join(folder, 'team_app_v1_arm64_linux.tar.gz'));
  assert.deepEqual(readdirSync(folder), ['team_app_v1_arm64_linux.tar.gz']);
  // Index and manifest: the platform that the name tells is not asked for apart.
  assert.equal(registry.log.requests.filter(({ kind }) => kind === 'manifest').length, 2);
  const official = createRepository('alpine');
  assert.equal(
    archiveFileName(official, '3', { os: 'linux', architecture: 'arm', variant: 'v6' }),
    'alpine_3_armv6_linux.tar.gz',
  );
  for (const name of ['x.zip', 'x.tgz', 'x', 'x.tar.bz2', '.tar', 'x.gz']) {
    await assert.rejects(pull(source, 'v1', join(folder, name)), { code: 'ERR_OPTION_INVALID' });
  }
  await assert.rejects(pull(source, 'v1', join(folder, 'absent/')), { code: 'ERR_NOT_FOUND' });
  await assert.rejects(pull(source, 'v1', join(folder, 'absent/x.tar')), { code: 'ERR_NOT_FOUND' });
});

test('a failure leaves what was there, and nothing else', async (t) => {
  const { built, amd64 } = sampleIndex();
  const registry = await registryWith(t, { v1: built });
  const source = createRepository(`${registry.host}/team/app`, { retry: 0 });
  const folder = tempDir(t);
  writeFileSync(join(folder, 'x.tar'), 'old');
  for (const fault of [{ do: 'flip' }, { do: 'short', by: 3 }, { do: 'answer', status: 404 }] as const) {
    registry.fault({ on: 'blob', reference: amd64.layers[1]?.descriptor.digest, ...fault });
    for (const name of ['x.tar', 'x.tar.gz']) {
      await assert.rejects(pull(source, 'v1', join(folder, name), AMD64), (error: { code?: string }) =>
        /^ERR_(DIGEST_MISMATCH|SIZE_MISMATCH|NOT_FOUND|NETWORK)$/.test(error.code ?? ''),
      );
    }
    registry.clearFaults();
    assert.deepEqual(readdirSync(folder), ['x.tar']);
    assert.equal(readFileSync(join(folder, 'x.tar'), 'utf8'), 'old');
  }
  const dead = join(folder, '.rootfs-kit-00000000-1-1-abc');
  writeFileSync(dead, 'of another machine');
  await pull(source, 'v1', join(folder, 'x.tar'), AMD64);
  assert.deepEqual(readdirSync(folder).sort(), ['.rootfs-kit-00000000-1-1-abc', 'x.tar']);
});

test('an abort after the last blob leaves what was there', async (t) => {
  const registry = await registryWith(t, { v1: sampleIndex().built });
  const source = createRepository(`${registry.host}/team/app`);
  const folder = tempDir(t);
  for (const [form, name] of [
    ['docker-archive', 'x.tar'],
    ['oci-archive', 'x.tar'],
    ['docker-archive', 'x.tar.gz'],
    ['dir', 'x'],
  ] as const) {
    const path = join(folder, name);
    if (form !== 'dir') writeFileSync(path, 'old');
    const controller = new AbortController();
    const reason = new Error('enough');
    let left = -1;
    const onProgress = (event: ProgressEvent): void => {
      if (event.type === 'blobs:planned') left = event.blobs;
      if (event.type === 'blob:copied' && --left === 0) controller.abort(reason);
    };
    const options = { ...AMD64, signal: controller.signal, onProgress };
    await assert.rejects(writeArchive(source, [{ reference: 'v1' }], { form, path }, options), (error) => {
      return error === reason;
    });
    assert.ok(controller.signal.aborted);
    assert.deepEqual(readdirSync(folder), form === 'dir' ? [] : [name], form);
    if (form !== 'dir') assert.equal(readFileSync(path, 'utf8'), 'old');
    rmSync(path, { force: true });
  }
});

test('a device that is full is told by its own name', {
  skip: existsSync('/dev/full') ? false : 'no /dev/full',
}, async (t) => {
  const registry = await registryWith(t, { v1: sampleIndex().built });
  const source = createRepository(`${registry.host}/team/app`);
  for (const form of ['oci-archive', 'docker-archive'] as const) {
    await assert.rejects(writeArchive(source, [{ reference: 'v1', name: 'x' }], { form, path: '/dev/full' }, AMD64), {
      code: 'ERR_NO_SPACE',
      message: /^\/dev\/full: ENOSPC/,
    });
  }
});

test('an archive that is packed from a folder is on disk before it has its name', async (t) => {
  const folder = tempDir(t);
  const source = await memoryWith(sampleIndex().amd64);
  const options = { name: 'app:v1', platform: 'linux/amd64' };
  const downloaded = await downloadImage(source, 'v1', { ...options, parent: folder });
  // Each call for a file that still has its temporary name.
  const synced: string[] = [];
  const note = (fd: number): void => {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    if (statSync(path).isFile()) synced.push(basename(path));
  };
  const { fsync } = fs;
  t.mock.method(fs, 'fsync', (fd: number, done: (error: Error | null) => void) => {
    note(fd);
    fsync(fd, done);
  });
  await packageImage(downloaded, join(folder, 'stages.tar'));
  assert.equal(synced.length, 1);
  assert.match(synced[0] ?? '', /^\.rootfs-kit-/);
});

test('an abort while a pipe has no reader leaves no file open', async (t) => {
  const folder = tempDir(t);
  const temporary = ownTemporaryFolder(t);
  // More than is read before anybody takes it.
  const app = image()
    .layer((layer) => layer.file('large', randomBytes(4_000_000)))
    .build();
  const source = await memoryWith(app);
  const pipe = join(folder, 'pipe.tar.gz');
  execFileSync('mkfifo', [pipe]);
  const reason = new Error('enough');
  const soon = (): AbortSignal => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(reason), 300);
    return stop.signal;
  };
  const options = { name: 'app:v1', platform: 'linux/amd64' };
  await assert.rejects(pull(source, 'v1', pipe, { ...options, signal: soon() }), (error) => error === reason);
  const parent = join(folder, 'parent');
  mkdirSync(parent);
  const downloaded = await downloadImage(source, 'v1', { ...options, parent });
  await assert.rejects(packageImage(downloaded, pipe, { signal: soon() }), (error) => error === reason);
  const deadline = Date.now() + 5000;
  const open = (): string[] => [...openFilesUnder(temporary), ...openFilesUnder(parent)];
  while (open().length > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(open(), []);
});

test('links are followed to the file, pipes are written to and not replaced, folders are refused', async (t) => {
  const { amd64 } = sampleIndex();
  const folder = tempDir(t);
  await writeLayout(join(folder, 'layout'), { v1: amd64 });
  const layout = await OciLayout.open(join(folder, 'layout'));
  const plain = join(folder, 'plain.tar');
  await pull(layout, 'v1', plain);
  symlinkSync('plain.tar', join(folder, 'link.tar'));
  await pull(layout, 'v1', join(folder, 'link.tar'), { name: 'other:1' });
  assert.ok(lstatSync(join(folder, 'link.tar')).isSymbolicLink());
  const archive = await DockerArchive.open(plain);
  assert.equal((await archive.resolve('other:1')).digest, amd64.descriptor.digest);
  const pipe = join(folder, 'pipe.tar');
  execFileSync('mkfifo', [pipe]);
  const [read] = await Promise.all([
    new Promise<Buffer>((resolve) => {
      import('node:fs/promises').then(({ readFile }) => readFile(pipe).then(resolve));
    }),
    pull(layout, 'v1', pipe),
  ]);
  assert.ok(lstatSync(pipe).isFIFO());
  const chunks: Uint8Array[] = [];
  const gathered = await pull(layout, 'v1', '-', { write: async (chunk) => void chunks.push(chunk) });
  assert.equal(gathered.path, '-');
  assert.ok(Buffer.concat(chunks).equals(read));
  const failed = new Error('nobody listens');
  await assert.rejects(pull(layout, 'v1', '-', { write: () => Promise.reject(failed) }), {
    code: 'ERR_INTERNAL',
    message: 'standard output: write failed (nobody listens); its cause says where',
    cause: failed,
  });
  mkdirSync(join(folder, 'folder.tar'));
  const place = { form: 'docker-archive', path: join(folder, 'folder.tar') } as const;
  await assert.rejects(writeArchive(layout, [{ reference: 'v1' }], place), { code: 'ERR_FILESYSTEM' });
});

test('what the name means is told once, by the name', async (t) => {
  const { built } = sampleIndex(10);
  const registry = await registryWith(t, { v1: built });
  const source = createRepository(`${registry.host}/team/app`);
  for (const form of ['docker-archive', 'oci-archive'] as const) {
    const told: string[] = [];
    const place = { form, path: join(tempDir(t), 'x.tar') };
    const onProgress = (event: ProgressEvent): void => {
      if (event.type === 'image:resolved') told.push(`${event.reference} is ${event.digest}`);
    };
    await writeArchive(source, [{ reference: 'v1' }], place, { onProgress });
    assert.deepEqual(told, [`${registry.host}/team/app:v1 is ${built.descriptor.digest}`]);
  }
});

test('an oci-archive takes a whole index, a docker-archive one platform', async (t) => {
  const { built, arm64 } = sampleIndex();
  const registry = await registryWith(t, { v1: built });
  const source = createRepository(`${registry.host}/team/app`);
  const path = join(tempDir(t), 'x.tar');
  await writeArchive(source, [{ reference: 'v1', name: 'mine' }], { form: 'oci-archive', path }, { platform: 'all' });
  const archive = await OciArchive.open(path);
  assert.equal((await archive.resolve('mine')).digest, built.descriptor.digest);
  await checkWhole(archive, built);
  await archive.close();
  await assert.rejects(
    writeArchive(source, [{ reference: 'v1' }], { form: 'docker-archive', path }, { platform: 'all' }),
    { code: 'ERR_OPTION_INVALID' },
  );
  const one = { platform: 'linux/arm64' } as const;
  const written = await writeArchive(source, [{ reference: 'v1' }], { form: 'oci-archive', path }, one);
  assert.equal(written.descriptor.digest, arm64.descriptor.digest);
});

test('dir: one image or a whole index in a new folder, never over another', async (t) => {
  const { built, amd64 } = sampleIndex();
  const registry = await registryWith(t, { v1: built });
  const source = createRepository(`${registry.host}/team/app`);
  const folder = tempDir(t);
  const [one, all] = [join(folder, 'one'), join(folder, 'all')];
  await writeArchive(source, [{ reference: 'v1' }], { form: 'dir', path: one }, AMD64);
  const single = await DirLayout.open(one);
  assert.equal((await single.resolve('')).digest, amd64.descriptor.digest);
  await checkWhole(single, amd64);
  mkdirSync(all);
  await writeArchive(source, [{ reference: 'v1' }], { form: 'dir', path: all }, { platform: 'all' });
  await checkWhole(await DirLayout.open(all), built);
  await assert.rejects(writeArchive(source, [{ reference: 'v1' }], { form: 'dir', path: all }, AMD64), {
    code: 'ERR_FILESYSTEM',
    message: /already/,
  });
  assert.deepEqual(readdirSync(folder).sort(), ['all', 'one']);
});

test('all tags go into one archive, equal images once; what is no image is left out', async (t) => {
  const { built, amd64 } = sampleIndex();
  const other = image()
    .platform('linux/amd64')
    .layer((layer) => layer.file('other', 'x'))
    .build();
  const chart = image()
    .layer(new Uint8Array(), {
      blob: Buffer.from('chart'),
      mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
    })
    .build();
  const registry = await registryWith(t, { v1: built, latest: built, other, chart });
  const source = createRepository(`${registry.host}/team/app`);
  const folder = tempDir(t);
  const warnings: string[] = [];
  const { path } = await pullAllTags(source, folder, {
    ...AMD64,
    onProgress: (event) => event.type === 'warning:raised' && warnings.push(event.message),
  });
  assert.equal(path, join(folder, 'team_app_all_amd64_linux.tar.gz'));
  assert.match(warnings.join('\n'), /left out: .*chart.*not an image/);
  const archive = await DockerArchive.open(path);
  const digest = async (tag: string): Promise<string> =>
    (await archive.resolve(`${registry.host}/team/app:${tag}`)).digest;
  assert.deepEqual(
    [await digest('v1'), await digest('latest'), await digest('other')],
    [amd64.descriptor.digest, amd64.descriptor.digest, other.descriptor.digest],
  );
  await assert.rejects(digest('chart'), { code: 'ERR_NOT_FOUND' });
  await archive.close();
  await assert.rejects(pullAllTags(await DirLayout.open(await dirOf(source, folder)), join(folder, 'x.tar')), {
    code: 'ERR_UNSUPPORTED',
  });
});

test('all names of a layout or an archive are kept in an archive; tags that would become one are told', async (t) => {
  const { amd64 } = sampleIndex();
  const other = image()
    .platform('linux/amd64')
    .layer((layer) => layer.file('other', 'x'))
    .build();
  const folder = tempDir(t);
  const at = (name: string): string => join(folder, name);
  await writeLayout(at('layout'), { v1: amd64, 'example/app:v1': other, 'Odd/Name:x': amd64 });
  const copyAll = async (from: string, to: string): Promise<string[]> => {
    const source = await openSource(from);
    const destination = await openDestination(to);
    try {
      await destination.copyAllFrom(source.source, AMD64);
    } finally {
      await destination.close();
      await source.close();
    }
    const copied = await openSource(to);
    const tags: string[] = [];
    for await (const tag of (copied.source as OciArchive).tags()) tags.push(tag);
    assert.equal((await copied.source.resolve('example/app:v1')).digest, other.descriptor.digest);
    await copied.close();
    return tags.sort();
  };
  const all = ['Odd/Name:x', 'example/app:v1', 'v1'];
  assert.deepEqual(await copyAll(`oci:${at('layout')}`, `oci-archive:${at('oci.tar')}`), all);
  assert.deepEqual(await copyAll(`oci-archive:${at('oci.tar')}`, `oci-archive:${at('oci.tar.gz')}`), all);
  // A tag without a repository is no name for docker load; the layout inside has it still.
  const named = ['docker.io/example/app:v1'];
  assert.deepEqual(await copyAll(`oci:${at('layout')}`, `docker-archive:${at('docker.tar')}`), named);
  const inside = await OciArchive.open(at('docker.tar'));
  assert.equal((await inside.resolve('v1')).digest, amd64.descriptor.digest);
  // There it is the only one, and stands as people know it.
  const again = await copyAll(`docker-archive:${at('docker.tar')}`, `docker-archive:${at('again.tar')}`);
  assert.deepEqual(again, ['example/app:v1']);
  await assert.rejects(copyAll(`oci:${at('layout')}`, `oci:${at('flat')}`), {
    code: 'ERR_OPTION_INVALID',
    message: /^v1 and example\/app:v1 would both get the tag v1; copy them one by one/,
  });
  assert.ok(!existsSync(at('flat')));
  // One image that is called so at two registries is no conflict.
  await writeLayout(at('same'), { 'example/app:v1': other, 'registry.example/app:v1': other });
  const same = await openSource(`oci:${at('same')}`);
  const flat = await openDestination(`oci:${at('flat')}`);
  const copied = await flat.copyAllFrom(same.source, AMD64);
  assert.deepEqual(
    copied.map(({ tag, descriptor }) => [tag, descriptor.digest]),
    [['v1', other.descriptor.digest]],
  );
  await flat.close();
  await same.close();
});

async function dirOf(source: Parameters<typeof writeArchive>[0], folder: string): Promise<string> {
  const path = join(folder, 'dir');
  await writeArchive(source, [{ reference: 'other' }], { form: 'dir', path });
  return path;
}

test('an abort is heard while an own source hangs, and nothing is left', { timeout: 60_000 }, async (t) => {
  const { built } = sampleIndex();
  const source = await memoryWith(built);
  const folder = tempDir(t);
  for (const place of ['stream', 'fetch', 'resolve'] as const) {
    const hanging = hangingSource(source, place);
    const verbs: Readonly<Record<string, (signal: AbortSignal) => Promise<unknown>>> = {
      plain: (signal) => pull(hanging, 'v1', join(folder, 'x.tar'), { ...AMD64, name: 'a:b', signal }),
      gzip: (signal) => pull(hanging, 'v1', join(folder, 'x.tar.gz'), { ...AMD64, name: 'a:b', signal }),
      dir: (signal) =>
        writeArchive(hanging, [{ reference: 'v1' }], { form: 'dir', path: join(folder, 'd') }, { ...AMD64, signal }),
      folder: (signal) => downloadImage(hanging, 'v1', { ...AMD64, name: 'a:b', parent: folder, signal }),
    };
    for (const [name, verb] of Object.entries(verbs)) {
      const abort = new AbortController();
      const reason = new Error('enough');
      setTimeout(() => abort.abort(reason), 50);
      await assert.rejects(verb(abort.signal), (error) => error === reason, `${name}: ${place}`);
    }
    for (const stream of hanging.opened) assert.ok(stream.destroyed);
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('an abort is heard while what takes an archive hangs', { timeout: 20_000 }, async () => {
  const source = await memoryWith(sampleIndex().built);
  const abort = new AbortController();
  const reason = new Error('enough');
  const write = (): Promise<void> => {
    setTimeout(() => abort.abort(reason), 20);
    return new Promise(() => {});
  };
  const pulling = pull(source, 'v1', '-', { ...AMD64, name: 'a:b', signal: abort.signal, write });
  await assert.rejects(pulling, (error) => error === reason);
});

test('an abort ends a pull with its own reason and leaves nothing', async (t) => {
  const { built, amd64 } = sampleIndex();
  const registry = await registryWith(t, { v1: built });
  const layer = amd64.layers[1]?.descriptor.digest;
  registry.fault({ on: 'blob', reference: layer, do: 'stall', after: 5 });
  const folder = tempDir(t);
  for (const name of ['x.tar', 'x.tar.gz']) {
    registry.log.reset();
    const abort = new AbortController();
    const reason = new Error('enough');
    const from = createRepository(`${registry.host}/team/app`);
    const pulling = pull(from, 'v1', join(folder, name), { ...AMD64, signal: abort.signal });
    await registry.log.until((log) => log.of('blob', layer).some(({ bytesSent }) => bytesSent === 5));
    abort.abort(reason);
    await assert.rejects(pulling, (error) => error === reason);
  }
  assert.deepEqual(readdirSync(folder), []);
});
