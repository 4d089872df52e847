/** `rootfs copy` and `push` beside skopeo, over Debian's docker-registry. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { type Built, digestOf, image, writeLayout } from '../../src/testing/testing.js';
import { atEnd } from '../support/at-end.js';
import { type DockerRegistryOptions, startDockerRegistry } from '../support/docker-registry.js';
import { runRootfs } from '../support/run-rootfs.js';
import { sampleIndex } from '../support/sample-index.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip = needs('docker-registry', 'skopeo');
const run = promisify(execFile);

interface Place {
  readonly folder: string;
  readonly host: string;
  readonly storage: string;
}

async function start(t: TestContext, options: DockerRegistryOptions = {}): Promise<Place> {
  const folder = tempDir(t, 'copy');
  const registry = await startDockerRegistry(folder, options);
  atEnd(t, () => registry.stop());
  return { folder, host: registry.host, storage: registry.storage };
}

async function rootfs(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await runRootfs([...words, '--quiet']);
  assert.equal(code, 0, stderr);
  return stdout.toString().trim();
}

async function skopeoDigest(image: string): Promise<string> {
  const { stdout } = await run('skopeo', ['inspect', '--raw', '--tls-verify=false', image], { encoding: 'buffer' });
  return digestOf(stdout);
}

async function layoutOf(folder: string, built: Built): Promise<string> {
  const path = join(folder, 'layout');
  await writeLayout(path, { v1: built });
  return path;
}

test('an index goes up, is pulled by skopeo with its digest, and comes back as it was', { skip }, async (t) => {
  const { folder, host } = await start(t);
  const { built } = sampleIndex(3_000_000);
  const layout = await layoutOf(folder, built);
  assert.equal(await rootfs('push', `oci:${layout}:v1`, `${host}/a/app:v1`), built.descriptor.digest);
  assert.equal(await skopeoDigest(`docker://${host}/a/app:v1`), built.descriptor.digest);
  const got = join(folder, 'skopeo');
  await run('skopeo', ['copy', '-q', '--all', '--src-tls-verify=false', `docker://${host}/a/app:v1`, `oci:${got}:v1`]);
  const back = join(folder, 'back');
  assert.equal(await rootfs('copy', `${host}/a/app:v1`, `oci:${back}:v1`), built.descriptor.digest);
  assert.deepEqual(readdirSync(join(back, 'blobs/sha256')).sort(), readdirSync(join(got, 'blobs/sha256')).sort());
  assert.equal(await skopeoDigest(`oci:${back}:v1`), built.descriptor.digest);
  const told = JSON.parse(await rootfs('copy', '--json', `${host}/a/app:v1`, `oci:${back}:again`));
  assert.deepEqual([told.copiedBlobs, told.digest], [0, built.descriptor.digest]);
});

test('an upload in pieces of a size', { skip }, async (t) => {
  const folder = tempDir(t, 'copy');
  const registry = await startDockerRegistry(folder);
  atEnd(t, () => registry.stop());
  const built = image()
    .layer((layer) => layer.file('noise', randomBytes(300_000)))
    .build();
  const source = `oci:${await layoutOf(folder, built)}:v1`;
  const target = `${registry.host}/a:v1`;
  const odd = await runRootfs(['push', '-q', '--upload-chunk', '10KiB', source, target]);
  assert.equal(odd.code, 2);
  assert.match(odd.stderr, /--upload-chunk 10KiB: give a size of 64KiB or more/);
  assert.equal(await rootfs('push', '--upload-chunk', '64KiB', source, target), built.descriptor.digest);
  const pieces = registry.log().match(/"PATCH \/v2\/a\/blobs\/uploads\//g) ?? [];
  assert.equal(pieces.length, Math.ceil((built.layers[0]?.descriptor.size ?? 0) / 65_536));
  assert.equal(await skopeoDigest(`docker://${target}`), built.descriptor.digest);
});

test('one platform alone, and from repository to repository by mounting', { skip }, async (t) => {
  const { folder, host } = await start(t);
  const { built, arm64 } = sampleIndex();
  const layout = await layoutOf(folder, built);
  await rootfs('push', `oci:${layout}:v1`, `${host}/a:v1`);
  const told = JSON.parse(
    await rootfs('copy', '--json', '--platform', 'linux/arm64', `${host}/a:v1`, `docker://${host}/b/c:arm`),
  );
  assert.deepEqual([told.digest, told.mountedBlobs, told.copiedBlobs], [arm64.descriptor.digest, 3, 0]);
  assert.equal(await skopeoDigest(`docker://${host}/b/c:arm`), arm64.descriptor.digest);
});

test('dir:, oci: and the archives of skopeo are sources, plain and compressed', { skip }, async (t) => {
  const { folder, host } = await start(t);
  const { amd64 } = sampleIndex();
  const layout = await layoutOf(folder, amd64);
  for (const [at, form] of ['dir:', 'oci:', 'oci-archive:', 'docker-archive:'].entries()) {
    for (const compression of form === 'docker-archive:'
      ? [[]]
      : [[], ['--dest-compress-format=zstd', '--dest-compress']]) {
      const source = `${form}${join(folder, `${form.slice(0, -1)}-${compression.length}`)}`;
      const named = form === 'dir:' ? source : `${source}:example/app:v1`;
      await run('skopeo', ['copy', '-q', ...compression, `oci:${layout}:v1`, named]);
      const target = `${host}/from/skopeo:v${at}-${compression.length}`;
      await rootfs('copy', source, target);
      const { stdout } = await run('skopeo', [
        'inspect',
        '--tls-verify=false',
        '--config',
        '--raw',
        `docker://${target}`,
      ]);
      assert.deepEqual(JSON.parse(stdout).rootfs.diff_ids, amd64.config.rootfs.diff_ids, source);
    }
  }
});

test('refusals are told and leave no tag', { skip }, async (t) => {
  const first = await start(t);
  const { built } = sampleIndex();
  const layout = await layoutOf(first.folder, built);
  await rootfs('push', `oci:${layout}:v1`, `${first.host}/a:v1`);
  const second = await start(t, { readOnly: true, storage: first.storage });
  const refused = await runRootfs(['copy', '-q', '--json', `oci:${layout}:v1`, `${second.host}/new:v1`]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /"ERR_UNSUPPORTED".*takes no uploads/);
  assert.deepEqual(readdirSync(join(first.storage, 'docker/registry/v2/repositories')), ['a']);
  const absent = await runRootfs(['copy', '-q', `${first.host}/a:v2`, `oci:${join(first.folder, 'new')}:v2`]);
  assert.equal(absent.code, 3);
  assert.match(absent.stderr, /manifest for .*a:v2 not found/);
  assert.equal(existsSync(join(first.folder, 'new')), false);
  const scratch = await runRootfs(['copy', '-q', 'scratch', `oci:${join(first.folder, 'new')}`]);
  assert.equal(scratch.code, 2);
  assert.match(scratch.stderr, /reserved name/);
  const twice = await runRootfs(['copy', '--creds', 'me:secret', `${first.host}/a:v1`, `${second.host}/b:v1`]);
  assert.equal(twice.code, 2);
  assert.match(twice.stderr, /--src-creds or --dest-creds/);
  assert.doesNotMatch(twice.stderr, /secret/);
});

test('a push asks with the credentials of its own side', { skip: skip || needs('htpasswd') }, async (t) => {
  const folder = tempDir(t, 'copy');
  const htpasswd = join(folder, 'htpasswd');
  writeFileSync(htpasswd, (await run('htpasswd', ['-Bbn', '-C', '4', 'me', 'secret'])).stdout);
  const { host } = await start(t, { htpasswd });
  const open = await start(t);
  const { amd64 } = sampleIndex();
  const layout = await layoutOf(folder, amd64);
  await rootfs('push', `oci:${layout}:v1`, `${open.host}/a:v1`);
  const denied = await runRootfs(['copy', '-q', '--no-creds', `${open.host}/a:v1`, `${host}/a:v1`]);
  assert.equal(denied.code, 4);
  await rootfs('copy', '--dest-creds', 'me:secret', `${open.host}/a:v1`, `${host}/a:v1`);
  const authfile = join(folder, 'auth.json');
  const auth = Buffer.from('me:secret').toString('base64');
  writeFileSync(authfile, JSON.stringify({ auths: { [host]: { auth } } }));
  assert.equal(await rootfs('digest', '--authfile', authfile, `${host}/a:v1`), amd64.descriptor.digest);
});
