/** tags, repos, instances, referrers, tag, delete, manifest, config, blob, validate, login and logout on Debian's docker-registry. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { createRegistryClient } from '../../src/client/registry-client.js';
import { digestOf, image, writeLayout } from '../../src/testing/testing.js';
import { atEnd } from '../support/at-end.js';
import { type DockerRegistryOptions, startDockerRegistry } from '../support/docker-registry.js';
import { runRootfs } from '../support/run-rootfs.js';
import { sampleIndex } from '../support/sample-index.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const run = promisify(execFile);
const skip = needs('docker-registry', 'skopeo');
const { built, amd64, arm64 } = sampleIndex();

async function start(t: TestContext, options: DockerRegistryOptions = {}): Promise<{ folder: string; host: string }> {
  const folder = tempDir(t, 'commands');
  const registry = await startDockerRegistry(folder, options);
  atEnd(t, () => registry.stop());
  await writeLayout(join(folder, 'made'), { v1: built, v2: amd64 });
  return { folder, host: registry.host };
}

async function rootfs(...words: string[]): Promise<Buffer> {
  const { code, stdout, stderr } = await runRootfs([...words, '--quiet']);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function lines(...words: string[]): Promise<string[]> {
  return (await rootfs(...words)).toString().split('\n').slice(0, -1);
}

test('lists, and bytes as they are', { skip }, async (t) => {
  const { folder, host } = await start(t);
  const layout = `oci:${join(folder, 'made')}`;
  await rootfs('push', '--all-tags', layout, `${host}/a/app`);
  await rootfs('push', `${layout}:v2`, `${host}/b:v2`);
  assert.deepEqual((await lines('tags', `${host}/a/app`)).sort(), ['v1', 'v2']);
  assert.deepEqual(JSON.parse((await rootfs('tags', '--json', layout)).toString()), ['v1', 'v2']);
  assert.deepEqual((await lines('repos', host)).sort(), ['a/app', 'b']);
  assert.ok((await rootfs('manifest', `${host}/a/app:v1`)).equals(built.indexBytes));
  assert.ok((await rootfs('manifest', '--platform', 'linux/arm64', `${host}/a/app:v1`)).equals(arm64.manifestBytes));
  assert.ok((await rootfs('config', '--platform', 'linux/arm64', `${host}/a/app:v1`)).equals(arm64.configBytes));
  const layer = amd64.layers[1];
  assert.ok(layer);
  assert.ok((await rootfs('blob', `${host}/b:v2`, layer.descriptor.digest)).equals(layer.blob));
  const none = await runRootfs(['blob', '-q', `${host}/b:v2`, `sha256:${'0'.repeat(64)}`]);
  assert.equal(none.code, 3);
  const instances = JSON.parse((await rootfs('instances', '--json', `${host}/a/app`)).toString());
  assert.deepEqual(instances.map(({ tags }: { tags: string[] }) => tags).sort(), [['v1'], ['v2']]);
  assert.match((await rootfs('instances', `${host}/a/app`)).toString(), /DIGEST .*TAGS\n/);
  assert.deepEqual(await lines('validate', `${host}/a/app:v1`), [built.descriptor.digest]);
});

test('tag and delete, as skopeo sees them', { skip }, async (t) => {
  const { folder, host } = await start(t);
  await rootfs('push', `oci:${join(folder, 'made')}:v1`, `${host}/a:v1`);
  assert.deepEqual(await lines('tag', `${host}/a:v1`, 'stable'), [built.descriptor.digest]);
  const raw = await run('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${host}/a:stable`], {
    encoding: 'buffer',
  });
  assert.equal(digestOf(raw.stdout), built.descriptor.digest);
  assert.deepEqual(await lines('delete', `${host}/a:v1`), [built.descriptor.digest]);
  const gone = await runRootfs(['digest', '-q', `${host}/a:stable`]);
  assert.equal(gone.code, 3);
  const layout = `oci:${join(folder, 'made')}`;
  await rootfs('tag', `${layout}:v2`, 'other');
  assert.deepEqual(await lines('digest', `${layout}:other`), [amd64.descriptor.digest]);
  await rootfs('delete', `${layout}:v2`);
  assert.deepEqual(await lines('tags', layout), ['v1', 'other']);
  await rootfs('delete', `${layout}@${amd64.descriptor.digest}`);
  assert.deepEqual(await lines('tags', layout), ['v1']);
  const readOnly = await runRootfs(['tag', '-q', `docker-archive:${join(folder, 'absent.tar')}`, 'x']);
  assert.equal(readOnly.code, 3);
});

test('referrers, which this registry keeps under a tag', { skip }, async (t) => {
  const { folder, host } = await start(t);
  const signature = image()
    .layer(Buffer.from('signed'), { blob: Buffer.from('signed'), mediaType: 'application/x.blob' })
    .subject(amd64.descriptor, 'application/x.signature')
    .build();
  await writeLayout(join(folder, 'signed'), { v2: amd64, 'v2.sig': signature });
  await rootfs('push', `oci:${join(folder, 'signed')}:v2`, `${host}/s:v2`);
  assert.deepEqual(await lines('referrers', `${host}/s:v2`), []);
  await rootfs('push', `oci:${join(folder, 'signed')}:v2.sig`, `${host}/s:v2.sig`);
  const { digest, size } = signature.descriptor;
  const [line = '', ...more] = await lines('referrers', `${host}/s:v2`);
  assert.deepEqual(more, []);
  for (const part of [digest, 'application/x.signature']) assert.ok(line.includes(part), line);
  const found = JSON.parse((await rootfs('referrers', '--json', `${host}/s:v2`)).toString());
  assert.deepEqual(
    found.map((one: Record<string, unknown>) => [one['digest'], one['size'], one['artifactType']]),
    [[digest, size, 'application/x.signature']],
  );
  const signed = digestOf(Buffer.from('signed'));
  for (const name of [`${host}/s@${digest}`, `oci:${join(folder, 'signed')}:v2.sig`]) {
    assert.equal((await rootfs('blob', name, signed)).toString(), 'signed');
  }
});

test("the registry client's verbs, before skopeo", { skip }, async (t) => {
  const { folder, host } = await start(t);
  await rootfs('push', '--all-tags', `oci:${join(folder, 'made')}`, `${host}/a/app`);
  const client = createRegistryClient({ findCredentials: false, findEndpoints: false });
  const app = `${host}/a/app`;
  const gathered = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
    const list: T[] = [];
    for await (const item of items) list.push(item);
    return list;
  };
  assert.equal(await client.getDigest(`${app}:v1`), built.descriptor.digest);
  assert.deepEqual(await gathered(client.listRepositories(host)), ['a/app']);
  assert.deepEqual((await gathered(client.listTags(app))).sort(), ['v1', 'v2']);
  assert.deepEqual((await client.listInstances(app)).get(amd64.descriptor.digest)?.tags, ['v2']);
  const files = await client.downloadImage(`${app}:v1`, { platform: 'linux/amd64', parent: folder });
  const packed = await client.packageImage(files, join(folder, 'packed.tar'));
  await client.removeImageDir(files);
  assert.equal(existsSync(files), false);
  // Debian's skopeo reads no compressed docker-archive, its own neither.
  const path = join(folder, 'whole.tar');
  const whole = await client.execute({ image: app, tag: 'v1', arch: 'amd64', os: 'linux', path });
  for (const [at, archive] of [packed, whole].entries()) {
    await run('skopeo', ['copy', `docker-archive:${archive}`, `dir:${join(folder, `out${at}`)}`]);
    const manifest = readFileSync(join(folder, `out${at}`, 'manifest.json'), 'utf8');
    assert.ok(manifest.includes(digestOf(amd64.configBytes)), manifest);
  }
  await client.setTag(`${app}:v1`, 'stable');
  await client.deleteManifest(`${app}:v1`);
  await assert.rejects(run('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${app}:stable`]));
  assert.equal(await client.getDigest(`${app}:v2`), amd64.descriptor.digest);
});

test('all tags of a repository go to another one and into a layout', { skip }, async (t) => {
  const { folder, host } = await start(t);
  const layout = `oci:${join(folder, 'made')}`;
  await rootfs('push', '--all-tags', layout, `${host}/a`);
  const copied = JSON.parse((await rootfs('copy', '--all-tags', '--json', `${host}/a`, `${host}/b`)).toString());
  assert.deepEqual(copied.map(({ tag, destination }: Record<string, string>) => [tag, destination]).sort(), [
    ['v1', `${host}/b:v1`],
    ['v2', `${host}/b:v2`],
  ]);
  assert.deepEqual((await lines('tags', `${host}/b`)).sort(), ['v1', 'v2']);
  await rootfs('copy', '--all-tags', `${host}/b`, `oci:${join(folder, 'back')}`);
  assert.deepEqual(await lines('digest', `oci:${join(folder, 'back')}:v1`), [built.descriptor.digest]);
  const tagged = await runRootfs(['copy', '--all-tags', `${host}/a:v1`, `${host}/c`]);
  assert.equal(tagged.code, 2);
  assert.match(tagged.stderr, /no tag and no digest/);
});

test('login is tried, kept with mode 0600, used, and forgotten', { skip: skip || needs('htpasswd') }, async (t) => {
  const folder = tempDir(t, 'commands');
  const htpasswd = join(folder, 'htpasswd');
  writeFileSync(htpasswd, (await run('htpasswd', ['-Bbn', '-C', '4', 'me', 'secret'])).stdout);
  const { host } = await start(t, { htpasswd });
  const authfile = join(folder, 'auth.json');
  writeFileSync(authfile, JSON.stringify({ auths: { 'other.example': { auth: 'eDp5' } }, more: 1 }));
  const login = (password: string, ...words: string[]) =>
    runRootfs(['login', '-q', host, '-u', 'me', '--password-stdin', '--authfile', authfile, ...words], {
      input: Buffer.from(password),
    });
  const wrong = await login('nonsense');
  assert.equal(wrong.code, 4);
  assert.doesNotMatch(wrong.stderr, /nonsense/);
  // Not "run: rootfs login": that is what was run.
  const refused = `rootfs: ${host} did not accept the credentials from the options given`;
  assert.ok(wrong.stderr.startsWith(refused), wrong.stderr);
  assert.match(wrong.stderr, /; check the user name and the password \[/);
  assert.equal(JSON.parse(readFileSync(authfile, 'utf8')).auths[host], undefined);
  const right = await login('secret\n', '--json');
  assert.equal(right.code, 0, right.stderr);
  assert.doesNotMatch(right.stdout.toString(), /secret/);
  assert.equal(lstatSync(authfile).mode & 0o777, 0o600);
  const kept = JSON.parse(readFileSync(authfile, 'utf8'));
  assert.deepEqual([kept.more, kept.auths['other.example']], [1, { auth: 'eDp5' }]);
  await run('skopeo', ['list-tags', '--tls-verify=false', '--authfile', authfile, `docker://${host}/x`]).catch(
    (error) => assert.match(String(error.stderr), /name unknown|404/i),
  );
  const logout = await runRootfs(['logout', '-q', host, '--authfile', authfile]);
  assert.equal(logout.code, 0, logout.stderr);
  assert.equal(JSON.parse(readFileSync(authfile, 'utf8')).auths[host], undefined);
  const again = await runRootfs(['logout', '-q', host, '--authfile', authfile]);
  assert.equal(again.code, 3);
  const absent = join(folder, 'absent.json');
  const nobody = await runRootfs(['logout', '-q', host, '--authfile', absent]);
  assert.equal(nobody.code, 3);
  assert.equal(existsSync(absent), false);
  const made = await runRootfs(['login', '-q', host, '--creds', 'me:secret', '--authfile', absent]);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(lstatSync(absent).mode & 0o777, 0o600);
});

test('inspect --explain tells endpoints, the source of credentials and never the secret, and what is missing', {
  skip: skip || needs('htpasswd'),
}, async (t) => {
  const folder = tempDir(t, 'commands');
  const htpasswd = join(folder, 'htpasswd');
  writeFileSync(htpasswd, (await run('htpasswd', ['-Bbn', '-C', '4', 'me', 'secret'])).stdout);
  const { folder: made, host } = await start(t, { htpasswd });
  const authfile = join(folder, 'auth.json');
  const auth = Buffer.from('me:secret').toString('base64');
  writeFileSync(authfile, JSON.stringify({ auths: { [host]: { auth } } }));
  const store = join(folder, 'store');
  const where = ['--authfile', authfile, `${host}/a:v2`, '--platform', 'linux/amd64', '--store', store];
  await rootfs('push', '--authfile', authfile, `oci:${join(made, 'made')}:v2`, `${host}/a:v2`);
  const explain = async () => JSON.parse((await rootfs('inspect', '--explain', '--json', ...where)).toString());
  const before = await explain();
  const compressed = amd64.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  assert.deepEqual(
    before.endpoints.map(({ url, credentialSource }: Record<string, string>) => [url, credentialSource]),
    [[`http://${host}/v2`, authfile]],
  );
  assert.deepEqual([before.platform, before.bytesToFetch], ['linux/amd64', compressed]);
  assert.ok(before.diskNeeded > 0);
  await rootfs('extract', '--dst', store, '--authfile', authfile, '--platform', 'linux/amd64', `${host}/a:v2`);
  const after = await explain();
  assert.deepEqual([after.bytesToFetch, after.diskNeeded], [0, 0]);
  assert.ok(after.layers.every(({ present }: { present: boolean }) => present));
  const told = (await rootfs('inspect', '--explain', ...where)).toString();
  assert.match(told, /2 of 2 layers are there/);
  for (const text of [told, JSON.stringify(before)]) assert.doesNotMatch(text, new RegExp(`secret|${auth}`));
});
