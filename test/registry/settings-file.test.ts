/** Small files of the user and the machine: read at once, waited for where they are pipes. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MAX_SETTINGS_BYTES, readOptionalFile } from '../../src/registry/settings-file.js';
import { readTomlFile } from '../../src/registry/toml-file.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

test('files of any length up to the limit, without a byte order mark', async (t) => {
  const path = join(tempDir(t), 'settings');
  for (const length of [0, 1, 65_535, 65_536, 200_000, MAX_SETTINGS_BYTES]) {
    writeFileSync(path, 'x'.repeat(length));
    assert.equal((await readOptionalFile(path))?.length, length);
  }
  writeFileSync(path, 'x'.repeat(MAX_SETTINGS_BYTES + 1));
  await assert.rejects(readOptionalFile(path), { code: 'ERR_LIMIT_EXCEEDED', message: new RegExp(path) });
  writeFileSync(path, '\uFEFFtext é');
  assert.equal(await readOptionalFile(path), 'text é');
});

test('what is not there is no error; a folder in its place is', async (t) => {
  const folder = tempDir(t);
  writeFileSync(join(folder, 'file'), '');
  assert.equal(await readOptionalFile(join(folder, 'none')), undefined);
  assert.equal(await readOptionalFile(join(folder, 'file', 'below')), undefined);
  mkdirSync(join(folder, 'folder'));
  await assert.rejects(readOptionalFile(join(folder, 'folder')), { message: /a file is expected here/ });
});

test('a pipe is waited for, and this process goes on meanwhile', { skip: needs('mkfifo', 'sh') }, async (t) => {
  const folder = tempDir(t);
  chmodSync(folder, 0o700);
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const writer = spawn('sh', ['-c', `(sleep 0.3; printf 'first '; sleep 0.05; printf second) > '${pipe}'`]);
  t.after(() => writer.kill());
  let turns = 0;
  const ticking = setInterval(() => {
    turns += 1;
  }, 1);
  t.after(() => clearInterval(ticking));
  assert.equal(await readOptionalFile(pipe), 'first second');
  assert.ok(turns >= 5, `${turns} turns while it was waited for`);
});

test('GHSA-v3rj-xjv7-4jmq, CVE-2026-85730 (smol-toml): comments and lists of any number and depth', async (t) => {
  const path = join(tempDir(t), 'hosts.toml');
  const read = async (text: string): Promise<unknown> => {
    writeFileSync(path, text);
    return readTomlFile(path);
  };
  await read(`${'# a comment\n'.repeat(100_000)}server = "https://a.example"`);
  for (const text of [
    `a = ${'['.repeat(100_000)}`,
    `a = ${'{b='.repeat(100_000)}`,
    'a = [ # b',
    'a = { # b',
    'a = [1, # b',
  ]) {
    await assert.rejects(read(text), { name: 'RootfsError' }, text.slice(0, 20));
  }
  await read('__proto__ = 1\nconstructor = { prototype = { polluted = 1 } }');
  assert.ok(!('polluted' in {}));
});
