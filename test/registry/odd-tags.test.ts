/** Names in a list of tags that are none. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { listInstances } from '../../src/client/list-instances.js';
import { openDestination } from '../../src/open-destination.js';
import { createRegistry } from '../../src/registry/registry.js';
import { createRepository } from '../../src/registry/repository.js';
import { image } from '../../src/testing/testing.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { type ScriptedRegistry, scriptedRegistry } from '../support/scripted-registry.js';
import { tempDir } from '../support/temp-dir.js';

const built = image().build();
const { mediaType, digest } = built.descriptor;

/** Names that mean something else, or nothing. `HOST` stands for the registry itself. */
const ODD = [
  '../../x',
  'a b',
  'HOST/app:other',
  'HOST/else/where:other',
  'evil.example/x:y',
  `latest@sha256:${'a'.repeat(64)}`,
  digest,
  'x\u001b[31mred',
  '-rf',
  '.',
  'x'.repeat(129),
  'a?b=c',
  'ünï',
];

/** A registry that has the image under each name that it is asked for. */
async function listing(t: TestContext, names: readonly unknown[]): Promise<ScriptedRegistry> {
  return scriptedRegistry(t, ({ url, headers }) => {
    const { host = '' } = headers;
    if (url.pathname.endsWith('/tags/list')) {
      return { status: 200, body: { tags: names.map((name) => `${name}`.replace('HOST', host)) } };
    }
    if (url.pathname.endsWith('/manifests/refused'))
      return { status: 400, body: { errors: [{ code: 'TAG_INVALID' }] } };
    if (url.pathname.includes('/manifests/')) {
      const told = { 'content-type': mediaType, 'docker-content-digest': digest };
      return {
        status: 200,
        headers: { ...told, 'content-length': `${built.manifestBytes.length}` },
        body: built.manifestBytes,
      };
    }
    const blob = built.blobs.get(url.pathname.split('/').at(-1) as typeof digest);
    return blob === undefined ? { status: 404 } : { status: 200, body: blob };
  });
}

function asked({ requests }: ScriptedRegistry): string[] {
  const manifests = requests.filter(({ url }) => url.pathname.includes('/manifests/'));
  return [...new Set(manifests.map(({ url }) => url.pathname.split('/').slice(2).join('/')))].sort();
}

test('instances: what is no tag is left out before it is asked for, with one warning', async (t) => {
  const registry = await listing(t, ['good', ...ODD, 'other']);
  const { warnings, onProgress } = collectWarnings();
  const found = await listInstances(createRepository(`${registry.host}/app`, { retry: 0 }), { onProgress });
  assert.deepEqual(
    [...found.values()].map(({ tags }) => tags),
    [['good', 'other']],
  );
  assert.deepEqual(asked(registry), ['app/manifests/good', 'app/manifests/other', `app/manifests/${digest}`]);
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(warnings[0] ?? '', /^127\.0\.0\.1:\d+\/app: .*left out \("\.\.\/\.\.\/x", "a b", .* and others\)/);
});

test('instances: a tag that the registry lists and then refuses is left out', async (t) => {
  const registry = await listing(t, ['good', 'refused']);
  const { warnings, onProgress } = collectWarnings();
  const found = await listInstances(createRepository(`${registry.host}/app`, { retry: 0 }), { onProgress });
  assert.deepEqual(
    [...found.values()].map(({ tags }) => tags),
    [['good']],
  );
  assert.match(warnings.join('\n'), /status 400 .*left out \(refused\)$/);
});

for (const form of ['oci', 'docker-archive'] as const) {
  test(`copying all tags into ${form}: what is no tag is left out`, async (t) => {
    const registry = await listing(t, [...ODD, 'good']);
    const { warnings, onProgress } = collectWarnings();
    const destination = await openDestination(`${form}:${join(tempDir(t), 'copy')}`);
    await destination.copyAllFrom(createRepository(`${registry.host}/app`, { retry: 0 }), {
      onProgress,
      platform: 'linux/amd64',
    });
    await destination.close();
    assert.deepEqual(
      asked(registry).filter((path) => !path.endsWith(digest)),
      ['app/manifests/good'],
    );
    assert.equal(warnings.filter((warning) => /left out/.test(warning)).length, 1, warnings.join('\n'));
  });
}

test('tags, and the tags that a registry tells of a manifest', async (t) => {
  const registry = await scriptedRegistry(t, () => ({
    status: 200,
    body: { tags: ['a', '../../x'], manifest: { [digest]: { tag: ['a', 'host/a/b:other'] } } },
  }));
  const repository = createRepository(`${registry.host}/app`);
  const tags: string[] = [];
  for await (const tag of repository.tags()) tags.push(tag);
  assert.deepEqual(tags, ['a']);
  for await (const page of repository.listing()) assert.deepEqual(page.instances?.[0]?.tags, ['a']);
});

test('repositories: a name that is too long is left out', async (t) => {
  const registry = await scriptedRegistry(t, () => ({
    status: 200,
    body: { repositories: ['a/b', 'x'.repeat(256), 'y'.repeat(255)] },
  }));
  const { warnings, onProgress } = collectWarnings();
  const names: string[] = [];
  for await (const name of createRegistry(registry.host).repositories({ onProgress })) names.push(name);
  assert.deepEqual(names, ['a/b', 'y'.repeat(255)]);
  assert.match(warnings.join('\n'), /cannot be the name of a repository is left out/);
});

for (const field of ['tags', 'repositories'] as const) {
  test(`${field}: what is no text is left out, and that is told`, async (t) => {
    const registry = await scriptedRegistry(t, () => ({
      status: 200,
      body: { [field]: [7, 'a', null, '', { b: 1 }] },
    }));
    const { warnings, onProgress } = collectWarnings();
    const listed =
      field === 'tags'
        ? createRepository(`${registry.host}/app`).tags({ onProgress })
        : createRegistry(registry.host).repositories({ onProgress });
    const names: string[] = [];
    for await (const name of listed) names.push(name);
    assert.deepEqual(names, ['a']);
    assert.match(warnings.join('\n'), /is left out \(7, null, "" and others\); ask who runs the registry$/);
  });
}

for (const [link, where] of [
  ['http://127.0.0.1:1/v2/app/tags/list', '127.0.0.1:1'],
  ['file:///etc/passwd', 'a file: address'],
]) {
  test(`tags: a list that goes on at ${where} is refused, and says who can help`, async (t) => {
    const headers = { link: `<${link}>; rel="next"` };
    const registry = await scriptedRegistry(t, () => ({ status: 200, headers, body: { tags: ['a'] } }));
    const asked = createRepository(`${registry.host}/app`).tags();
    assert.equal((await asked.next()).value, 'a');
    await assert.rejects(asked.next(), {
      code: 'ERR_REGISTRY',
      message: `${registry.host}/app: ${registry.host} continues its list at another origin, ${where}; it or a proxy before it is misconfigured, ask who runs it`,
    });
  });
}
