import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { planUnpack } from '../../src/export/plan-unpack.js';
import { readPowers } from '../../src/export/powers.js';
import { checkUnpackOptions } from '../../src/export/unpack-options.js';
import type { Inode } from '../../src/rootfs/tree.js';
import { handTree } from '../support/hand-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { turnsDuring } from '../support/turns-during.js';

test('others have their turn while many entries are planned, and an abort is heard', async (t) => {
  const entries = Array.from({ length: 8000 }, (_, at) => ({ path: `d/${at}` }));
  const { tree, layers } = handTree(tempDir(t), entries);
  const limits = checkUnpackOptions({});
  const input = { tree, layers, limits, powers: readPowers(), native: true, marks: undefined };
  const turns = await turnsDuring(t, async () => {
    const { plan } = await planUnpack({ ...input, options: {} });
    assert.equal(plan.entries, 8001);
  });
  assert.ok(turns >= 7, `${turns} turns`);
  const controller = new AbortController();
  const reason = new Error('enough');
  setImmediate(() => controller.abort(reason));
  await turnsDuring(t, () =>
    assert.rejects(planUnpack({ ...input, options: { signal: controller.signal } }), (error) => error === reason),
  );
});

test('files of very many attributes: others have their turn among them, and a batch has few of them', async (t) => {
  const xattrs = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`user.${at}`, 'v']));
  const entries = Array.from({ length: 100 }, (_, at) => ({ path: `d/${at}`, xattrs }));
  const { tree, layers } = handTree(tempDir(t), entries);
  const limits = checkUnpackOptions({});
  const input = { tree, layers, limits, powers: readPowers(), native: true, marks: undefined };
  const turns = await turnsDuring(t, async () => {
    const { plan } = await planUnpack({ ...input, options: {} });
    const sizes = plan.contents.map(({ entries: count }) => count);
    assert.equal(
      sizes.reduce((sum, count) => sum + count),
      100,
    );
    assert.ok(Math.max(...sizes) <= 17, `${sizes}`);
  });
  assert.ok(turns >= 40, `${turns} turns`);
});

test('files with the same attributes share one list of them, and a batch has few bytes of others', async (t) => {
  const shared = new Map([['user.x', Buffer.from('v')]]);
  const long = Buffer.alloc(1024 * 1024, 'v');
  const entries = Array.from({ length: 64 }, (_, at) => ({ path: `own/${at}`, xattrs: { 'user.long': long } }));
  const { tree, layers } = handTree(tempDir(t), [...entries, ...entries.map((_, at) => ({ path: `same/${at}` }))]);
  for (const { inode } of tree.root.children?.get('same')?.children?.values() ?? []) {
    (inode as { xattrs: Inode['xattrs'] }).xattrs = shared;
  }
  const limits = checkUnpackOptions({});
  const { plan } = await planUnpack({ tree, layers, limits, powers: readPowers(), native: true, options: {} });
  const details = plan.contents.map(({ segments }) => segments.flatMap((one) => [...one.details.values()]));
  const lists = (name: string): number[] =>
    details.map((batch) => batch.filter(({ xattrs }) => xattrs?.[0]?.[0] === name).length);
  assert.equal(
    lists('user.x').reduce((sum, count) => sum + count),
    64,
  );
  assert.equal(
    new Set(details.flat().flatMap(({ xattrs = [] }) => (xattrs[0]?.[0] === 'user.x' ? [xattrs] : []))).size,
    1,
  );
  assert.equal(Math.max(...lists('user.long')), 8);
});

test('links know where their first names are, however deep', async (t) => {
  const deep = Array.from({ length: 200 }, () => 'd').join('/');
  const entries = Array.from({ length: 20 }, (_, at) => [
    { path: `${deep}/${at}` },
    { path: `z/${at}`, linkTo: `${deep}/${at}` },
  ]);
  const { tree, layers } = handTree(tempDir(t), entries.flat());
  const limits = checkUnpackOptions({});
  const { plan } = await planUnpack({ tree, layers, limits, powers: readPowers(), native: true, options: {} });
  const links = plan.links.flatMap(({ segments }) => segments.flatMap((one) => [...one.details.values()]));
  assert.deepEqual(
    links.map(({ linkFrom }) => linkFrom?.name),
    entries.map((_, at) => String(at)),
  );
  assert.deepEqual([...new Set(links.map(({ linkFrom }) => linkFrom?.directory))], [deep]);
});

test('what lies deep takes little more memory than what does not: paths are kept as text', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const deep = Array.from({ length: 200 }, () => 'd').join('/');
  const { tree, layers } = handTree(
    tempDir(t),
    Array.from({ length: 10_000 }, (_, at) => ({ path: `${deep}/${at}/f` })),
  );
  const input = { tree, layers, limits: checkUnpackOptions({}), powers: readPowers(), native: true, options: {} };
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = heap();
  const { plan } = await planUnpack(input);
  const grown = heap() - before;
  assert.equal(plan.entries, 20_200);
  assert.ok(grown < 15_000_000, `${grown} bytes`);
});
