/** What a refusal says to run is run as it stands there, and then the same command is let in. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loginAdvice } from '../../src/registry/login-advice.js';
import { image, type RegistryAuth, startRegistry } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const USERS = { me: 'right' };
const DOORS: readonly RegistryAuth[] = [
  { kind: 'basic', users: USERS },
  { kind: 'bearer', users: USERS },
];

async function openPlace(t: TestContext, auth: RegistryAuth) {
  const registry = await startRegistry({ auth });
  t.after(() => registry.close());
  registry.add('app', 'v1', image().build());
  const folder = tempDir(t);
  const env = {
    HOME: join(folder, 'home'),
    XDG_RUNTIME_DIR: join(folder, 'run time'),
    XDG_CONFIG_HOME: join(folder, 'config'),
  };
  const keep = (path: string, host = registry.host): void => {
    mkdirSync(dirname(path), { recursive: true });
    const wrong = Buffer.from('me:wrong').toString('base64');
    writeFileSync(path, JSON.stringify({ auths: { [host]: { auth: wrong } } }));
  };
  const ask = (...words: string[]) => runRootfs(['digest', ...words, `${registry.host}/app:v1`], { env, cwd: folder });
  const follow = async ({ stderr }: { readonly stderr: string }): Promise<void> => {
    const told = /run: rootfs (login .+?)(?:, where it is private)? \[ERR_UNAUTHORIZED\]$/m.exec(stderr)?.[1];
    const words = [...(told ?? assert.fail(stderr)).matchAll(/'([^']*)'|(\S+)/g)].map(
      ([, quoted, word]) => quoted ?? word,
    );
    const login = [...words, '--username', 'me', '--password-stdin'] as string[];
    const { code, stderr: said } = await runRootfs(login, { env, cwd: folder, input: Buffer.from('right\n') });
    assert.equal(code, 0, said);
  };
  return { env, keep, ask, follow };
}

for (const auth of DOORS) {
  test(`${auth.kind}: a login that is kept where the refused one was found is the next one`, async (t) => {
    const { env, keep, ask, follow } = await openPlace(t, auth);
    const places = [
      join(env.XDG_RUNTIME_DIR, 'containers/auth.json'),
      join(env.XDG_CONFIG_HOME, 'containers/auth.json'),
      join(env.HOME, '.docker/config.json'),
    ];
    for (const place of places.reverse()) {
      keep(place);
      const refused = await ask();
      assert.equal(refused.code, 4, refused.stderr);
      await follow(refused);
      assert.equal((await ask()).code, 0, place);
    }
  });

  test(`${auth.kind}: where one file alone is asked, the login is kept there`, async (t) => {
    const { keep, ask, follow } = await openPlace(t, auth);
    const folder = tempDir(t);
    for (const [at, host] of [undefined, 'other.example'].entries()) {
      const file = join(folder, `auth ${at}.json`);
      keep(file, host);
      const refused = await ask('--authfile', file);
      assert.equal(refused.code, 4, refused.stderr);
      await follow(refused);
      assert.equal((await ask('--authfile', file)).code, 0, host);
    }
  });
}

test('what no login can replace is to be corrected; what a provider of somebody else calls its source is no path', () => {
  const correct = 'correct DOCKER_AUTH_CONFIG, which is read before any file';
  assert.equal(loginAdvice('DOCKER_AUTH_CONFIG', 'reg.example', undefined), correct);
  assert.equal(loginAdvice('docker-credential-x (named in DOCKER_AUTH_CONFIG)', 'reg.example', undefined), correct);
  const named = loginAdvice('docker-credential-x (named in /run/auth.json)', 'reg.example', undefined);
  assert.equal(named, 'run: rootfs login --authfile /run/auth.json reg.example');
  assert.equal(loginAdvice('the vault', 'reg.example', undefined), 'run: rootfs login reg.example');
  assert.equal(loginAdvice('the options given', 'reg.example', 'x'), 'check the user name and the password');
});
