import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { readVerified } from '../../src/content/fetch-verified.js';
import { MAX_INDEX_BYTES, MAX_INDEXES } from '../../src/content/layout-index.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { writeArchive } from '../../src/image/write-archive.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { MAX_INDEX_ENTRIES, parseIndex } from '../../src/spec/image-index.js';
import { type BuiltImage, describe, image, index, writeLayout } from '../../src/testing/testing.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage, pushBuilt, readContract, writeContract } from './target-contract.js';

readContract('OCI layout', async (t, built) => {
  const dir = tempDir(t);
  await writeLayout(dir, { v1: built, other: image().build() });
  return { target: await OciLayout.open(dir), reference: 'v1' };
});

writeContract('OCI layout', (t) => OciLayout.open(join(tempDir(t), 'new', 'layout'), { create: true }));

async function withEntries(t: TestContext, entries: readonly Partial<Descriptor>[]): Promise<OciLayout> {
  const dir = tempDir(t);
  const built = contractImage();
  await writeLayout(dir, built);
  const manifests = entries.map((entry) => ({ ...built.descriptor, ...entry }));
  writeFileSync(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  return OciLayout.open(dir);
}

function firstLayer(built: BuiltImage): Descriptor {
  const [layer] = built.layers;
  assert.ok(layer);
  return layer.descriptor;
}

const A = `sha256:${'a'.repeat(64)}` as const;
const B = `sha256:${'b'.repeat(64)}` as const;
const named = (name: string): Partial<Descriptor> => ({ annotations: { 'org.opencontainers.image.ref.name': name } });
const full = (name: string): Partial<Descriptor> => ({ annotations: { 'io.containerd.image.name': name } });

test('no reference: one image is that one, also under two names; several are listed; none is said', async (t) => {
  assert.equal((await (await withEntries(t, [{ digest: A }])).resolve('')).digest, A);
  assert.equal((await (await withEntries(t, [named('a'), named('b')])).resolve('')).size > 0, true);
  await assert.rejects((await withEntries(t, [named('one'), { digest: B }])).resolve(''), (error: Error) => {
    return 'code' in error && error.code === 'ERR_REFERENCE_INVALID' && /one, @sha256:b+/.test(error.message);
  });
  await assert.rejects((await withEntries(t, [])).resolve(''), { code: 'ERR_NOT_FOUND' });
});

test('names: ref.name first, then containerd names, as given and normalised', async (t) => {
  const layout = await withEntries(t, [
    { digest: A, ...full('docker.io/library/alpine:3') },
    { digest: B, ...named('3') },
    { ...named('registry.example/team/app:1') },
  ]);
  assert.equal((await layout.resolve('3')).digest, B);
  assert.equal((await layout.resolve('alpine:3')).digest, A);
  assert.equal((await layout.resolve('docker.io/library/alpine:3')).digest, A);
  assert.equal((await layout.resolve('registry.example/team/app:1')).digest, contractImage().descriptor.digest);
  await assert.rejects(layout.resolve('alpine'), (error: Error) =>
    /it has docker.io\/library\/alpine:3, 3, /.test(error.message),
  );
  const tags: string[] = [];
  for await (const tag of layout.tags()) tags.push(tag);
  assert.deepEqual(tags, ['docker.io/library/alpine:3', '3', 'registry.example/team/app:1']);
});

test('a bare tag is not found under the name of a repository', async (t) => {
  const layout = await withEntries(t, [
    { digest: A, ...named('v1') },
    { digest: B, ...named('v2') },
  ]);
  await assert.rejects(layout.resolve('docker.io/library/v1'), { code: 'ERR_NOT_FOUND' });
});

test('one name for several platforms is one index', async (t) => {
  const dir = tempDir(t);
  const amd = image()
    .platform('linux/amd64')
    .layer((layer) => layer.file('a', 'amd'))
    .build();
  const arm = image()
    .platform('linux/arm64')
    .layer((layer) => layer.file('a', 'arm'))
    .build();
  await writeLayout(dir, index().add(amd).add(arm).build());
  const manifests = [amd, arm].map(({ descriptor, platform }) => ({ ...descriptor, platform }));
  writeFileSync(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  const layout = await OciLayout.open(dir);
  const whole = await layout.resolve('');
  assert.deepEqual(await readVerified(layout, whole), readFileSync(join(dir, 'index.json')));
  assert.equal(await layout.blobPath(whole), undefined);

  const other = image().platform('linux/s390x').build();
  const both = manifests.map((entry) => ({ ...entry, ...named('both') }));
  writeFileSync(
    join(dir, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [...both, { ...other.descriptor, ...named('other') }] }),
  );
  const part = await layout.resolve('both');
  assert.deepEqual(
    parseIndex(await readVerified(layout, part)).manifests.map(({ digest }) => digest),
    [amd.descriptor.digest, arm.descriptor.digest],
  );
});

test('a digest is found through nested indexes, with and without @; a broken one hides nothing', async (t) => {
  const dir = tempDir(t);
  const built = contractImage();
  const inner = index().add(built).build();
  const broken = { mediaType: inner.descriptor.mediaType, digest: B, size: 7 };
  const outer = index().entry(broken).add(inner).build();
  await writeLayout(dir, { nested: outer });
  const layout = await OciLayout.open(dir);
  for (const reference of [built.descriptor.digest, `@${built.descriptor.digest}`]) {
    assert.equal((await layout.resolve(reference)).digest, built.descriptor.digest);
  }
  await assert.rejects(layout.resolve(A), { code: 'ERR_NOT_FOUND' });
});

test('a nested index with wrong bytes is passed over with a warning while a digest is searched', async (t) => {
  const dir = tempDir(t);
  const built = contractImage();
  const changed = index().build();
  await writeLayout(dir, { nested: index().add(changed).add(index().add(built).build()).build() });
  writeFileSync(join(dir, 'blobs', changed.descriptor.digest.replace(':', '/')), Buffer.alloc(changed.descriptor.size));
  const layout = await OciLayout.open(dir);
  const { warnings, onProgress } = collectWarnings();
  const { digest } = built.descriptor;
  assert.equal((await layout.resolve(digest, { onProgress })).digest, digest);
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(warnings[0] ?? '', new RegExp(`${changed.descriptor.digest}.*; passed over$`));
});

test('no more indexes are read than it takes to find a digest, and none twice', async (t) => {
  const dir = tempDir(t);
  const built = contractImage();
  const below = index().build();
  const first = index().add(built).add(below).build();
  const second = index()
    .add(built)
    .add(below)
    .fields({ annotations: { second: 'yes' } })
    .build();
  const outer = index().add(first).add(first).add(second).build();
  await writeLayout(dir, { outer });
  const layout = await OciLayout.open(dir);
  const { fetch } = layout;
  const read: string[] = [];
  layout.fetch = (target, options) => {
    read.push(target.digest);
    return fetch.call(layout, target, options);
  };
  await layout.resolve(built.descriptor.digest);
  assert.deepEqual(read, [outer.descriptor.digest, first.descriptor.digest]);
  await assert.rejects(layout.resolve(A), { code: 'ERR_NOT_FOUND' });
  assert.deepEqual(
    read.slice(2),
    [outer, first, second, below].map(({ descriptor }) => descriptor.digest),
  );
});

test('an index that is listed over and over hides none that is listed after it', async (t) => {
  const dir = tempDir(t);
  const built = contractImage();
  const empty = index().build();
  const outer = index();
  for (let entry = 0; entry < MAX_INDEXES; entry += 1) outer.add(empty);
  await writeLayout(dir, { outer: outer.add(index().add(built).build()).build() });
  const layout = await OciLayout.open(dir);
  assert.equal((await layout.resolve(built.descriptor.digest)).digest, built.descriptor.digest);
});

test('a digest is searched in 4,096 indexes and 256 MiB of them, and not in one more', async (t) => {
  const dir = tempDir(t);
  const built = contractImage();
  await writeLayout(dir, { last: index().add(built).build() });
  const document = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8'));
  const [last] = document.manifests;
  const resolve = async (count: number, size: number): Promise<unknown> => {
    const absent = Array.from({ length: count }, (_, at) => {
      return { mediaType: last.mediaType, digest: `sha256:${String(at).padStart(64, '0')}`, size };
    });
    writeFileSync(join(dir, 'index.json'), JSON.stringify({ ...document, manifests: [...absent, last] }));
    return (await OciLayout.open(dir)).resolve(built.descriptor.digest);
  };
  assert.ok(await resolve(MAX_INDEXES - 1, 2));
  await assert.rejects(resolve(MAX_INDEXES, 2), { code: 'ERR_NOT_FOUND' });
  const full = 4 * 1024 * 1024;
  assert.ok(await resolve(MAX_INDEX_BYTES / full - 1, full));
  await assert.rejects(resolve(MAX_INDEX_BYTES / full, full), { code: 'ERR_NOT_FOUND' });
});

test('indexes that hold each other too deep end in ERR_NOT_FOUND', async (t) => {
  const dir = tempDir(t);
  let built = index().add(contractImage()).build();
  for (let depth = 0; depth < 12; depth++) built = index().add(built).build();
  await writeLayout(dir, built);
  await assert.rejects((await OciLayout.open(dir)).resolve(contractImage().descriptor.digest), {
    code: 'ERR_NOT_FOUND',
  });
});

test('folders that are no layout', async (t) => {
  const dir = tempDir(t);
  await assert.rejects(OciLayout.open(dir), { code: 'ERR_LAYOUT_INVALID' });
  await assert.rejects(OciLayout.open(join(dir, 'missing')), { code: 'ERR_NOT_FOUND' });
  writeFileSync(join(dir, 'file'), '');
  await assert.rejects(OciLayout.open(join(dir, 'file')), { code: 'ERR_FILESYSTEM' });
  await assert.rejects(OciLayout.open(join(dir, 'file'), { create: true }), { code: 'ERR_FILESYSTEM' });
  for (const text of ['', '{', '[]', '{}', '{"imageLayoutVersion":2}', '{"imageLayoutVersion":"2.0.0"}']) {
    writeFileSync(join(dir, 'oci-layout'), text);
    await assert.rejects(OciLayout.open(dir), { code: 'ERR_LAYOUT_INVALID' }, text);
  }
  writeFileSync(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await assert.rejects((await OciLayout.open(dir)).resolve(''), { code: 'ERR_LAYOUT_INVALID' });
  for (const text of ['', 'null', '{"schemaVersion":2,"manifests":[{"digest":"x"}]}', '{"manifests":{}}']) {
    writeFileSync(join(dir, 'index.json'), text);
    await assert.rejects((await OciLayout.open(dir)).resolve(''), { code: 'ERR_MANIFEST_INVALID' }, text);
  }
});

test('an index.json that is none is said to be what it is', async (t) => {
  const dir = tempDir(t);
  await writeLayout(dir, contractImage());
  const layer = firstLayer(contractImage());
  const says: readonly (readonly [string, RegExp])[] = [
    [
      '{"schemaVersion":1,"manifests":[]}',
      /: index\.json: schemaVersion of the image index is wrong: expected 2, found 1/,
    ],
    ['{"schemaVersion":1}', /: index\.json: schemaVersion of the image index is wrong: expected 2, found 1; ask/],
    ['{"schemaVersion":2}', /: index\.json: manifests of the image index is missing; ask who publishes it$/],
    [
      `\ufeff{"schemaVersion":2,"manifests":[]}`,
      /: index\.json: .* begins with a byte order mark, which JSON has not;/,
    ],
    [
      JSON.stringify({ schemaVersion: 2, config: layer, layers: [] }),
      /: index\.json: an image manifest, where an index was expected; ask who publishes it$/,
    ],
  ];
  for (const [text, message] of says) {
    writeFileSync(join(dir, 'index.json'), text);
    await assert.rejects((await OciLayout.open(dir)).resolve(''), { code: 'ERR_MANIFEST_INVALID', message }, text);
  }
  writeFileSync(join(dir, 'index.json'), '{"schemaVersion":1,"fsLayers":[]}');
  await assert.rejects((await OciLayout.open(dir)).resolve(''), { code: 'ERR_SCHEMA1_UNSUPPORTED' });
});

test('an entry whose type is no media type hides none beside it; other faults of an entry are told', async (t) => {
  const built = contractImage();
  const odd = { digest: A, size: 1, ...named('odd') };
  for (const mediaType of ['x-completely-unknown', '']) {
    const layout = await withEntries(t, [
      { ...built.descriptor, ...named('v1') },
      { ...odd, mediaType },
    ]);
    assert.equal((await layout.resolve('v1')).digest, built.descriptor.digest);
    assert.equal((await layout.resolve('')).digest, built.descriptor.digest, 'the only image');
    assert.equal((await layout.resolve('odd')).mediaType, mediaType);
    await layout.tag(built.descriptor, 'v2');
    const tags: string[] = [];
    for await (const tag of layout.tags()) tags.push(tag);
    assert.deepEqual(tags, ['v1', 'odd', 'v2']);
  }
  for (const wrong of [{ mediaType: 1 }, { mediaType: undefined }, { digest: 'sha256:no' }, { size: -1 }]) {
    const layout = await withEntries(t, [built.descriptor, { ...odd, ...(wrong as Partial<Descriptor>) }]);
    await assert.rejects(layout.resolve(''), { code: 'ERR_MANIFEST_INVALID', message: /manifests\.1\./ });
  }
});

test('a missing blob is named with its folder', async (t) => {
  const dir = tempDir(t);
  const built = contractImage();
  await writeLayout(dir, built);
  const layer = firstLayer(built);
  const { digest } = layer;
  unlinkSync(join(dir, 'blobs', 'sha256', digest.slice(7)));
  await assert.rejects((await OciLayout.open(dir)).fetch(layer), (error: Error) => {
    return (
      'code' in error && error.code === 'ERR_NOT_FOUND' && error.message.includes(digest) && error.message.includes(dir)
    );
  });
});

test('blobs of any mode and documents of mode 0600 are read', async (t) => {
  const dir = tempDir(t);
  const built = contractImage();
  await writeLayout(dir, built);
  for (const name of readdirSync(join(dir, 'blobs', 'sha256'))) chmodSync(join(dir, 'blobs', 'sha256', name), 0o600);
  chmodSync(join(dir, 'index.json'), 0o600);
  const layout = await OciLayout.open(dir);
  assert.deepEqual(await readVerified(layout, await layout.resolve('')), built.manifestBytes);
});

test('a written layout holds what the specification names, and nothing else', async (t) => {
  const dir = tempDir(t);
  const layout = await OciLayout.open(dir, { create: true });
  assert.deepEqual(readdirSync(dir).sort(), ['blobs', 'index.json', 'oci-layout'], 'an empty one too');
  await pushBuilt(layout, contractImage(), 'v1');
  assert.deepEqual(readdirSync(dir).sort(), ['blobs', 'index.json', 'oci-layout']);
  await assert.rejects(layout.tag(contractImage().descriptor, 'no spaces'), { code: 'ERR_REFERENCE_INVALID' });
});

test('a name replaces the nameless entry of the same content, and foreign entries stay as they are', async (t) => {
  const dir = tempDir(t);
  const built = contractImage();
  const layout = await OciLayout.open(dir, { create: true });
  await pushBuilt(layout, built, '');
  const foreign = { mediaType: 'application/x.other', digest: A, size: 1, 'x-unknown': { kept: true } };
  const read = (): { manifests: unknown[] } => JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8'));
  writeFileSync(join(dir, 'index.json'), JSON.stringify({ ...read(), manifests: [...read().manifests, foreign] }));
  await layout.tag({ ...built.descriptor, annotations: { mine: 'yes' } }, 'v1');
  assert.deepEqual(read().manifests, [
    foreign,
    { ...built.descriptor, annotations: { mine: 'yes', 'org.opencontainers.image.ref.name': 'v1' } },
  ]);
  await layout.tag(built.descriptor, built.descriptor.digest);
  assert.equal(read().manifests.length, 2);
});

test('tags given at once are all kept', async (t) => {
  const dir = tempDir(t);
  const built = contractImage();
  const layout = await OciLayout.open(dir, { create: true, fsync: 'none' });
  await pushBuilt(layout, built, 'v0');
  await Promise.all(Array.from({ length: 12 }, (_, at) => layout.tag(built.descriptor, `v${at + 1}`)));
  const tags: string[] = [];
  for await (const tag of layout.tags()) tags.push(tag);
  assert.equal(tags.length, 13);
  assert.deepEqual(readdirSync(dir).sort(), ['blobs', 'index.json', 'oci-layout']);
});

test('a layout that many make at once loses no name', async (t) => {
  const dir = join(tempDir(t), 'layout');
  const built = contractImage();
  await Promise.all(
    Array.from({ length: 8 }, async (_, at) => {
      const layout = await OciLayout.open(dir, { create: true, fsync: 'none' });
      await pushBuilt(layout, built, `v${at}`);
    }),
  );
  const tags: string[] = [];
  for await (const tag of (await OciLayout.open(dir)).tags()) tags.push(tag);
  assert.equal(tags.length, 8);
});

test('a damaged blob is replaced by a push, without a record beside it', async (t) => {
  const dir = tempDir(t);
  const bytes = Buffer.from('blob');
  const blob = describe('application/octet-stream', bytes);
  const layout = await OciLayout.open(dir, { create: true });
  mkdirSync(join(dir, 'blobs', 'sha256'), { recursive: true });
  writeFileSync(join(dir, 'blobs', 'sha256', blob.digest.slice(7)), 'blub');
  await layout.push(blob, Readable.from([bytes]));
  assert.deepEqual(await readVerified(layout, blob), bytes);
  assert.deepEqual(readdirSync(dir).sort(), ['blobs', 'index.json', 'oci-layout']);
});

const ATTESTATION: Partial<Descriptor> = {
  digest: B,
  annotations: { 'vnd.docker.reference.type': 'attestation-manifest', 'vnd.docker.reference.digest': A },
  platform: { os: 'unknown', architecture: 'unknown' },
};

test('attestations, artifacts and things of other kinds beside an image leave it the only one', async (t) => {
  const others: readonly Partial<Descriptor>[] = [
    ATTESTATION,
    { digest: B, artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json' },
    { digest: B, mediaType: 'application/vnd.oci.artifact.manifest.v1+json' },
  ];
  for (const one of [
    { digest: A },
    { digest: A, ...named('v1') },
    { digest: A, ...full('docker.io/library/app:v1') },
  ]) {
    for (const other of others) {
      for (const entries of [
        [one, other],
        [other, one],
      ]) {
        assert.equal((await (await withEntries(t, entries)).resolve('')).digest, A, JSON.stringify(entries));
      }
    }
  }
  const two = await withEntries(t, [{ digest: A }, ATTESTATION, named('v1')]);
  await assert.rejects(two.resolve(''), (error: Error) => {
    return 'code' in error && error.code === 'ERR_REFERENCE_INVALID' && /which: @sha256:a+, v1$/.test(error.message);
  });
  const [, signature] = others;
  const alone = await withEntries(t, [{ ...signature }, { ...signature, digest: A }]);
  await assert.rejects(alone.resolve(''), { code: 'ERR_REFERENCE_INVALID', message: /@sha256:b+, @sha256:a+$/ });
});

test('names of any length are told at a length that a message can hold', async (t) => {
  const layout = await withEntries(t, [
    { ...named('a'.repeat(1_000_000)), digest: A },
    { ...named('b'.repeat(1_000_000)), digest: B },
  ]);
  for (const asked of ['', 'c']) {
    await assert.rejects(layout.resolve(asked), (error: Error) => {
      assert.match(error.message, /a{600}…, b{600}…$/);
      return error.message.length < 2_000;
    });
  }
});

test('two images whose tags are equal, as Docker and containerd save them, go by their full names', async (t) => {
  const both = (name: string, tag: string): Partial<Descriptor> => ({
    annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tag },
  });
  const [alpine, busybox] = ['docker.io/library/alpine:latest', 'docker.io/library/busybox:latest'];
  const layout = await withEntries(t, [
    { digest: A, ...both(alpine, 'latest') },
    { digest: B, ...both(busybox, 'latest') },
    both('docker.io/library/app:v1', 'v1'),
  ]);
  const tags: string[] = [];
  for await (const tag of layout.tags()) tags.push(tag);
  assert.deepEqual(tags, [alpine, busybox, 'v1']);
  for (const name of [alpine, 'alpine', 'alpine:latest']) assert.equal((await layout.resolve(name)).digest, A, name);
  assert.equal((await layout.resolve(busybox)).digest, B);
  await assert.rejects(layout.resolve('latest'), { message: new RegExp(`say which: ${alpine}, ${busybox}$`) });
  await assert.rejects(layout.resolve(''), { message: new RegExp(`say which: ${alpine}, ${busybox}, v1$`) });
  const platform = (architecture: string): Partial<Descriptor> => ({ platform: { os: 'linux', architecture } });
  const flat = await withEntries(t, [
    { digest: A, ...both(alpine, 'latest'), ...platform('amd64') },
    { digest: B, ...both(alpine, 'latest'), ...platform('arm64') },
  ]);
  for await (const tag of flat.tags()) assert.equal(tag, 'latest');
  assert.equal((await flat.resolve('latest')).mediaType, 'application/vnd.oci.image.index.v1+json');
});

test('an index that was made of entries of several platforms is found by its digest, by whoever opens the layout', async (t) => {
  const arm = image()
    .platform('linux/arm64')
    .layer((layer) => layer.file('a', 'arm'))
    .build();
  const amd = contractImage();
  const dir = tempDir(t);
  await writeLayout(dir, { v1: amd, v2: arm });
  const entries = [amd, arm].map(({ descriptor, config }) => ({
    ...descriptor,
    platform: { os: config.os, architecture: config.architecture },
    ...named('v1'),
  }));
  for (const manifests of [entries, [...entries, { ...arm.descriptor, ...named('other') }]]) {
    writeFileSync(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    const { digest } = await (await OciLayout.open(dir)).resolve('v1');
    for (const reference of [digest, `@${digest}`, `v1@${digest}`]) {
      const again = await OciLayout.open(dir);
      const found = await again.resolve(reference);
      assert.equal(found.digest, digest);
      assert.equal(parseIndex(await readVerified(again, found)).manifests.length, 2);
    }
    for (const form of ['dir', 'oci-archive'] as const) {
      const source = await OciLayout.open(dir);
      const path = join(tempDir(t), 'copy');
      const copied = await writeArchive(source, [{ reference: 'v1', name: 'v1' }], { form, path });
      assert.equal(copied.source.digest, digest, form);
    }
  }
});

test('index.json is parsed once, however many names are asked for and given, until its bytes are others', async (t) => {
  const layout = await withEntries(t, [{ digest: A, ...named('first') }, named('second')]);
  const target = contractImage().descriptor;
  const parse = t.mock.method(JSON, 'parse').mock;
  const indexes = (): number => parse.calls.filter(({ arguments: [text] }) => String(text).includes('"first"')).length;
  for (let at = 0; at < 10; at++) {
    await layout.tag(target, `v${at}`);
    assert.equal((await layout.resolve(`v${at}`)).digest, target.digest);
  }
  assert.equal((await layout.resolve('first')).digest, A);
  assert.equal(indexes(), 1);
  const path = join(layout.place, 'index.json');
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(A, B));
  assert.equal((await layout.resolve('first')).digest, B);
  assert.equal(indexes(), 2);
});

test('an index that would have too many entries to be read again is not written', async (t) => {
  const layout = await withEntries(
    t,
    Array.from({ length: MAX_INDEX_ENTRIES }, (_, at) => named(`v${at}`)),
  );
  const target = contractImage().descriptor;
  await assert.rejects(layout.tag(target, 'more'), { code: 'ERR_LIMIT_EXCEEDED' });
  await layout.tag(target, 'v7');
  assert.equal((await (await OciLayout.open(layout.place)).resolve('v7')).digest, target.digest);
});

test('several are deleted together: what an index that stays lists is kept, absent ones are no error', async (t) => {
  const dir = tempDir(t);
  const [one, other, third] = [
    contractImage(),
    image().configFields({ author: 'other' }).build(),
    image().configFields({ author: 'third' }).build(),
  ];
  await writeLayout(dir, { list: index().add(one).build(), one, other, third });
  const layout = await OciLayout.open(dir);
  const digests = [one, other].map(({ descriptor }) => descriptor.digest);
  await layout.deleteAll([...digests, A]);
  const kept = await Promise.all([one, other, third].map(({ descriptor }) => layout.exists(descriptor)));
  assert.deepEqual(kept, [true, false, true]);
  const left: string[] = [];
  for await (const tag of layout.tags()) left.push(tag);
  assert.deepEqual(left, ['list', 'third']);
});

test('an image that an index here lists as well loses its names when it is deleted, and the index stays whole', async (t) => {
  const app = contractImage();
  const other = image()
    .layer((layer) => layer.file('a', 'b'))
    .build();
  const dir = tempDir(t);
  await writeLayout(dir, { v1: app, all: index().add(index().add(app).build()).add(other).build(), other });
  const layout = await OciLayout.open(dir);
  await layout.delete(await layout.resolve('v1'));
  await assert.rejects(layout.resolve('v1'), { code: 'ERR_NOT_FOUND' });
  assert.deepEqual(await readVerified(layout, app.descriptor), app.manifestBytes);
  assert.deepEqual(await layout.resolve(app.descriptor.digest), { ...app.descriptor, platform: app.platform });
  // Who asks for it by its digest alone means the bytes.
  await layout.delete(app.descriptor.digest);
  assert.equal(await layout.exists(app.descriptor), false);
  // An index that is gone keeps nothing.
  await layout.delete(await layout.resolve('all'));
  await layout.delete(await layout.resolve('other'));
  assert.equal(await layout.exists(other.descriptor), false);
});

test('a name is taken away alone: the manifest goes with the last entry that needs it', async (t) => {
  const app = contractImage();
  const other = image().configFields({ author: 'other' }).build();
  const dir = tempDir(t);
  await writeLayout(dir, { v1: app, v2: app, all: index().add(other).build(), other });
  const layout = await OciLayout.open(dir);
  const names = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const tag of layout.tags()) found.push(tag);
    return found;
  };
  await layout.untag('v1');
  assert.deepEqual(await names(), ['v2', 'all', 'other']);
  assert.equal(await layout.exists(app.descriptor), true);
  await layout.untag('@0');
  assert.deepEqual(await names(), ['all', 'other']);
  assert.equal(await layout.exists(app.descriptor), false);
  assert.equal(await layout.exists(app.manifest.config), true);
  await layout.untag('other');
  assert.equal(await layout.exists(other.descriptor), true, 'an index here lists it');
  await assert.rejects(layout.untag('v1'), { code: 'ERR_NOT_FOUND', message: /no image v1 here; it has all/ });
  for (const none of [null as never, '']) await assert.rejects(layout.untag(none), { code: 'ERR_REFERENCE_INVALID' });
  assert.deepEqual(await names(), ['all']);
});

test('a name of several entries is taken away in all of them', async (t) => {
  const { layout, amd, arm } = await twoOfOneName(t);
  await layout.untag('v1');
  assert.equal((await layout.resolve('')).digest, arm.descriptor.digest);
  assert.equal(await layout.exists(amd.descriptor), false);
});

/** A layout whose `v1` are two images for two platforms; the second is called `arm` as well. */
async function twoOfOneName(t: TestContext) {
  const amd = contractImage();
  const arm = image().platform('linux/arm64').build();
  const dir = tempDir(t);
  await writeLayout(dir, { v1: amd, v2: arm });
  const entries = [amd, arm].map(({ descriptor, platform }) => ({ ...descriptor, platform, ...named('v1') }));
  const manifests = [...entries, { ...arm.descriptor, ...named('arm') }];
  writeFileSync(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  return { layout: await OciLayout.open(dir), amd, arm };
}

test('what is deleted while it is named elsewhere has no name afterwards', async (t) => {
  const app = contractImage();
  const dir = tempDir(t);
  for (let round = 0; round < 20; round++) {
    await writeLayout(dir, { v1: app });
    const [one, other] = [await OciLayout.open(dir), await OciLayout.open(dir)];
    const naming = other.tag(app.descriptor, 'v2').then(
      () => true,
      (error) => {
        assert.equal(error.code, 'ERR_NOT_FOUND');
        return false;
      },
    );
    const [isNamed] = await Promise.all([naming, one.delete(app.descriptor)]);
    const left: string[] = [];
    for await (const tag of other.tags()) left.push(tag);
    // Whoever came first: a name without what it stands for is what must not be.
    assert.ok(left.length === 0 || (await other.exists(app.descriptor)), `round ${round}: ${left}, ${isNamed}`);
  }
});

test('an index that is made of entries is a blob once it has a name of its own', async (t) => {
  const { layout } = await twoOfOneName(t);
  const made = await layout.resolve('v1');
  await layout.tag(made, 'all');
  const again = await OciLayout.open(layout.place);
  const found = await again.resolve('all');
  assert.equal(found.digest, made.digest);
  assert.equal(parseIndex(await readVerified(again, found)).manifests.length, 2);
});

test('an index that is made of entries goes with these, and what else they are called stays', async (t) => {
  const { layout, amd, arm } = await twoOfOneName(t);
  await layout.delete(await layout.resolve('v1'));
  await assert.rejects(layout.resolve('v1'), { code: 'ERR_NOT_FOUND' });
  assert.equal((await layout.resolve('')).digest, arm.descriptor.digest);
  assert.deepEqual([await layout.exists(amd.descriptor), await layout.exists(arm.descriptor)], [false, true]);
});

test('what is not here is told with what is: names, or digests where there are none', async (t) => {
  const nameless = await withEntries(t, [{ digest: A }, { digest: B }]);
  for (const reference of ['v1', `sha256:${'c'.repeat(64)}`]) {
    await assert.rejects(nameless.resolve(reference), {
      code: 'ERR_NOT_FOUND',
      message: new RegExp(`no image ${reference} here; it has @${A}, @${B}$`),
    });
  }
  await assert.rejects((await withEntries(t, [named('v1')])).resolve(A), { message: /here; it has v1$/ });
});

test('a name that several entries have says nothing: the choice is between digests', async (t) => {
  const layout = await withEntries(t, [{ digest: A, ...named('v1') }, { digest: B, ...named('v1') }, named('v2')]);
  await assert.rejects(layout.resolve('v1'), { message: /v1 fits several images; say which: @sha256:a+, @sha256:b+$/ });
  await assert.rejects(layout.resolve(''), { message: /say which: @sha256:a+, @sha256:b+, v2$/ });
});

test('an entry by its place, a name with a digest, names with every sign that tools put into them', async (t) => {
  const layout = await withEntries(t, [
    { digest: A },
    { digest: B, ...named('docker.io/library/app:v1') },
    named('@0'),
  ]);
  assert.equal((await layout.resolve('@1')).digest, B);
  assert.equal((await layout.resolve('@0')).digest, contractImage().descriptor.digest, 'a name comes first');
  await assert.rejects(layout.resolve('@3'), { code: 'ERR_NOT_FOUND', message: /no image @3 here/ });
  assert.equal((await layout.resolve(`app:v1@${A}`)).digest, A, 'the digest decides');
  await assert.rejects(layout.resolve(`app:v1@sha256:${'c'.repeat(64)}`), { code: 'ERR_NOT_FOUND' });
  for (const name of ['a/b', 'a@b', 'v1@sha256', 'with space', '+plus', 'ü', 'localhost:5000/a/b:v1', `app@${A}`]) {
    const one = await withEntries(t, [{ digest: A, ...named(name) }, { digest: B }]);
    assert.equal((await one.resolve(name)).digest, A, name);
  }
});
