/** Which manifests of a layout name another one as their subject. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MAX_INDEX_DEPTH } from '../../src/content/layout-index.js';
import { MAX_READ_DOCUMENTS } from '../../src/content/layout-referrers.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import {
  type BuiltImage,
  type BuiltIndex,
  describe,
  digestOf,
  document,
  image,
  index,
  writeLayout,
} from '../../src/testing/testing.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { tempDir } from '../support/temp-dir.js';

const app = image()
  .layer((layer) => layer.file('app', 'app'))
  .build();
const target = app.descriptor;
const other = image().config({ User: 'other' }).build();

function about(subject: Descriptor, text: string, artifactType?: string): BuiltImage {
  return image()
    .layer((layer) => layer.file('about', text))
    .subject(subject, artifactType)
    .build();
}

async function opened(
  t: TestContext,
  images: Parameters<typeof writeLayout>[1],
): Promise<{ folder: string; layout: OciLayout }> {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, images);
  return { folder, layout: await OciLayout.open(folder) };
}

async function referrers(layout: OciLayout, artifactType?: string): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  for await (const one of layout.referrers(target, artifactType)) found.push(one);
  return found;
}

async function told(layout: OciLayout): Promise<{ digests: readonly string[]; warnings: readonly string[] }> {
  const { warnings, onProgress } = collectWarnings();
  const digests: string[] = [];
  for await (const { digest } of layout.referrers(target, undefined, { onProgress })) digests.push(digest);
  return { digests, warnings };
}

const signature = about(target, 'signature', 'application/vnd.example.signature');
const listed = about(target, 'listed', 'application/vnd.example.sbom');
const untyped = about(target, 'untyped');
const elsewhere = about(other.descriptor, 'elsewhere', 'application/vnd.example.signature');

test('referrers are found beside the image and in indexes, each once, with their types', async (t) => {
  const list = index().add(listed).add(signature).build();
  const { layout } = await opened(t, {
    app,
    other,
    signature,
    untyped,
    elsewhere,
    [target.digest.replace(':', '-')]: list,
  });
  const found = await referrers(layout);
  assert.deepEqual(
    found.map(({ digest, artifactType }) => [digest, artifactType]),
    [
      [signature.descriptor.digest, 'application/vnd.example.signature'],
      [untyped.descriptor.digest, 'application/vnd.oci.image.config.v1+json'],
      [listed.descriptor.digest, 'application/vnd.example.sbom'],
    ],
  );
  const [first] = found;
  assert.equal(first?.size, signature.manifestBytes.length);
  assert.equal(first?.mediaType, 'application/vnd.oci.image.manifest.v1+json');
  assert.deepEqual(await referrers(layout, 'application/vnd.example.sbom'), [found[2]]);
  assert.deepEqual(await referrers(layout, 'application/vnd.example.none'), []);
});

test('an empty type is none: the config says what it is', async (t) => {
  const { layout } = await opened(t, { app, made: about(target, 'empty', '') });
  const [found] = await referrers(layout);
  assert.equal(found?.artifactType, 'application/vnd.oci.image.config.v1+json');
  assert.deepEqual(await referrers(layout, 'application/vnd.oci.image.config.v1+json'), [found]);
});

test('a manifest of the form that the specification gave up is a referrer, also one that says the digest alone', async (t) => {
  const mediaType = 'application/vnd.oci.artifact.manifest.v1+json';
  const { folder } = await opened(t, { app });
  const put = (fields: object): Descriptor => {
    const bytes = Buffer.from(JSON.stringify({ mediaType, ...fields }));
    const descriptor = describe(mediaType, bytes);
    writeFileSync(join(folder, 'blobs', descriptor.digest.replace(':', '/')), bytes);
    return descriptor;
  };
  const artifactType = 'application/vnd.example.sbom';
  const { digest } = target;
  const made = [
    put({ artifactType, subject: target, annotations: { by: 'me' } }),
    put({ subject: { digest } }),
    put({ artifactType, subject: other.descriptor }),
    put({ artifactType }),
  ];
  const manifests = [app.descriptor, ...made];
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  const layout = await OciLayout.open(folder);
  const [first, second] = made;
  assert.deepEqual(await referrers(layout), [{ ...first, artifactType, annotations: { by: 'me' } }, second]);
  assert.deepEqual((await referrers(layout, artifactType)).length, 1);
});

test('annotations are those of the referrer itself', async (t) => {
  const made = image()
    .manifestFields({ subject: target, annotations: { 'org.example.by': 'me' } })
    .build();
  const { layout } = await opened(t, { app, made });
  assert.deepEqual((await referrers(layout))[0]?.annotations, { 'org.example.by': 'me' });
});

test("an empty type is none: then it is the config's, and an index has none", async (t) => {
  const empty = about(target, 'empty', '');
  const bare = index().fields({ subject: target }).build();
  const typed = index().fields({ subject: target, artifactType: 'application/vnd.example.set' }).build();
  const { layout } = await opened(t, { app, empty, bare, typed });
  const found = await referrers(layout);
  assert.deepEqual(
    found.map((one) => ('artifactType' in one ? one.artifactType : 'none')),
    ['application/vnd.oci.image.config.v1+json', 'none', 'application/vnd.example.set'],
  );
  assert.deepEqual(await referrers(layout, 'application/vnd.example.set'), [found[2]]);
});

test('what may be a referrer and cannot be read is told, and hides nothing', async (t) => {
  const mediaType = target.mediaType;
  const odd = index()
    .entry({ mediaType, digest: `sha384:${'a'.repeat(96)}`, size: 2 })
    .entry({ mediaType, digest: `sha256:${'a'.repeat(64)}`, size: 4 * 1024 * 1024 + 1 })
    .add(document(mediaType, '{"schemaVersion":2}'))
    .add(document('application/vnd.docker.distribution.manifest.v1+json', { schemaVersion: 1 }))
    .add(document('application/vnd.oci.image.index.v1+json', signature.manifest))
    .build();
  const { layout } = await opened(t, { app, odd, untyped });
  const { digests, warnings } = await told(layout);
  assert.deepEqual(digests, [untyped.descriptor.digest]);
  const expected = [/sha384/, /limit of 4194304/, /config of the image manifest is missing/, /announced as/];
  assert.equal(warnings.length, expected.length, warnings.join('\n'));
  for (const [at, pattern] of expected.entries()) {
    assert.match(warnings[at] ?? '', pattern);
    assert.match(warnings[at] ?? '', /; it may be a referrer, and is left out$/);
  }
});

test(`indexes are followed ${MAX_INDEX_DEPTH} deep; that there is more is told`, async (t) => {
  const nest = (depth: number, images: readonly BuiltImage[]): BuiltIndex => {
    let nested = images.reduce((list, one) => list.add(one), index()).build();
    for (let level = 1; level < depth; level += 1) nested = index().add(nested).build();
    return nested;
  };
  const search = async (depth: number, images = [signature]): Promise<readonly [number, number]> => {
    const { layout } = await opened(t, { app, nested: nest(depth, images) });
    const { digests, warnings } = await told(layout);
    return [digests.length, warnings.filter((message) => /8 deep/.test(message)).length];
  };
  assert.deepEqual(await search(MAX_INDEX_DEPTH), [1, 0]);
  assert.deepEqual(await search(MAX_INDEX_DEPTH + 1), [0, 1]);
  // Where nothing is left out, nothing is told.
  assert.deepEqual(await search(MAX_INDEX_DEPTH + 1, []), [0, 0]);
});

test('a blob that is no file is told, and hides nothing', async (t) => {
  const { folder, layout } = await opened(t, { app, signature, untyped });
  const path = join(folder, 'blobs', signature.descriptor.digest.replace(':', '/'));
  rmSync(path);
  mkdirSync(path);
  const { digests, warnings } = await told(layout);
  assert.deepEqual(digests, [untyped.descriptor.digest]);
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(warnings[0] ?? '', /not a regular file.*; it may be a referrer, and is left out$/);
});

test('documents that are not here, or are none, hide nothing; wrong bytes are told', async (t) => {
  const { folder, layout } = await opened(t, { app, elsewhere, signature, untyped });
  const path = (one: BuiltImage): string => join(folder, 'blobs', one.descriptor.digest.replace(':', '/'));
  rmSync(path(elsewhere));
  const nonsense = Buffer.from('[]');
  writeFileSync(join(folder, 'blobs', digestOf(nonsense).replace(':', '/')), nonsense);
  const list = join(folder, 'index.json');
  const parsed = JSON.parse(readFileSync(list, 'utf8'));
  parsed.manifests.unshift({ ...target, digest: digestOf(nonsense), size: nonsense.length });
  writeFileSync(list, JSON.stringify(parsed));
  assert.equal((await referrers(layout)).length, 2);
  writeFileSync(path(untyped), readFileSync(path(untyped)).fill(0x20));
  await assert.rejects(referrers(layout), { code: 'ERR_DIGEST_MISMATCH' });
});

test(`no more than ${MAX_READ_DOCUMENTS} documents are read`, async (t) => {
  const { folder, layout } = await opened(t, { app });
  const list = join(folder, 'index.json');
  const parsed = JSON.parse(readFileSync(list, 'utf8'));
  const absent = (at: number): object => ({ ...target, digest: digestOf(Buffer.from(String(at))) });
  const write = (count: number): void => {
    parsed.manifests = Array.from({ length: count }, (_, at) => absent(at));
    writeFileSync(list, JSON.stringify(parsed));
  };
  write(MAX_READ_DOCUMENTS);
  assert.deepEqual(await referrers(layout), []);
  write(MAX_READ_DOCUMENTS + 1);
  await assert.rejects(referrers(layout), { code: 'ERR_LIMIT_EXCEEDED', message: /over 10000 manifests/ });
});

test('an abort is heard', async (t) => {
  const { layout } = await opened(t, { app, signature });
  const reason = new Error('enough');
  const list = layout.referrers(target, undefined, { signal: AbortSignal.abort(reason) });
  await assert.rejects(list.next(), (error) => error === reason);
});
