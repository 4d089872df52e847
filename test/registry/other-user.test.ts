/** Files that belong to somebody else: a home that is shut is no place to look, a file that is shut is an error. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { storeCredential } from '../../src/registry/login.js';
import { tempDir } from '../support/temp-dir.js';

const skip = process.getuid?.() === 0 ? false : 'needs root, to be somebody else';
const NOBODY = 65534;

/** Asks for the credential and the endpoint of `a.example` as nobody; answers user and URL, or the codes. */
function askAsNobody(dir: string): { readonly credential: string; readonly endpoint: string } {
  const module = (name: string): string => JSON.stringify(new URL(`../../src/registry/${name}.js`, import.meta.url));
  const script = `
    const { createCredentialSearch } = await import(${module('credential-search')});
    const { createEndpointSearch } = await import(${module('endpoint-search')});
    const [, dir] = process.argv;
    const env = { XDG_RUNTIME_DIR: dir + '/run' };
    const said = (work) => work.catch((error) => error.code + ' ' + error.message);
    const search = createCredentialSearch({ home: dir + '/home', env });
    const resolver = createEndpointSearch({
      home: dir + '/home', env, hostsDirs: [dir + '/hosts'], certsDirs: [dir + '/certs'],
      registriesConf: { files: [dir + '/home/.config/containers/registries.conf'], folders: [] },
    });
    console.log(JSON.stringify({
      credential: await said(search.credential({ host: 'a.example' }).then((found) => String(found?.credential.username))),
      endpoint: await said(resolver.endpoints('a.example', 'x').then(([first]) => first.baseUrl)),
    }));`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script, dir], {
    uid: NOBODY,
    gid: NOBODY,
    cwd: '/',
    encoding: 'utf8',
  });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout) as { credential: string; endpoint: string };
}

function put(path: string, content: string, mode: number): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
}

test('a shut home is passed over, a shut file is an error', { skip }, (t) => {
  const dir = tempDir(t);
  chmodSync(dir, 0o755);
  const config = join(dir, 'home/.docker/config.json');
  const registries = join(dir, 'home/.config/containers/registries.conf');
  const auths = { 'a.example': { auth: Buffer.from('u:hunter2').toString('base64') } };
  put(config, JSON.stringify({ auths }), 0o644);
  put(registries, '[[registry]]\nprefix = "a.example"\nlocation = "b.example"\n', 0o644);
  for (const folder of ['run', 'hosts/a.example', 'certs/a.example']) {
    mkdirSync(join(dir, folder), { recursive: true });
  }
  assert.deepEqual(askAsNobody(dir), { credential: 'u', endpoint: 'https://b.example' });

  chmodSync(config, 0o600);
  chmodSync(registries, 0o600);
  const shut = askAsNobody(dir);
  assert.ok(shut.credential.startsWith(`ERR_CREDENTIALS ${config}: `), shut.credential);
  assert.ok(shut.endpoint.startsWith(`ERR_PERMISSION ${registries}: `), shut.endpoint);

  for (const folder of ['home', 'run', 'hosts', 'certs']) chmodSync(join(dir, folder), 0o700);
  assert.deepEqual(askAsNobody(dir), { credential: 'undefined', endpoint: 'https://a.example' });
});

test('root logs somebody in, and the file stays theirs', { skip }, async (t) => {
  const authFile = join(tempDir(t), 'auth.json');
  writeFileSync(authFile, '{}');
  chownSync(authFile, 1234, 2345);
  await storeCredential('a.example', { username: 'u', password: 'p' }, { authFile });
  const { uid, gid, mode } = statSync(authFile);
  assert.deepEqual([uid, gid, mode & 0o7777], [1234, 2345, 0o600]);
});

test('a login into a folder that its owner may not list is kept', { skip }, (t) => {
  const dir = tempDir(t);
  const folder = join(dir, 'shut');
  mkdirSync(folder);
  chownSync(folder, NOBODY, NOBODY);
  chmodSync(dir, 0o755);
  chmodSync(folder, 0o333);
  const module = JSON.stringify(new URL('../../src/registry/login.js', import.meta.url));
  const script = `
    const { storeCredential } = await import(${module});
    const [, authFile] = process.argv;
    console.log((await storeCredential('a.example', { username: 'u', password: 'p' }, { authFile })).key);`;
  const authFile = join(folder, 'auth.json');
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script, authFile], {
    uid: NOBODY,
    gid: NOBODY,
    cwd: '/',
    encoding: 'utf8',
  });
  assert.equal(run.stdout, 'a.example\n', run.stderr);
  assert.equal(statSync(authFile).mode & 0o7777, 0o600);
});
