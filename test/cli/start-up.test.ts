/** Start-up as a count of modules, not as time: what is loaded for nothing would show here. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** Every module file that a command line loads on the main thread, as paths inside the project. */
function loadedBy(...argv: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-loaded-'));
  try {
    const list = join(folder, 'list');
    const hooks = join(folder, 'hooks.mjs');
    writeFileSync(
      hooks,
      `import { appendFileSync } from 'node:fs';
       export async function load(url, context, next) { appendFileSync(${JSON.stringify(list)}, url + '\\n'); return next(url, context); }`,
    );
    const start = join(folder, 'start.mjs');
    writeFileSync(
      start,
      `import { register } from 'node:module'; register(${JSON.stringify(pathToFileURL(hooks).href)});`,
    );
    const run = spawnSync(
      process.execPath,
      ['--import', pathToFileURL(start).href, join(repository, 'bin/rootfs.js'), ...argv],
      {
        cwd: repository,
        encoding: 'utf8',
      },
    );
    assert.equal(run.status, 0, run.stderr);
    return readFileSync(list, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('file:'))
      .map((line) => line.replace(pathToFileURL(repository).href, ''));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('--version loads nothing but its own file', () => {
  assert.deepEqual(loadedBy('--version'), ['bin/rootfs.js']);
});

test('a local image loads neither the HTTP client nor the bars nor the parsers of mirrors', () => {
  const loaded = loadedBy('digest', 'oci:fixtures/hello');
  const ours = loaded.filter((path) => path.startsWith('dist/'));
  assert.ok(ours.length > 2 && ours.length < 60, `${ours.length} files of ours`);
  for (const name of ['undici', 'cli-progress', 'smol-toml', 'koffi', 'proper-lockfile', 'fzstd', 'tar', 'fs-extra']) {
    assert.deepEqual(
      loaded.filter((path) => path.includes(`node_modules/${name}/`)),
      [],
      name,
    );
  }
});
