/** The guards of an overlay; what it writes is tested on kernels that mount it. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { overlayPlace } from '../../src/export/find-overlay.js';
import { writeOverlay } from '../../src/export/overlay.js';
import { readOverlayFacts } from '../../src/export/overlay-facts.js';
import { createWritableCopy } from '../../src/export/writable-copy.js';
import { file, layerTars } from '../support/layer-tars.js';
import { tempDir } from '../support/temp-dir.js';

test('names and bytes count over all layers, and what fails leaves nothing', async (t) => {
  const folder = tempDir(t);
  const names = ['a', 'b', 'c'];
  const layers = layerTars(t, ...names.map((layer) => names.map((name) => file(`${layer}${name}`, 'x'))));
  for (const [option, limit] of [
    ['maxEntries', 8],
    ['maxDataBytes', 8],
  ] as const) {
    await assert.rejects(writeOverlay(layers, join(folder, option), { limits: { [option]: limit } }), {
      code: 'ERR_LIMIT_EXCEEDED',
      message: new RegExp(`^layer 2 .*expected at most 8, found 9; raise ${option} `),
    });
    assert.deepEqual(readdirSync(folder), []);
  }
  await writeOverlay(layers, join(folder, 'fits'), { limits: { maxEntries: 9, maxDataBytes: 9 } });
  assert.deepEqual(readdirSync(join(folder, 'fits', 'layers', '2')), ['ca', 'cb', 'cc']);
  await assert.rejects(writeOverlay([], join(folder, 'none'), { limits: { maxEntries: -1 } }), {
    code: 'ERR_OPTION_INVALID',
  });
});

test('without layers the root is 0755 and from the epoch, whatever mask the process has', async (t) => {
  const dst = join(tempDir(t), 'none');
  const before = process.umask(0o077);
  const { links } = await writeOverlay([], dst).finally(() => process.umask(before));
  const names = links.map((link) => link.slice(2));
  assert.equal(names.length, 2);
  for (const name of names) {
    const { mode, mtimeMs } = lstatSync(join(dst, 'layers', name));
    assert.deepEqual([mode & 0o7777, mtimeMs], [0o755, 0], name);
  }
});

test('the place of an overlay lies in its store: what is no digest is refused', (t) => {
  const store = tempDir(t);
  const hex = 'ab'.repeat(32);
  assert.ok(overlayPlace(store, `sha256:${hex}`).startsWith(join(store, 'overlay', '/')));
  for (const [digest, code] of [
    ['sha256:../../../../etc', 'ERR_DIGEST_INVALID'],
    [`sha256:${hex}/..`, 'ERR_DIGEST_INVALID'],
    ['md5:d41d8cd98f00b204e9800998ecf8427e', 'ERR_DIGEST_UNSUPPORTED'],
  ] as const) {
    assert.throws(() => overlayPlace(store, digest), { code }, digest);
  }
});

test('a pipe in the place of what an overlay says of itself is not waited for', (t) => {
  const folder = tempDir(t);
  execFileSync('mkfifo', [join(folder, 'overlay.json')]);
  const module = fileURLToPath(new URL('../../src/export/overlay-facts.js', import.meta.url));
  const script = `const { readOverlayFacts } = await import(${JSON.stringify(module)});
    try { readOverlayFacts(${JSON.stringify(folder)}); } catch ({ code, message }) { console.log(code, message); }`;
  const options = { encoding: 'utf8', timeout: 20_000, killSignal: 'SIGKILL' } as const;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], options);
  assert.equal(stdout, `ERR_LAYOUT_INVALID ${join(folder, 'overlay.json')}: expected JSON; write the overlay again\n`);
});

test('id maps that an overlay says of itself, and that are none, are told before anything is made', (t) => {
  const folder = tempDir(t);
  const facts = { version: 1, links: ['l/0'], lowerdir: 'l/0', options: 'lowerdir=l/0', userXattr: true };
  const told = (origin: unknown): void =>
    writeFileSync(join(folder, 'overlay.json'), JSON.stringify({ ...facts, origin }));
  const code = { code: 'ERR_LAYOUT_INVALID', message: /overlay\.json: expected version 1 with its links/ };
  for (const origin of [{}, { uidMap: '', gidMap: 'all' }, { uidMap: [], gidMap: '' }, 5]) {
    told(origin);
    assert.throws(
      () => createWritableCopy(folder, join(folder, 'run'), { mount: false }),
      code,
      JSON.stringify(origin),
    );
  }
  told({ uidMap: '0:1000:1', gidMap: '0:1000:1,1:100000:65536' });
  assert.ok(readOverlayFacts(folder)?.origin !== undefined);
});

test('a writable copy in the place of a file is refused as that by every Node', async (t) => {
  const folder = tempDir(t);
  const base = join(folder, 'base');
  mkdirSync(base);
  writeFileSync(join(folder, 'file'), '');
  await assert.rejects(async () => createWritableCopy(base, join(folder, 'file'), { mount: false }), {
    code: 'ERR_OPTION_INVALID',
    message: /: expected an empty directory or nothing, found something that is no directory; /,
  });
});
