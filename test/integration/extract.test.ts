/** The main job on a real image, from a layout and from Debian's docker-registry: every layer is what the config says. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEnd } from '../support/at-end.js';
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { layerNames, wrongLayers } from '../support/layer-files.js';
import { REAL_IMAGE_TOOLS, realImage } from '../support/real-image.js';
import { rootfs, run } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip = needs('skopeo', 'docker-registry', ...REAL_IMAGE_TOOLS);

interface Document {
  readonly config: { readonly digest: string };
  readonly rootfs: { readonly diff_ids: readonly string[] };
  readonly manifests: readonly { readonly digest: string }[];
}

/** The diff_ids of an image in a layout, read without any of our code. */
function diffIdsOf(layout: string): readonly string[] {
  const read = (digest: string): Document =>
    JSON.parse(readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'utf8')) as Document;
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Document;
  return read(read(index.manifests[0]?.digest ?? '').config.digest).rootfs.diff_ids;
}

function assertExtracted(dst: string, stdout: string, diffIds: readonly string[]): void {
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
  assert.deepEqual(
    lines.map(([diffId]) => diffId),
    diffIds,
    'one line a layer, base first',
  );
  for (const [diffId = '', bytes, path = ''] of lines) {
    assert.equal(path, join(dst, diffId.replace(':', '/')));
    assert.equal(readFileSync(path).length, Number(bytes));
  }
  assert.deepEqual(wrongLayers(dst), []);
  assert.deepEqual(layerNames(dst), [...new Set(diffIds.map((one) => one.slice(7)))].sort());
  assert.deepEqual(readdirSync(join(dst, 'ingest')), [], 'nothing half-made is left');
}

async function push(registry: DockerRegistry, layout: string, name: string, ...options: string[]): Promise<string> {
  const image = `${registry.host}/${name}`;
  const done = await run(
    'skopeo',
    ['copy', '-q', ...options, '--dest-tls-verify=false', `oci:${layout}:real`, `docker://${image}`],
    {
      env: { HOME: '/tmp' },
    },
  );
  assert.equal(done.code, 0, done.stderr);
  return image;
}

test('the real image, from a layout and from a registry, gzip and zstd', { skip }, async (t) => {
  const layout = realImage();
  const diffIds = diffIdsOf(layout);
  assert.equal(diffIds.length, 7);
  const registry = await startDockerRegistry(tempDir(t, 'registry'));
  atEnd(t, () => registry.stop());

  await t.test('from the layout', async (t) => {
    const dst = join(tempDir(t), 'made', 'deep');
    const done = await rootfs(['extract', '-q', '--dst', dst, `oci:${layout}:real`]);
    assert.equal(done.code, 0, done.stderr);
    assertExtracted(dst, done.stdout, diffIds);
    assert.equal(done.stderr, '');
  });

  for (const [what, name, options] of [
    ['gzip', 'real/gzip:1', []],
    ['zstd', 'real/zstd:1', ['--dest-compress-format', 'zstd']],
    ['as Docker writes it', 'real/docker:1', ['--format', 'v2s2']],
  ] as const) {
    await t.test(`from the registry: ${what}`, async (t) => {
      const image = await push(registry, layout, name, ...options);
      const dst = tempDir(t);
      const done = await rootfs(['extract', '--dst', dst, image]);
      assert.equal(done.code, 0, done.stderr);
      assertExtracted(dst, done.stdout, diffIds);
      assert.match(done.stderr, /7 layers, .* verified/);
    });
  }

  await t.test('again: no layer is asked for', async (t) => {
    const image = await push(registry, layout, 'real/again:1');
    const dst = tempDir(t);
    const first = await rootfs(['extract', '-q', '--dst', dst, image]);
    const before = registry.log().length;
    const second = await rootfs(['extract', '-q', '--dst', dst, image]);
    assert.equal(second.stdout, first.stdout);
    const asked = [
      ...registry
        .log()
        .slice(before)
        .matchAll(/"GET (\/v2\/[^ ]*)/g),
    ].map(([, path]) => path ?? '');
    const blobs = asked.filter((path) => path.includes('/blobs/'));
    assert.ok(asked.length > 0, 'the registry logged what it was asked');
    assert.ok(blobs.length <= 1, `only the config: ${blobs.join(' ')}`);
  });

  await t.test('five processes at once agree', async (t) => {
    const image = await push(registry, layout, 'real/five:1');
    const dst = tempDir(t);
    const all = await Promise.all(Array.from({ length: 5 }, () => rootfs(['extract', '-q', '--dst', dst, image])));
    for (const one of all) {
      assert.equal(one.code, 0, one.stderr);
      assertExtracted(dst, one.stdout, diffIds);
    }
  });

  await t.test('inspect and digest say what skopeo says', async () => {
    const image = await push(registry, layout, 'real/look:1');
    const said = await run('skopeo', ['inspect', '--tls-verify=false', `docker://${image}`], { env: { HOME: '/tmp' } });
    const theirs = JSON.parse(said.stdout) as { Digest: string; Layers: string[]; Architecture: string };
    const digest = await rootfs(['digest', image]);
    assert.equal(digest.stdout, `${theirs.Digest}\n`);
    const inspect = await rootfs(['inspect', '--json', image]);
    const ours = JSON.parse(inspect.stdout) as {
      digest: string;
      layers: { digest: string }[];
      platform: { architecture: string };
    };
    assert.equal(ours.digest, theirs.Digest);
    assert.deepEqual(
      ours.layers.map((one) => one.digest),
      theirs.Layers,
    );
    assert.equal(ours.platform.architecture, theirs.Architecture);
  });
});

test('an index of two platforms and an attestation, through the registry', { skip }, async (t) => {
  const registry = await startDockerRegistry(tempDir(t, 'registry'));
  atEnd(t, () => registry.stop());
  const image = `${registry.host}/hello:1`;
  const pushed = await run(
    'skopeo',
    ['copy', '-q', '--all', '--dest-tls-verify=false', 'oci:fixtures/hello:latest', `docker://${image}`],
    {
      env: { HOME: '/tmp' },
    },
  );
  assert.equal(pushed.code, 0, pushed.stderr);
  const layers = new Set<string>();
  for (const platform of ['linux/amd64', 'linux/arm64']) {
    const dst = tempDir(t);
    const done = await rootfs(['extract', '-q', '--platform', platform, '--dst', dst, image]);
    assert.equal(done.code, 0, done.stderr);
    assert.deepEqual(wrongLayers(dst), []);
    assert.equal(layerNames(dst).length, 3);
    layers.add(done.stdout.split('\t')[0] ?? '');
  }
  assert.equal(layers.size, 2, 'each platform has a base of its own');
  const none = await rootfs(['extract', '-q', '--platform', 'linux/s390x', '--dst', tempDir(t), image]);
  assert.equal(none.code, 3);
  assert.match(none.stderr, /linux\/s390x.*linux\/amd64.*linux\/arm64/);
});
