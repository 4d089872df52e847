/** docs/scripting.md says what the commands print, which error ends in which exit code, and which variables are read. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exitCodeOf } from '../../src/cli/exit-code.js';
import { parseDuration, parseSize } from '../../src/cli/quantity.js';
import type { ErrorCode } from '../../src/errors.js';
import { startRegistry } from '../../src/testing/testing.js';
import { REPOSITORY } from '../support/rootfs.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const text = readFileSync(join(REPOSITORY, 'docs', 'scripting.md'), 'utf8');
const source = (...path: string[]): string => readFileSync(join(REPOSITORY, 'src', ...path), 'utf8');

/** The cells of the rows of the tables below a heading. */
function rows(heading: string): string[][] {
  const section = text.split(/^## /m).find((one) => one.startsWith(heading)) ?? assert.fail(heading);
  return [...section.matchAll(/^\|(.*)\|$/gm)]
    .slice(2)
    .map(([, row = '']) => row.split('|').map((cell) => cell.trim()));
}

const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);

/** Members as the table has them: name, whether it may be absent, and the members below it. */
function members(cell: string): Map<string, { readonly optional: boolean; readonly below: string[] }> {
  const found = new Map<string, { readonly optional: boolean; readonly below: string[] }>();
  const [told = ''] = cell.split(';');
  for (const [, name = '', mark, below = ''] of told.matchAll(/`(\w+)(\?)?`(?: \(((?:`\w+\??` ?)+)\))?/g)) {
    found.set(name, { optional: mark === '?', below: quoted(below) });
  }
  return found;
}

function assertMembers(value: unknown, told: ReturnType<typeof members>, shown: string): void {
  const object = (Array.isArray(value) ? value[0] : value) as Readonly<Record<string, unknown>> | undefined;
  assert.ok(object !== undefined, `${shown}: nothing to look at`);
  const unknown = Object.keys(object).filter((name) => !told.has(name));
  assert.deepEqual(unknown, [], `${shown}: not in the table`);
  for (const [name, { optional, below }] of told) {
    assert.ok(optional || name in object, `${shown}: ${name} is not there`);
    const inner = object[name];
    if (below.length === 0 || inner === undefined || (Array.isArray(inner) && inner.length === 0)) continue;
    assertMembers(inner, members(below.map((one) => `\`${one}\``).join(' ')), `${shown}, ${name}`);
  }
}

const hello = join(REPOSITORY, 'fixtures', 'hello');
const layer = '$LAYER';

/** A line for each row that needs neither root nor tools. */
const LINES: Readonly<Record<string, readonly string[]>> = {
  extract: ['extract', '--dst', 'layers', 'oci:h'],
  unpack: ['unpack', '--dst', 'root', '--no-same-owner', 'oci:h'],
  flatten: ['flatten', '-o', 'a.tar', 'oci:h'],
  'overlay --dst': ['overlay', '--dst', 'overlay', '--no-same-owner', '--whiteouts', 'xattr', '--user-xattr', 'oci:h'],
  bundle: ['bundle', '--dst', 'bundle', '--no-same-owner', 'oci:h'],
  mkfs: ['mkfs', '--layers-as-devices', '--verity', '-o', 'a.erofs', 'oci:h'],
  inspect: ['inspect', 'oci:h'],
  'inspect --explain': ['inspect', '--explain', 'oci:h'],
  digest: ['digest', 'oci:h'],
  copy: ['copy', 'oci:h', '$HOST/app:v1'],
  push: ['push', 'oci:h', '$HOST/app:v2'],
  pull: ['pull', '-o', 'b.tar', 'oci:h'],
  instances: ['instances', 'oci:h'],
  tag: ['tag', 'oci:h', 'other'],
  delete: ['delete', 'oci:h:other'],
  manifest: ['manifest', 'oci:h'],
  config: ['config', 'oci:h'],
  blob: ['blob', 'oci:h', layer],
  validate: ['validate', 'oci:h'],
  'cache ls': ['cache', 'ls'],
  'cache verify': ['cache', 'verify'],
  'cache prune': ['cache', 'prune', '--max-size', '0'],
  login: ['login', '$HOST', '--creds', 'me:secret'],
  logout: ['logout', '$HOST'],
};

test('the members of every command are those of the table, and of each command there is a row', async (t) => {
  const cwd = tempDir(t);
  await using registry = await startRegistry();
  const run = (words: readonly string[]) => runRootfs(words, { cwd, env: { HOME: cwd } });
  assert.equal((await run(['copy', '-q', `oci:${hello}`, 'oci:h:latest'])).code, 0);
  const inspected = JSON.parse((await run(['inspect', '-q', '--json', 'oci:h'])).stdout.toString());
  const table = new Map(
    rows('What each command prints').flatMap(([names = '', , json = '']) =>
      quoted(names).map((name) => [name, json] as const),
    ),
  );
  for (const [name, line] of Object.entries(LINES)) {
    const words = line.map((word) => word.replace('$HOST', registry.host).replace(layer, inspected.layers[0].digest));
    const { code, stdout, stderr } = await run([...words, '-q', '--json']);
    assert.equal(code, 0, `${name}: ${stderr}`);
    assertMembers(JSON.parse(stdout.toString()), members(table.get(name) ?? assert.fail(name)), name);
  }
  const others = ['overlay --rw', 'mount', 'umount', 'tags', 'repos', 'referrers', 'completion'];
  assert.deepEqual([...table.keys()].sort(), [...Object.keys(LINES), ...others].sort());
  const commands = [...source('cli', 'commands.ts').matchAll(/name: '(\w+)'/g)].map(([, name]) => name);
  assert.deepEqual([...new Set([...table.keys()].map((name) => name.split(' ')[0]))].sort(), commands.sort());
});

test('each code of an error stands beside the exit code it ends in', () => {
  const codes = [...source('errors.ts').matchAll(/^ {2}\| '(ERR_\w+)'/gm)].map(([, code]) => code as ErrorCode);
  const told = rows('Exit codes').flatMap(([exit = '', cell = '']) =>
    /^\d$/.test(exit) ? quoted(cell).flatMap((code) => (code.startsWith('ERR_') ? [`${code} ${exit}`] : [])) : [],
  );
  assert.deepEqual(told.sort(), codes.map((code) => `${code} ${exitCodeOf(code)}`).sort());
});

test('the units of sizes and durations, and the types of events, are all there are', () => {
  const [, sizes = '', durations = ''] =
    /Sizes are bytes, or (.*?)Durations need theirs:(.*?)\. Both/s.exec(text) ?? [];
  const units = (name: string): string[] => {
    const [, body = ''] = new RegExp(`const ${name}[^{]*\\{(.*?)\\n\\}`, 's').exec(source('cli', 'quantity.ts')) ?? [];
    return [...body.matchAll(/^ {2}(\w+):/gm)].map(([, unit = '']) => unit).sort();
  };
  const bytes = quoted(sizes).map((unit) => unit.toLowerCase());
  assert.deepEqual([...bytes, 'b'].sort(), units('SIZE_UNITS'));
  assert.deepEqual(quoted(durations).sort(), units('DURATION_UNITS'));
  assert.equal(parseSize('size', '1.5GiB'), 1.5 * 1024 ** 3);
  assert.equal(parseDuration('time', '0.5h'), 1_800_000);
  const events = [...source('progress.ts').matchAll(/readonly type: '([a-z]+:[a-z]+)'/g)].map(([, type]) => type);
  const told = [...text.matchAll(/`([a-z]+:[a-z]+)`/g)].map(([, type]) => type);
  assert.deepEqual(told.sort(), [...events, 'note:written'].sort());
});

test('every variable of the environment that is told is read, and the other way round', () => {
  const told = rows('Environment and files').flatMap(([names = '', what = '']) =>
    [...quoted(names), ...quoted(what)].flatMap((name) => /^[A-Z][A-Z_]+(?==|$)/.exec(name) ?? []),
  );
  const files = readdirSync(join(REPOSITORY, 'src'), { recursive: true, encoding: 'utf8' });
  const read = files
    .filter((path) => path.endsWith('.ts') && !path.startsWith('testing'))
    .flatMap((path) => [
      ...source(path).matchAll(/\b(?:env|environment)\b(?:\[|, |\.)'([A-Z][A-Z_]+)'/g),
      ...source(path).matchAll(/\['(DOCKER_TLS\w*)', '(DOCKER_TLS)'\]/g),
    ])
    .concat([...readFileSync(join(REPOSITORY, 'bin/kept-code.js'), 'utf8').matchAll(/process\.env\.([A-Z_]+)/g)])
    .flatMap(([, ...names]) => names);
  // PATH and HOME are what they are everywhere; REQUEST_METHOD tells of CGI; the rest is read by Node or by others' names.
  const known = new Set([...read, 'TMPDIR', 'HTTPS_PROXY', 'HTTP_PROXY', 'CONTAINERS_REGISTRIES_CONF']);
  for (const name of ['PATH', 'HOME', 'REQUEST_METHOD']) known.delete(name);
  assert.deepEqual([...new Set(told)].sort(), [...known].sort());
});
