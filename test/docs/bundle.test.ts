/** What README says to give esbuild is enough for a bundle that holds the whole library; what is not, says so. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { tempDir } from '../support/temp-dir.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

function bannerOfReadme(): string {
  const banner = /--banner:js='([^']+)'/.exec(readFileSync(join(repository, 'README.md'), 'utf8'))?.[1];
  assert.ok(banner !== undefined, 'README names the banner');
  return banner;
}

test('a bundle with the banner of README runs', async (t) => {
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
    banner: { js: bannerOfReadme() },
    outfile,
    logLevel: 'silent',
  });
  assert.equal(execFileSync(process.execPath, [outfile], { cwd: repository, encoding: 'utf8' }), '3\n');
});

test('no file is named as bundlers look for it: they would copy a worker without the modules that it imports', () => {
  const sources = join(repository, 'dist/src');
  const naming = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter(
    (file) =>
      file.endsWith('.js') && /new URL\(\s*['"`][^)]*import\.meta\.url/.test(readFileSync(join(sources, file), 'utf8')),
  );
  assert.deepEqual(naming, []);
});

test('a bundle that is a script, and one that is far from the package, say what is missing', async (t) => {
  const folder = tempDir(t);
  const contents = `import { openSource, openRootFS, fetchImage } from './dist/src/index.js';
    (async () => {
      const { source, reference } = await openSource('oci:${join(repository, 'fixtures/hello')}');
      const image = await fetchImage(source, reference, { platform: 'linux/amd64' });
      await openRootFS(source, image, ${JSON.stringify(folder)});
    })().catch(({ code, message }) => console.log(code, message));`;
  const told = async (format: 'cjs' | 'esm') => {
    const outfile = join(folder, `bundle.${format === 'cjs' ? 'cjs' : 'mjs'}`);
    const banner = { js: format === 'cjs' ? '' : bannerOfReadme() };
    const stdin = { contents, resolveDir: repository };
    await build({ stdin, bundle: true, platform: 'node', format, banner, outfile, logLevel: 'silent' });
    return execFileSync(process.execPath, [outfile], { cwd: folder, encoding: 'utf8' });
  };
  assert.match(await told('cjs'), /^ERR_INTERNAL extract-worker\.js: .*bundle as a module \(--format=esm\)/);
  assert.match(await told('esm'), /^ERR_INTERNAL .*extract-worker\.js: the worker file is missing; install rootfs-kit/);
});
