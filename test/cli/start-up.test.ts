/** Start-up as a list of what is loaded, not as time: what is loaded for nothing would show here. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { image, startRegistry } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** What the build compiled for this very Node, if that built it: code for some commands, `main` for the others. */
const builtCode = (name: string): string => `dist/command/${name}-${process.version}-${process.arch}.code`;

/** What a command line has loaded when it ends. */
interface Loaded {
  /** CommonJS files, as paths inside the project. */
  readonly files: readonly string[];
  /** Modules of Node itself. */
  readonly builtins: readonly string[];
}

interface Preload {
  readonly script: string;
  read(): Loaded;
  end(): void;
}

/** A script to load before the command, that writes down what was loaded when the process ends. */
function preload(): Preload {
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-loaded-'));
  const list = join(folder, 'list.json');
  const script = join(folder, 'list.cjs');
  writeFileSync(
    script,
    `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(list)}, JSON.stringify({
       files: Object.keys(require.cache), builtins: process.moduleLoadList.map((name) => name.replace(/^NativeModule /, '')) })));`,
  );
  return {
    script,
    read: () => {
      const { files, builtins } = JSON.parse(readFileSync(list, 'utf8')) as Loaded;
      const ours = files.filter((path) => path.startsWith(repository)).map((path) => path.slice(repository.length));
      return { files: ours, builtins };
    },
    end: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function loadedBy(...argv: readonly string[]): Loaded {
  const { script, read, end } = preload();
  try {
    const run = spawnSync(process.execPath, ['--require', script, join(repository, 'bin/rootfs.js'), ...argv], {
      cwd: repository,
      encoding: 'utf8',
      env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' },
    });
    assert.equal(run.status, 0, run.stderr);
    return read();
  } finally {
    end();
  }
}

function assertNone(loaded: readonly string[], names: readonly string[]): void {
  assert.deepEqual(
    names.filter((name) => loaded.includes(name)),
    [],
  );
}

test('--version loads nothing but its own file', () => {
  assert.deepEqual(loadedBy('--version').files, ['bin/rootfs.js', 'package.json']);
});

test('a local image loads no part of Node that speaks to a network, and no native code', () => {
  const { files, builtins } = loadedBy('digest', 'oci:fixtures/hello');
  // Another Node than the one that built the command looks for what it compiled itself.
  const kept = existsSync(join(repository, builtCode('main'))) ? [] : ['bin/kept-code.js'];
  assert.deepEqual(files, ['bin/rootfs.js', 'bin/load-command.js', 'bin/tune-engine.js', ...kept]);
  assert.ok(builtins.includes('fs') && builtins.length > 50, `${builtins.length} modules of Node`);
  assertNone(builtins, ['http', 'https', 'http2', 'tls', '_tls_wrap', 'child_process', 'dns', 'readline', 'zlib']);
  // What many modules import, and this command does not use.
  const asleep = ['fs/promises', 'internal/fs/streams', 'worker_threads', 'module'];
  assertNone(builtins, kept.length > 0 ? asleep : [...asleep, 'os', 'v8']);
});

test('a registry that speaks plain http loads nothing of TLS, of HTTP/2 and of child processes', async () => {
  await using registry = await startRegistry();
  registry.add(
    'app',
    'latest',
    image()
      .layer((layer) => layer.file('a', 'a'))
      .build(),
  );
  const { script, read, end } = preload();
  try {
    const run = await runRootfs(['digest', `${registry.host}/app`], { env: { NODE_OPTIONS: `--require ${script}` } });
    assert.equal(run.code, 0, run.stderr);
    const { builtins } = read();
    assert.ok(builtins.includes('net'));
    assertNone(builtins, ['https', 'http2', 'tls', '_tls_wrap', 'child_process', 'readline', 'zlib', 'assert']);
  } finally {
    end();
  }
});

/** What a command does to V8, in order: flags it sets, the parser it compiles, workers it starts. */
interface Step {
  readonly what: string;
  /** Modules of Node that were loaded then. */
  readonly loaded: readonly string[];
}

async function stepsOf(argv: (folder: string) => readonly string[]): Promise<readonly Step[]> {
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-flags-'));
  try {
    const log = join(folder, 'log');
    const script = join(folder, 'watch.cjs');
    writeFileSync(
      script,
      `if (require('node:worker_threads').isMainThread) {
         const v8 = require('node:v8'); const steps = []; const { setFlagsFromString } = v8; const { Module } = WebAssembly;
         const loaded = () => process.moduleLoadList.map((name) => name.replace(/^NativeModule /, ''));
         const step = (what) => steps.push({ what, loaded: loaded() });
         v8.setFlagsFromString = (flag) => { step(flag); setFlagsFromString(flag); };
         WebAssembly.Module = function (...words) { step('compiled'); return new Module(...words); };
         process.on('worker', (worker) => { step('starts'); worker.prependOnceListener('online', () => step('online')); });
         process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(log)}, JSON.stringify(steps)));
       }`,
    );
    const run = await runRootfs(argv(folder), { env: { NODE_OPTIONS: `--require ${script}` } });
    assert.equal(run.code, 0, run.stderr);
    return JSON.parse(readFileSync(log, 'utf8')) as Step[];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const FLAG = '--no-incremental-marking';
const DEFAULT = '--incremental-marking';

test('flags of V8 are set after the modules of Node are loaded, and one while the parser of HTTP is compiled', async () => {
  await using registry = await startRegistry();
  registry.add('app', 'latest', image().build());
  const steps = await stepsOf(() => ['digest', `${registry.host}/app`]);
  const set = steps.find(({ what }) => what === FLAG);
  for (const name of ['crypto', 'stream', 'net']) assert.ok(set?.loaded.includes(name), name);
  const names = steps.map(({ what }) => what.replace(/=.*/, ''));
  const compiled = names.indexOf('compiled');
  assert.equal(names[compiled - 1], '--wasm-tiering-budget');
  assert.equal(names[compiled + 1], '--wasm-tiering-budget');
  assert.notEqual(steps[compiled - 1]?.what, steps[compiled + 1]?.what);
});

test('modules of Node that are loaded when they are needed are loaded under the own flags of V8', async () => {
  await using registry = await startRegistry();
  const built = image().layer((layer) => layer.file('a', 'a'));
  registry.add('app', 'latest', built.build());
  const steps = await stepsOf((folder) => ['pull', `${registry.host}/app`, '-o', `${folder}/app.tar.gz`]);
  const flagsWith: Record<string, string> = {};
  let current = DEFAULT;
  for (const [at, { what, loaded }] of steps.entries()) {
    const before = steps[at - 1]?.loaded ?? [];
    for (const name of ['fs/promises', 'zlib']) {
      if (!before.includes(name) && loaded.includes(name)) flagsWith[name] = current;
    }
    if (what === FLAG || what === DEFAULT) current = what;
  }
  assert.equal(current, FLAG);
  assert.deepEqual(flagsWith, { 'fs/promises': DEFAULT, zlib: DEFAULT });
});

test('V8 has its own flags while a worker starts, and those of the command again after it', async () => {
  await using registry = await startRegistry();
  const built = image().layer((layer) => layer.file('a', randomBytes(5 * 1024 * 1024)));
  registry.add('app', 'latest', built.build());
  const steps = await stepsOf((folder) => ['copy', `${registry.host}/app`, `oci:${folder}/layout:1`]);
  const names = steps.map(({ what }) => what).filter((what) => [FLAG, DEFAULT, 'starts', 'online'].includes(what));
  // Node's own flags as they are when each worker starts, whether the command's were set before or not.
  let current = DEFAULT;
  let starting = 0;
  let seen = 0;
  for (const name of names) {
    if (name === 'starts') starting += 1;
    else if (name === 'online') {
      assert.equal(current, DEFAULT, names.join(' '));
      starting -= 1;
      seen += 1;
    } else {
      assert.ok(name === DEFAULT || starting === 0, names.join(' '));
      current = name;
    }
  }
  assert.ok(seen > 0, names.join(' '));
  assert.equal(current, FLAG, names.join(' '));
});

/** Whether V8 takes code that was compiled under its own flags, at each `look(when)` of a script that tunes it. */
function codeTaken(steps: string): unknown {
  const script = `
    const { Script } = require('node:vm');
    const { Worker } = require('node:worker_threads');
    const cachedData = new Script('1 + 1').createCachedData();
    const taken = {};
    // Another text of the same length: the same one would come out of V8's memory.
    const look = (when) => {
      const text = '1 + ' + (2 + Object.keys(taken).length);
      taken[when] = new Script(text, { cachedData }).cachedDataRejected === false;
    };
    const tuning = require(${JSON.stringify(join(repository, 'bin/tune-engine.js'))});
    const startWorker = (before) => tuning.startWorker(() => {
      before();
      return new Worker('', { eval: true }).on('online', () => setImmediate(() => {
        look('as it runs');
        console.log(JSON.stringify(taken));
      }));
    });
    ${steps}`;
  const run = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  assert.equal(run.stderr, '');
  return JSON.parse(run.stdout);
}

test("code that was compiled under V8's own flags is taken, but for the time in which the command's are set", () => {
  const taken = codeTaken(`
    look('at first');
    tuning.compileParser(Buffer.from('0061736d01000000', 'hex'));
    look('with the parser');
    tuning.tuneEngine();
    look('tuned');
    startWorker(() => look('before a worker starts'));`);
  assert.deepEqual(taken, {
    'at first': true,
    'with the parser': true,
    tuned: false,
    'before a worker starts': true,
    'as it runs': false,
  });
});

test('an engine that is tuned while a worker starts is tuned once that runs', () => {
  const taken = codeTaken(`
    startWorker(() => {
      tuning.tuneEngine();
      look('as it starts');
    });`);
  assert.deepEqual(taken, { 'as it starts': true, 'as it runs': false });
});

test('the Node that built the command runs the code that was compiled for it, of the command that it is asked for', () => {
  const isBuilder = existsSync(join(repository, builtCode('main')));
  const compiled = readdirSync(join(repository, 'dist/command')).filter((name) => name.endsWith('.code'));
  const commands = ['copy', 'extract', 'flatten', 'inspect', 'main', 'mkfs', 'pull', 'unpack'];
  assert.deepEqual(compiled.map((name) => name.replace(/-.*/, '')).sort(), commands);
  const taken = (...argv: readonly string[]): unknown => {
    const look = `const fs = require('node:fs'); const { readFileSync } = fs; const read = [];
      fs.readFileSync = (path, ...rest) => {
        const content = readFileSync(path, ...rest);
        if (/\\.code$/.test(path)) read.push(require('node:path').basename(path));
        return content;
      };
      const { isCompiled } = require('./bin/load-command.js').loadCommand(${JSON.stringify(argv)});
      process.stdout.write(JSON.stringify({ isCompiled, read }));`;
    const run = spawnSync(process.execPath, ['-e', look], {
      cwd: repository,
      encoding: 'utf8',
      env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' },
    });
    assert.equal(run.stderr, '');
    return JSON.parse(run.stdout);
  };
  const expected = (name: string): unknown =>
    isBuilder
      ? { isCompiled: true, read: [builtCode(name).replace('dist/command/', '')] }
      : { isCompiled: false, read: [] };
  assert.deepEqual(taken('copy', 'a', 'b'), expected('copy'));
  assert.deepEqual(taken('-q', 'pull', 'a'), expected('pull'));
  assert.deepEqual(taken('tags', 'a'), expected('main'));
  assert.deepEqual(taken('nothing'), expected('main'));
  assert.deepEqual(taken(), expected('main'));
});
