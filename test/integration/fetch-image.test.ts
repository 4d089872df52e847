/** fetchImage beside skopeo and umoci: the same choice from the same index, and images as those tools write them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { OciLayout } from '../../src/content/oci-layout.js';
import { RootfsError } from '../../src/errors.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { createRepository } from '../../src/registry/repository.js';
import { MediaType } from '../../src/spec/media-types.js';
import { formatPlatform, parsePlatform } from '../../src/spec/platform.js';
import { image, index, startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

// The registry runs in this process: a tool must not be waited for synchronously.
const run = promisify(execFile);

const skip = needs('skopeo');

async function registry(t: TestContext, ...platforms: readonly string[]): Promise<TestRegistry> {
  const running = await startRegistry();
  t.after(() => running.close());
  const builder = index();
  for (const platform of platforms) {
    const built = image()
      .platform(platform)
      .layer((layer) => layer.file('platform', platform))
      .build();
    builder.add(built).attestation(built);
  }
  running.add('app', 'v1', builder.build());
  return running;
}

async function skopeoLayers(host: string, platform: string): Promise<readonly string[] | undefined> {
  const { os, architecture, variant } = parsePlatform(platform);
  const override = ['--override-os', os, '--override-arch', architecture];
  if (variant !== undefined) override.push('--override-variant', variant);
  try {
    const { stdout } = await run('skopeo', [...override, 'inspect', '--tls-verify=false', `docker://${host}/app:v1`]);
    return (JSON.parse(stdout) as { Layers: string[] }).Layers;
  } catch {
    return undefined;
  }
}

test('from one index, skopeo and this library take the same image', { skip }, async (t) => {
  const { host } = await registry(t, 'linux/arm/v5', 'linux/arm64/v8', 'linux/arm/v7', 'linux/amd64', 'windows/amd64');
  const repository = createRepository(`${host}/app`);
  const wanted = [
    'linux/amd64',
    'linux/arm64',
    'linux/arm64/v8',
    'linux/arm/v7',
    'linux/arm/v6',
    'linux/arm/v5',
    'windows/amd64',
    'linux/s390x',
  ];
  let taken = 0;
  for (const platform of wanted) {
    const theirs = await skopeoLayers(host, platform);
    const ours = await fetchImage(repository, `${host}/app:v1`, { platform }).catch((error: unknown) => {
      assert.ok(error instanceof RootfsError && error.code === 'ERR_PLATFORM_NOT_FOUND', String(error));
      return undefined;
    });
    assert.deepEqual(
      ours?.layers.map(({ descriptor }) => descriptor.digest),
      theirs,
      platform,
    );
    if (ours !== undefined) taken++;
  }
  assert.equal(taken, wanted.length - 1);
});

test('what skopeo converts to Docker’s types is the same image', { skip }, async (t) => {
  const { host } = await registry(t, 'linux/amd64', 'linux/arm64');
  const args = ['--src-tls-verify=false', '--dest-tls-verify=false', '--format', 'v2s2', '--override-arch', 'arm64'];
  await run('skopeo', ['copy', ...args, `docker://${host}/app:v1`, `docker://${host}/docker:v1`]);
  const repository = createRepository(`${host}/docker`);
  const docker = await fetchImage(repository, 'v1', { platform: 'linux/arm64' });
  assert.equal(docker.manifest.value.mediaType, MediaType.dockerManifest);
  assert.equal(docker.config.descriptor.mediaType, MediaType.dockerConfig);
  assert.equal(formatPlatform(docker.platform), 'linux/arm64');
  const oci = await fetchImage(createRepository(`${host}/app`), 'v1', { platform: 'linux/arm64' });
  assert.deepEqual(
    docker.layers.map(({ diffId }) => diffId),
    oci.layers.map(({ diffId }) => diffId),
  );
});

test('a layout that umoci wrote is an image, also before it has a layer', { skip: needs('umoci') }, async (t) => {
  const layout = join(tempDir(t, 'umoci'), 'layout');
  await run('umoci', ['init', '--layout', layout]);
  await run('umoci', ['new', '--image', `${layout}:empty`]);
  await run('umoci', [
    'config',
    '--image',
    `${layout}:empty`,
    '--tag',
    'set',
    '--config.env',
    'A=b',
    '--config.label',
    'x=y',
  ]);
  await run('umoci', ['config', '--image', `${layout}:set`, '--architecture', 's390x', '--history.comment', 'c']);
  const source = await OciLayout.open(layout);
  const empty = await fetchImage(source, 'empty');
  assert.deepEqual(empty.layers, []);
  const set = await fetchImage(source, 'set', { platform: 'linux/s390x' });
  assert.deepEqual(set.config.value.config?.Env, ['A=b']);
  assert.deepEqual(set.config.value.config?.Labels, { x: 'y' });
  assert.equal(set.config.value.history?.at(-1)?.comment, 'c');
});
