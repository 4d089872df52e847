import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { completeImage } from '../../src/export/mkfs-ext4-script.js';
import type { Inode } from '../../src/rootfs/tree.js';
import { type HandEntry, handTree } from '../support/hand-tree.js';
import { tempDir } from '../support/temp-dir.js';

/** Answers as debugfs does, for an image whose root (2) holds `some` (11) and `over` (12); keeps what it is told. */
const STAND_IN = `#!${process.execPath}
const { readFileSync, appendFileSync } = require('node:fs');
const [script, image] = process.argv.slice(-2);
const told = readFileSync(script, 'latin1');
const entry = (inode, name) => '/' + inode + '/040755/0/0/' + name + '//\\n';
const listing = (inode) => {
  if (inode === 2) return entry(11, 'some') + entry(12, 'over');
  if (inode > 12) return '';
  return Array.from({ length: inode === 11 ? 10 : 64999 }, (_, at) => entry(inode * 100000 + at, at)).join('');
};
if (process.argv[2] === '-w') appendFileSync(image, told + '\\f');
else {
  const numbers = [...told.matchAll(/<(\\d+)>/g)].map(([, inode]) => Number(inode));
  process.stdout.write(numbers.map((inode) => entry(inode, '.') + listing(inode)).join(''));
}
`;

test('a directory of more subdirectories than ext4 counts has a count of 1; very many commands go in several scripts', async (t) => {
  const folder = tempDir(t);
  const below = (name: string, count: number): HandEntry[] =>
    Array.from({ length: count }, (_, at) => ({ path: `${name}/${at}`, type: 'directory' }));
  const { tree } = handTree(folder, [...below('some', 10), ...below('over', 64_999)]);
  const tool = { name: 'debugfs', path: join(folder, 'debugfs') };
  writeFileSync(tool.path, STAND_IN);
  chmodSync(tool.path, 0o755);
  const image = join(folder, 'told');
  await completeImage({ tool, image, scratch: folder, signal: undefined }, tree, true);
  const told = readFileSync(image, 'latin1');
  assert.deepEqual(told.match(/^sif .* links_count .*$/gm), ['sif <12> links_count 1']);
  const scripts = told.split('\f').map((script) => script.match(/^sif /gm)?.length ?? 0);
  assert.equal(
    scripts.reduce((sum, count) => sum + count),
    (tree.inodes + 1) * 6 + 1,
  );
  assert.ok(Math.max(...scripts) < 60_000, `${scripts}`);
});

test('a value that many files share is in one file for debugfs', async (t) => {
  const folder = tempDir(t);
  const names = Array.from({ length: 10 }, (_, at) => `some/${at}`);
  const { tree } = handTree(folder, [
    ...names.map((path, at) => ({ path, xattrs: at === 0 ? { 'user.own': 'o' } : {} })),
    { path: 'over', type: 'directory' },
  ]);
  const shared = new Map([['user.all', Buffer.from('a')]]);
  for (const { inode, name } of tree.root.children?.get('some')?.children?.values() ?? []) {
    if (name !== '0') (inode as { xattrs: Inode['xattrs'] }).xattrs = shared;
  }
  const tool = { name: 'debugfs', path: join(folder, 'debugfs') };
  writeFileSync(tool.path, STAND_IN);
  chmodSync(tool.path, 0o755);
  const image = join(folder, 'told');
  await completeImage({ tool, image, scratch: folder, signal: undefined }, tree, true);
  assert.equal(readFileSync(image, 'latin1').match(/^ea_set /gm)?.length, 10);
  const values = readdirSync(folder).filter((name) => !/^(?:layer\.tar|debugfs|told|script)$/.test(name));
  assert.deepEqual(values.map((name) => readFileSync(join(folder, name), 'latin1')).sort(), ['a', 'o']);
});
