import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Arguments, Context } from '../../src/cli/command.js';
import { storeFolder, withStore } from '../../src/cli/store.js';
import { cacheFolder, fetchImage, openSource } from '../../src/index.js';
import { processMark } from '../../src/io/process-mark.js';
import { image, writeLayout } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const context: Context = {
  signal: new AbortController().signal,
  onProgress: () => {},
  write: async () => {},
  note: () => {},
  endProgress: () => {},
};

test('caches lie under XDG_CACHE_HOME where it is absolute, else under ~/.cache', () => {
  const home = '/home/ada';
  assert.equal(cacheFolder('layers-v1', { env: {}, home }), '/home/ada/.cache/rootfs-kit/layers-v1');
  assert.equal(cacheFolder('layers-v1', { env: { HOME: '/h' } }), '/h/.cache/rootfs-kit/layers-v1');
  const env = { XDG_CACHE_HOME: '/var/cache/ada' };
  assert.equal(cacheFolder('images-v1', { env, home }), '/var/cache/ada/rootfs-kit/images-v1');
  assert.equal(
    cacheFolder('images-v1', { env: { XDG_CACHE_HOME: 'relative' }, home }),
    '/home/ada/.cache/rootfs-kit/images-v1',
  );
});

test('--store names a folder once, --no-store none', () => {
  assert.equal(storeFolder({ store: '/a/b' }), '/a/b');
  assert.equal(storeFolder({ store: false }), undefined);
  assert.equal(storeFolder({}), cacheFolder('layers-v1'));
});

async function layers(folder: string, args: Arguments, fail = false): Promise<string[]> {
  const layout = join(folder, 'layout');
  if (!existsSync(layout)) {
    const built = image()
      .layer((layer) => layer.file('a', 'A'))
      .layer((layer) => layer.file('b', 'B'));
    await writeLayout(layout, { latest: built.build() });
  }
  const opened = await openSource(`oci:${layout}:latest`);
  try {
    const fetched = await fetchImage(opened.source, opened.reference);
    return await withStore(args, context, fetched, opened, async (rootfs, store) => {
      if (fail) throw new Error('enough');
      for (const layer of rootfs.layers) assert.ok(layer.path.startsWith(`${store}/sha256/`), layer.path);
      return rootfs.layers.map(({ path }) => path);
    });
  } finally {
    await opened.close();
  }
}

test('the named store is made and kept', async (t) => {
  const folder = tempDir(t);
  const store = join(folder, 'made/here');
  const paths = await layers(folder, { store });
  assert.equal(paths.length, 2);
  for (const path of paths) assert.ok(existsSync(path) && path.startsWith(store));
  assert.deepEqual(await layers(folder, { store }), paths);
  writeFileSync(join(folder, 'file'), '');
  await assert.rejects(layers(folder, { store: join(folder, 'file/below') }), { message: /--store / });
});

test('a temporary store is gone afterwards, after a failure too', async (t) => {
  const folder = tempDir(t);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = join(folder, 'tmp');
  mkdirSync(process.env['TMPDIR']);
  try {
    const paths = await layers(folder, { store: false });
    assert.equal(paths.length, 2);
    assert.ok(paths.every((path) => path.startsWith(join(folder, 'tmp')) && !existsSync(path)));
    await assert.rejects(layers(folder, { store: false }, true), { message: 'enough' });
    assert.deepEqual(readdirSync(join(folder, 'tmp')), []);

    const dead = processMark().replace(/-\d+-\d+$/, '-4194303-77');
    mkdirSync(join(folder, 'tmp', `.rootfs-kit-${dead}-abcdef`, 'sha256'), { recursive: true });
    await layers(folder, { store: false });
    assert.deepEqual(readdirSync(join(folder, 'tmp')), [], 'what a killed run left is gone too');

    process.env['TMPDIR'] = join(folder, 'none');
    await assert.rejects(layers(folder, { store: false }), {
      code: 'ERR_FILESYSTEM',
      message: /set TMPDIR .* --store/,
    });
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
  assert.equal(process.listenerCount('exit'), 0);
});
