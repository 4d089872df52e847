/** Compiled code that is kept between runs of an installed package, which comes without any. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const IMAGE = `oci:${join(repository, 'fixtures/hello')}`;

/** How one run went: the kinds of lines that its code was kept for, and whether it ran code that was kept. */
interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ranKept: boolean;
}

/** The command as a package brings it, with a user's cache of its own. */
function installed(t: TestContext, name = 'cache') {
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-kept-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(repository, 'bin'), join(folder, 'bin'), { recursive: true });
  cpSync(join(repository, 'dist/command'), join(folder, 'dist/command'), {
    recursive: true,
    filter: (path) => !path.endsWith('.code'),
  });
  cpSync(join(repository, 'package.json'), join(folder, 'package.json'));
  const cache = join(folder, name);
  mkdirSync(cache, { mode: 0o755 });
  const watch = join(folder, 'watch.cjs');
  writeFileSync(
    watch,
    `const vm = require('node:vm'); const { Script } = vm;
     vm.Script = class extends Script {
       constructor(source, options) {
         super(source, options);
         process.on('exit', () => require('node:fs').writeSync(2, this.cachedDataRejected === false ? '[kept]' : '[new]'));
       }
     };`,
  );
  const kept = join(cache, 'rootfs-kit/code-v1');
  return {
    folder,
    cache,
    kept,
    /** The one file that is kept. */
    file(): string {
      const names = existsSync(kept) ? readdirSync(kept) : [];
      assert.equal(names.length, 1, names.join(' '));
      return join(kept, names[0] ?? '');
    },
    /** The kinds of command lines in that file. */
    kinds(): readonly string[] {
      const content = readFileSync(this.file());
      return content
        .subarray(content.lastIndexOf('\n') + 66)
        .toString('latin1')
        .split(',');
    },
    run(words: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = folder): Run {
      const main = join(folder, 'bin/rootfs.js');
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--require', watch, main, ...words], {
        cwd,
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], HOME: '/dev/null/home', XDG_CACHE_HOME: cache, ...env },
      });
      const [, said = '', ran] = /^(.*?)\[(kept|new)\]$/s.exec(stderr) ?? [];
      assert.ok(ran !== undefined, stderr);
      return { status, stdout, stderr: said, ranKept: ran === 'kept' };
    },
  };
}

/** The same answer, with nothing else said. */
function assertAnswers(run: Run, ranKept: boolean): void {
  assert.deepEqual([run.status, run.stderr, run.ranKept], [0, '', ranKept]);
  assert.match(run.stdout, /^sha256:[0-9a-f]{64}\n$/);
}

const DIGEST = ['digest', '-q', IMAGE];

test('the second run takes the code that the first one compiled, and another kind of line adds its own', (t) => {
  const command = installed(t);
  assertAnswers(command.run(DIGEST), false);
  assert.deepEqual(command.kinds(), ['digest.oci']);
  const first = readFileSync(command.file());
  assertAnswers(command.run(DIGEST), true);
  assert.ok(first.equals(readFileSync(command.file())), 'nothing was new');
  const archive = join(command.folder, 'hello.tar');
  assert.equal(spawnSync('tar', ['-cf', archive, '-C', join(repository, 'fixtures/hello'), '.']).status, 0);
  assertAnswers(command.run(['digest', '-q', `oci-archive:${archive}`]), true);
  assert.deepEqual(command.kinds(), ['digest.oci', 'digest.oci-archive']);
  assertAnswers(command.run(DIGEST), true);
});

test('each command has a file of its own, wherever its name stands in the line', (t) => {
  const command = installed(t);
  assertAnswers(command.run(DIGEST), false);
  const [first = ''] = readdirSync(command.kept);
  assert.match(first, /^[0-9a-f]{16}-\d+-digest\.code$/);
  for (const [words, ranKept] of [
    [['manifest', '-q', IMAGE], false],
    [['manifest', '-q', IMAGE], true],
    [['-q', 'manifest', IMAGE], true],
  ] as const) {
    const run = command.run(words);
    assert.deepEqual([run.status, run.ranKept], [0, ranKept], words.join(' '));
  }
  assert.deepEqual(readdirSync(command.kept).sort(), [first, first.replace('digest', 'manifest')]);
  assertAnswers(command.run(DIGEST), true);
});

test('a run that fails keeps nothing, and neither does one whose Node is told so', (t) => {
  const command = installed(t);
  assert.equal(command.run(['digest', 'oci:/nowhere']).status, 3);
  assert.equal(command.run(['nothing']).status, 2);
  assertAnswers(command.run(DIGEST, { NODE_DISABLE_COMPILE_CACHE: '1' }), false);
  assert.deepEqual(readdirSync(command.cache), []);
  assertAnswers(command.run(DIGEST), false);
  assertAnswers(command.run(DIGEST, { NODE_DISABLE_COMPILE_CACHE: '1' }), false);
});

test('code that is damaged, cut or empty is compiled anew', (t) => {
  const command = installed(t);
  command.run(DIGEST);
  const file = command.file();
  const whole = readFileSync(file);
  const flipped = Buffer.from(whole);
  flipped[whole.length >> 1] = (flipped[whole.length >> 1] ?? 0) ^ 0x5a;
  const noKind = whole.subarray(0, whole.lastIndexOf('\n') + 65);
  for (const content of [flipped, whole.subarray(0, 5000), whole.subarray(5000), noKind, Buffer.alloc(0)]) {
    writeFileSync(file, content);
    assertAnswers(command.run(DIGEST), false);
    assertAnswers(command.run(DIGEST), true);
  }
});

test('another text of the command and other flags of V8 have files of their own', (t) => {
  const command = installed(t);
  command.run(DIGEST);
  const before = command.file();
  const other = command.run(DIGEST, { NODE_OPTIONS: '--interpreted-frames-native-stack' });
  assertAnswers(other, false);
  assertAnswers(command.run(DIGEST, { NODE_OPTIONS: '--interpreted-frames-native-stack' }), true);
  assert.equal(readdirSync(command.kept).length, 2);
  const main = join(command.folder, 'dist/command/main.cjs');
  const text = readFileSync(main, 'latin1');
  const id = text.slice(2, 18);
  assert.match(id, /^[0-9a-f]{16}$/);
  assert.ok(before.includes(`/${id}-`));
  writeFileSync(main, text.replace(id, 'f'.repeat(16)), 'latin1');
  assertAnswers(command.run(DIGEST), false);
  assert.equal(readdirSync(command.kept).length, 3);
});

test('what others could have put there is neither run nor written', (t) => {
  const command = installed(t);
  command.run(DIGEST);
  const file = command.file();
  chmodSync(file, 0o620);
  assertAnswers(command.run(DIGEST), false);
  assert.equal(statSync(file).mode & 0o777, 0o600, 'it is a new one');
  const { ino } = statSync(file);
  for (const [path, mode] of [
    [command.kept, 0o770],
    [join(command.cache, 'rootfs-kit'), 0o702],
    [command.cache, 0o775],
  ] as const) {
    chmodSync(path, mode);
    assertAnswers(command.run(DIGEST), false);
    assert.equal(statSync(file).ino, ino, `${path}: written`);
    chmodSync(path, 0o755);
    assertAnswers(command.run(DIGEST), true);
  }
  // A folder of everybody's, in which each keeps his own, is fine.
  chmodSync(command.cache, 0o1777);
  assertAnswers(command.run(DIGEST), true);
});

test("under sudo, code in an ordinary user's folder is not run", {
  skip: process.getuid?.() !== 0 && 'needs root',
}, (t) => {
  const command = installed(t);
  command.run(DIGEST);
  for (const path of [command.file(), command.kept, command.cache]) {
    chownSync(path, 65534, 65534);
    assertAnswers(command.run(DIGEST), false);
    chownSync(path, 0, 0);
    assertAnswers(command.run(DIGEST), true);
  }
  // The same through a link that the user made.
  const moved = join(command.folder, 'moved');
  renameSync(join(command.cache, 'rootfs-kit'), moved);
  chownSync(command.cache, 65534, 65534);
  symlinkSync(moved, join(command.cache, 'rootfs-kit'));
  assertAnswers(command.run(DIGEST), false);
});

test('what nobody has used for long goes when something is written, where it is ours', (t) => {
  const command = installed(t);
  command.run(DIGEST);
  const days = (count: number): Date => new Date(Date.now() - count * 24 * 60 * 60 * 1000);
  const of = 'fedcba9876543210-4711.code';
  const files: readonly (readonly [name: string, age: number])[] = [
    [of, 31],
    [of.replace('.', '-pull.'), 31],
    [`${of}.123`, 31],
    [`${of}.124`, 29],
    ['notes.txt', 31],
    [`my-${of}`, 31],
  ];
  for (const [name, age] of files) {
    const path = join(command.kept, name);
    writeFileSync(path, '');
    utimesSync(path, days(age), days(age));
  }
  command.run(['manifest', '-q', IMAGE]);
  const left = files.map(([name]) => name).filter((name) => existsSync(join(command.kept, name)));
  assert.deepEqual(left, [`${of}.124`, 'notes.txt', `my-${of}`]);
});

test('what is run stays, however long ago it was written', (t) => {
  const command = installed(t);
  command.run(DIGEST);
  const old = new Date(Date.now() - 31 * 24 * 60 * 60 * 1000);
  utimesSync(command.file(), old, old);
  assertAnswers(command.run(DIGEST), true);
  command.run(['manifest', '-q', IMAGE]);
  assert.equal(readdirSync(command.kept).length, 2);
  assertAnswers(command.run(DIGEST), true);
});

test('a home that is not there is not made, and no cache is needed', (t) => {
  const command = installed(t);
  const home = join(command.folder, 'home');
  for (const HOME of [home, '', '/dev/null/home']) {
    assertAnswers(command.run(DIGEST, { HOME, XDG_CACHE_HOME: join(home, 'nowhere') }), false);
    if (HOME !== '') assertAnswers(command.run(DIGEST, { HOME, XDG_CACHE_HOME: '' }), false);
  }
  assert.equal(existsSync(home), false);
  mkdirSync(home, { mode: 0o700 });
  assertAnswers(command.run(DIGEST, { HOME: home, XDG_CACHE_HOME: 'relative' }), false);
  assertAnswers(command.run(DIGEST, { HOME: home, XDG_CACHE_HOME: '' }), true);
});

test('with an empty HOME the home is the one the system knows, and never the working folder', (t) => {
  const command = installed(t);
  const home = join(command.folder, 'home');
  const work = join(command.folder, 'work');
  for (const folder of [home, work]) mkdirSync(folder, { mode: 0o700 });
  const system = join(command.folder, 'system.cjs');
  writeFileSync(
    system,
    `const os = require('node:os'); const known = os.userInfo();
     os.userInfo = () => ({ ...known, homedir: ${JSON.stringify(home)} });`,
  );
  const env = { HOME: '', XDG_CACHE_HOME: '', NODE_OPTIONS: `--require=${system}` };
  assertAnswers(command.run(DIGEST, env, work), false);
  assertAnswers(command.run(DIGEST, env, work), true);
  assert.deepEqual([readdirSync(work), readdirSync(home)], [[], ['.cache']]);
});
