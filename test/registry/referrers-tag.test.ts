/** The tag that stands in for the API of referrers: what others put there is kept, and what is deleted leaves it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { Endpoint } from '../../src/registry/endpoint.js';
import { referrersTag } from '../../src/registry/referrers-index.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import type { Digest } from '../../src/spec/digest.js';
import { MediaType } from '../../src/spec/media-types.js';
import { digestOf } from '../../src/testing/testing.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { type ScriptedAnswer, scriptedRegistry } from '../support/scripted-registry.js';

interface Held {
  readonly type: string;
  readonly bytes: Buffer;
}

function manifest(fields: object): { descriptor: Descriptor; bytes: Buffer } {
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf(Buffer.from('{}')), size: 2 };
  const document = { schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [], ...fields };
  const bytes = Buffer.from(JSON.stringify(document));
  return { bytes, descriptor: { mediaType: MediaType.ociManifest, digest: digestOf(bytes), size: bytes.length } };
}

const subject = manifest({});
const artifact = manifest({ artifactType: 'application/x', subject: subject.descriptor });
const entry = { ...artifact.descriptor, artifactType: 'application/x' };
const tag = referrersTag(subject.descriptor.digest);

/** A registry of manifests, without the API of referrers unless `api` answers for it. */
async function serve(
  t: TestContext,
  present?: Held,
  api: () => ScriptedAnswer = () => ({ status: 404 }),
): Promise<{ repository: RegistryRepository; held: Map<string, Held>; puts: string[]; refuse(): void }> {
  const held = new Map<string, Held>([
    [subject.descriptor.digest, { type: MediaType.ociManifest, bytes: subject.bytes }],
  ]);
  if (present !== undefined) held.set(tag, present);
  const puts: string[] = [];
  let isRefused = false;
  const { host } = await scriptedRegistry(t, ({ method, url, headers, body }) => {
    if (url.pathname.includes('/referrers/')) return api();
    const key = /\/manifests\/(.+)$/.exec(url.pathname)?.[1];
    if (key === undefined) return { status: 200 };
    if (method === 'PUT') {
      if (isRefused) return { status: 403 };
      puts.push(key);
      for (const name of [key, digestOf(body)]) held.set(name, { type: `${headers['content-type']}`, bytes: body });
      return { status: 201 };
    }
    if (method === 'DELETE') return { status: held.delete(key) ? 202 : 404 };
    const found = held.get(key);
    if (found === undefined) return { status: 404 };
    return {
      status: 200,
      headers: { 'content-type': found.type, 'content-length': `${found.bytes.length}` },
      body: found.bytes,
    };
  });
  const refuse = (): void => {
    isRefused = true;
  };
  return { repository: createRepository(`${host}/app`, { retry: 0 }), held, puts, refuse };
}

function push(repository: RegistryRepository): Promise<void> {
  return repository.push(artifact.descriptor, Readable.from([artifact.bytes]));
}

function listed(held: ReadonlyMap<string, Held>): Record<string, unknown> {
  return JSON.parse(`${held.get(tag)?.bytes}`);
}

function index(fields: object): Held {
  const document = { schemaVersion: 2, mediaType: MediaType.ociIndex, ...fields };
  return { type: MediaType.ociIndex, bytes: Buffer.from(JSON.stringify(document)) };
}

for (const [name, present] of [
  ['an image manifest', { type: MediaType.ociManifest, bytes: artifact.bytes }],
  ['something that is no JSON', { type: 'application/json', bytes: Buffer.from('not json') }],
  ['a list', { type: 'application/json', bytes: Buffer.from('[]') }],
  ['an index whose manifests are none', index({ manifests: {} })],
  ['a manifest list of Docker', index({ mediaType: MediaType.dockerManifestList, manifests: [] })],
] satisfies [string, Held][]) {
  test(`a tag that holds ${name} is left as it is, and that is told`, async (t) => {
    const { repository, held, puts } = await serve(t, present);
    await assert.rejects(push(repository), {
      code: 'ERR_MANIFEST_INVALID',
      message: new RegExp(`/app:${tag}: expected an image index, .*; it is left as it is`),
    });
    assert.deepEqual(held.get(tag), present);
    // The manifest itself is stored.
    assert.deepEqual(puts, [artifact.descriptor.digest]);
  });
}

test('a tag that the registry takes for the digest of the subject is no list: that is told', async (t) => {
  const { repository, held, puts } = await serve(t, { type: MediaType.ociManifest, bytes: subject.bytes });
  await assert.rejects(push(repository), {
    code: 'ERR_MANIFEST_INVALID',
    message: /found the manifest that they refer to; the registry takes the tag for a digest/,
  });
  assert.equal(held.get(tag)?.bytes, subject.bytes);
  assert.deepEqual(puts, [artifact.descriptor.digest]);
});

test('a list keeps what others put into it, also what is not understood', async (t) => {
  const odd = { mediaType: MediaType.ociManifest, digest: `blake3:${'a'.repeat(64)}`, size: 3, note: 'x' };
  const { repository, held } = await serve(
    t,
    index({ annotations: { keep: 'me' }, other: [1], manifests: [odd, 'odd'] }),
  );
  const before = listed(held);
  await push(repository);
  assert.deepEqual(listed(held), { ...before, manifests: [odd, 'odd', entry] });
  await repository.delete(artifact.descriptor);
  assert.deepEqual(listed(held), before);
});

test('an artifact type that is empty is none: the type of the config stands in the list, none for an index', async (t) => {
  const { repository, held } = await serve(t);
  const config = { mediaType: 'application/x.config', digest: digestOf(Buffer.from('{}')), size: 2 };
  const blank = { artifactType: '', subject: subject.descriptor };
  const image = manifest({ ...blank, config });
  const list = manifest({
    ...blank,
    mediaType: MediaType.ociIndex,
    config: undefined,
    layers: undefined,
    manifests: [],
  });
  const index = { ...list.descriptor, mediaType: MediaType.ociIndex };
  await repository.push(image.descriptor, Readable.from([image.bytes]));
  await repository.push(index, Readable.from([list.bytes]));
  assert.deepEqual(listed(held)['manifests'], [{ ...image.descriptor, artifactType: config.mediaType }, index]);
});

test('a list that is null is an empty one; a manifest that is listed is not listed twice', async (t) => {
  const { repository, held, puts } = await serve(t, index({ manifests: null }));
  await push(repository);
  await push(repository);
  assert.deepEqual(listed(held)['manifests'], [entry]);
  assert.deepEqual(puts, [artifact.descriptor.digest, tag, artifact.descriptor.digest]);
});

test('what is deleted is taken out of the list, by its descriptor or its bare digest', async (t) => {
  for (const target of [artifact.descriptor, artifact.descriptor.digest]) {
    const { repository, held } = await serve(t);
    await push(repository);
    assert.deepEqual(listed(held)['manifests'], [entry]);
    await repository.delete(target);
    assert.deepEqual(listed(held)['manifests'], []);
    assert.equal(held.has(artifact.descriptor.digest), false);
  }
});

test('nothing is written where the registry keeps the list, where nothing is listed, and where there is no subject', async (t) => {
  const kept = await serve(t, index({ manifests: [entry] }), () => ({
    status: 200,
    headers: { 'content-type': MediaType.ociIndex },
    body: { schemaVersion: 2, manifests: [] },
  }));
  const other = await serve(t, index({ manifests: [] }));
  for (const { repository, held, puts } of [kept, other]) {
    held.set(artifact.descriptor.digest, { type: MediaType.ociManifest, bytes: artifact.bytes });
    await repository.delete(artifact.descriptor);
    await repository.delete(subject.descriptor);
    assert.deepEqual(puts, []);
    assert.deepEqual([...held.keys()], [tag]);
  }
});

test('a list that cannot be changed does not undo the deletion: that is a warning', async (t) => {
  const { repository, held, refuse } = await serve(t);
  await push(repository);
  refuse();
  const { warnings, onProgress } = collectWarnings();
  await repository.delete(artifact.descriptor, { onProgress });
  assert.equal(held.has(artifact.descriptor.digest), false);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /is deleted, and may still be listed as a referrer of sha256:.*access denied/);
});

test('artifacts that are pushed and deleted at the same time are all listed, and none that is gone', async (t) => {
  const { repository, held } = await serve(t);
  // Whoever pushes in parallel may open the repository for each push.
  const twice = [repository, createRepository(`${repository.registry}/${repository.repository}`, { retry: 0 })];
  const client = (at: number): RegistryRepository => twice[at % 2] as RegistryRepository;
  const all = Array.from({ length: 8 }, (_, n) =>
    manifest({ artifactType: `application/x.${n}`, subject: subject.descriptor }),
  );
  await Promise.all(all.map(({ descriptor, bytes }, at) => client(at).push(descriptor, Readable.from([bytes]))));
  const digests = (): unknown[] => (listed(held)['manifests'] as Descriptor[]).map(({ digest }) => digest).sort();
  assert.deepEqual(digests(), all.map(({ descriptor }) => descriptor.digest).sort());
  const [kept, ...gone] = all;
  assert.ok(kept);
  await Promise.all(gone.map(({ descriptor }, at) => client(at).delete(descriptor)));
  assert.deepEqual(digests(), [kept.descriptor.digest]);
});

test('the list is read where it is written, whatever a mirror has kept of it', async (t) => {
  const first = manifest({ artifactType: 'application/y', subject: subject.descriptor });
  const own = await serve(t, index({ manifests: [first.descriptor] }));
  const mirror = await serve(t, index({ manifests: [] }));
  const at = ({ repository: { registry } }: typeof own, mirrorOf?: string): Endpoint => ({
    baseUrl: `http://${registry}`,
    repository: 'app',
    mirrorOf,
    credentialHost: registry,
    capabilities: mirrorOf === undefined ? ['pull', 'resolve', 'push'] : ['pull', 'resolve'],
    source: 'the test',
  });
  const endpoints = { endpoints: async () => [at(mirror, 'registry.example'), at(own)] };
  const repository = createRepository('registry.example/app', { endpoints });
  await push(repository);
  assert.deepEqual(listed(own.held)['manifests'], [first.descriptor, entry]);
  const found: Descriptor[] = [];
  for await (const one of repository.referrers(subject.descriptor)) found.push(one);
  assert.deepEqual(found, [first.descriptor, entry]);
  await repository.delete(artifact.descriptor);
  assert.deepEqual(listed(own.held)['manifests'], [first.descriptor]);
  assert.deepEqual(mirror.puts, []);
});

test('the tag has 64 digits of a digest at most', () => {
  assert.equal(referrersTag(`sha256:${'a'.repeat(64)}`), `sha256-${'a'.repeat(64)}`);
  assert.equal(referrersTag(`sha512:${'b'.repeat(128)}`), `sha512-${'b'.repeat(64)}`);
});

test('a manifest that is pushed under a tag goes there alone, where nothing has to come before and the digest is sha256', async (t) => {
  const pushed = async (of: typeof subject, present?: Held): Promise<readonly string[]> => {
    const { repository, puts } = await serve(t, present);
    const work = repository.pushTagged(of.descriptor, Readable.from([of.bytes]), 'v1');
    if (present === undefined) await work;
    else await assert.rejects(work, { code: 'ERR_MANIFEST_INVALID' });
    return puts;
  };
  assert.deepEqual(await pushed(subject), ['v1']);
  assert.deepEqual(await pushed(artifact), [artifact.descriptor.digest, tag, 'v1']);
  // What stands in the list's place keeps the name from being given.
  const page = { type: MediaType.ociManifest, bytes: subject.bytes };
  assert.deepEqual(await pushed(artifact, page), [artifact.descriptor.digest]);
  const digest: Digest = `sha512:${createHash('sha512').update(subject.bytes).digest('hex')}`;
  assert.deepEqual(await pushed({ ...subject, descriptor: { ...subject.descriptor, digest } }), [digest, 'v1']);
});

test('what is pushed under a tag is checked first, and a digest is no tag', async (t) => {
  const { repository, puts } = await serve(t);
  const push = (bytes: Buffer, name: string): Promise<void> =>
    repository.pushTagged(subject.descriptor, Readable.from([bytes]), name);
  await assert.rejects(push(Buffer.from('{}'), 'v1'), { code: 'ERR_DIGEST_MISMATCH' });
  await assert.rejects(push(subject.bytes, subject.descriptor.digest), { code: 'ERR_REFERENCE_INVALID' });
  assert.deepEqual(puts, []);
});

test('an entry that another process takes out of the list at the same time is added again, beside the other one', async (t) => {
  const { repository, held, puts } = await serve(t);
  const other = manifest({ artifactType: 'application/y', subject: subject.descriptor });
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [other.descriptor] }));
  const pushed = repository.push(artifact.descriptor, Readable.from([artifact.bytes]));
  while (!puts.includes(tag)) await new Promise(setImmediate);
  held.set(tag, { type: MediaType.ociIndex, bytes });
  await pushed;
  const list = JSON.parse(`${held.get(tag)?.bytes}`) as { manifests: unknown };
  assert.deepEqual(list.manifests, [other.descriptor, entry]);
});
