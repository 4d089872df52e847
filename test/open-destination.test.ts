/** All tags at once: one that does not fit spoils none, and a failure tells what was copied before it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openArchiveFile } from '../src/content/archive-file.js';
import { copyImage } from '../src/image/copy-image.js';
import { fetchManifest } from '../src/image/fetch-manifest.js';
import { openSource } from '../src/open.js';
import { openDestination } from '../src/open-destination.js';
import { referrersTag } from '../src/registry/referrers-index.js';
import { createRepository, type RegistryRepository } from '../src/registry/repository.js';
import type { ImageIndex } from '../src/spec/image-index.js';
import { type BuiltImage, image, startRegistry, type TestRegistry, writeLayout } from '../src/testing/testing.js';
import { collectWarnings } from './support/collect-warnings.js';
import { REPOSITORY } from './support/rootfs.js';
import { sampleIndex } from './support/sample-index.js';
import { NO_MOUNT, smallDisk } from './support/small-disk.js';
import { tempDir } from './support/temp-dir.js';

for (const form of ['registry', 'layout'] as const) {
  test(`into a ${form}: with a platform, what has none of it is left out`, async (t) => {
    await using registry = await startRegistry();
    const arm = image().platform('linux/arm64').build();
    for (const [tag, built] of Object.entries({ a: arm, b: sampleIndex().built, c: arm }))
      registry.add('app', tag, built);
    const { source, close } = await openSource(`${registry.host}/app`);
    const place = form === 'registry' ? `${registry.host}/copy` : `oci:${join(tempDir(t), 'copy')}`;
    const destination = await openDestination(place);
    const { warnings, onProgress } = collectWarnings();
    const copied = await destination.copyAllFrom(source, { platform: 'linux/amd64', onProgress });
    assert.deepEqual(
      copied.map(({ tag, descriptor }) => [tag, descriptor.digest]),
      [['b', sampleIndex().amd64.descriptor.digest]],
    );
    assert.equal(
      warnings.filter((warning) => /^left out: .*app:[ac].*linux\/amd64/.test(warning)).length,
      2,
      warnings.join('\n'),
    );
    await assert.rejects(destination.copyAllFrom(source, { platform: 'linux/s390x' }), {
      code: 'ERR_PLATFORM_NOT_FOUND',
    });
    await destination.close();
    await close();
  });
}

test('a failure tells of the tags that were copied before it', async () => {
  await using from = await startRegistry();
  for (const tag of ['one', 'three', 'two']) from.add('app', tag, image().config({ User: tag }).build());
  await using to = await startRegistry({
    faults: [{ on: 'manifest', method: 'PUT', reference: 'two', do: 'answer', status: 403 }],
  });
  const { source, close } = await openSource(`${from.host}/app`);
  const destination = await openDestination(`${to.host}/copy`);
  const { warnings, onProgress } = collectWarnings();
  await assert.rejects(destination.copyAllFrom(source, { onProgress }), { code: 'ERR_DENIED' });
  const names = ['one', 'three'].map((tag) => `${to.host}/copy:${tag}`).join(', ');
  assert.deepEqual(warnings, [`copied before this failed: ${names}`]);
  await destination.close();
  await close();
});

test('a list of referrers under its tag is added to: what others attached there stays', async () => {
  const app = image()
    .layer((layer) => layer.file('a', 'a'))
    .build();
  const [ours, theirs, more] = ['ours', 'theirs', 'more'].map((name) =>
    image().config({ User: name }).subject(app.descriptor, 'application/x').build(),
  ) as [BuiltImage, BuiltImage, BuiltImage];
  await using from = await startRegistry({ referrers: false });
  await using to = await startRegistry({ referrers: false });
  const attach = async (registry: TestRegistry, name: string, built: BuiltImage): Promise<RegistryRepository> => {
    // The blobs, and a tag that is not asked for.
    registry.add('elsewhere', 'x', built);
    registry.add(name, 'v1', app);
    const repository = createRepository(`${registry.host}/${name}`, { retry: 0 });
    await copyImage(createRepository(`${registry.host}/elsewhere`), 'x', repository, built.descriptor.digest);
    return repository;
  };
  const source = await attach(from, 'app', ours);
  const kept = await attach(to, 'copy', theirs);
  const list = referrersTag(app.descriptor.digest);
  const listed = async (): Promise<readonly string[]> => {
    const { value } = await fetchManifest(kept, list);
    return (value as ImageIndex).manifests.map(({ digest }) => digest).sort();
  };
  const all = [theirs, ours].map(({ descriptor }) => descriptor.digest).sort();
  const destination = await openDestination(`${to.host}/copy`);
  for (let round = 0; round < 2; round += 1) {
    const copied = await destination.copyAllFrom(source);
    assert.deepEqual(await listed(), all);
    const at = copied.find(({ tag }) => tag === list);
    assert.equal(at?.descriptor.digest, (await kept.resolve(list)).digest);
    assert.equal(at?.source.digest, (await source.resolve(list)).digest);
  }
  // Where nothing else is listed, the list is the source's own, byte for byte.
  await attach(from, 'app', more);
  const empty = await openDestination(`${to.host}/empty`);
  const copied = await empty.copyAllFrom(source);
  assert.equal(copied.find(({ tag }) => tag === list)?.descriptor.digest, (await source.resolve(list)).digest);
  await destination.close();
  await empty.close();
});

test('what cannot be a name there is refused before anything is made', async (t) => {
  const folder = tempDir(t);
  const layout = /^"a b": not a name for an entry of a layout; use /;
  for (const [place, message] of [
    ['oci:image:a b', layout],
    ['oci:image:@0', /"@0": an entry by its place/],
    ['oci-archive:image:a b', layout],
    ['dir:image:v1', /holds one image without a name; leave out :v1$/],
  ] as const) {
    const [transport = '', rest = ''] = place.split(':image');
    const named = `${transport}:${join(folder, 'image')}${rest}`;
    await assert.rejects(openDestination(named), { code: 'ERR_REFERENCE_INVALID', message });
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('a name of a layout that is none of an image is kept by a layout, and refused for a registry', async (t) => {
  const folder = tempDir(t);
  const name = 'Foo+bar/x';
  await writeLayout(join(folder, 'from'), {
    v1: image().build(),
    [name]: image()
      .config({ Cmd: ['x'] })
      .build(),
  });
  const { source } = await openSource(`oci:${join(folder, 'from')}`);
  const to = await openDestination(`oci:${join(folder, 'to')}`);
  const copied = await to.copyAllFrom(source);
  await to.close();
  assert.deepEqual(
    copied.map(({ tag }) => tag),
    ['v1', name],
  );
  const { source: read } = await openSource(`oci:${join(folder, 'to')}`);
  assert.equal((await read.resolve(name)).digest, (await source.resolve(name)).digest);
  await using registry = await startRegistry();
  const remote = await openDestination(`${registry.host}/app`);
  await assert.rejects(remote.copyAllFrom(source), { code: 'ERR_REFERENCE_INVALID' });
  assert.equal(registry.log.requests.length, 0);
});

test('all images of a layout under the name that is given for them, each with its tag', async (t) => {
  const folder = tempDir(t);
  const [one, two] = ['one', 'two'].map((user) => image().config({ User: user }).build()) as [BuiltImage, BuiltImage];
  await writeLayout(join(folder, 'made'), { one, two });
  const { source, close } = await openSource(`oci:${join(folder, 'made')}`);
  t.after(close);
  const archive = `docker-archive:${join(folder, 'app.tar')}`;
  const destination = await openDestination(`${archive}:registry.example/team/app`);
  await destination.copyAllFrom(source);
  await destination.close();
  for (const [tag, built] of Object.entries({ one, two })) {
    const read = await openSource(`${archive}:registry.example/team/app:${tag}`);
    assert.equal((await read.source.resolve(read.reference)).digest, built.descriptor.digest);
    await read.close();
  }
});

for (const [form, name] of [
  ['oci', 'team/app'],
  ['oci-archive', 'team/app'],
  ['dir', 'team/app'],
  ['docker-archive', 'team/app:v1'],
]) {
  test(`one name for all images is refused: ${form} ${name}`, async (t) => {
    const folder = tempDir(t);
    await writeLayout(join(folder, 'made'), { one: image().build() });
    const { source, close } = await openSource(`oci:${join(folder, 'made')}`);
    t.after(close);
    const destination = openDestination(`${form}:${join(folder, 'out')}:${name}`);
    if (form === 'dir') return assert.rejects(destination, { code: 'ERR_REFERENCE_INVALID' });
    await assert.rejects((await destination).copyAllFrom(source), { code: 'ERR_OPTION_INVALID' });
    await (await destination).close();
    assert.deepEqual(readdirSync(folder), ['made']);
  });
}

test('a layout that a copy brought nothing to goes with all that was made for it, and with nothing else', async (t) => {
  const folder = tempDir(t);
  const nowhere = await openDestination(`oci:${join(folder, 'a/b/c')}:v1`);
  assert.deepEqual(readdirSync(join(folder, 'a/b/c')).sort(), ['blobs', 'index.json', 'oci-layout']);
  await nowhere.close();
  assert.deepEqual(readdirSync(folder), []);
  // A folder of somebody's, with a file that has that name in many places.
  const text = '{"schemaVersion":2,"manifests":[]}';
  writeFileSync(join(folder, 'index.json'), text);
  mkdirSync(join(folder, 'blobs'));
  const place = await openDestination(`oci:${folder}:v1`);
  assert.ok(readdirSync(folder).includes('oci-layout'));
  await place.close();
  assert.deepEqual(readdirSync(folder).sort(), ['blobs', 'index.json']);
  assert.equal(readFileSync(join(folder, 'index.json'), 'utf8'), text);
  // What holds something stays, and so does one that was there.
  const { source } = await openSource(`oci:${join(REPOSITORY, 'fixtures/hello')}`);
  const filled = await openDestination(`oci:${join(folder, 'filled/deep')}:v1`);
  await filled.copyFrom(source, '');
  await filled.close();
  const again = await openDestination(`oci:${join(folder, 'filled/deep')}:v2`);
  await again.close();
  assert.ok(readdirSync(join(folder, 'filled/deep/blobs/sha256')).length > 0);
  assert.ok(readdirSync(join(folder, 'filled/deep')).includes('index.json'));
});

test('a folder whose index.json is no list of images is refused before anything is brought there', async (t) => {
  const folder = tempDir(t);
  const text = '{"name":"somebody else"}';
  writeFileSync(join(folder, 'index.json'), text);
  await assert.rejects(openDestination(`oci:${folder}:v1`), { code: 'ERR_MANIFEST_INVALID', message: /index\.json/ });
  assert.deepEqual(readdirSync(folder), ['index.json']);
  assert.equal(readFileSync(join(folder, 'index.json'), 'utf8'), text);
});

test('a disk that became read-only hides no failure behind that of cleaning up', async (t) => {
  const disk = smallDisk(t, 'size=1m');
  if (disk === undefined) return t.skip(NO_MOUNT);
  const place = await openDestination(`oci:${join(disk, 'layout')}:v1`);
  execFileSync('mount', ['-o', 'remount,ro', disk]);
  await place.close();
});

test('all tags of what has none: an error that says so, wherever they were to go, and nothing is made', async (t) => {
  const folder = tempDir(t);
  await writeLayout(join(folder, 'made'), image().build());
  const { source } = await openSource(`oci:${join(folder, 'made')}`);
  await using registry = await startRegistry();
  const files = ['oci', 'oci-archive', 'docker-archive'].map((form) => `${form}:${join(folder, form)}`);
  for (const place of [`${registry.host}/app`, ...files]) {
    const destination = await openDestination(place);
    const refusal = { code: 'ERR_NOT_FOUND', message: /\/made: nothing has a tag here; name one image$/ };
    await assert.rejects(destination.copyAllFrom(source), refusal, place);
    await destination.close();
  }
  assert.deepEqual(readdirSync(folder), ['made']);
});

test('after an abort no destination is opened: no folder is made', async (t) => {
  const folder = tempDir(t);
  const reason = new Error('enough');
  const aborted = { signal: AbortSignal.abort(reason) };
  for (const place of ['localhost:1/app', `oci:${join(folder, 'layout')}`, `oci-archive:${join(folder, 'x.tar')}`])
    await assert.rejects(openDestination(place, aborted), (error) => error === reason, place);
  assert.deepEqual(readdirSync(folder), []);
});

test('what is opened is closed by `await using` as by close()', async (t) => {
  const folder = tempDir(t);
  let layout = '';
  {
    await using from = await openSource(`oci:${REPOSITORY}/fixtures/hello`);
    await using destination = await openDestination(`oci:${join(folder, 'made', 'layout')}`);
    layout = destination.name;
    await assert.rejects(destination.copyFrom(from.source, 'no-such-tag'), { code: 'ERR_NOT_FOUND' });
  }
  // What was made for a copy that brought nothing is gone, as close() promises.
  assert.deepEqual([layout, readdirSync(folder)], [`oci:${join(folder, 'made', 'layout')}`, []]);
  const packed = join(folder, 'hello.tar.gz');
  execFileSync('tar', ['-C', join(REPOSITORY, 'fixtures/hello'), '-czf', packed, '.']);
  let copy = '';
  {
    await using archive = await openArchiveFile(packed, { temporaryFolder: folder });
    copy = archive.path;
    assert.ok(existsSync(copy));
  }
  assert.ok(!existsSync(copy));
  await using _registry = await openSource('127.0.0.1:1/app');
  await using _archive = await openDestination(`oci-archive:${join(folder, 'x.tar')}`);
});
