/** What README says to give esbuild is enough for a bundle that holds the whole library. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { tempDir } from '../support/temp-dir.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

test('a bundle with the banner of README runs', async (t) => {
  const banner = /--banner:js='([^']+)'/.exec(readFileSync(join(repository, 'README.md'), 'utf8'))?.[1];
  assert.ok(banner !== undefined, 'README names the banner');
  const outfile = join(tempDir(t), 'bundle.mjs');
  const contents = `import { fetchImage, openSource } from './dist/src/index.js';
    const { source, reference, close } = await openSource('oci:fixtures/hello');
    const { layers } = await fetchImage(source, reference, { platform: 'linux/amd64' });
    console.log(layers.length);
    await close();`;
  await build({
    stdin: { contents, resolveDir: repository },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    banner: { js: banner },
    outfile,
    logLevel: 'silent',
  });
  assert.equal(execFileSync(process.execPath, [outfile], { cwd: repository, encoding: 'utf8' }), '3\n');
});
