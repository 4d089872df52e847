/** The metadata image of a mount, where something else stands in its place. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tempDir } from '../support/temp-dir.js';

const MODULE = fileURLToPath(new URL('../../src/export/mount-image.js', import.meta.url));
const NAME = 'a'.repeat(64);

for (const pipe of ['json', 'erofs']) {
  test(`a pipe in the place of the .${pipe} file is not waited for`, (t) => {
    const store = tempDir(t);
    mkdirSync(join(store, 'erofs'));
    writeFileSync(join(store, 'erofs', `${NAME}.json`), '{"losses":[],"skippedXattrs":{}}');
    execFileSync('rm', ['-f', join(store, 'erofs', `${NAME}.${pipe}`)]);
    execFileSync('mkfifo', [join(store, 'erofs', `${NAME}.${pipe}`)]);
    const script = `const { openMetadataImage } = await import(${JSON.stringify(MODULE)});
      const rootfs = { image: { manifest: { descriptor: { digest: 'sha256:${NAME}' } } }, layers: [] };
      await openMetadataImage(rootfs, ${JSON.stringify(store)}, {}).catch(() => {});
      console.log('done');`;
    const options = { encoding: 'utf8', timeout: 20_000, killSignal: 'SIGKILL' } as const;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], options);
    assert.equal(stdout, 'done\n');
  });
}
