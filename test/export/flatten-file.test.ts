import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs, { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { writeErofs } from '../../src/export/erofs.js';
import { flatten } from '../../src/export/flatten.js';
import { flattenFile } from '../../src/export/flatten-file.js';
import type { LayerTar } from '../../src/rootfs/merge.js';
import type { MergedTree } from '../../src/rootfs/tree.js';
import { type HandEntry, handTree } from '../support/hand-tree.js';
import { tempDir } from '../support/temp-dir.js';

const pattern = (length: number): Buffer => Buffer.alloc(length, 'a run of data, and its place. ');

/** Files on both sides of every limit there is: small ones between long ones, a sparse one, links. */
function sample(folder: string): { readonly tree: MergedTree; readonly layers: readonly LayerTar[] } {
  const long: HandEntry[] = Array.from({ length: 12 }, (_, index) => ({
    path: `long/${index}`,
    content: pattern(6_000_000 + index * 511),
  }));
  const small: HandEntry[] = Array.from({ length: 400 }, (_, index) => ({
    path: `small/${index}`,
    content: pattern(index * 77),
  }));
  return handTree(folder, [
    ...long,
    ...small,
    { path: 'limit/one-less', content: pattern(65_535) },
    { path: 'limit/just', content: pattern(65_536) },
    { path: 'link', linkTo: 'limit/just' },
    { path: 'sparse', sparse: { size: 9_000_000, runs: [{ at: 70_000, data: 'x'.repeat(200_001) }] } },
  ]);
}

test('a file holds the bytes that are streamed', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = sample(folder);
  const expected = await buffer(flatten(tree, layers));
  const path = join(folder, 'out.tar');
  const events: number[] = [];
  const { tarBytes } = await flattenFile(tree, layers, path, {
    onProgress: (event) => {
      if (event.type === 'entries:written') events.push(event.entries);
    },
  });
  assert.equal(tarBytes, expected.length);
  assert.ok(readFileSync(path).equals(expected));
  assert.equal(events.at(-1), tree.entries);
});

test('a large tree needs no /proc to become a file', {
  skip: process.platform === 'linux' && process.geteuid?.() === 0 ? false : 'needs root on Linux, to hide /proc',
}, async (t) => {
  const folder = tempDir(t);
  const script = `
    import { flattenFile } from ${JSON.stringify(new URL('../../src/export/flatten-file.js', import.meta.url).href)};
    import { handTree } from ${JSON.stringify(new URL('../support/hand-tree.js', import.meta.url).href)};
    const [, folder] = process.argv;
    const { tree, layers } = handTree(folder, [{ path: 'long', content: Buffer.alloc(6_000_000) }]);
    await flattenFile(tree, layers, folder + '/out.tar');`;
  const node = [process.execPath, '--input-type=module', '-e', script, folder];
  const hidden = ['--mount', 'sh', '-c', 'umount -l /proc && exec "$@"', 'sh', ...node];
  const run = spawnSync('unshare', hidden, { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  assert.ok(statSync(join(folder, 'out.tar')).size > 6_000_000);
});

test('a layer that is cut while its data is moved is an error, and no file is left', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = sample(folder);
  const [layer] = layers;
  assert.ok(layer !== undefined);
  let cut = false;
  const onProgress = (): void => {
    if (!cut) truncateSync(layer.path, 1_000_000);
    cut = true;
  };
  const before = readdirSync(folder);
  await assert.rejects(flattenFile(tree, layers, join(folder, 'out.tar'), { onProgress }), {
    code: 'ERR_LAYER_INVALID',
  });
  assert.deepEqual(readdirSync(folder), before);
});

test('a link to a file that is not there yet stays, and the file is made; one into no folder is refused', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'x' }]);
  const link = join(folder, 'link.tar');
  fs.symlinkSync('new.tar', link);
  const { path, tarBytes } = await flattenFile(tree, layers, link);
  assert.equal(path, link);
  assert.ok(
    readdirSync(folder, { withFileTypes: true }).some((one) => one.name === 'link.tar' && one.isSymbolicLink()),
  );
  assert.equal(statSync(join(folder, 'new.tar')).size, tarBytes);
  fs.symlinkSync('none/new.tar', join(folder, 'lost'));
  await assert.rejects(flattenFile(tree, layers, join(folder, 'lost')), { code: 'ERR_NOT_FOUND' });
});

test('what would lie below a file is refused as that by every Node', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'x' }]);
  writeFileSync(join(folder, 'file'), '');
  for (const name of ['file/x', 'file/x/y']) {
    await assert.rejects(flattenFile(tree, layers, join(folder, name)), { code: 'ERR_FILESYSTEM', message: /ENOTDIR/ });
  }
  await assert.rejects(flattenFile(tree, layers, join(folder, 'none/x')), { code: 'ERR_NOT_FOUND' });
});

test('what making the tree throws comes through as it is, and no file is left', async (t) => {
  const folder = tempDir(t);
  const reason = new Error('the caller has its own');
  const made = flattenFile(() => Promise.reject(reason), [], join(folder, 'out.tar'));
  await assert.rejects(made, (error) => error === reason);
  assert.deepEqual(readdirSync(folder), []);
});

test('an abort ends with its reason, and no file is left', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = sample(folder);
  const before = readdirSync(folder);
  const controller = new AbortController();
  const reason = new Error('enough');
  const flattening = flattenFile(tree, layers, join(folder, 'out.tar'), { signal: controller.signal });
  setImmediate(() => controller.abort(reason));
  await assert.rejects(flattening, reason);
  assert.deepEqual(readdirSync(folder), before);
});

test('little of a large tree asks for no more room than it is said to', async (t) => {
  const folder = tempDir(t);
  const many: HandEntry[] = Array.from({ length: 2100 }, (_, index) => ({
    path: `few/${index}`,
    content: pattern(900),
  }));
  const { tree, layers } = handTree(folder, [...many, { path: 'large', content: Buffer.alloc(96_000_000) }]);
  const half = layers.reduce((sum, { tarBytes }) => sum + tarBytes, 0) / 2;
  const out = tempDir(t);
  let most = 0;
  const onProgress = (): void => {
    // Room is asked for by another thread.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    for (const name of readdirSync(out)) most = Math.max(most, statSync(join(out, name)).blocks * 512);
  };
  const { tarBytes } = await flattenFile(tree, layers, join(out, 'x.tar'), { include: ['/few'], onProgress });
  assert.ok(most > 0 && most < half + 8_000_000, `${most} bytes for ${tarBytes}, layers of ${half * 2}`);
  assert.ok(statSync(join(out, 'x.tar')).blocks * 512 < tarBytes + 1_000_000);
});

test('what cannot be removed as it was made hides no failure', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = sample(folder);
  const made = join(folder, 'made');
  mkdirSync(made);
  const reason = new Error('enough');
  for (const write of [flattenFile, writeErofs]) {
    const controller = new AbortController();
    const { signal } = controller;
    const onProgress = (): void => {
      if (signal.aborted) return;
      const [name] = readdirSync(made);
      assert.ok(name !== undefined);
      rmSync(join(made, name));
      mkdirSync(join(made, name));
      controller.abort(reason);
    };
    const writing = write(tree, layers, join(made, 'out'), { signal, onProgress });
    await assert.rejects(writing, (error) => error === reason);
    assert.ok(signal.aborted);
    assert.deepEqual(readdirSync(made), []);
  }
});
