/** README as a newcomer takes it: its shell lines and the library's ten lines run as they are printed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { COMMANDS } from '../../src/cli/commands.js';
import { image, index, startRegistry } from '../../src/testing/testing.js';
import { runningAs, runTestsAs } from '../support/as-user.js';
import { busyboxLayers } from '../support/busybox.js';
import { leftovers, mountFolder } from '../support/mount-place.js';
import { needsErofs } from '../support/mounted.js';
import { type Ran, REPOSITORY, ROOTFS_BIN, run } from '../support/rootfs.js';
import { needs } from '../support/tools.js';

const README = readFileSync(join(REPOSITORY, 'README.md'), 'utf8');
const outermost = process.geteuid?.() === 0 && runningAs() === undefined;
const noMount = needsErofs();

after(() => {
  if (noMount === false) assert.deepEqual(leftovers(), []);
});

/** The first block of code under a heading. */
function block(heading: string): string {
  const [, section = ''] = README.split(`\n## ${heading}\n`);
  const code = /```\w+\n(.*?)```/s.exec(section)?.[1];
  assert.ok(code !== undefined, `README has a block of code under "${heading}"`);
  return code;
}

interface Newcomer {
  /** An empty folder. */
  readonly folder: string;
  /** Runs a program there, `rootfs` on the path; docker.io is answered on this machine. */
  run(file: string, args: readonly string[], input?: string): Promise<Ran>;
}

async function newcomer(t: TestContext): Promise<Newcomer> {
  const place = mountFolder(t);
  const registry = await startRegistry();
  t.after(() => registry.close());
  const built = (platform: string) => {
    let builder = image()
      .platform(platform)
      .config({ Env: ['PATH=/bin'] });
    for (const layer of busyboxLayers()) builder = builder.layer(layer.tar());
    return builder.build();
  };
  const both = index().add(built('linux/amd64')).add(built('linux/arm64')).build();
  registry.add('library/alpine', 'latest', both);
  registry.add('library/debian', '12', both);
  const [folder, settings, bin] = ['here', 'home/.config/containers', 'bin'].map((name) => {
    mkdirSync(join(place, name), { recursive: true });
    return join(place, name);
  }) as [string, string, string];
  symlinkSync(ROOTFS_BIN, join(bin, 'rootfs'));
  const mirror = `[[registry.mirror]]\nlocation = "${registry.host}"\ninsecure = true\n`;
  writeFileSync(join(settings, 'registries.conf'), `[[registry]]\nlocation = "docker.io"\n${mirror}`);
  const env = {
    PATH: [bin, dirname(process.execPath), process.env['PATH']].join(delimiter),
    HOME: join(place, 'home'),
  };
  return { folder, run: (file, args, input) => run(file, args, { cwd: folder, env, input }) };
}

test('all of this as an ordinary user', { skip: outermost ? needs('bwrap') : 'needs root to become another' }, () => {
  busyboxLayers();
  const ended = runTestsAs('user', [new URL(import.meta.url)]);
  assert.equal(ended.status, 0, ended.output);
  assert.ok(ended.pass >= 3, ended.output);
});

test('a shell in an image, in two lines', { skip: needs('bwrap') }, async (t) => {
  const { folder, run } = await newcomer(t);
  const ended = await run('sh', ['-ec', block('A shell in an image, in two lines')], 'cat /etc/motd; exit 3\n');
  assert.equal(ended.stdout, 'inside\n', ended.stderr);
  assert.equal(ended.code, 3);
  assert.equal(existsSync(join(folder, 'root.ownership')), !outermost);
});

test('a sandbox in one line', { skip: noMount || (outermost ? needs('bwrap') : 'needs root') }, async (t) => {
  const { folder, run } = await newcomer(t);
  // The shell ends where its input does, and the second line takes the mount down.
  const input = 'cat /etc/motd; echo x > /new || echo read-only; ls /gone\n';
  const ended = await run('sh', ['-c', block('A sandbox in one line')], input);
  assert.equal(ended.stdout, 'inside\nread-only\n', ended.stderr);
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stderr, /2 layers mounted in .*read-only/);
  assert.equal(existsSync(join(folder, 'box')), false);
});

test('the library in ten lines: TypeScript takes it, plain Node runs it', async (t) => {
  const { folder, run } = await newcomer(t);
  const code = block('The library in ten lines')
    .replace("'/var/cache/layers'", JSON.stringify(join(folder, 'layers')))
    .replace("'/tmp/root'", JSON.stringify(join(folder, 'root')));
  assert.equal(code.split(folder).length, 3, 'both places are in the folder of this test');
  mkdirSync(join(folder, 'layers'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(REPOSITORY, join(folder, 'node_modules', 'rootfs-kit'));
  symlinkSync(join(REPOSITORY, 'node_modules', '@types'), join(folder, 'node_modules', '@types'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  for (const name of ['ten.ts', 'ten.mjs']) writeFileSync(join(folder, name), code);
  const tsc = join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc');
  const flags = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--lib',
    'es2023,esnext.disposable',
  ];
  const checked = await run(process.execPath, [tsc, ...flags, '--types', 'node', '--skipLibCheck', 'ten.ts']);
  assert.equal(checked.code, 0, checked.stdout);
  const ended = await run(process.execPath, ['ten.mjs']);
  assert.equal(ended.code, 0, ended.stderr);
  const lines = ended.stdout.trimEnd().split('\n');
  assert.equal(lines.length, 2);
  for (const line of lines) {
    const [, digest = '', bytes, path = ''] = /^sha256:([0-9a-f]{64}) (\d+) (.*)$/.exec(line) ?? [];
    assert.equal(execFileSync('sha256sum', [path], { encoding: 'utf8' }).slice(0, 64), digest);
    assert.equal(readFileSync(path).length, Number(bytes));
  }
  assert.equal(readFileSync(join(folder, 'root/etc/motd'), 'utf8'), 'inside\n');
});

test('every command has a line of its own', () => {
  const [, section = ''] = README.split('\n## Commands\n');
  const [table = ''] = section.split('\n\nIMAGE is');
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const named = rows.map((row) => /^\| `(?:rootfs )?([a-z]+)/.exec(row)?.[1]);
  assert.deepEqual(named.toSorted(), COMMANDS.map(({ name }) => name).toSorted());
});
