/** fetchImage: the way from a reference to an image, what it costs, and what is refused. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { type ErrorCode, RootfsError } from '../../src/errors.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import type { Image } from '../../src/image/image.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { MediaType } from '../../src/spec/media-types.js';
import { formatPlatform, hostPlatform, parsePlatform } from '../../src/spec/platform.js';
import { digestOf } from '../../src/testing/testing.js';
import { DocumentSource, layer, OneRequestSource, someDigest } from '../support/document-source.js';

const AMD64 = { os: 'linux', architecture: 'amd64' };
const ARM64 = { os: 'linux', architecture: 'arm64' };

async function fails(work: Promise<unknown>, code: ErrorCode, message?: RegExp): Promise<RootfsError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof RootfsError, `${String(error)} is no RootfsError`);
    assert.equal(error.code, code, error.message);
    if (message !== undefined) assert.match(error.message, message);
    return error;
  }
  return assert.fail(`expected ${code}`);
}

function warnings(): { readonly heard: string[]; readonly onProgress: (event: ProgressEvent) => void } {
  const heard: string[] = [];
  return {
    heard,
    onProgress: (event) => {
      if (event.type === 'warning:raised') heard.push(event.message);
    },
  };
}

/** An index of images, one for each platform text, each distinguished by its number of layers: 1, 2, 3… */
function offering(source: DocumentSource, ...platforms: readonly string[]): DocumentSource {
  const entries = platforms.map((text, i) => {
    const platform = parsePlatform(text);
    return source.image(platform, i + 1, { platform });
  });
  return source.name('app', source.index(entries));
}

test('a single manifest becomes an image with its layers and their diffIDs', async () => {
  const source = new DocumentSource();
  const manifest = source.image(AMD64, 3);
  source.name('app', manifest);
  const events: ProgressEvent[] = [];
  const image = await fetchImage(source, 'app', { platform: 'linux/amd64', onProgress: (event) => events.push(event) });
  assert.equal(image.reference, 'app');
  assert.deepEqual(image.target, manifest);
  assert.equal('index' in image, false);
  assert.deepEqual(image.manifest.descriptor, manifest);
  assert.deepEqual(Buffer.from(image.manifest.bytes), source.blobs.get(manifest.digest));
  assert.equal(digestOf(image.config.bytes), image.config.descriptor.digest);
  assert.deepEqual(image.platform, AMD64);
  assert.deepEqual(
    image.layers,
    [0, 1, 2].map((i) => ({ descriptor: layer(100 + i), diffId: someDigest(i) })),
  );
  assert.deepEqual(events, [
    { type: 'image:resolved', reference: 'app', digest: manifest.digest, mediaType: MediaType.ociManifest },
  ]);
});

test('through an index it costs index, manifest and config, and nothing more', async () => {
  const plain = offering(new DocumentSource(), 'linux/arm64', 'linux/amd64');
  const image = await fetchImage(plain, 'app', { platform: 'linux/amd64' });
  assert.equal(image.layers.length, 2);
  assert.equal(image.index?.value.manifests.length, 2);
  assert.equal(image.target.digest, image.index?.descriptor.digest);
  assert.equal(plain.log.filter((line) => line.startsWith('fetch ')).length, 3);
  assert.equal(plain.log.length, 4);
  const quick = offering(new OneRequestSource(), 'linux/arm64', 'linux/amd64') as OneRequestSource;
  await fetchImage(quick, 'app', { platform: 'linux/amd64' });
  assert.deepEqual(
    quick.log.map((line) => line.split(' ')[0]),
    ['fetchReference', 'fetch', 'fetch'],
  );
  assert.ok(quick.streams.every((stream) => stream.destroyed));
});

/** Wanted, offered in order, which is taken (from 1). */
const PICKS: readonly (readonly [string, string, number])[] = [
  ['linux/amd64', 'linux/arm64 linux/amd64', 2],
  ['linux/arm/v7', 'linux/arm/v5 linux/arm/v6 linux/arm/v7', 3],
  ['linux/arm/v7', 'linux/arm/v5 linux/arm/v6', 2],
  ['linux/arm', 'linux/arm/v6 linux/arm/v7', 2],
  ['linux/arm/v6', 'linux/arm/v7 linux/arm/v5', 2],
  ['linux/arm64', 'linux/arm/v7 linux/arm64/v8', 2],
  ['linux/arm64', 'linux/amd64 linux/arm/v6 linux/arm/v7', 3],
  ['linux/amd64/v3', 'linux/amd64 linux/amd64/v2 linux/amd64/v4', 2],
  ['linux/amd64', 'linux/amd64/v3 linux/amd64/v2 linux/amd64/v1', 3],
  ['linux/amd64', 'linux/386 linux/amd64', 2],
  ['linux/amd64', 'linux/amd64 linux/amd64', 1],
  ['x86_64', 'linux/arm64 linux/amd64', 2],
  ['windows/amd64', 'linux/amd64 windows(10.0.17763.1)/amd64 windows(10.0.20348.2)/amd64', 2],
  ['windows(10.0.20348)/amd64', 'windows(10.0.17763.1)/amd64 windows(10.0.20348.2)/amd64', 2],
  ['windows(10.0.17763)/amd64', 'windows(10.0.20348.2)/amd64 windows(10.0.17763.1)/amd64', 2],
  ['linux(+gpu)/amd64', 'linux/amd64 linux(+gpu)/amd64 linux(+tpu)/amd64', 2],
  ['linux/amd64', 'linux(+gpu)/amd64 linux/amd64', 2],
];

test('the best match is taken, the first among equals', async () => {
  for (const [wanted, offered, taken] of PICKS) {
    const source = offering(new DocumentSource(), ...offered.split(' '));
    const image = await fetchImage(source, 'app', { platform: wanted });
    assert.equal(image.layers.length, taken, `${wanted} from ${offered}`);
  }
});

test('what is offered is listed at a length that a message can hold', async () => {
  const source = new DocumentSource();
  const entry = source.image(AMD64, 1, { platform: AMD64 });
  const long = (at: number): string => `${at}${'x'.repeat(2_000)}`;
  const entries = Array.from({ length: 150 }, (_, at) => ({
    ...entry,
    platform: { os: 'linux', architecture: long(at) },
  }));
  source.name('many', source.index(entries));
  const { message, detail } = await fails(
    fetchImage(source, 'many'),
    'ERR_PLATFORM_NOT_FOUND',
    /… and 50 more; ask for/,
  );
  assert.ok(message.length < 70_000, `${message.length}`);
  assert.equal((detail['platforms'] as unknown[]).length, 150);
  const odd = new DocumentSource();
  odd.name('odd', odd.image({ os: 'linux', architecture: long(0) }, 1));
  const options = { platform: 'linux/amd64' };
  const told = await fails(
    fetchImage(odd, 'odd', options),
    'ERR_PLATFORM_NOT_FOUND',
    /the only image there is for linux/,
  );
  assert.ok(told.message.length < 1_000, `${told.message.length}`);
});

test('what does not match is an error that lists what there is', async () => {
  const source = offering(
    new DocumentSource(),
    'linux/amd64',
    'linux/arm64',
    'windows(10.0.17763.1)/amd64',
    'linux/amd64',
  );
  const error = await fails(
    fetchImage(source, 'app', { platform: 'linux/s390x' }),
    'ERR_PLATFORM_NOT_FOUND',
    /^app: no image for linux\/s390x; the index offers linux\/amd64, linux\/arm64, windows\(10\.0\.17763\.1\)\/amd64; /,
  );
  assert.deepEqual(error.detail['platforms'], ['linux/amd64', 'linux/arm64', 'windows(10.0.17763.1)/amd64']);
  const inner = new DocumentSource();
  const labelled = { ...inner.index([inner.image(AMD64, 1, { platform: AMD64 })]), platform: AMD64 };
  await fails(
    fetchImage(inner.name('x', inner.index([labelled])), 'x', { platform: 'linux/s390x' }),
    'ERR_PLATFORM_NOT_FOUND',
    /^x: no image for linux\/s390x; the index offers linux\/amd64; /,
  );
  const empty = new DocumentSource();
  await fails(fetchImage(empty.name('x', empty.index([])), 'x'), 'ERR_PLATFORM_NOT_FOUND', /the index is empty; ask/);
});

test('attestations are passed over, also when they come first', async () => {
  const source = new DocumentSource();
  const unknown = { os: 'unknown', architecture: 'unknown' };
  const entries = [
    source.image(unknown, 5, { platform: unknown }),
    source.image(AMD64, 4, { platform: AMD64, annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } }),
    source.image(AMD64, 1, { platform: AMD64 }),
  ];
  source.name('app', source.index(entries)).name('only', source.index(entries.slice(0, 2)));
  assert.equal((await fetchImage(source, 'app', { platform: AMD64 })).layers.length, 1);
  const error = await fails(
    fetchImage(source, 'only', { platform: AMD64 }),
    'ERR_NOT_AN_IMAGE',
    /no image, but attestations/,
  );
  assert.deepEqual(error.detail['found'], ['attestations']);
});

test('entries of unknown types are passed over', async () => {
  const source = new DocumentSource();
  const odd = source.add('application/vnd.example.other+json', { any: 'thing' }, { platform: AMD64 });
  source.name('app', source.index([odd, source.image(AMD64, 2, { platform: AMD64 })])).name('odd', source.index([odd]));
  assert.equal((await fetchImage(source, 'app', { platform: AMD64 })).layers.length, 2);
  await fails(
    fetchImage(source, 'odd', { platform: AMD64 }),
    'ERR_NOT_AN_IMAGE',
    /application\/vnd\.example\.other\+json/,
  );
});

test('an entry that calls itself an artifact stands back behind an image', async () => {
  const source = new DocumentSource();
  const artifact = source.image(AMD64, 3, { platform: AMD64, artifactType: 'application/vnd.example.thing' });
  const image = source.image(AMD64, 2, { platform: AMD64, artifactType: MediaType.ociConfig });
  source.name('both', source.index([artifact, image])).name('one', source.index([artifact]));
  assert.equal((await fetchImage(source, 'both', { platform: AMD64 })).layers.length, 2);
  assert.equal((await fetchImage(source, 'one', { platform: AMD64 })).layers.length, 3);
});

test('entries without a platform come last, by their config', async () => {
  const source = new DocumentSource();
  const silent = [source.image(ARM64, 1), source.image(AMD64, 2), source.image(AMD64, 3)];
  source
    .name('mixed', source.index([...silent, source.image(AMD64, 4, { platform: AMD64 })]))
    .name('silent', source.index(silent))
    .name('blank', source.index(silent.map((entry) => ({ ...entry, platform: { os: '', architecture: '' } }))))
    .name(
      'arm',
      source.index([
        source.image({ ...ARM64, architecture: 'arm', variant: 'v6' }, 1),
        source.image({ ...ARM64, architecture: 'arm' }, 2),
      ]),
    );
  assert.equal((await fetchImage(source, 'mixed', { platform: AMD64 })).layers.length, 4);
  assert.equal((await fetchImage(source, 'blank', { platform: AMD64 })).layers.length, 2);
  assert.equal((await fetchImage(source, 'arm', { platform: 'linux/arm/v7' })).layers.length, 2);
  source.log.length = 0;
  assert.equal((await fetchImage(source, 'silent', { platform: AMD64 })).layers.length, 2);
  assert.equal(source.log.length, 6, 'the second entry is exact: the third is not read');
  await fails(
    fetchImage(source, 'silent', { platform: 'linux/s390x' }),
    'ERR_PLATFORM_NOT_FOUND',
    /offers linux\/arm64, linux\/amd64;/,
  );
  await fails(
    fetchImage(source.name('x', source.index([source.image({}, 1)])), 'x', { platform: AMD64 }),
    'ERR_PLATFORM_NOT_FOUND',
    /none says its platform/,
  );
});

test('of the entries without a platform, 64 are looked at and not one more', async () => {
  const source = new DocumentSource();
  const others = Array.from({ length: 64 }, (_, i) => source.image({ ...ARM64, variant: `v${i + 10}` }, 1));
  const last = source.image(AMD64, 2);
  source.name('in', source.index([...others.slice(1), last])).name('out', source.index([...others, last]));
  assert.equal((await fetchImage(source, 'in', { platform: AMD64 })).layers.length, 2);
  source.log.length = 0;
  await fails(fetchImage(source, 'out', { platform: AMD64 }), 'ERR_PLATFORM_NOT_FOUND', /offers linux\/arm64/);
  assert.equal(source.log.length, 2 + 2 * 64, 'name and index, manifest and config of each');
});

test('indexes in an index are followed, each once, and only where the outer one has no exact match', async () => {
  const source = new DocumentSource();
  const v6 = source.image({ os: 'linux', architecture: 'arm', variant: 'v6' }, 1, {
    platform: parsePlatform('linux/arm/v6'),
  });
  const v7 = source.image({ os: 'linux', architecture: 'arm', variant: 'v7' }, 2, {
    platform: parsePlatform('linux/arm/v7'),
  });
  const amd64 = source.image(AMD64, 3, { platform: AMD64 });
  const inner = source.index([v7]);
  source.name('app', source.index([v6, inner, inner, amd64]));
  assert.equal((await fetchImage(source, 'app', { platform: 'linux/arm/v7' })).layers.length, 2);
  assert.equal(source.log.filter((line) => line.endsWith(inner.digest)).length, 1);
  source.log.length = 0;
  assert.equal((await fetchImage(source, 'app', { platform: AMD64 })).layers.length, 3);
  assert.equal(source.log.filter((line) => line.endsWith(inner.digest)).length, 0);
  const closed = { ...inner, platform: ARM64 };
  source.name('closed', source.index([closed, { ...inner, digest: someDigest(1), platform: AMD64 }]));
  await fails(fetchImage(source, 'closed', { platform: 'linux/s390x' }), 'ERR_PLATFORM_NOT_FOUND');
  const image = await fetchImage(source, 'app', { platform: 'linux/arm/v7' });
  assert.equal(image.index?.descriptor.digest, image.target.digest, 'the outermost index is kept');
});

test('indexes that lie too deep or are too many are refused, those that are missing passed over', async () => {
  const source = new DocumentSource();
  const image = source.image(AMD64, 1, { platform: AMD64 });
  const nest = (depth: number): Descriptor => (depth === 0 ? source.index([image]) : source.index([nest(depth - 1)]));
  source.name('deep', nest(8)).name('deeper', nest(9));
  assert.equal((await fetchImage(source, 'deep', { platform: AMD64 })).layers.length, 1);
  await fails(fetchImage(source, 'deeper', { platform: AMD64 }), 'ERR_LIMIT_EXCEEDED', /over 8 deep/);
  const many = Array.from({ length: 65 }, (_, i) => source.index([], { annotations: { number: `${i}` } }));
  source.name('many', source.index(many)).name('enough', source.index([...many.slice(0, 63), source.index([image])]));
  await fails(fetchImage(source, 'many', { platform: AMD64 }), 'ERR_LIMIT_EXCEEDED', /over 64 indexes/);
  assert.equal((await fetchImage(source, 'enough', { platform: AMD64 })).layers.length, 1);
  const gone = { mediaType: MediaType.ociIndex, digest: someDigest(7), size: 10 };
  source.name(
    'sparse',
    source.index([gone, { ...gone, mediaType: MediaType.ociManifest, digest: someDigest(8) }, source.image(AMD64, 1)]),
  );
  assert.equal((await fetchImage(source, 'sparse', { platform: AMD64 })).layers.length, 1);
});

test('a single manifest of another platform is an error when it was asked for, else a warning', async () => {
  const source = new DocumentSource();
  source.name('s390x', source.image({ os: 'linux', architecture: 's390x' })).name('blank', source.image({}));
  source.name('arm', source.image({ os: 'linux', architecture: 'arm' })).name('arm64', source.image(ARM64));
  source.name('system', source.image({ os: '', architecture: 'amd64' }));
  source.name('v3', source.image({ ...AMD64, variant: 'v3' }));
  const error = await fails(
    fetchImage(source, 's390x', { platform: 'linux/amd64' }),
    'ERR_PLATFORM_NOT_FOUND',
    /no image for linux\/amd64; the only image there is for linux\/s390x/,
  );
  assert.deepEqual(error.detail['platforms'], ['linux/s390x']);
  await fails(fetchImage(source, 'v3', { platform: 'linux/amd64' }), 'ERR_PLATFORM_NOT_FOUND');
  const implicit = warnings();
  const image = await fetchImage(source, 's390x', implicit);
  assert.equal(formatPlatform(image.platform), 'linux/s390x');
  assert.deepEqual(implicit.heard, [`s390x: the image is for linux/s390x, not for ${formatPlatform(hostPlatform())}`]);
  const quiet = warnings();
  await fetchImage(source, 'arm', { ...quiet, platform: 'linux/arm/v6' });
  await fetchImage(source, 'arm64', { ...quiet, platform: 'linux/arm64/v8' });
  await fetchImage(source, 'v3', { ...quiet, platform: 'linux/amd64/v4' });
  await fetchImage(source, 'blank', quiet);
  await fetchImage(source, 'system', { ...quiet, platform: 'linux/amd64' });
  assert.deepEqual(quiet.heard, []);
  await fails(fetchImage(source, 'system', { platform: 'linux/s390x' }), 'ERR_PLATFORM_NOT_FOUND');
  const other = warnings();
  await fetchImage(source, 'arm', { ...other, platform: ARM64 });
  await fetchImage(source, 'blank', { ...other, platform: ARM64 });
  assert.equal(other.heard.length, 2);
});

test('another architecture that such machines run is taken with a warning', async () => {
  const { heard, onProgress } = warnings();
  const source = offering(new DocumentSource(), 'linux/arm/v7', 'linux/386');
  assert.equal((await fetchImage(source, 'app', { platform: 'linux/arm64', onProgress })).layers.length, 1);
  assert.equal((await fetchImage(source, 'app', { platform: 'linux/amd64', onProgress })).layers.length, 2);
  assert.equal((await fetchImage(source, 'app', { platform: 'linux/arm/v8', onProgress })).layers.length, 1);
  assert.deepEqual(heard, [
    'app: no image for linux/arm64; taking linux/arm/v7, which such machines run',
    'app: no image for linux/amd64; taking linux/386, which such machines run',
  ]);
});

test('the index fills in what the config leaves out', async () => {
  const source = new DocumentSource();
  const v7 = parsePlatform('linux/arm/v7');
  source.name('variant', source.index([source.image({ os: 'linux', architecture: 'arm' }, 1, { platform: v7 })]));
  source.name('blank', source.index([source.image({}, 1, { platform: v7 })]));
  source.name('other', source.index([source.image(AMD64, 1, { platform: v7 })]));
  assert.equal(formatPlatform((await fetchImage(source, 'variant', { platform: v7 })).platform), 'linux/arm/v7');
  assert.equal(formatPlatform((await fetchImage(source, 'blank', { platform: v7 })).platform), 'linux/arm/v7');
  assert.equal(formatPlatform((await fetchImage(source, 'other', { platform: v7 })).platform), 'linux/amd64');
});

test('what a container runs with is read in any case, as engines read it', async () => {
  const source = new DocumentSource();
  const make = (name: string, config: unknown): Promise<Image> => {
    const rootfs = { type: 'layers', diff_ids: [] };
    const descriptor = source.add(MediaType.ociConfig, { ...AMD64, rootfs, config });
    source.name(name, source.add(MediaType.ociManifest, { schemaVersion: 2, config: descriptor, layers: [] }));
    return fetchImage(source, name, { platform: AMD64 });
  };
  const { config } = await make('lower', {
    user: '1000',
    env: ['A=1'],
    entrypoint: '/app',
    labels: { Env: 'x' },
    own: 1,
  });
  assert.deepEqual(config.value.config, {
    User: '1000',
    Env: ['A=1'],
    Entrypoint: ['/app'],
    Labels: { Env: 'x' },
    own: 1,
  });
  await fails(make('wrong', { user: 5 }), 'ERR_CONFIG_INVALID', /config.User of the image config is wrong/);
  await fails(make('both', { user: '5', User: '6' }), 'ERR_CONFIG_INVALID', /"user" and "User"/);
});

test('what a name points at fills in what the config leaves out, and has the type that its bytes show', async () => {
  const source = new DocumentSource();
  source.name('layout', { ...source.image({}), platform: ARM64 });
  assert.deepEqual((await fetchImage(source, 'layout', { platform: ARM64 })).platform, ARM64);
  await fails(fetchImage(source, 'layout', { platform: 'linux/s390x' }), 'ERR_PLATFORM_NOT_FOUND');
  source.name('generic', { ...source.image(AMD64), mediaType: 'application/octet-stream' });
  source.name(
    'docker',
    source.add('text/plain', {
      schemaVersion: 2,
      mediaType: MediaType.dockerManifestList,
      manifests: [source.image(AMD64, 1, { platform: AMD64 })],
    }),
  );
  const generic = await fetchImage(source, 'generic', { platform: AMD64 });
  assert.equal(generic.target.mediaType, MediaType.ociManifest);
  assert.equal(generic.manifest.descriptor.mediaType, MediaType.ociManifest);
  assert.equal(
    (await fetchImage(source, 'docker', { platform: AMD64 })).target.mediaType,
    MediaType.dockerManifestList,
  );
});

test('as many diffIDs as layers, or no image', async () => {
  const source = new DocumentSource();
  const config = source.add(MediaType.ociConfig, { ...AMD64, rootfs: { type: 'layers', diff_ids: [someDigest(0)] } });
  const make = (layers: readonly Descriptor[]): Descriptor =>
    source.add(MediaType.ociManifest, { schemaVersion: 2, config, layers });
  source
    .name('two', make([layer(1), layer(2)]))
    .name('none', make([]))
    .name('one', make([layer(1)]));
  await fails(fetchImage(source, 'two'), 'ERR_CONFIG_INVALID', /2 layers, but the config has 1 diffIDs/);
  await fails(fetchImage(source, 'none'), 'ERR_CONFIG_INVALID', /0 layers/);
  assert.equal((await fetchImage(source, 'one', { platform: AMD64 })).layers.length, 1);
});

test('the same layer may stand twice, and an image may have none', async () => {
  const source = new DocumentSource();
  const twice = source.add(MediaType.ociConfig, {
    ...AMD64,
    rootfs: { type: 'layers', diff_ids: [someDigest(0), someDigest(0)] },
  });
  const never = source.add(MediaType.ociConfig, {
    ...AMD64,
    rootfs: { type: 'layers', diff_ids: null },
    history: null,
  });
  source.name(
    'twice',
    source.add(MediaType.ociManifest, { schemaVersion: 2, config: twice, layers: [layer(1), layer(1)] }),
  );
  source.name('never', source.add(MediaType.ociManifest, { schemaVersion: 2, config: never, layers: null }));
  const { layers } = await fetchImage(source, 'twice', { platform: AMD64 });
  assert.deepEqual(layers[0], layers[1]);
  assert.equal(layers.length, 2);
  assert.deepEqual((await fetchImage(source, 'never', { platform: AMD64 })).layers, []);
  const silent = source.add(MediaType.ociConfig, { ...AMD64, rootfs: { type: 'layers' } });
  source.name('silent', source.add(MediaType.ociManifest, { schemaVersion: 2, config: silent, layers: [] }));
  assert.deepEqual((await fetchImage(source, 'silent', { platform: AMD64 })).layers, []);
  source.name('hidden', source.add(MediaType.ociManifest, { schemaVersion: 2, config: silent, layers: [layer(1)] }));
  await fails(fetchImage(source, 'hidden', { platform: AMD64 }), 'ERR_CONFIG_INVALID', /1 layers/);
});

test('content inside a descriptor is used after it was checked, and refused when it lies', async () => {
  const source = new DocumentSource();
  const bytes = Buffer.from(JSON.stringify({ ...AMD64, rootfs: { type: 'layers', diff_ids: [] } }));
  const config: Descriptor = {
    mediaType: MediaType.ociConfig,
    digest: digestOf(bytes),
    size: bytes.length,
    data: bytes.toString('base64'),
  };
  const make = (more: Partial<Descriptor>): Descriptor =>
    source.add(MediaType.ociManifest, { schemaVersion: 2, config: { ...config, ...more }, layers: [] });
  source
    .name('good', make({}))
    .name('other', make({ data: 'e30=' }))
    .name('short', make({ size: bytes.length - 1 }));
  await fetchImage(source, 'good', { platform: AMD64 });
  assert.equal(source.log.length, 2, 'the config was not asked for');
  await fails(fetchImage(source, 'other'), 'ERR_DIGEST_MISMATCH', /the data inside the descriptor/);
  await fails(fetchImage(source, 'short'), 'ERR_DIGEST_MISMATCH');
});

test('each document, flipped in one byte, cut or lengthened, is refused by its digest', async () => {
  const pristine = offering(new DocumentSource(), 'linux/amd64');
  await fetchImage(pristine, 'app', { platform: AMD64 });
  const used = pristine.log.flatMap((line) => (line.startsWith('fetch ') ? [line.slice(6)] : []));
  assert.equal(used.length, 3);
  for (const Source of [DocumentSource, OneRequestSource]) {
    for (const digest of used) {
      const damage = async (change: (bytes: Buffer) => Uint8Array, code: ErrorCode): Promise<void> => {
        const source = offering(new Source(), 'linux/amd64');
        source.blobs.set(digest, change(Buffer.from(source.blobs.get(digest) as Uint8Array)));
        await fails(fetchImage(source, 'app', { platform: AMD64 }), code);
        if (source instanceof OneRequestSource) assert.ok(source.streams.every((stream) => stream.destroyed));
      };
      await damage((bytes) => {
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
        return bytes;
      }, 'ERR_DIGEST_MISMATCH');
      await damage((bytes) => bytes.subarray(0, -1), 'ERR_DIGEST_MISMATCH');
      await damage((bytes) => Buffer.concat([bytes, Buffer.from(' ')]), 'ERR_SIZE_MISMATCH');
      await damage(() => Buffer.alloc(0), 'ERR_DIGEST_MISMATCH');
    }
  }
});

test('what is missing is named', async () => {
  const source = offering(new DocumentSource(), 'linux/amd64');
  await fails(fetchImage(source, 'nothing'), 'ERR_NOT_FOUND', /nothing/);
  for (const digest of [...source.blobs.keys()]) {
    const bytes = source.blobs.get(digest) as Uint8Array;
    source.blobs.delete(digest);
    await fails(fetchImage(source, 'app', { platform: AMD64 }), 'ERR_NOT_FOUND', new RegExp(digest));
    source.blobs.set(digest, bytes);
  }
  // Whoever named the index has named no manifest that could be checked.
  const gone = { mediaType: MediaType.ociManifest, digest: someDigest(9), size: 10, platform: ARM64 };
  source.name('sparse', source.index([gone, source.image(AMD64, 1, { platform: AMD64 })]));
  const told = new RegExp(`sparse: its index names ${gone.digest} for linux/arm64, .*; name another platform`);
  await fails(fetchImage(source, 'sparse', { platform: ARM64 }), 'ERR_NOT_FOUND', told);
});

test('a document over the limit is refused before it is read', async () => {
  const source = new OneRequestSource();
  const big = source.add(MediaType.ociManifest, JSON.stringify({ schemaVersion: 2, pad: 'x'.repeat(4 * 1024 * 1024) }));
  source.name('big', big);
  await fails(fetchImage(source, 'big'), 'ERR_LIMIT_EXCEEDED', /4194304/);
  assert.ok(source.streams.every((stream) => stream.destroyed));
  source.name('app', source.image(AMD64));
  await fails(fetchImage(source, 'app', { maxManifestBytes: 100 }), 'ERR_LIMIT_EXCEEDED');
  await fails(fetchImage(source, 'app', { maxManifestBytes: -1 }), 'ERR_OPTION_INVALID', /-1/);
  await fails(fetchImage(source, 'app', { maxManifestBytes: 1.5 }), 'ERR_OPTION_INVALID', /1\.5/);
  const config = { mediaType: MediaType.ociConfig, digest: someDigest(1), size: 2 ** 40 };
  source.name('config', source.add(MediaType.ociManifest, { schemaVersion: 2, config, layers: [] }));
  await fails(fetchImage(source, 'config'), 'ERR_LIMIT_EXCEEDED');
});

test('a digest of an unknown algorithm is refused before a byte is read', async () => {
  const source = new DocumentSource();
  const config = { mediaType: MediaType.ociConfig, digest: `md5:${'0'.repeat(32)}`, size: 2 };
  source.name('app', source.add(MediaType.ociManifest, { schemaVersion: 2, config, layers: [] }));
  await fails(fetchImage(source, 'app'), 'ERR_DIGEST_UNSUPPORTED', /md5/);
  assert.equal(source.log.length, 2);
});

test('a reference by digest is answered with that content or not at all', async () => {
  const source = new OneRequestSource();
  const [right, wrong] = [source.image(AMD64, 1), source.image(AMD64, 2)];
  source.name(`app@${right.digest}`, wrong);
  await fails(fetchImage(source, `app@${right.digest}`), 'ERR_DIGEST_MISMATCH', /answered with/);
  assert.ok(source.streams.every((stream) => stream.destroyed));
  source.name(`app:tag@${right.digest}`, right).name(right.digest, right);
  assert.equal((await fetchImage(source, `app:tag@${right.digest}`, { platform: AMD64 })).layers.length, 1);
  assert.equal((await fetchImage(source, right.digest, { platform: AMD64 })).layers.length, 1);
});

test('what is no image is named', async () => {
  const source = new DocumentSource();
  const add = (name: string, config: string, type: string, more: object = {}): void => {
    const empty = source.add(config, '{}');
    source.name(
      name,
      source.add(MediaType.ociManifest, {
        schemaVersion: 2,
        config: empty,
        layers: [{ ...layer(1), mediaType: type }],
        ...more,
      }),
    );
  };
  add('chart', 'application/vnd.cncf.helm.config.v1+json', 'application/vnd.cncf.helm.chart.content.v1.tar+gzip');
  add('signature', MediaType.ociConfig, 'application/vnd.dev.cosign.simplesigning.v1+json');
  add('module', 'application/vnd.wasm.config.v0+json', 'application/wasm');
  add('empty', MediaType.ociEmpty, 'application/x', { artifactType: 'application/vnd.example+type' });
  add('layerless', MediaType.ociEmpty, MediaType.ociEmpty);
  add('attestation', MediaType.ociConfig, 'application/vnd.in-toto+json');
  for (const [name, message] of [
    ['chart', /image,? but a Helm chart/],
    ['signature', /a cosign signature/],
    ['module', /a WebAssembly module/],
    ['empty', /an artifact of type application\/vnd\.example\+type/],
    ['layerless', /empty config/],
    ['attestation', /an attestation/],
  ] as const) {
    await fails(fetchImage(source, name), 'ERR_NOT_AN_IMAGE', message);
    source.name('i', source.index([source.names.get(name) as Descriptor]));
    await fails(fetchImage(source, 'i'), 'ERR_NOT_AN_IMAGE', message);
  }
});

test('schema 1 is refused with advice, as a manifest and in an index', async () => {
  const source = new DocumentSource();
  const old = source.add(MediaType.dockerSchema1Signed, {
    schemaVersion: 1,
    name: 'x',
    fsLayers: [],
    history: [],
    signatures: [],
  });
  source.name('old', old).name('list', source.index([{ ...old, platform: AMD64 }]));
  await fails(fetchImage(source, 'old'), 'ERR_SCHEMA1_UNSUPPORTED', /rebuild or re-push/);
  await fails(fetchImage(source, 'list', { platform: AMD64 }), 'ERR_SCHEMA1_UNSUPPORTED', /rebuild or re-push/);
});

test('an entry that is not what the index announced is refused', async () => {
  const source = new DocumentSource();
  const image = source.image(AMD64, 1, { platform: AMD64 });
  source.name('docker', source.index([{ ...image, mediaType: MediaType.dockerManifest }]));
  await fails(fetchImage(source, 'docker', { platform: AMD64 }), 'ERR_MANIFEST_INVALID', /announced as/);
  const inner = source.add(MediaType.ociIndex, { schemaVersion: 2, manifests: [] });
  source.name('index', source.index([{ ...inner, mediaType: MediaType.ociManifest, platform: AMD64 }]));
  await fails(fetchImage(source, 'index', { platform: AMD64 }), 'ERR_MANIFEST_INVALID', /holds an index/);
});

test('messages call an image by its place where it has one, and never by nothing', async () => {
  const bare = offering(new DocumentSource(), 'linux/amd64');
  const index = bare.names.get('app') as Descriptor;
  bare.name('', index);
  await fails(fetchImage(bare, '', { platform: 'linux/s390x' }), 'ERR_PLATFORM_NOT_FOUND', /^the image: no image/);
  const placed = Object.assign(bare, { place: '/srv/layout' });
  placed.name(index.digest, index).name(`@${index.digest}`, index);
  for (const [reference, name] of [
    ['', '/srv/layout'],
    ['app', '/srv/layout:app'],
    [index.digest, `/srv/layout@${index.digest}`],
    [`@${index.digest}`, `/srv/layout@${index.digest}`],
  ] as const) {
    const events: ProgressEvent[] = [];
    const onProgress = (event: ProgressEvent): void => void events.push(event);
    const error = await fails(
      fetchImage(placed, reference, { platform: 'linux/s390x', onProgress }),
      'ERR_PLATFORM_NOT_FOUND',
    );
    assert.ok(error.message.startsWith(`${name}: no image for linux/s390x`), error.message);
    assert.equal(error.detail['image'], name);
    assert.equal(events[0]?.type === 'image:resolved' && events[0].reference, name);
  }
});

test('options are checked before anything is asked', async () => {
  const source = new DocumentSource();
  await fails(fetchImage(source, 'app', { platform: 'bogus' }), 'ERR_PLATFORM_INVALID', /bogus/);
  await fails(fetchImage(source, 'app', { platform: {} as never }), 'ERR_PLATFORM_INVALID');
  await fails(fetchImage(source, 'app', { platform: null as never }), 'ERR_PLATFORM_INVALID');
  assert.deepEqual(source.log, []);
});

test('an abort ends in its own reason, and what a source throws is wrapped', async () => {
  const source = offering(new DocumentSource(), 'linux/amd64');
  const reason = new Error('enough');
  await assert.rejects(fetchImage(source, 'app', { signal: AbortSignal.abort(reason) }), (error) => error === reason);
  assert.deepEqual(source.log, []);
  const controller = new AbortController();
  const slow = offering(new DocumentSource(), 'linux/amd64');
  slow.fetch = async () => {
    queueMicrotask(() => controller.abort(reason));
    return new Readable({ read() {} });
  };
  await assert.rejects(fetchImage(slow, 'app', { signal: controller.signal }), (error) => error === reason);
  const broken = offering(new DocumentSource(), 'linux/amd64');
  broken.fetch = async () => {
    throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
  };
  await fails(fetchImage(broken, 'app'), 'ERR_PERMISSION', /^app: EACCES/);
  broken.resolve = async () => new URL('::') as never;
  await fails(fetchImage(broken, 'app'), 'ERR_INTERNAL', /^app: the source failed \(Invalid URL\)/);
  const cause = new TypeError('boom');
  broken.resolve = async () => {
    throw cause;
  };
  const error = await fails(fetchImage(broken, 'app'), 'ERR_INTERNAL', /^app: the source failed \(boom\)/);
  assert.equal(error.cause, cause);
});
