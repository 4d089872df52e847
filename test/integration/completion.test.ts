/** Completion, by running the shells: commands and flags are completed. */
import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOTFS_BIN, run } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

async function inShell(t: { after(fn: () => void): void }, shell: string, script: string): Promise<string[]> {
  const bin = tempDir(t);
  symlinkSync(ROOTFS_BIN, join(bin, 'rootfs'));
  const done = await run(shell, shell === 'zsh' ? ['-f', '-c', script] : ['-c', script], {
    env: { PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: bin, TERM: 'dumb' },
  });
  assert.equal(done.code, 0, done.stderr);
  return done.stdout.split('\n').filter((line) => line !== '');
}

test('bash', { skip: needs('bash') }, async (t) => {
  const words = (line: string): Promise<string[]> =>
    inShell(
      t,
      'bash',
      `source <(rootfs completion bash); COMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _rootfs; printf '%s\\n' "\${COMPREPLY[@]}"`,
    );
  assert.deepEqual(await words('rootfs ex'), ['extract']);
  assert.deepEqual(await words('rootfs extract --dst x --platf'), ['--platform']);
  assert.deepEqual(await words('rootfs extract --progress b'), ['bars']);
  assert.deepEqual(await words('rootfs extract --progress = b'), ['bars']);
  assert.deepEqual(await words('rootfs extract --fsync ='), ['layer', 'none']);
  assert.deepEqual(await words('rootfs extract "oci:"'), []);
  // A value belongs to its option, also before the command; files are the shell's.
  assert.deepEqual(await words('rootfs --progress p'), ['plain']);
  assert.deepEqual(await words('rootfs cache ""'), ['ls', 'prune', 'verify']);
  assert.deepEqual(await words('rootfs cache ls ""'), []);
  assert.deepEqual(await words('rootfs cache --store ""'), []);
  assert.deepEqual(await words('rootfs flatten -o -'), []);
  assert.deepEqual(await words('rootfs extract -- --d'), []);
  // The first word that is a command is the command.
  assert.deepEqual(await words('rootfs tag extract --d'), ['--debug']);
});

test('fish', { skip: needs('fish') }, async (t) => {
  const words = (line: string): Promise<string[]> =>
    inShell(t, 'fish', `cd (mktemp -d); touch example; rootfs completion fish | source; complete -C '${line}'`);
  assert.deepEqual(await words('rootfs ex'), ['extract']);
  assert.deepEqual(await words('rootfs digest --plat'), ['--platform']);
  assert.deepEqual(await words('rootfs digest --progress=b'), ['--progress=bars']);
  // Files only where there is nothing to choose.
  assert.deepEqual(await words('rootfs unpack --dst ex'), ['example']);
  assert.deepEqual(await words('rootfs unpack --dst=ex'), ['--dst=example']);
  assert.deepEqual(await words('rootfs inspect oci:ex'), ['oci:example']);
});

test('zsh', { skip: needs('zsh') }, async (t) => {
  // Outside an interactive line zsh has no completion system: what the function would add is caught.
  const words = (line: string): Promise<string[]> =>
    inShell(
      t,
      'zsh',
      `compdef() { :; }; compadd() { shift; print -l -- \${(P)1}; }
       compset() { PREFIX="\${PREFIX#\${~2}}" }; _files() { print -r -- "files $PREFIX" }
       eval "$(rootfs completion zsh)"; words=(${line}); CURRENT=\${#words}; PREFIX="\${words[-1]}"; _rootfs`,
    );
  assert.deepEqual(await words('rootfs ex'), ['extract']);
  assert.deepEqual(await words('rootfs digest --plat'), ['--platform']);
  assert.deepEqual(await words('rootfs inspect oci:lay'), ['files lay']);
  assert.deepEqual(await words('rootfs copy alpine docker-archive:/tmp/a'), ['files /tmp/a']);
  assert.deepEqual(await words('rootfs unpack --dst=roo'), ['files roo']);
  assert.deepEqual(await words('rootfs unpack --dst roo'), ['files roo']);
});

test('--json: the script is one JSON value', async () => {
  const [plain, json] = await Promise.all(
    [[], ['--json']].map((more) => run(process.execPath, [ROOTFS_BIN, 'completion', 'bash', ...more])),
  );
  assert.equal(JSON.parse(json?.stdout ?? ''), plain?.stdout);
});
