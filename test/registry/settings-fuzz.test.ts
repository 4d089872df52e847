/** Files of any content: read, or refused with a code and the path; never another error, never a quoted secret. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { RootfsError } from '../../src/errors.js';
import { findAuthEntry, findHelper, parseAuthFile } from '../../src/registry/auth-file.js';
import { credentialKeys, normalizeKey, parseLoginKey } from '../../src/registry/credential-key.js';
import { createEndpointSearch } from '../../src/registry/endpoint-search.js';
import { tempDir } from '../support/temp-dir.js';

const SEED = 20261121;
const SECRET = 'hunter2';

function checkRefusal(error: unknown, code: string): void {
  assert.ok(error instanceof RootfsError, inspect(error));
  assert.equal(error.code, code);
  assert.ok(!`${inspect(error, { depth: 10 })}${JSON.stringify(error)}`.includes(SECRET), inspect(error));
}

const odd = fc.constantFrom<unknown>(null, 0, true, '', SECRET, [], {}, [SECRET], { a: SECRET }, `${SECRET}:x`, 'dTpw');
const entry = fc.oneof(
  odd,
  fc.record({ auth: odd, username: odd, password: odd, identitytoken: odd, registrytoken: odd }, { requiredKeys: [] }),
);
const key = fc.constantFrom('a.b', 'https://a.b/v1/', 'a.b/ns', '__proto__', 'constructor', '', '/', 'docker.io');
const document = fc.record(
  {
    auths: fc.oneof(odd, fc.dictionary(key, entry)),
    credHelpers: fc.oneof(odd, fc.dictionary(key, odd)),
    credsStore: odd,
  },
  { requiredKeys: [] },
);

test('auth files', () => {
  const read = (text: string): void => {
    try {
      const file = parseAuthFile(text, 'file.json');
      const keys = credentialKeys({ host: 'a.b', repository: 'ns/x' });
      findHelper(file, keys);
      findAuthEntry(file, keys);
    } catch (error) {
      checkRefusal(error, 'ERR_CREDENTIALS');
    }
  };
  fc.assert(
    fc.property(document, (value) => read(JSON.stringify(value))),
    { seed: SEED, numRuns: 3_000 },
  );
  fc.assert(
    fc.property(document, fc.nat(), fc.string({ maxLength: 4 }), (value, at, piece) => {
      const text = JSON.stringify(value);
      const cut = at % (text.length + 1);
      read(`${text.slice(0, cut)}${piece}${text.slice(cut + 1)}`);
    }),
    { seed: SEED, numRuns: 3_000 },
  );
});

test('keys: what is accepted is stable, and never another host', () => {
  fc.assert(
    fc.property(fc.oneof(fc.webUrl(), fc.domain(), fc.string()), (text) => {
      let parsed: string;
      try {
        parsed = parseLoginKey(text);
      } catch (error) {
        assert.ok(error instanceof RootfsError && error.code === 'ERR_OPTION_INVALID', inspect(error));
        return;
      }
      assert.equal(normalizeKey(parsed), parsed);
      assert.equal(parseLoginKey(parsed), parsed);
      const host = parsed.split('/')[0] ?? '';
      assert.ok(host === 'docker.io' || text.includes(host));
    }),
    { seed: SEED, numRuns: 3_000 },
  );
});

const tomlValue = fc.constantFrom(
  'true',
  '3',
  '""',
  '"x y"',
  '[]',
  '["x", 1]',
  '[["a", "b"]]',
  '{ a = 1 }',
  '1979-05-27',
  `"https://${SECRET}@x.example"`,
  '"reg.example"',
  '"https://m.example/v2"',
);
const tomlLine = fc.oneof(
  fc
    .tuple(
      fc.constantFrom(
        'server',
        'capabilities',
        'skip_verify',
        'override_path',
        'client',
        'host',
        'header',
        'prefix',
        'location',
        'insecure',
        'blocked',
        'mirror',
        'pull-from-mirror',
        '__proto__',
      ),
      tomlValue,
    )
    .map(([name, value]) => `${name} = ${value}`),
  fc.constantFrom(
    '[[registry]]',
    '[[registry.mirror]]',
    '[host."https://m.example"]',
    '[header]',
    '[registries.block]',
    '[__proto__]',
    SECRET,
    '[host."https://m.example".header]',
    `x-auth = "${SECRET}\\r\\n"`,
  ),
);

test('hosts.toml and registries.conf', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'hosts/reg.example'), { recursive: true });
  const resolver = createEndpointSearch({
    env: {},
    home: dir,
    hostsDirs: [join(dir, 'hosts')],
    certsDirs: [],
    registriesConf: { named: undefined, files: [join(dir, 'none'), join(dir, 'registries.conf')], folders: [] },
  });
  const codes = ['ERR_OPTION_INVALID', 'ERR_NOT_FOUND', 'ERR_DENIED', 'ERR_TLS', 'ERR_FILESYSTEM'];
  let read = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(tomlLine, { maxLength: 6 }), fc.array(tomlLine, { maxLength: 6 }), async (one, two) => {
      writeFileSync(join(dir, 'hosts/reg.example/hosts.toml'), one.join('\n'));
      writeFileSync(join(dir, 'registries.conf'), two.join('\n'));
      try {
        const found = await resolver.endpoints('reg.example', 'ns/x');
        read += 1;
        for (const { baseUrl } of found) assert.ok(URL.canParse(baseUrl) && !baseUrl.endsWith('/'), baseUrl);
      } catch (error) {
        assert.ok(error instanceof RootfsError && codes.includes(error.code), inspect(error));
        // A path that a file names may be shown: it is where the secret stands in these files.
        if (error.code !== 'ERR_NOT_FOUND') checkRefusal(error, error.code);
      }
    }),
    { seed: SEED, numRuns: 1_000 },
  );
  assert.ok(read > 100, `only ${read} pairs of files were read`);
});
