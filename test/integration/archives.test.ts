/** Archives and folders that skopeo, umoci and podman wrote, and podman's engine. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createReadStream, existsSync, rmSync, watch } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { ReadOnlyTarget } from '../../src/content/content.js';
import { DirLayout } from '../../src/content/dir-layout.js';
import { DockerArchive } from '../../src/content/docker-archive.js';
import { openDockerDaemon } from '../../src/content/docker-daemon.js';
import { fetchVerified, readVerified } from '../../src/content/fetch-verified.js';
import { OciArchive } from '../../src/content/oci-archive.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { parseImageConfig } from '../../src/spec/image-config.js';
import { parseManifest } from '../../src/spec/image-manifest.js';
import { type BuiltImage, digestOf, image, writeLayout } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import { findTool, needs } from '../support/tools.js';

function built(text: string): BuiltImage {
  return image()
    .config({ Cmd: ['/bin/true'] })
    .layer((layer) => layer.dir('etc').file('etc/base', `${text}\n`.repeat(1000)))
    .layer((layer) => layer.file('etc/top', text))
    .build();
}

/** The config's bytes, and each layer's tar against its diffID. */
async function checkImage(source: ReadOnlyTarget, reference: string, expected: BuiltImage): Promise<void> {
  const manifest = parseManifest(await readVerified(source, await source.resolve(reference)));
  const config = parseImageConfig(await readVerified(source, manifest.config));
  assert.deepEqual(config.rootfs.diff_ids, expected.config.rootfs.diff_ids);
  assert.equal(manifest.layers.length, expected.layers.length);
  for (const [at, layer] of manifest.layers.entries()) {
    const blob = Buffer.concat(await (await fetchVerified(source, layer)).toArray());
    const zstd = blob.readUInt32LE(0) === 0xfd2fb528;
    const tar = zstd ? execFileSync('zstd', ['-dcq'], { input: blob }) : blob[0] === 0x1f ? gunzipSync(blob) : blob;
    assert.equal(digestOf(tar), expected.config.rootfs.diff_ids[at]);
  }
}

async function layoutOf(t: TestContext, images: Readonly<Record<string, BuiltImage>>): Promise<string> {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, images);
  return folder;
}

const skopeo = (...args: string[]): void => {
  execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
};

/** What the commands tell of a source that holds one image, to which nothing refers. */
async function checkLists(
  source: string,
  tags: readonly string[],
  options: Parameters<typeof runRootfs>[1],
): Promise<void> {
  const lists = ['tags', 'referrers', 'instances'].map(async (command) => {
    const { code, stdout, stderr } = await runRootfs([command, '--json', source], options);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout.toString());
  });
  const [named, referring, instances] = await Promise.all(lists);
  assert.deepEqual(named, tags);
  assert.deepEqual(referring, []);
  assert.deepEqual(
    instances.map((one: { tags: string[] }) => one.tags),
    [tags],
    source,
  );
}

test('what skopeo writes is read: docker-archive, oci-archive, oci, dir; gzip and zstd', {
  skip: needs('skopeo', 'zstd'),
}, async (t) => {
  const one = built('one');
  const folder = tempDir(t);
  const from = `oci:${await layoutOf(t, { one })}:one`;
  const at = (name: string): string => join(folder, name);
  skopeo(from, `docker-archive:${at('docker.tar')}:example.org/team/one:1`);
  skopeo(from, `oci-archive:${at('oci.tar')}:one`);
  skopeo(from, `oci:${at('oci')}:one`);
  skopeo(from, `dir:${at('dir')}`);
  skopeo('--dest-compress-format', 'zstd', '--dest-compress', from, `dir:${at('zstd')}`);
  skopeo('--dest-decompress', from, `dir:${at('plain')}`);

  const docker = await DockerArchive.open(at('docker.tar'));
  await checkImage(docker, '', one);
  await checkImage(docker, 'example.org/team/one:1', one);
  const oci = await OciArchive.open(at('oci.tar'));
  await checkImage(oci, 'one', one);
  assert.equal((await oci.resolve('one')).digest, one.descriptor.digest);
  await checkImage(await OciLayout.open(at('oci')), 'one', one);
  for (const name of ['dir', 'zstd', 'plain']) await checkImage(await DirLayout.open(at(name)), '', one);

  const names = {
    'docker-archive:docker.tar': ['example.org/team/one:1'],
    'oci-archive:oci.tar': ['one'],
    'oci:oci': ['one'],
    'dir:dir': [],
  };
  for (const [source, tags] of Object.entries(names)) await checkLists(source, tags, { cwd: folder });

  execFileSync('gzip', ['-k', at('docker.tar')]);
  execFileSync('zstd', ['-q', at('docker.tar')]);
  for (const name of ['docker.tar.gz', 'docker.tar.zst']) {
    const archive = await DockerArchive.open(at(name));
    await checkImage(archive, '', one);
    await archive.close();
  }
  const piped = await DockerArchive.open('-', { stdin: createReadStream(at('docker.tar.gz')) });
  await checkImage(piped, '', one);
  await piped.close();
});

test('what we write as a layout, skopeo and umoci read', { skip: needs('skopeo', 'umoci') }, async (t) => {
  const one = built('one');
  const source = await OciLayout.open(await layoutOf(t, { one }));
  const folder = join(tempDir(t), 'ours');
  const target = await OciLayout.open(folder, { create: true });
  for (const [digest, bytes] of one.blobs) {
    const descriptor = { mediaType: 'application/octet-stream', digest, size: bytes.length };
    await target.push(descriptor, await source.fetch(descriptor));
  }
  await target.tag(one.descriptor, 'v1');
  const raw = execFileSync('skopeo', ['inspect', '--raw', `oci:${folder}:v1`]);
  assert.deepEqual(raw, one.manifestBytes);
  const stat = JSON.parse(execFileSync('umoci', ['stat', '--image', `${folder}:v1`, '--json'], { encoding: 'utf8' }));
  assert.ok(Array.isArray(stat.history));
  execFileSync('umoci', ['gc', '--layout', folder]);
  await checkImage(target, 'v1', one);
});

test('what skopeo copied beside an image and umoci named is listed, in the layout and packed by tar', {
  skip: needs('skopeo', 'umoci', 'tar'),
}, async (t) => {
  const one = built('one');
  const type = 'application/vnd.example.signature';
  const signature = image()
    .layer((layer) => layer.file('signature', 'by me'))
    .subject(one.descriptor, type)
    .build();
  const from = await layoutOf(t, { one, signature });
  const folder = tempDir(t);
  for (const name of ['one', 'signature']) skopeo(`oci:${from}:${name}`, `oci:${join(folder, 'layout')}:${name}`);
  const umoci = (...args: string[]): void => {
    execFileSync('umoci', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  umoci('tag', '--image', 'layout:one', 'another');
  umoci('gc', '--layout', 'layout');
  execFileSync('tar', ['-cf', 'layout.tar', '-C', 'layout', '.'], { cwd: folder });
  const lists = async (...words: string[]): Promise<{ digest: string; tags?: string[]; artifactType?: string }[]> => {
    const { code, stdout, stderr } = await runRootfs([...words, '--json'], { cwd: folder });
    assert.deepEqual([code, stderr], [0, '']);
    return JSON.parse(stdout.toString());
  };
  const { digest } = signature.descriptor;
  for (const source of ['oci:layout', 'oci-archive:layout.tar']) {
    const instances = await lists('instances', source);
    assert.deepEqual(
      new Map(instances.map((one) => [one.digest, one.tags])),
      new Map([
        [one.descriptor.digest, ['another', 'one']],
        [digest, ['signature']],
      ]),
    );
    for (const name of ['one', 'another']) {
      const found = await lists('referrers', `${source}:${name}`);
      assert.deepEqual(
        found.map((one) => [one.digest, one.artifactType]),
        [[digest, type]],
      );
    }
    assert.deepEqual(await lists('referrers', `${source}:signature`), []);
    assert.equal((await lists('referrers', `${source}:one`, '--artifact-type', type)).length, 1);
    assert.deepEqual(await lists('referrers', `${source}:one`, '--artifact-type', 'application/x.other'), []);
  }
  umoci('rm', '--image', 'layout:signature');
  assert.deepEqual(await lists('referrers', 'oci:layout:one'), []);
});

const asRoot = process.getuid?.() === 0 ? needs('podman', 'skopeo') : 'podman with storage of its own needs root';

test('podman: what it saves is read, its engine is a source and a destination', {
  skip: asRoot,
  timeout: 120_000,
}, async (t) => {
  const folder = tempDir(t);
  const storage = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
  t.after(() => rmSync(join(folder, 'root'), { recursive: true, force: true }));
  const podman = (...args: string[]): string => execFileSync('podman', [...storage, ...args], { encoding: 'utf8' });
  const images = { one: built('one'), two: built('two') };
  const layout = await layoutOf(t, images);
  for (const name of ['one', 'two']) {
    skopeo(`oci:${layout}:${name}`, `docker-archive:${join(folder, `${name}.tar`)}:localhost/${name}:v1`);
    podman('load', '-q', '-i', join(folder, `${name}.tar`));
  }
  podman('save', '-q', '-m', '-o', join(folder, 'both.tar'), 'localhost/one:v1', 'localhost/two:v1');
  const both = await DockerArchive.open(join(folder, 'both.tar'));
  await checkImage(both, 'localhost/one:v1', images.one);
  await checkImage(both, 'localhost/two:v1', images.two);
  await assert.rejects(both.resolve(''), {
    code: 'ERR_REFERENCE_INVALID',
    message: /localhost\/one:v1, localhost\/two:v1/,
  });
  podman('save', '-q', '--format', 'oci-archive', '-o', join(folder, 'one-oci.tar'), 'localhost/one:v1');
  await checkImage(await OciArchive.open(join(folder, 'one-oci.tar')), '', images.one);
  podman('save', '-q', '--format', 'docker-dir', '-o', join(folder, 'one-dir'), 'localhost/one:v1');
  await checkImage(await DirLayout.open(join(folder, 'one-dir')), '', images.one);

  const socket = join(folder, 'engine.sock');
  const appeared = new Promise<void>((resolve) => {
    const watcher = watch(folder, () => {
      if (!existsSync(socket)) return;
      watcher.close();
      resolve();
    });
  });
  const service = spawn(
    findTool('podman') ?? 'podman',
    [...storage, 'system', 'service', '--time=0', `unix://${socket}`],
    {
      stdio: 'ignore',
    },
  );
  const ended = new Promise((resolve) => service.once('exit', resolve));
  t.after(async () => {
    service.kill();
    await ended;
  });
  await appeared;
  const engine = { host: `unix://${socket}` };
  for (const name of ['one', 'two'] as const) {
    const archive = await openDockerDaemon(`localhost/${name}:v1`, engine);
    await checkImage(archive, '', images[name]);
    await archive.close();
  }
  await assert.rejects(openDockerDaemon('localhost/three:v1', engine), { code: 'ERR_NOT_FOUND' });

  const loaded = await runRootfs(['copy', '-q', `oci:${layout}:two`, 'docker-daemon:localhost/three:v1'], {
    env: { DOCKER_HOST: engine.host },
  });
  assert.equal(loaded.code, 0, loaded.stderr);
  assert.equal(loaded.stdout.toString().trim(), images.two.descriptor.digest);
  const id = podman('image', 'inspect', '--format', '{{.Id}}', 'localhost/three:v1').trim();
  assert.equal(`sha256:${id}`, images.two.manifest.config.digest);
  await checkLists('docker-daemon:localhost/three:v1', ['localhost/three:v1'], { env: { DOCKER_HOST: engine.host } });
  podman('tag', 'localhost/three:v1', 'localhost/three:latest', 'localhost/three:v3');
  const every = await openDockerDaemon('localhost/three', { ...engine, allTags: true });
  const tags: string[] = [];
  for await (const tag of every.tags()) tags.push(tag);
  assert.deepEqual(tags.sort(), ['localhost/three:latest', 'localhost/three:v1', 'localhost/three:v3']);
  await every.close();
  const three = await openDockerDaemon('localhost/three:v1', engine);
  await checkImage(three, '', images.two);
  await three.close();
});
