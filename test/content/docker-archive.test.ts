import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { ArchiveOptions } from '../../src/content/archive-file.js';
import { DockerArchive } from '../../src/content/docker-archive.js';
import { pickImage } from '../../src/content/docker-image-list.js';
import { fetchVerified, readVerified } from '../../src/content/fetch-verified.js';
import { OciArchive } from '../../src/content/oci-archive.js';
import { parseManifest } from '../../src/spec/image-manifest.js';
import { compress, image, index, LayerBuilder } from '../../src/testing/testing.js';
import { type ArchivedFixture, type DockerArchiveOptions, dockerArchive, ociArchive } from '../support/archives.js';
import { tempDir } from '../support/temp-dir.js';
import { findTool } from '../support/tools.js';
import { contractImage, readContract } from './target-contract.js';

async function opened(t: TestContext, bytes: Buffer, options: ArchiveOptions = {}): Promise<DockerArchive> {
  const path = join(tempDir(t), 'image.tar');
  writeFileSync(path, bytes);
  const archive = await DockerArchive.open(path, options);
  t.after(() => archive.close());
  return archive;
}

const FORMS: Readonly<Record<string, DockerArchiveOptions>> = {
  'a folder for each layer': {},
  'symbolic links to shared layers': { style: 'symlinks' },
  'hard links to shared layers, manifest.json first': { style: 'hardlinks', manifestFirst: true },
  './ before every name': { style: 'symlinks', prefix: './' },
  'blobs/sha256 without a layout': { style: 'blobs', layout: false },
  'compressed layers and the manifest in a layout': { style: 'blobs', compressed: true },
  'compressed layers under names of their own': { style: 'crane', compressed: true },
};
for (const [name, options] of Object.entries(FORMS)) {
  readContract(`docker-archive, ${name}`, async (t, built) => ({
    target: await opened(t, dockerArchive([{ built }], options)),
    reference: 'example/app:v1',
  }));
}

for (const algorithm of ['gzip', 'zstd'] as const) {
  readContract(`docker-archive, ${algorithm} around it`, async (t, built) => ({
    target: await opened(t, compress(dockerArchive([{ built }]), algorithm)),
    reference: '',
  }));
}

test('standard input is copied, plain or compressed, and the copy is gone afterwards', async (t) => {
  const temporaryFolder = tempDir(t);
  const bytes = dockerArchive([{ built: contractImage() }]);
  for (const content of [bytes, gzipSync(bytes)]) {
    const pieces = [content.subarray(0, 3), content.subarray(3, 9), content.subarray(9)];
    const archive = await DockerArchive.open('-', { stdin: Readable.from(pieces), temporaryFolder });
    assert.equal(readdirSync(temporaryFolder).length, 1);
    const manifest = parseManifest(await readVerified(archive, await archive.resolve('')));
    for (const layer of manifest.layers) for await (const _ of await fetchVerified(archive, layer));
    await archive.close();
    await archive.close();
    assert.deepEqual(readdirSync(temporaryFolder), []);
  }
});

test('an archive that is removed or closed after it was opened is said to be gone', async (t) => {
  const bytes = dockerArchive([{ built: contractImage() }]);
  for (const content of [bytes, gzipSync(bytes)]) {
    const path = join(tempDir(t), 'image.tar');
    writeFileSync(path, content);
    const archive = await DockerArchive.open(path);
    rmSync(path);
    await archive.close();
    await assert.rejects(archive.resolve(''), {
      code: 'ERR_NOT_FOUND',
      message: `${path}: the archive is not there any more; open it again`,
    });
  }
});

test('a compressed layer that cannot be checked any more is said to be gone', async (t) => {
  const path = join(tempDir(t), 'image.tar');
  writeFileSync(path, dockerArchive([{ built: contractImage() }], { style: 'crane', compressed: true }));
  await using archive = await DockerArchive.open(path);
  const { layers } = parseManifest(await readVerified(archive, await archive.resolve('')));
  rmSync(path);
  await assert.rejects(archive.check(layers[0] ?? assert.fail()), {
    code: 'ERR_NOT_FOUND',
    message: `${path}: the archive is not there any more; open it again`,
  });
});

test('of many images, places of configs are kept and not their bytes', async (t) => {
  const archive = await opened(t, dockerArchive([{ built: contractImage() }]));
  const { config } = parseManifest(await readVerified(archive, await archive.resolve('')));
  assert.equal((await archive.blobPath(config))?.size, config.size);
  assert.equal((await readVerified(archive, config)).length, config.size);
});

test('what is done to the bytes of a manifest that was made is not done to the next who asks for it', async (t) => {
  const archive = await opened(t, dockerArchive([{ built: contractImage() }]));
  const descriptor = await archive.resolve('');
  (await readVerified(archive, descriptor)).fill(0);
  for await (const chunk of await archive.fetch(descriptor)) (chunk as Buffer).fill(0);
  parseManifest(await readVerified(archive, descriptor));
});

test("an image's own manifest is given where its layers are here, else one is made, always the same", async (t) => {
  const built = contractImage();
  const own = await opened(t, dockerArchive([{ built }], { style: 'blobs', compressed: true }));
  assert.deepEqual(await own.resolve(''), built.descriptor);
  const made = await opened(t, dockerArchive([{ built }], { style: 'blobs' }));
  const descriptor = await made.resolve('');
  assert.notEqual(descriptor.digest, built.descriptor.digest);
  const other = await opened(t, dockerArchive([{ built }]));
  assert.deepEqual(await other.resolve(''), descriptor);
  assert.equal((await other.resolve(descriptor.digest)).digest, descriptor.digest);
  const manifest = parseManifest(await readVerified(made, descriptor));
  assert.deepEqual(
    manifest.layers.map(({ digest }) => digest),
    built.layers.map(({ diffId }) => diffId),
  );
});

test('an index with platforms that were not saved, and attestations, does not hide the image that was', async (t) => {
  const built = contractImage();
  const arm = image()
    .platform('linux/arm64')
    .layer((layer) => layer.file('a', 'arm'))
    .build();
  const top = index().add(arm, { missing: true }).add(built).attestation(built).build();
  const tar = new LayerBuilder();
  for (const [digest, bytes] of top.blobs) tar.file(`blobs/${digest.replace(':', '/')}`, bytes);
  const name = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
  const list = [
    {
      Config: name(built.manifest.config.digest),
      RepoTags: ['app:v1'],
      Layers: built.layers.map(({ descriptor }) => name(descriptor.digest)),
    },
  ];
  tar.file('index.json', JSON.stringify({ schemaVersion: 2, manifests: [top.descriptor] }));
  tar.file('manifest.json', JSON.stringify(list)).file('oci-layout', '{"imageLayoutVersion": "1.0.0"}');
  const archive = await opened(t, tar.tar());
  assert.deepEqual(await archive.resolve('app:v1'), built.descriptor);
  for (const { descriptor } of built.layers) for await (const _ of await fetchVerified(archive, descriptor));
});

const second = image()
  .layer((layer) => layer.file('second', 'image'))
  .build();
const BOTH: readonly ArchivedFixture[] = [
  { built: contractImage(), tags: ['example/app:v1', 'docker.io/library/tool:latest'] },
  { built: second, tags: ['registry.example:5000/team/app:2'] },
];

test('names: as saved, normalised, by position; several without a reference are listed', async (t) => {
  const archive = await opened(t, dockerArchive(BOTH));
  const [first, other] = [await archive.resolve('@0'), await archive.resolve('@1')];
  for (const name of ['example/app:v1', 'docker.io/example/app:v1', 'tool', 'tool:latest']) {
    assert.equal((await archive.resolve(name)).digest, first.digest, name);
  }
  assert.equal((await archive.resolve('registry.example:5000/team/app:2')).digest, other.digest);
  assert.equal((await archive.resolve(other.digest)).digest, other.digest);
  const tags: string[] = [];
  for await (const tag of archive.tags()) tags.push(tag);
  assert.deepEqual(tags, ['example/app:v1', 'docker.io/library/tool:latest', 'registry.example:5000/team/app:2']);
  await assert.rejects(archive.resolve(''), (error: Error) => {
    return (
      'code' in error && error.code === 'ERR_REFERENCE_INVALID' && /example\/app:v1, .*team\/app:2/.test(error.message)
    );
  });
  for (const name of ['app', '@2', `sha256:${'0'.repeat(64)}`, `tool@sha256:${'0'.repeat(64)}`]) {
    const message = new RegExp(`no image ${name} here; it has example/app:v1, .*team/app:2$`);
    await assert.rejects(archive.resolve(name), { code: 'ERR_NOT_FOUND', message }, name);
  }
});

test('images without a tag of their own are offered by their position', async (t) => {
  const third = image()
    .layer((layer) => layer.file('third', 'image'))
    .build();
  const archive = await opened(
    t,
    dockerArchive([
      { built: contractImage(), tags: ['x:1', 'x:1'] },
      { built: second, tags: ['x:1', 'y:2'] },
      { built: third, tags: null },
    ]),
  );
  await assert.rejects(archive.resolve(''), {
    code: 'ERR_REFERENCE_INVALID',
    message: /it holds several images; say which: @0, y:2, @2$/,
  });
  await assert.rejects(archive.resolve('z'), { code: 'ERR_NOT_FOUND', message: /it has @0, y:2, @2$/ });
  for (const position of ['@0', '@2']) assert.ok(await archive.resolve(position));
});

test('one of thousands is found without a list of what else could be asked for', () => {
  let looks = 0;
  const images = Array.from({ length: 1000 }, (_, at) => ({
    config: `${at}.json`,
    layers: [],
    get tags() {
      looks += 1;
      return [`a:${at}`];
    },
  }));
  assert.equal(pickImage(images, 'a:7', 'many.tar').config, '7.json');
  assert.equal(looks, images.length);
});

test('RepoTags: null is an image without a name', async (t) => {
  const archive = await opened(t, dockerArchive([{ built: contractImage(), tags: null }]));
  assert.ok(await archive.resolve(''));
  await assert.rejects(archive.resolve('example/app:v1'), { code: 'ERR_NOT_FOUND', message: /@0/ });
});

test('of files of one name the last counts, as when the archive is unpacked', async (t) => {
  const older = dockerArchive([{ built: contractImage(), tags: ['example/app:old'] }], { manifestFirst: true });
  const newer = dockerArchive([{ built: contractImage(), tags: ['example/app:new'] }], { prefix: './' });
  // Two zero blocks end a tar: without them the second goes on where the first ended.
  const end = older.length - 1024;
  assert.ok(older.subarray(end).every((byte) => byte === 0));
  const archive = await opened(t, Buffer.concat([older.subarray(0, end), newer]));
  assert.ok(await archive.resolve('example/app:new'));
  await assert.rejects(archive.resolve('example/app:old'), { code: 'ERR_NOT_FOUND' });
});

const layerName = (name: string): boolean => name.endsWith('layer.tar');
/** An archive whose config, no JSON, is reached over so many links. */
function chainOf(links: number): Buffer {
  const tar = new LayerBuilder().file('0', 'x');
  for (let at = 1; at <= links; at += 1) tar.symlink(`${at}`, `${at - 1}`);
  return tar.file('manifest.json', `[{"Config":"${links}","Layers":[]}]`).tar();
}

const BAD: Readonly<Record<string, { bytes: Buffer; code: string; says: RegExp }>> = {
  'a layer that is missing': {
    bytes: dockerArchive([{ built: contractImage() }], { without: layerName }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /manifest.json names .*layer.tar/,
  },
  'a config that is missing': {
    bytes: dockerArchive([{ built: contractImage() }], { without: (name) => /^[0-9a-f]{64}\.json$/.test(name) }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /\.json, which is not/,
  },
  'no manifest.json': {
    bytes: dockerArchive([{ built: contractImage() }], { without: (name) => name === 'manifest.json' }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /manifest.json is missing/,
  },
  'a manifest.json that is no list': {
    bytes: dockerArchive([], { manifest: { Config: 'x' } }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /not a list/,
  },
  'a Config that is no name': {
    bytes: dockerArchive([], { manifest: [{ Config: 7, Layers: [] }] }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /no Config/,
  },
  'Layers that are no names': {
    bytes: dockerArchive([], { manifest: [{ Config: 'x', Layers: [{}] }] }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /Layers of image 0/,
  },
  'an entry that is null': {
    bytes: dockerArchive([], { manifest: [null] }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /Config/,
  },
  'no image at all': { bytes: dockerArchive([], { manifest: [] }), code: 'ERR_NOT_FOUND', says: /it is empty/ },
  'CVE-2014-9358, a path that climbs out': {
    bytes: dockerArchive([], { manifest: [{ Config: '../../../etc/passwd', Layers: [] }] }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /not in the archive/,
  },
  'links in a circle': {
    bytes: new LayerBuilder()
      .symlink('a', 'b')
      .symlink('b', 'a')
      .file('manifest.json', '[{"Config":"a","Layers":[]}]')
      .tar(),
    code: 'ERR_ARCHIVE_INVALID',
    says: /loop/,
  },
  'links of 17 steps, as in a circle': {
    bytes: chainOf(17),
    code: 'ERR_ARCHIVE_INVALID',
    says: /loop/,
  },
  'links of 16 steps, to a config that is none': {
    bytes: chainOf(16),
    code: 'ERR_CONFIG_INVALID',
    says: /not JSON/,
  },
  'a config that is a device': {
    bytes: new LayerBuilder().device('a', 'char', 1, 5).file('manifest.json', '[{"Config":"a","Layers":[]}]').tar(),
    code: 'ERR_ARCHIVE_INVALID',
    says: /no file/,
  },
  'a config with other bytes than its name says': {
    bytes: new LayerBuilder()
      .file(`blobs/sha256/${'a'.repeat(64)}`, '{}')
      .file('manifest.json', `[{"Config":"blobs/sha256/${'a'.repeat(64)}","Layers":[]}]`)
      .tar(),
    code: 'ERR_DIGEST_MISMATCH',
    says: /not what its name says/,
  },
  'a config that is no JSON': {
    bytes: new LayerBuilder().file('c', 'x').file('manifest.json', '[{"Config":"c","Layers":[]}]').tar(),
    code: 'ERR_CONFIG_INVALID',
    says: /not JSON/,
  },
  'a config over 4 MiB': {
    bytes: new LayerBuilder()
      .file('c', Buffer.alloc(4 * 1024 * 1024 + 1))
      .file('manifest.json', '[{"Config":"c","Layers":[]}]')
      .tar(),
    code: 'ERR_LIMIT_EXCEEDED',
    says: /4194304/,
  },
  'CVE-2023-25153, a manifest.json over 4 MiB': {
    bytes: new LayerBuilder().file('manifest.json', Buffer.alloc(4 * 1024 * 1024 + 1, ' ')).tar(),
    code: 'ERR_LIMIT_EXCEEDED',
    says: /manifest\.json.*4194304/,
  },
  'a thousand layers, and no config': {
    bytes: dockerArchive([], { manifest: [{ Config: 'x', Layers: Array(1000).fill('l') }] }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /names x, which is not in the archive/,
  },
  'one layer more, before anything is looked for': {
    bytes: dockerArchive([], { manifest: [{ Config: 'x', Layers: Array(1001).fill('l') }] }),
    code: 'ERR_LIMIT_EXCEEDED',
    says: /Layers of manifest\.json has 1001 entries; at most 1000/,
  },
  'an archive that was cut': {
    bytes: dockerArchive([{ built: contractImage() }], { manifestFirst: true }).subarray(0, 4000),
    code: 'ERR_ARCHIVE_INVALID',
    says: /no whole tar/,
  },
  'a compressed archive that was cut': {
    bytes: gzipSync(dockerArchive([{ built: contractImage() }])).subarray(0, 300),
    code: 'ERR_DECOMPRESS',
    says: /image.tar: the gzip stream is damaged \(.*\); save it again$/,
  },
  'a layer that is a link to nothing': {
    bytes: dockerArchive([{ built: contractImage() }], {
      style: 'symlinks',
      without: (name) => /^[^/]*\.tar$/.test(name),
    }),
    code: 'ERR_ARCHIVE_INVALID',
    says: /layer\.tar is a link to ".*", which is not in the archive/,
  },
  'a link by a whole path, beside which another file has that path': {
    bytes: new LayerBuilder()
      .symlink('d/config', '/tmp/config')
      .file('d/tmp/config', '{}')
      .file('manifest.json', '[{"Config":"d/config","Layers":[]}]')
      .tar(),
    code: 'ERR_ARCHIVE_INVALID',
    says: /d\/config is a link to "tmp\/config", which is not in the archive/,
  },
  'something else': { bytes: Buffer.from('no archive at all'.repeat(100)), code: 'ERR_ARCHIVE_INVALID', says: /tar/ },
  'an empty file': { bytes: Buffer.alloc(0), code: 'ERR_ARCHIVE_INVALID', says: /image.tar: it is empty/ },
  'xz around it': {
    bytes: Buffer.concat([Buffer.from('fd377a585a00', 'hex'), Buffer.alloc(100)]),
    code: 'ERR_ARCHIVE_INVALID',
    says: /xz/,
  },
};
for (const [name, { bytes, code, says }] of Object.entries(BAD)) {
  test(`${name} is refused, and leaves nothing`, async (t) => {
    const temporaryFolder = tempDir(t);
    const work = async (): Promise<void> => {
      const archive = await opened(t, bytes, { temporaryFolder });
      await archive.resolve('');
    };
    await assert.rejects(work, { code, message: says });
    assert.deepEqual(readdirSync(temporaryFolder), []);
  });
}

test('a flipped byte of each file of an archive in turn ends in a coded error, is told, or changes nothing', async (t) => {
  const built = contractImage();
  const bytes = dockerArchive([{ built }]);
  const good = await (await opened(t, bytes)).resolve('');
  for (let at = 0; at < bytes.length; at += 512) {
    const damaged = Buffer.from(bytes);
    damaged[at + 20] = (damaged[at + 20] ?? 0) ^ 4;
    const warnings: string[] = [];
    try {
      const archive = await opened(t, damaged);
      const descriptor = await archive.resolve('', {
        onProgress: (event) => event.type === 'warning:raised' && warnings.push(event.message),
      });
      const manifest = parseManifest(await readVerified(archive, descriptor));
      const config = await readVerified(archive, manifest.config);
      for (const layer of manifest.layers) for await (const _ of await fetchVerified(archive, layer));
      if (warnings.some((message) => message.includes('its bytes are sha256:'))) continue;
      assert.deepEqual(descriptor, good);
      assert.deepEqual(config, built.configBytes);
    } catch (error) {
      assert.match(String((error as { code?: unknown }).code), /^ERR_[A-Z_]+$/, String(error));
      assert.notEqual((error as { code?: unknown }).code, 'ERR_ASSERTION', String(error));
    }
  }
});

test('too large an archive on standard input is cut off', async (t) => {
  const temporaryFolder = tempDir(t);
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(65_536, 'x');
  };
  await assert.rejects(DockerArchive.open('-', { stdin: endless(), maxArchiveBytes: 1_000_000, temporaryFolder }), {
    code: 'ERR_LIMIT_EXCEEDED',
    message: /^standard input/,
  });
  assert.deepEqual(readdirSync(temporaryFolder), []);
  await assert.rejects(DockerArchive.open('-', { maxArchiveBytes: -1 }), { code: 'ERR_OPTION_INVALID' });
});

test('paths that are no archive, and an abort', async (t) => {
  const folder = tempDir(t);
  await assert.rejects(DockerArchive.open(join(folder, 'missing.tar')), { code: 'ERR_NOT_FOUND' });
  await assert.rejects(DockerArchive.open(folder), { code: 'ERR_ARCHIVE_INVALID', message: /oci:/ });
  writeFileSync(join(folder, 'file'), '');
  await assert.rejects(DockerArchive.open(join(folder, 'file', 'below.tar')), {
    code: 'ERR_FILESYSTEM',
    message: /; something on this path is no folder; remove it, or choose another path$/,
  });
  const reason = new Error('enough');
  await assert.rejects(
    DockerArchive.open('-', { stdin: Readable.from([]), signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
  const controller = new AbortController();
  const slow = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(1024);
    controller.abort(reason);
    yield Buffer.alloc(1024);
  };
  const temporaryFolder = join(folder, 'copies');
  mkdirSync(temporaryFolder);
  await assert.rejects(
    DockerArchive.open('-', { stdin: slow(), signal: controller.signal, temporaryFolder }),
    (error) => error === reason,
  );
  assert.deepEqual(readdirSync(temporaryFolder), []);
  await assert.rejects(DockerArchive.open('-', { stdin: Readable.from([]), temporaryFolder: join(folder, 'none') }), {
    code: 'ERR_FILESYSTEM',
  });
});

test('an archive that is named by a link, or a link to a link, is read: in place, or its copy where it is compressed', async (t) => {
  const folder = tempDir(t);
  const temporaryFolder = tempDir(t);
  const bytes = dockerArchive([{ built: contractImage() }]);
  for (const [name, content] of Object.entries({ 'plain.tar': bytes, 'packed.tar.gz': gzipSync(bytes) })) {
    mkdirSync(join(folder, `${name}-store`));
    writeFileSync(join(folder, `${name}-store`, name), content);
    const link = join(folder, name);
    symlinkSync(join(`${name}-store`, name), link);
    symlinkSync(link, `${link}-result`);
    for (const path of [link, `${link}-result`]) {
      const archive = await DockerArchive.open(path, { temporaryFolder });
      assert.equal(archive.place, path);
      const manifest = parseManifest(await readVerified(archive, await archive.resolve('')));
      for (const layer of manifest.layers) for await (const _ of await fetchVerified(archive, layer));
      await archive.close();
    }
  }
  const oci = join(folder, 'oci.tar');
  writeFileSync(`${oci}-real`, ociArchive({ v1: contractImage() }));
  symlinkSync(`${oci}-real`, oci);
  const archive = await OciArchive.open(oci);
  assert.equal((await archive.resolve('v1')).digest, contractImage().descriptor.digest);
  symlinkSync('nowhere', join(folder, 'dangling'));
  await assert.rejects(DockerArchive.open(join(folder, 'dangling')), { code: 'ERR_NOT_FOUND' });
  assert.deepEqual(readdirSync(temporaryFolder), []);
});

test('a pipe by its name is copied; one that is silent can be given up', {
  timeout: 20_000,
  skip: findTool('mkfifo') === undefined,
}, async (t) => {
  const temporaryFolder = tempDir(t);
  const pipe = join(tempDir(t), 'pipe');
  execFileSync('mkfifo', [pipe]);
  const bytes = gzipSync(dockerArchive([{ built: contractImage() }]));
  const [archive] = await Promise.all([DockerArchive.open(pipe, { temporaryFolder }), writeFile(pipe, bytes)]);
  assert.ok(await archive.resolve(''));
  await archive.close();
  const controller = new AbortController();
  const reason = new Error('enough');
  const waiting = DockerArchive.open(pipe, { temporaryFolder, signal: controller.signal });
  const writer = await open(pipe, 'w');
  await writer.write('a beginning');
  controller.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  await writer.close();
  assert.deepEqual(readdirSync(temporaryFolder), []);
  const early = new AbortController();
  const unopened = DockerArchive.open(pipe, { temporaryFolder, signal: early.signal });
  early.abort(reason);
  await assert.rejects(unopened, (error) => error === reason, 'also before a writer was waited for');
});

test('standard input that is no stream of Node: an abort is heard, and text is refused', {
  timeout: 20_000,
}, async (t) => {
  const temporaryFolder = tempDir(t);
  const controller = new AbortController();
  const reason = new Error('enough');
  const silent = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(600);
    await new Promise(() => {});
  };
  const waiting = DockerArchive.open('-', { stdin: silent(), temporaryFolder, signal: controller.signal });
  setTimeout(() => controller.abort(reason), 20);
  await assert.rejects(waiting, (error) => error === reason);
  const text = Readable.from(['text']);
  await assert.rejects(DockerArchive.open('-', { stdin: text, temporaryFolder }), {
    code: 'ERR_INTERNAL',
    message: /^standard input: the source gave a chunk of type string/,
  });
  assert.deepEqual(readdirSync(temporaryFolder), []);
});

test('copies that a dead process left are swept by the next one', async (t) => {
  const temporaryFolder = tempDir(t);
  const bytes = dockerArchive([{ built: contractImage() }]);
  const archive = await DockerArchive.open('-', { stdin: Readable.from([bytes]), temporaryFolder });
  const [own = ''] = readdirSync(temporaryFolder);
  const dead = join(temporaryFolder, own.replace(/-\d+-\d+-/, '-4194303-77-'));
  mkdirSync(dead);
  writeFileSync(join(dead, 'archive.tar'), 'left');
  const next = await DockerArchive.open('-', { stdin: Readable.from([bytes]), temporaryFolder });
  assert.equal(existsSync(dead), false);
  assert.ok(existsSync(join(temporaryFolder, own)));
  await archive.close();
  await next.close();
  assert.deepEqual(readdirSync(temporaryFolder), []);
});

test('a process that ends in the middle, as after a second Ctrl-C, leaves no copy', (t) => {
  const temporaryFolder = tempDir(t);
  const script = `
    import { readdirSync } from 'node:fs';
    const [, entry, temporaryFolder] = process.argv;
    const { DockerArchive } = await import(entry);
    const stdin = async function* () {
      yield Buffer.alloc(100_000, 'half a tar');
      process.exit(readdirSync(temporaryFolder).length === 1 ? 7 : 8);
    };
    await DockerArchive.open('-', { stdin: stdin(), temporaryFolder });`;
  const entry = new URL('../../src/content/docker-archive.js', import.meta.url).href;
  const words = ['--input-type=module', '-e', script, entry, temporaryFolder];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  assert.equal(status, 7, stderr);
  assert.deepEqual(readdirSync(temporaryFolder), []);
});

test('standard input that is a file never closes: an abort after it was read fails nothing of its own', (t) => {
  const folder = tempDir(t);
  const file = join(folder, 'image.tar');
  writeFileSync(file, dockerArchive([{ built: contractImage() }]));
  const script = `
    const [, entry, temporaryFolder] = process.argv;
    const { DockerArchive } = await import(entry);
    const controller = new AbortController();
    const archive = await DockerArchive.open('-', { signal: controller.signal, temporaryFolder });
    controller.abort(new Error('Ctrl-C while a layer is copied'));
    await new Promise((turn) => setTimeout(turn, 20));
    await archive.close();
    process.exitCode = 7;`;
  const entry = new URL('../../src/content/docker-archive.js', import.meta.url).href;
  const words = ['--input-type=module', '-e', script, entry, folder];
  const stdin = openSync(file, 'r');
  t.after(() => closeSync(stdin));
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', stdio: [stdin, 'pipe', 'pipe'] });
  assert.equal(status, 7, stderr);
  assert.deepEqual(readdirSync(folder), ['image.tar']);
});

test('a layer whose bytes are not its diffID is found when it is read', async (t) => {
  const built = contractImage();
  const bytes = dockerArchive([{ built }]);
  const at = bytes.indexOf('the base layer');
  bytes[at] = 0x54;
  const archive = await opened(t, bytes);
  const manifest = parseManifest(await readVerified(archive, await archive.resolve('')));
  await assert.rejects(
    async () => {
      for (const layer of manifest.layers) for await (const _ of await fetchVerified(archive, layer));
    },
    { code: 'ERR_DIGEST_MISMATCH' },
  );
  const sha = createHash('sha256')
    .update(built.layers[1]?.tar ?? '')
    .digest('hex');
  assert.equal(manifest.layers[1]?.digest, `sha256:${sha}`);
});
