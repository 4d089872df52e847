import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { flatten, flattenTo } from '../../src/export/flatten.js';
import { unpack } from '../../src/export/unpack.js';
import { loadNative } from '../../src/io/native.js';
import type { ProgressEvent, ProgressListener } from '../../src/progress.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { readTarStream } from '../../src/tar/read-tar-stream.js';
import { handTree } from '../support/hand-tree.js';
import { listTree } from '../support/list-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { findTool } from '../support/tools.js';

const root = process.geteuid?.() === 0 && loadNative() !== undefined ? false : 'needs root and koffi';
const long = 'x'.repeat(120);

function sample(folder: string): ReturnType<typeof handTree> {
  return handTree(folder, [
    { path: '', type: 'directory', mode: 0o711, seconds: 9 },
    { path: 'z', content: 'z'.repeat(300_000), uid: 3_000_000, nanoseconds: 5 },
    { path: 'b/second', content: 'linked', xattrs: { 'user.note': 'a\nb' } },
    { path: 'a/first', linkTo: 'b/second' },
    { path: 'a-b', target: '/usr/lib' },
    { path: `${long}/${long}`, content: 'long', seconds: -5, nanoseconds: 500_000_000 },
    { path: 'caf\xe9', content: '' },
    { path: 'dev/null', type: 'char', rdev: [1, 3], mode: 0o666 },
    { path: 'pipe', type: 'fifo' },
    { path: 'sparse', sparse: { size: 5_000_000, runs: [{ at: 4096, data: 'mid' }] } },
    // runs that are no whole blocks: GNU tar and Go read on at different places
    {
      path: 'sparse-odd',
      sparse: {
        size: 9_000,
        runs: [
          { at: 1, data: 'h' },
          { at: 4, data: 'e' },
          { at: 600, data: 'l'.repeat(700) },
          { at: 2000, data: 'lo' },
          { at: 8000, data: 'end' },
        ],
      },
    },
  ]);
}

test('the flattened tar is the same tree again', { skip: root }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = sample(folder);
  const flat = join(folder, 'flat.tar');
  const bytes = await buffer(flatten(tree, layers));
  writeFileSync(flat, bytes);
  const again = [{ path: flat, tarBytes: bytes.length }];
  await unpack(tree, layers, join(folder, 'one'));
  await unpack(await mergeLayers(again), again, join(folder, 'two'));
  assert.deepEqual(listTree(join(folder, 'two')), listTree(join(folder, 'one')));
});

test('names of a directory come in the order of their bytes, links after the name with the data', async (t) => {
  const { tree, layers } = sample(tempDir(t));
  const bytes = await buffer(flatten(tree, layers));
  const listed = spawnSync(findTool('tar') ?? 'tar', ['-tvf', '-'], { input: bytes, encoding: 'latin1' }).stdout;
  const names = listed.split('\n').map((line) => line.replace(/^.*\d\d:\d\d /, ''));
  assert.deepEqual(names.slice(0, 5), ['./', 'a/', 'a/first', 'a-b -> /usr/lib', 'b/']);
  assert.equal(names[5], 'b/second link to a/first');
});

test('to a descriptor: the same bytes, a file or a pipe, with native calls or without', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = sample(folder);
  const expected = await buffer(flatten(tree, layers));
  const path = join(folder, 'out.tar');
  const fd = openSync(path, 'w');
  const written = await flattenTo(tree, layers, fd);
  closeSync(fd);
  assert.equal(written, expected.length);
  assert.ok(readFileSync(path).equals(expected));
  const script = `
    import { flattenTo } from '${new URL('../../src/export/flatten.js', import.meta.url).href}';
    import { mergeLayers } from '${new URL('../../src/rootfs/merge.js', import.meta.url).href}';
    const layers = [{ path: process.argv[1], tarBytes: Number(process.argv[2]) }];
    await flattenTo(await mergeLayers(layers), layers, 1);`;
  for (const native of ['0', '1']) {
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script, path, String(expected.length)], {
      env: { ...process.env, ROOTFS_NATIVE: native },
      maxBuffer: 2 ** 26,
    });
    assert.equal(run.stderr.toString(), '');
    assert.ok(run.stdout.equals(expected), `native ${native}`);
  }
});

test('SOURCE_DATE_EPOCH is the latest time there is', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'new', content: 'n', seconds: 2000, nanoseconds: 7 },
    { path: 'old', content: 'o', seconds: 500, nanoseconds: 7 },
  ]);
  const times = async (options: { sourceDateEpoch?: number }): Promise<string[]> => {
    const path = join(folder, 'flat.tar');
    const bytes = await buffer(flatten(tree, layers, options));
    writeFileSync(path, bytes);
    const again = await mergeLayers([{ path, tarBytes: bytes.length }]);
    return [...(again.root.children?.values() ?? [])].map(
      ({ name, inode: { mtime } }) => `${name} ${mtime.seconds}.${mtime.nanoseconds}`,
    );
  };
  assert.deepEqual(await times({}), ['new 2000.7', 'old 500.7']);
  assert.deepEqual(await times({ sourceDateEpoch: 1000 }), ['new 1000.0', 'old 500.7']);
  process.env['SOURCE_DATE_EPOCH'] = '1500';
  try {
    assert.deepEqual(await times({}), ['new 1500.0', 'old 500.7']);
    process.env['SOURCE_DATE_EPOCH'] = 'soon';
    assert.throws(() => flatten(tree, layers), { code: 'ERR_OPTION_INVALID', message: /SOURCE_DATE_EPOCH/ });
  } finally {
    delete process.env['SOURCE_DATE_EPOCH'];
  }
  assert.throws(() => flatten(tree, layers, { sourceDateEpoch: 1.5 }), { code: 'ERR_OPTION_INVALID' });
});

test('globs choose, and a link whose first name is left out carries the data', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = sample(folder);
  const bytes = await buffer(flatten(tree, layers, { include: ['a', 'b'], exclude: ['a/*'] }));
  const path = join(folder, 'flat.tar');
  writeFileSync(path, bytes);
  const again = await mergeLayers([{ path, tarBytes: bytes.length }]);
  assert.equal(again.entries, 3);
  assert.equal(again.dataBytes, 6);
});

test('failures come out of the stream: a layer that is gone, an abort', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = sample(folder);
  mkdirSync(join(folder, 'x'));
  await assert.rejects(buffer(flatten(tree, [{ path: join(folder, 'no'), tarBytes: 1 }])), { code: 'ERR_NOT_FOUND' });
  const controller = new AbortController();
  const reason = new Error('enough');
  const stream = flatten(tree, layers, { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(buffer(stream), reason);
  assert.throws(() => flatten(tree, layers, { signal: controller.signal }), reason);
  for (const nothing of [null, 0]) {
    const other = new AbortController();
    const half = flatten(tree, layers, { signal: other.signal });
    other.abort(nothing);
    await assert.rejects(buffer(half), { name: 'AbortError' });
  }
});

test('progress adds up: the last event has all that is written, globs or not', async (t) => {
  const { tree, layers } = sample(tempDir(t));
  for (const patterns of [{}, { include: ['/a', '/b', 'sparse*'] }, { exclude: ['/*'] }]) {
    const events: Extract<ProgressEvent, { type: 'entries:written' }>[] = [];
    const onProgress: ProgressListener = (event) => void (event.type === 'entries:written' && events.push(event));
    let files = 0;
    let bytes = 0;
    for await (const { entry } of readTarStream(flatten(tree, layers, { ...patterns, onProgress }))) {
      files += 1;
      if (entry.type === 'file') bytes += entry.size;
    }
    const last = events.at(-1);
    assert.deepEqual(
      [last?.entries, last?.totalEntries, last?.dataBytes, last?.totalDataBytes],
      [files - 1, files - 1, bytes, bytes],
    );
  }
});

test('what a reader destroys the stream with comes out of it as it is', async (t) => {
  const { tree, layers } = sample(tempDir(t));
  const reason = new Error('enough');
  const stream = flatten(tree, layers);
  const failed = new Promise((done) => stream.once('error', done));
  stream.once('data', () => stream.destroy(reason));
  assert.equal(await failed, reason);
});
