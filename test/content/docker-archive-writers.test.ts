/** Docker-archives as the tools of the field write them, built by hand, and what is read where they differ. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { DockerArchive } from '../../src/content/docker-archive.js';
import { fetchVerified, readVerified } from '../../src/content/fetch-verified.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { openDestination } from '../../src/open-destination.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { ImageConfig } from '../../src/spec/image-config.js';
import { parseManifest } from '../../src/spec/image-manifest.js';
import { type BuiltImage, compress, image, LayerBuilder, SeededRandom } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage, readContract } from './target-contract.js';

async function opened(t: TestContext, bytes: Buffer): Promise<DockerArchive> {
  const path = join(tempDir(t), 'image.tar');
  writeFileSync(path, bytes);
  const archive = await DockerArchive.open(path);
  t.after(() => archive.close());
  return archive;
}

const hex = (digest: string): string => digest.slice(digest.indexOf(':') + 1);

/** One entry of `manifest.json`; fields that a tool leaves out are absent. */
interface Entry {
  readonly Config: string;
  readonly RepoTags?: unknown;
  readonly Layers: readonly string[];
}

/** An archive whose layers have the names that `entry` gives them. */
function archived(
  built: BuiltImage,
  entry: Entry,
  layers: readonly (readonly [name: string, bytes: Uint8Array])[],
  config: Uint8Array = built.configBytes,
): LayerBuilder {
  const tar = new LayerBuilder();
  for (const [name, bytes] of layers) tar.file(name, bytes);
  return tar.file(entry.Config, config).file('manifest.json', JSON.stringify([entry]));
}

const tags = ['example/app:v1'];

const WRITERS: Readonly<Record<string, (built: BuiltImage) => Buffer>> = {
  'Jib: config.json, layers in gzip': (built) => {
    const layers = built.layers.map(({ descriptor, blob }) => [`${hex(descriptor.digest)}.tar.gz`, blob] as const);
    return archived(
      built,
      { Config: 'config.json', RepoTags: tags, Layers: layers.map(([name]) => name) },
      layers,
    ).tar();
  },
  'a name that is a hash of another kind': (built) => {
    const layers = built.layers.map(({ tar }, at) => [`${at}/layer.tar`, tar] as const);
    const Config = `${createHash('md5').update(built.configBytes).digest('hex')}.json`;
    return archived(built, { Config, RepoTags: tags, Layers: layers.map(([name]) => name) }, layers).tar();
  },
  'Bazel rules_oci: blobs/sha256, layers end in .tar.gz, an empty tag at the end': (built) => {
    const layers = built.layers.map(
      ({ descriptor, blob }) => [`blobs/sha256/${hex(descriptor.digest)}.tar.gz`, blob] as const,
    );
    const Config = `blobs/sha256/${hex(built.manifest.config.digest)}`;
    return archived(built, { Config, RepoTags: [...tags, ''], Layers: layers.map(([name]) => name) }, layers).tar();
  },
  'crane, ko, kaniko, apko: the digest is the name, layers end in .tar.gz': (built) => {
    const layers = built.layers.map(({ descriptor, blob }) => [`${hex(descriptor.digest)}.tar.gz`, blob] as const);
    const Config = built.manifest.config.digest;
    return archived(built, { Config, RepoTags: tags, Layers: layers.map(([name]) => name) }, layers).tar();
  },
  'Spring Boot: names with / before them, manifest.json too': (built) => {
    const tar = new LayerBuilder();
    const Config = `/${hex(built.manifest.config.digest)}.json`;
    for (const layer of built.layers) tar.file(`/${hex(layer.diffId)}.tar`, layer.tar);
    const Layers = built.layers.map(({ diffId }) => `${hex(diffId)}.tar`);
    const list = JSON.stringify([{ Config, Layers, RepoTags: tags }]);
    return tar.file(Config, built.configBytes).file('/manifest.json', list).tar();
  },
  'Docker 1.10 to 24: VERSION and json in each folder, repositories, parents': (built) => {
    const tar = new LayerBuilder();
    const folders = built.layers.map((_, at) => createHash('sha256').update(`folder ${at}`).digest('hex'));
    for (const [at, layer] of built.layers.entries()) {
      const folder = folders[at] ?? '';
      tar.dir(`${folder}/`).file(`${folder}/VERSION`, '1.0');
      tar.file(`${folder}/json`, JSON.stringify({ id: folder, parent: folders[at - 1] }));
      tar.file(`${folder}/layer.tar`, layer.tar);
    }
    const Config = `${hex(built.manifest.config.digest)}.json`;
    const Layers = folders.map((folder) => `${folder}/layer.tar`);
    const list = JSON.stringify([{ Config, RepoTags: tags, Layers, Parent: `sha256:${'b'.repeat(64)}` }]);
    tar.file(Config, built.configBytes).file('manifest.json', `${list}\n`);
    return tar.file('repositories', JSON.stringify({ 'example/app': { v1: folders.at(-1) } })).tar();
  },
  'Docker on Windows: backslashes in manifest.json, none in the archive': (built) => {
    const layers = built.layers.map(({ tar }, at) => [`folder${at}/layer.tar`, tar] as const);
    const Layers = layers.map(([name]) => name.replaceAll('/', '\\'));
    return archived(built, { Config: 'config.json', RepoTags: tags, Layers }, layers).tar();
  },
  'layers in gzip and in the clear under odd names': (built) => {
    const layers = built.layers.map(({ tar }, at) => {
      return [at === 0 ? 'lay\ner é 0' : '"1"', at === 0 ? compress(tar, 'gzip') : tar] as const;
    });
    return archived(built, { Config: 'con fig', RepoTags: tags, Layers: layers.map(([name]) => name) }, layers).tar();
  },
};
for (const [name, make] of Object.entries(WRITERS)) {
  readContract(`docker-archive of ${name}`, async (t, built) => ({
    target: await opened(t, make(built)),
    reference: 'example/app:v1',
  }));
}

function plain(built: BuiltImage, config: string, bytes?: Uint8Array): LayerBuilder {
  const layers = built.layers.map(({ tar }, at) => [`${at}.tar`, tar] as const);
  return archived(built, { Config: config, RepoTags: tags, Layers: layers.map(([name]) => name) }, layers, bytes);
}

test('whatever the config is called, its digest is that of its bytes, and the manifest is the same', async (t) => {
  const built = contractImage();
  const { digest } = built.manifest.config;
  const expected = await (await opened(t, plain(built, `${hex(digest)}.json`).tar())).resolve('');
  for (const name of [
    'config.json',
    './config.json',
    'a/b',
    digest,
    `blobs/sha256/${hex(digest)}`,
    `${'F'.repeat(64)}.json`,
  ]) {
    const archive = await opened(t, plain(built, name).tar());
    assert.deepEqual(await archive.resolve(''), expected, name);
    assert.equal(parseManifest(await readVerified(archive, expected)).config.digest, digest, name);
  }
});

test('layers in zstd keep their bytes: they are named by them, not by what they hold', async (t) => {
  const built = contractImage();
  const layers = built.layers.map(({ tar }, at) => [`${at}.tar`, compress(tar, 'zstd')] as const);
  const Layers = layers.map(([name]) => name);
  const archive = await opened(t, archived(built, { Config: 'config.json', RepoTags: tags, Layers }, layers).tar());
  const manifest = parseManifest(await readVerified(archive, await archive.resolve('')));
  for (const [at, layer] of manifest.layers.entries()) {
    assert.equal(layer.mediaType, 'application/vnd.docker.image.rootfs.diff.tar.zstd');
    assert.deepEqual(await readVerified(archive, layer), Buffer.from(layers[at]?.[1] ?? ''));
  }
});

for (const algorithm of ['gzip', 'zstd'] as const) {
  test(`a ${algorithm} layer that is damaged is handed on by no copy: the config alone says what it was`, async (t) => {
    const random = new SeededRandom(1);
    const oneLayer = (): BuiltImage =>
      image()
        .layer((layer) => layer.file('a', random.bytes(20_000)))
        .build();
    const built = oneLayer();
    const folder = tempDir(t);
    const layers = built.layers.map(({ tar }, at): [string, Buffer] => [`${at}.tar`, compress(tar, algorithm)]);
    const copied = async (place: string): Promise<void> => {
      const Layers = layers.map(([name]) => name);
      const bytes = archived(built, { Config: 'config.json', RepoTags: tags, Layers }, layers).tar();
      const destination = await openDestination(place);
      try {
        // One at a time, the largest first, which is the layer: a config that came before would stay in a layout.
        await destination.copyFrom(await opened(t, bytes), '', { jobs: 1 });
      } finally {
        await destination.close();
      }
    };
    const places = ['docker-archive:a.tar', 'oci-archive:b.tar.gz', 'dir:d', 'oci:l'].map((place) =>
      place.replace(':', `:${folder}/`),
    );
    for (const place of places) await copied(`${place}.good`);
    const before = readdirSync(folder);

    const [name = '', whole = Buffer.alloc(0)] = layers[0] ?? [];
    for (const [bytes, code] of [
      [whole.subarray(0, -5), 'ERR_DECOMPRESS'],
      [compress(oneLayer().layers[0]?.tar ?? whole, algorithm), 'ERR_DIFFID_MISMATCH'],
    ] as const) {
      layers[0] = [name, bytes];
      for (const place of places) {
        await assert.rejects(
          copied(place),
          { code, message: /image\.tar: 0\.tar: .*; save (?:it|the image) again$/ },
          place,
        );
      }
    }
    assert.deepEqual(readdirSync(folder), before);
  });
}

test('a bare ID that is not that of the bytes is told, and the bytes are taken', async (t) => {
  const built = contractImage();
  const expected = await (await opened(t, plain(built, 'config.json').tar())).resolve('');
  for (const name of [`${'a'.repeat(64)}.json`, `dir/${'a'.repeat(64)}.json`, 'a'.repeat(64)]) {
    const archive = await opened(t, plain(built, name).tar());
    const warnings: string[] = [];
    const onProgress = (event: ProgressEvent): void => {
      if (event.type === 'warning:raised') warnings.push(event.message);
    };
    for (let twice = 0; twice < 2; twice++) assert.deepEqual(await archive.resolve('', { onProgress }), expected, name);
    assert.deepEqual(warnings, [
      `${archive.place}: ${name} is called as an image ID is, but its bytes are ${built.manifest.config.digest}; taking them as they are`,
    ]);
  }
});

test('a name that states another digest than the bytes have is refused, with both and the way out', async (t) => {
  const built = contractImage();
  for (const name of [
    `blobs/sha256/${'a'.repeat(64)}`,
    `./blobs/sha256/${'a'.repeat(64)}`,
    `sha256:${'a'.repeat(64)}`,
  ]) {
    const archive = await opened(t, plain(built, name).tar());
    await assert.rejects(archive.resolve(''), (error: Error & { code?: string; detail?: object }) => {
      assert.equal(error.code, 'ERR_DIGEST_MISMATCH');
      assert.ok(error.message.includes(name) && error.message.includes(built.manifest.config.digest), error.message);
      assert.match(error.message, /changed on purpose, give the file another name/);
      assert.deepEqual(error.detail, {
        archive: archive.place,
        expected: `sha256:${'a'.repeat(64)}`,
        found: built.manifest.config.digest,
      });
      return true;
    });
  }
});

test('a config without architecture, system, history and type of rootfs, as builders have written it, is an image', async (t) => {
  const built = contractImage();
  const bytes = Buffer.from(JSON.stringify({ rootfs: { diff_ids: built.config.rootfs.diff_ids } }));
  const archive = await opened(t, plain(built, 'config.json', bytes).tar());
  const found = await fetchImage(archive, '', { platform: 'linux/amd64' });
  assert.deepEqual(found.config.bytes, bytes);
  assert.deepEqual(found.config.value, {
    architecture: '',
    os: '',
    rootfs: { type: 'layers', diff_ids: built.config.rootfs.diff_ids },
  });
  for (const { descriptor } of found.layers) for await (const _ of await fetchVerified(archive, descriptor));
});

test('a system without an architecture, as Spring Boot writes it, contradicts no platform of that system', async (t) => {
  const built = contractImage();
  const bytes = Buffer.from(JSON.stringify({ os: 'linux', rootfs: { diff_ids: built.config.rootfs.diff_ids } }));
  const archive = await opened(t, plain(built, 'config.json', bytes).tar());
  const warnings: string[] = [];
  const onProgress = (event: ProgressEvent): void => {
    if (event.type === 'warning:raised') warnings.push(event.message);
  };
  assert.equal((await fetchImage(archive, '', { onProgress })).layers.length, 2);
  assert.deepEqual(warnings, []);
  for (const platform of ['linux/amd64', 'linux/arm64', 'linux/arm/v7']) {
    assert.equal((await fetchImage(archive, '', { platform, onProgress })).layers.length, 2, platform);
    assert.match(warnings.pop() ?? '', new RegExp(`does not say its architecture; ${platform}[/\\w]* was asked for$`));
  }
  await assert.rejects(fetchImage(archive, '', { platform: 'windows/amd64' }), { code: 'ERR_PLATFORM_NOT_FOUND' });
});

const config = (change: (config: ImageConfig) => object): Buffer => {
  const { config: value } = contractImage();
  return Buffer.from(JSON.stringify(change(value)));
};
const COUNTS: readonly (readonly [what: string, bytes: Buffer, says: RegExp])[] = [
  ['no rootfs', config(({ rootfs: _rootfs, ...rest }) => rest), /rootfs of the image config is missing/],
  ['no diffIDs', config((value) => ({ ...value, rootfs: { type: 'layers' } })), /2 layers, .* 0 diffIDs/],
  [
    'diffIDs that are null',
    config((value) => ({ ...value, rootfs: { type: 'layers', diff_ids: null } })),
    /2 layers, .* 0 diffIDs/,
  ],
  [
    'one too few',
    config((value) => ({ ...value, rootfs: { type: 'layers', diff_ids: value.rootfs.diff_ids.slice(1) } })),
    /2 layers, .* 1 diffIDs/,
  ],
  [
    'one too many',
    config((value) => ({
      ...value,
      rootfs: { type: 'layers', diff_ids: [...value.rootfs.diff_ids, ...value.rootfs.diff_ids.slice(1)] },
    })),
    /2 layers, .* 3 diffIDs/,
  ],
];
test('as many diffIDs as layers, or the message says how many of each', async (t) => {
  for (const [what, bytes, says] of COUNTS) {
    const archive = await opened(t, plain(contractImage(), 'config.json', bytes).tar());
    await assert.rejects(fetchImage(archive, ''), { code: 'ERR_CONFIG_INVALID', message: says }, what);
    // No manifest is made that a copy could not be read by.
    await assert.rejects(archive.resolve(''), (error: Error & { code?: unknown }) => {
      assert.deepEqual(
        [error.code, error.message.startsWith(`${archive.place}: `)],
        ['ERR_CONFIG_INVALID', true],
        what,
      );
      assert.match(error.message, says, what);
      return true;
    });
  }
});

test('that manifest.json lists too few layers spoils no image that has a manifest of its own', async (t) => {
  const built = contractImage();
  const names = built.layers.map(({ descriptor }) => `blobs/sha256/${hex(descriptor.digest)}`);
  const Config = `blobs/sha256/${hex(built.manifest.config.digest)}`;
  for (const layout of [false, true]) {
    const files = built.layers.map(({ blob }, at) => [names[at] ?? '', blob] as const);
    const tar = archived(built, { Config, RepoTags: null, Layers: names.slice(1) }, files);
    if (layout) {
      tar.file(`blobs/sha256/${hex(built.descriptor.digest)}`, built.manifestBytes);
      tar.file('oci-layout', '{"imageLayoutVersion":"1.0.0"}');
      tar.file('index.json', JSON.stringify({ schemaVersion: 2, manifests: [built.descriptor] }));
    }
    const archive = await opened(t, tar.tar());
    if (layout) assert.deepEqual(await archive.resolve(''), built.descriptor);
    else {
      await assert.rejects(archive.resolve(''), {
        code: 'ERR_CONFIG_INVALID',
        message: /image\.tar: the manifest has 1 layers, but the config has 2 diffIDs/,
      });
    }
  }
});

test('one layer under two entries, an empty one, a history that is shorter or longer', async (t) => {
  const twice = image()
    .layer((layer) => layer.file('a', 'once'))
    .build();
  const [layer] = twice.layers;
  assert.ok(layer);
  const empty = createHash('sha256').digest('hex');
  for (const steps of [0, 1, 9]) {
    const diffIds: readonly string[] = [layer.diffId, layer.diffId, `sha256:${empty}`];
    const history = Array.from({ length: steps }, () => ({ created_by: 'a step' }));
    const bytes = Buffer.from(
      JSON.stringify({ ...twice.config, history, rootfs: { type: 'layers', diff_ids: diffIds } }),
    );
    const tar = new LayerBuilder().file('a.tar', layer.tar).file('empty.tar', '').file('config.json', bytes);
    const list = [{ Config: 'config.json', RepoTags: null, Layers: ['a.tar', 'a.tar', 'empty.tar'] }];
    const archive = await opened(t, tar.file('manifest.json', JSON.stringify(list)).tar());
    const { layers } = await fetchImage(archive, '');
    assert.deepEqual(
      layers.map(({ diffId }) => diffId),
      diffIds,
    );
    assert.equal(layers[2]?.descriptor.size, 0);
    for (const { descriptor } of layers) for await (const _ of await fetchVerified(archive, descriptor));
  }
});

test('tags: a port, an upper-case name, nulls and empty ones; the last of two images with one tag has it', async (t) => {
  const built = contractImage();
  const other = image()
    .layer((layer) => layer.file('other', ''))
    .build();
  const tar = new LayerBuilder();
  const entry = (one: BuiltImage, name: string, repoTags: unknown): object => {
    tar.file(name, one.configBytes);
    const Layers = one.layers.map(({ tar: bytes }, at) => {
      tar.file(`${name}-${at}`, bytes);
      return `${name}-${at}`;
    });
    return { Config: name, RepoTags: repoTags, Layers };
  };
  const list = [
    entry(built, 'c0', ['localhost:5000/x/y:v1', null, '', 'Team/App:1', 'a:b']),
    entry(other, 'c1', ['a:b']),
  ];
  const archive = await opened(t, tar.file('manifest.json', JSON.stringify(list)).tar());
  const [first, last] = [await archive.resolve('@0'), await archive.resolve('@1')];
  assert.deepEqual(await archive.resolve('localhost:5000/x/y:v1'), first);
  assert.deepEqual(await archive.resolve('Team/App:1'), first);
  assert.deepEqual(await archive.resolve('a:b'), last);
  assert.deepEqual(await archive.resolve(`a:b@${first.digest}`), first, 'the digest decides');
  const names: string[] = [];
  for await (const tag of archive.tags()) names.push(tag);
  assert.deepEqual(names, ['localhost:5000/x/y:v1', 'Team/App:1', 'a:b']);
});

test('a layout beside manifest.json that cannot be read takes nothing away', async (t) => {
  const built = contractImage();
  const expected = await (await opened(t, plain(built, 'config.json').tar())).resolve('');
  const beside: readonly Readonly<Record<string, string>>[] = [
    { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}' },
    { 'oci-layout': '{"imageLayoutVersion":"2.0.0"}', 'index.json': '{"schemaVersion":2,"manifests":[]}' },
    { 'oci-layout': 'x', 'index.json': '{' },
    {
      'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
      'index.json': '{"schemaVersion":2,"manifests":[{"digest":"x"}]}',
    },
    { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': '{"schemaVersion":2,"manifests":null}' },
  ];
  for (const files of beside) {
    const tar = plain(built, 'config.json');
    for (const [name, content] of Object.entries(files)) tar.file(name, content);
    assert.deepEqual(await (await opened(t, tar.tar())).resolve(''), expected, JSON.stringify(files));
  }
});

const REFUSED: readonly (readonly [what: string, bytes: () => Buffer, code: string, says: RegExp])[] = [
  [
    'Docker before 1.10',
    () => new LayerBuilder().file('a/json', '{}').file('a/layer.tar', '').file('repositories', '{}').tar(),
    'ERR_ARCHIVE_INVALID',
    /manifest.json is missing; Docker before 1\.10 saved this/,
  ],
  [
    'layers left to an engine (an empty path)',
    () => new LayerBuilder().file('c', '{}').file('manifest.json', '[{"Config":"c","Layers":["",""]}]').tar(),
    'ERR_ARCHIVE_INVALID',
    /a layer in manifest.json has no path; only an engine/,
  ],
  [
    'a byte order mark',
    () => new LayerBuilder().file('manifest.json', '\ufeff[]').tar(),
    'ERR_ARCHIVE_INVALID',
    /manifest.json is not JSON/,
  ],
  [
    'something behind the list',
    () => new LayerBuilder().file('manifest.json', '[]\0\0').tar(),
    'ERR_ARCHIVE_INVALID',
    /manifest.json is not JSON/,
  ],
  [
    'a list over 4 MiB',
    () => new LayerBuilder().file('manifest.json', `[${' '.repeat(4 * 1024 * 1024)}]`).tar(),
    'ERR_LIMIT_EXCEEDED',
    /manifest.json: larger than .* 4194304/,
  ],
  [
    'tags that are text',
    () => new LayerBuilder().file('manifest.json', '[{"Config":"c","RepoTags":"a:b"}]').tar(),
    'ERR_ARCHIVE_INVALID',
    /RepoTags of image 0 are no list/,
  ],
];

/** What stands in an archive's place, its first bytes, and what is said. */
const OTHERS: readonly (readonly [what: string, head: string, says: RegExp])[] = [
  ['bzip2', '425a683931415926', /compressed with bzip2, .* bzip2 -dc FILE piped into docker-archive:-/],
  ['xz', 'fd377a585a000004', /compressed with xz, .* xz -dc FILE/],
  ['lz4', '04224d1864407000', /compressed with lz4, .* lz4 -dc FILE/],
  ['zip', '504b030414000000', /a zip file, which is not read; unpack it/],
  ['UTF-16', 'fffe620061007300', /PowerShell's > has changed the bytes; save the image again with -o/],
];
test('what stands in the place of an archive is called by its name, in a file and on standard input', async (t) => {
  const temporaryFolder = tempDir(t);
  for (const [what, head, says] of OTHERS) {
    const bytes = Buffer.concat([Buffer.from(head, 'hex'), Buffer.alloc(600, 'x')]);
    await assert.rejects(opened(t, bytes), { code: 'ERR_ARCHIVE_INVALID', message: says }, what);
    const piped = DockerArchive.open('-', { stdin: Readable.from([bytes]), temporaryFolder });
    await assert.rejects(piped, { code: 'ERR_ARCHIVE_INVALID', message: says }, what);
  }
  assert.deepEqual(readdirSync(temporaryFolder), []);
});

for (const [what, bytes, code, says] of REFUSED) {
  test(`refused, and why: ${what}`, async (t) => {
    await assert.rejects(async () => (await opened(t, bytes())).resolve(''), { code, message: says });
  });
}
