/** The build leaves nothing of sources that are no more: neither modules to pack nor tests to run. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { REPOSITORY } from './support/rootfs.js';
import { tempDir } from './support/temp-dir.js';

test('what was compiled from a source that is no more goes, and nothing else', (t) => {
  const project = tempDir(t);
  const kept = ['src/io/here.js', 'src/io/here.d.ts', 'src/io/data.json', 'test/io/here.test.js'];
  const stale = ['src/io/gone.js', 'src/io/gone.d.ts', 'test/io/gone.test.js', 'fixtures/gone.js'];
  const sources = ['src/io/here.ts', 'test/io/here.test.ts', 'fixtures/build.ts'];
  for (const file of [...sources, ...[...kept, ...stale].map((name) => `dist/${name}`)]) {
    mkdirSync(dirname(join(project, file)), { recursive: true });
    writeFileSync(join(project, file), '');
  }
  execFileSync(process.execPath, [join(REPOSITORY, 'build', 'remove-stale.mjs'), project]);
  const left = readdirSync(join(project, 'dist'), { recursive: true, encoding: 'utf8' });
  assert.deepEqual(left.filter((name) => name.includes('.')).sort(), [...kept].sort());
  const { scripts } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
  assert.match(scripts.build, /^tsc .*&& node build\/remove-stale\.mjs && /);
});
