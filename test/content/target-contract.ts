/** What every store of content must do, whatever it is made of: run for each of them by its own test file. */
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { type InstanceSource, listInstances } from '../../src/client/list-instances.js';
import type {
  BlobPath,
  CallOptions,
  Deleter,
  EntryLister,
  ReadOnlyTarget,
  Referrers,
  TagLister,
  Target,
} from '../../src/content/content.js';
import { fetchVerified, readVerified } from '../../src/content/fetch-verified.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import type { Digest } from '../../src/spec/digest.js';
import { parseImageConfig } from '../../src/spec/image-config.js';
import { parseManifest } from '../../src/spec/image-manifest.js';
import { type Built, type BuiltImage, describe, digestOf, image } from '../../src/testing/testing.js';
import { openFilesUnder } from '../support/open-files.js';

/** A store that holds the contract's image, and the reference that it has there. */
export interface ReadSubject {
  readonly target: ReadOnlyTarget & Partial<BlobPath & TagLister & EntryLister & Referrers>;
  readonly reference: string;
}

/** Content in the order in which a registry takes it: blobs before the documents that name them. */
export function inPushOrder(built: Built): readonly { readonly descriptor: Descriptor; readonly bytes: Buffer }[] {
  const all = [...built.blobs].map(([digest, bytes]) => {
    const mediaType = built.documents.get(digest) ?? 'application/octet-stream';
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
  });
  const top = built.descriptor.digest;
  const rank = (digest: Digest): number => (digest === top ? 2 : built.documents.has(digest) ? 1 : 0);
  return all.sort((a, b) => rank(a.descriptor.digest) - rank(b.descriptor.digest));
}

/** Pushes everything that was built, and tags it. */
export async function pushBuilt(target: Target, built: Built, reference: string): Promise<void> {
  for (const { descriptor, bytes } of inPushOrder(built)) await target.push(descriptor, Readable.from([bytes]));
  await target.tag(built.descriptor, reference);
}

/** The image that the contract is about: two layers, a config with history. */
export function contractImage(): BuiltImage {
  return image()
    .layer((layer) => layer.file('base', 'the base layer\n'.repeat(500)))
    .layer((layer) => layer.file('top', 'the top layer\n'))
    .build();
}

const UNKNOWN: Descriptor = { mediaType: 'application/octet-stream', digest: `sha256:${'ab'.repeat(32)}`, size: 3 };

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function listOf<T>(items: AsyncIterable<T> | Iterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/**
 * The reading half. `make` gives a store that holds `built` under a reference; forms that make their own manifest
 * must still give the config's bytes and layers whose tars have the config's diffIDs.
 */
export function readContract(name: string, make: (t: TestContext, built: BuiltImage) => Promise<ReadSubject>): void {
  const built = contractImage();
  const it = (what: string, work: (subject: ReadSubject, blob: Descriptor) => Promise<void>): void => {
    test(`${name}: ${what}`, async (t) => {
      const subject = await make(t, built);
      const manifest = await subject.target.resolve(subject.reference);
      const { layers } = parseManifest(await readVerified(subject.target, manifest));
      await work(subject, layers[0] as Descriptor);
    });
  };

  it('a reference leads to manifest, config and layers, all sound', async ({ target, reference }) => {
    const descriptor = await target.resolve(reference);
    const bytes = await readVerified(target, descriptor);
    const manifest = parseManifest(bytes, { mediaType: descriptor.mediaType });
    const config = parseImageConfig(await readVerified(target, manifest.config));
    assert.deepEqual(await readVerified(target, manifest.config), built.configBytes);
    assert.equal(manifest.layers.length, built.layers.length);
    for (const [index, layer] of manifest.layers.entries()) {
      assert.equal(await target.exists(layer), true);
      const blob = await bytesOf(await fetchVerified(target, layer));
      const { gunzipSync } = await import('node:zlib');
      const tar = blob[0] === 0x1f ? gunzipSync(blob) : blob;
      assert.equal(digestOf(tar), config.rootfs.diff_ids[index]);
    }
  });

  it('a digest is a reference too', async ({ target, reference }) => {
    const descriptor = await target.resolve(reference);
    assert.equal((await target.resolve(descriptor.digest)).digest, descriptor.digest);
    assert.equal((await target.resolve(descriptor.digest)).size, descriptor.size);
  });

  it('what is not here is ERR_NOT_FOUND, by name and by digest', async ({ target }) => {
    assert.equal(await target.exists(UNKNOWN), false);
    await assert.rejects(target.fetch(UNKNOWN), (error: { code: string; message: string }) => {
      return error.code === 'ERR_NOT_FOUND' && error.message.includes(UNKNOWN.digest);
    });
    await assert.rejects(target.resolve('no-such-tag'), { code: 'ERR_NOT_FOUND' });
    for (const odd of [undefined, null, 5] as unknown as string[]) {
      await assert.rejects(target.resolve(odd), { code: 'ERR_REFERENCE_INVALID' });
    }
    await assert.rejects(target.resolve(UNKNOWN.digest), { code: 'ERR_NOT_FOUND' });
  });

  it('a size that is none is refused, and no file is left open', async ({ target }, blob) => {
    const before = openFilesUnder(tmpdir());
    for (const size of [Number.NaN, -1, 1.5]) {
      await assert.rejects(fetchVerified(target, { ...blob, size }), { code: 'ERR_OPTION_INVALID' });
    }
    // What an earlier test opened may be closed meanwhile.
    const left = openFilesUnder(tmpdir()).filter((path) => !before.includes(path));
    assert.deepEqual(left, []);
  });

  it('ranges are exact, and refused outside', async ({ target }, blob) => {
    const whole = await bytesOf(await target.fetch(blob));
    const size = blob.size;
    for (const [start, end] of [
      [0, 1],
      [0, size],
      [1, size - 1],
      [size - 1, undefined],
      [5, 5],
      [0, undefined],
    ] as const) {
      assert.deepEqual(await bytesOf(await target.fetch(blob, { range: { start, end } })), whole.subarray(start, end));
    }
    for (const range of [{ start: -1 }, { start: 0, end: size + 1 }, { start: 3, end: 2 }, { start: size + 1 }]) {
      await assert.rejects(target.fetch(blob, { range }), { code: 'ERR_RANGE_INVALID' });
    }
  });

  it('no more than size + 1 bytes are given, and a wrong size is found', async ({ target }, blob) => {
    const short = { ...blob, size: blob.size - 5 };
    const given = await target
      .fetch(short)
      .then(bytesOf)
      .catch(() => Buffer.alloc(0));
    assert.ok(given.length <= short.size + 1, `${given.length} bytes were given for ${short.size}`);
    for (const size of [blob.size - 5, blob.size + 5]) {
      await assert.rejects(readVerified(target, { ...blob, size }), (error: { code: string }) =>
        ['ERR_DIGEST_MISMATCH', 'ERR_SIZE_MISMATCH'].includes(error.code),
      );
    }
  });

  it('an unverifiable digest and one that is a path are refused', async ({ target }) => {
    const md5 = { ...UNKNOWN, digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' } as const;
    const path = { ...UNKNOWN, digest: 'sha256:../../../etc/passwd' } as const;
    await assert.rejects(target.fetch(md5), { code: 'ERR_DIGEST_UNSUPPORTED' });
    await assert.rejects(target.exists(md5), { code: 'ERR_DIGEST_UNSUPPORTED' });
    await assert.rejects(target.fetch(path), { code: 'ERR_DIGEST_INVALID' });
    await assert.rejects(target.exists(path), { code: 'ERR_DIGEST_INVALID' });
  });

  it("an abort ends each call, and a running stream, with the caller's own reason", async ({
    target,
    reference,
  }, blob) => {
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    const isReason = (error: unknown): boolean => error === reason;
    await assert.rejects(target.resolve(reference, { signal }), isReason);
    await assert.rejects(target.exists(blob, { signal }), isReason);
    await assert.rejects(target.fetch(blob, { signal }).then(bytesOf), isReason);
    const controller = new AbortController();
    const stream = await fetchVerified(target, blob, { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(bytesOf(stream), isReason);
  });

  it('the list of images has this one: its size, its time, every name that leads to it', async ({
    target,
    reference,
  }) => {
    const descriptor = await target.resolve(reference);
    const bytes = await readVerified(target, descriptor);
    const { config, layers } = parseManifest(bytes);
    const names = await listOf(target.tags?.() ?? []);
    const leading = await Promise.all(names.map(async (name) => (await target.resolve(name)).digest));
    const tags = names.filter((_, at) => leading[at] === descriptor.digest).sort();
    // A registry takes a tag with its repository before it.
    if (reference !== '') assert.deepEqual([tags.length, reference.endsWith(tags[0] ?? '?')], [1, true]);
    const size = [config, ...layers].reduce((sum, one) => sum + one.size, bytes.length);
    const created = new Date(built.config.created ?? Number.NaN);
    const found = (await listInstances(target as InstanceSource)).get(descriptor.digest);
    assert.deepEqual(found, { digest: descriptor.digest, size, tags, created });
  });

  it('nothing refers to this image, and lists hear an abort', async ({ target, reference }) => {
    const descriptor = await target.resolve(reference);
    assert.deepEqual(await listOf(target.referrers?.(descriptor) ?? []), []);
    const reason = new Error('enough');
    const options: CallOptions = { signal: AbortSignal.abort(reason) };
    const lists: readonly (AsyncIterable<unknown> | undefined)[] = [
      target.tags?.(options),
      target.entries?.(options),
      target.referrers?.(descriptor, undefined, options),
    ];
    for (const list of lists) {
      if (list !== undefined) await assert.rejects(listOf(list), (error) => error === reason);
    }
    await assert.rejects(listInstances(target as InstanceSource, options), (error) => error === reason);
  });

  it('streams that are dropped unread, and many at once', async ({ target }, blob) => {
    (await target.fetch(blob)).destroy();
    const all = await Promise.all(Array.from({ length: 8 }, async () => bytesOf(await fetchVerified(target, blob))));
    for (const bytes of all) assert.deepEqual(bytes, all[0]);
  });

  it('blobPath says where the same bytes lie', async ({ target }, blob) => {
    if (target.blobPath === undefined) return;
    assert.equal(await target.blobPath(UNKNOWN), undefined);
    const location = await target.blobPath(blob);
    if (location === undefined) return;
    const file = await open(location.path);
    try {
      const bytes = Buffer.alloc(location.size);
      await file.read(bytes, 0, location.size, location.offset);
      assert.deepEqual(bytes, await bytesOf(await target.fetch(blob)));
    } finally {
      await file.close();
    }
  });
}

/** The writing half, on an empty store. */
export function writeContract(
  name: string,
  make: (t: TestContext) => Promise<Target & Partial<TagLister & Referrers & Deleter>>,
): void {
  const built = contractImage();
  const content = inPushOrder(built);
  const first = content[0] as { readonly descriptor: Descriptor; readonly bytes: Buffer };
  const blob = first.descriptor;

  test(`${name}: what is pushed is there, twice is once`, async (t) => {
    const target = await make(t);
    assert.equal(await target.exists(blob), false);
    await pushBuilt(target, built, 'v1');
    await pushBuilt(target, built, 'v1');
    for (const { descriptor, bytes } of content) {
      assert.equal(await target.exists(descriptor), true);
      assert.deepEqual(await readVerified(target, descriptor), bytes);
    }
    await assert.rejects(target.tag(built.descriptor, undefined as unknown as string), {
      code: 'ERR_REFERENCE_INVALID',
    });
    assert.equal((await target.resolve('v1')).digest, built.descriptor.digest);
    assert.equal((await target.resolve('v1')).mediaType, built.descriptor.mediaType);
  });

  test(`${name}: an empty blob is content`, async (t) => {
    const target = await make(t);
    const empty = describe('application/octet-stream', Buffer.alloc(0));
    await target.push(empty, Readable.from([]));
    assert.equal((await readVerified(target, empty)).length, 0);
  });

  for (const [what, wrong, code] of [
    ['other bytes', Buffer.alloc(first.bytes.length, 'x'), 'ERR_DIGEST_MISMATCH'],
    ['too few bytes', first.bytes.subarray(1), 'ERR_DIGEST_MISMATCH'],
    ['too many bytes', Buffer.concat([first.bytes, Buffer.from('more')]), 'ERR_SIZE_MISMATCH'],
  ] as const) {
    test(`${name}: ${what} are refused and leave nothing`, async (t) => {
      const target = await make(t);
      await assert.rejects(target.push(blob, Readable.from([wrong])), { code });
      assert.equal(await target.exists(blob), false);
      await target.push(blob, Readable.from([first.bytes]));
      assert.deepEqual(await readVerified(target, blob), first.bytes);
    });
  }

  test(`${name}: an error of the content comes out as it is, and leaves nothing`, async (t) => {
    const target = await make(t);
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield first.bytes.subarray(0, 10);
      throw new Error('the source broke');
    };
    await assert.rejects(target.push(blob, broken()), /the source broke/);
    assert.equal(await target.exists(blob), false);
  });

  test(`${name}: an aborted push leaves nothing and ends its source`, async (t) => {
    const target = await make(t);
    const reason = new Error('enough');
    const source = Readable.from([first.bytes]);
    await assert.rejects(target.push(blob, source, { signal: AbortSignal.abort(reason) }), (error) => error === reason);
    assert.ok(source.destroyed);
    assert.equal(await target.exists(blob), false);
  });

  test(`${name}: an abort ends a push whose content hangs`, { timeout: 20_000 }, async (t) => {
    const target = await make(t);
    const reason = new Error('enough');
    const hanging = async function* (): AsyncGenerator<Uint8Array> {
      yield first.bytes.subarray(0, 1);
      await new Promise(() => {});
    };
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 50);
    const pushing = target.push(blob, hanging(), { signal: controller.signal });
    await assert.rejects(pushing, (error) => error === reason);
    assert.equal(await target.exists(blob), false);
  });

  test(`${name}: tags move; a tag of what is not there is refused`, async (t) => {
    const target = await make(t);
    const other = image()
      .layer((layer) => layer.file('other', 'image'))
      .build();
    await assert.rejects(target.tag(built.descriptor, 'v1'), { code: 'ERR_NOT_FOUND' });
    await pushBuilt(target, built, 'v1');
    await pushBuilt(target, other, 'v2');
    assert.equal((await target.resolve('v1')).digest, built.descriptor.digest);
    await target.tag(other.descriptor, 'v1');
    assert.equal((await target.resolve('v1')).digest, other.descriptor.digest);
    assert.equal(
      (await target.resolve(built.descriptor.digest).catch(() => built.descriptor)).size,
      built.descriptor.size,
    );
    if (target.tags === undefined) return;
    const names: string[] = [];
    for await (const tag of target.tags()) names.push(tag);
    assert.deepEqual(names.sort(), ['v1', 'v2']);
  });

  test(`${name}: what is pushed with a subject refers to it`, async (t) => {
    const target = await make(t);
    if (target.referrers === undefined) return;
    const type = 'application/vnd.example.signature';
    const about = (subject: Descriptor, artifactType: string, text: string): BuiltImage =>
      image()
        .layer((layer) => layer.file('about', text))
        .subject(subject, artifactType)
        .build();
    const signature = about(built.descriptor, type, 'signature');
    const sbom = about(built.descriptor, 'application/vnd.example.sbom', 'sbom');
    await pushBuilt(target, built, 'v1');
    await pushBuilt(target, signature, 'signature');
    await pushBuilt(target, sbom, 'sbom');
    await pushBuilt(target, about(signature.descriptor, type, 'of the signature'), 'other');
    const found = await listOf(target.referrers(await target.resolve('v1')));
    const shown = found.map(({ digest, mediaType, size, artifactType }) => ({ digest, mediaType, size, artifactType }));
    const expected = [
      { ...signature.descriptor, artifactType: type },
      { ...sbom.descriptor, artifactType: 'application/vnd.example.sbom' },
    ];
    const byDigest = (a: Descriptor, b: Descriptor): number => (a.digest < b.digest ? -1 : 1);
    assert.deepEqual(shown.sort(byDigest), expected.sort(byDigest));
    const filtered = await listOf(target.referrers(built.descriptor, type));
    assert.deepEqual(
      filtered.map(({ digest }) => digest),
      [signature.descriptor.digest],
    );
  });

  test(`${name}: many push the same at once`, async (t) => {
    const target = await make(t);
    await Promise.all(Array.from({ length: 6 }, () => pushBuilt(target, built, 'v1')));
    for (const { descriptor, bytes } of content) assert.deepEqual(await readVerified(target, descriptor), bytes);
  });

  test(`${name}: what is deleted is gone; deleting what is not there is success`, async (t) => {
    const target = await make(t);
    if (target.delete === undefined) return;
    await pushBuilt(target, built, 'v1');
    const reason = new Error('enough');
    const aborted = { signal: AbortSignal.abort(reason) };
    await assert.rejects(target.delete(built.descriptor, aborted), (error) => error === reason);
    assert.equal(await target.exists(built.descriptor), true);
    await target.delete(built.descriptor);
    await target.delete(built.descriptor.digest);
    assert.equal(await target.exists(built.descriptor), false);
    await assert.rejects(target.resolve('v1'), { code: 'ERR_NOT_FOUND' });
  });
}
