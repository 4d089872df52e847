/** Start-up as a list of what is loaded, not as time: what is loaded for nothing would show here. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { image, startRegistry } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

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
  assert.deepEqual(files, ['bin/rootfs.js', 'bin/load-command.js', 'bin/tune-engine.js']);
  assert.ok(builtins.includes('fs') && builtins.length > 50, `${builtins.length} modules of Node`);
  assertNone(builtins, ['http', 'https', 'http2', 'tls', '_tls_wrap', 'child_process', 'dns', 'readline', 'zlib']);
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

test('flags of V8 are set after the modules of Node are loaded, and before the parser of HTTP is compiled', async () => {
  await using registry = await startRegistry();
  registry.add('app', 'latest', image().build());
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-flags-'));
  try {
    const log = join(folder, 'log');
    const script = join(folder, 'watch.cjs');
    writeFileSync(
      script,
      `const v8 = require('node:v8'); const said = []; const { setFlagsFromString } = v8; const { Module } = WebAssembly;
       const loaded = () => process.moduleLoadList.map((name) => name.replace(/^NativeModule /, ''));
       v8.setFlagsFromString = (flag) => { said.push({ flag, loaded: loaded() }); setFlagsFromString(flag); };
       WebAssembly.Module = function (...words) { said.push({ flag: 'compiled', loaded: [] }); return new Module(...words); };
       process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(log)}, JSON.stringify(said)));`,
    );
    const run = await runRootfs(['digest', `${registry.host}/app`], { env: { NODE_OPTIONS: `--require ${script}` } });
    assert.equal(run.code, 0, run.stderr);
    const said = JSON.parse(readFileSync(log, 'utf8')) as { flag: string; loaded: string[] }[];
    const flags = said.map(({ flag }) => flag);
    assert.ok(flags.includes('--liftoff-only') && flags.includes('compiled'), String(flags));
    assert.ok(flags.indexOf('--liftoff-only') < flags.indexOf('compiled'), String(flags));
    for (const name of ['crypto', 'fs/promises', 'net']) assert.ok(said[0]?.loaded.includes(name), name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the Node that built the command runs the code that was compiled for it', () => {
  const compiled = readdirSync(join(repository, 'dist/command')).filter((name) => name.endsWith('.code'));
  assert.equal(compiled.length, 1, `dist/command holds ${compiled.length} files of compiled code`);
  const own = compiled[0] === `main-${process.version}-${process.arch}.code`;
  const { loadCommand } = createRequire(import.meta.url)(join(repository, 'bin/load-command.js')) as {
    loadCommand(): { readonly isCompiled: boolean };
  };
  assert.equal(loadCommand().isCompiled, own);
});
