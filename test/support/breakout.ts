/**
 * Images that tried to break out of the field's extractors, as tests: each builds its layers around a cage, writes
 * every form from them, and looks whether anything outside has changed or come in.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { flattenFile } from '../../src/export/flatten-file.js';
import { writeOverlay } from '../../src/export/overlay.js';
import { unpack } from '../../src/export/unpack.js';
import { type LayerTar, mergeLayers } from '../../src/rootfs/merge.js';
import { readTarFile } from '../../src/tar/read-tar-file.js';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { writeLayers } from './layers.js';
import { type DiskEntry, listTree } from './list-tree.js';
import { tempDir } from './temp-dir.js';
import { findTool } from './tools.js';

/** What lies outside of the destination, and must stay as it is. */
export interface Cage {
  /** Absolute path of a folder with `secret` (0600), `dir/victim`, `empty/` and a link `link`. */
  readonly outside: string;
  /** The way to it from the destination, with `..`. */
  readonly up: string;
  /** What `outside` is called if it is taken for a path inside the root. */
  readonly inside: string;
}

/** One case. Without `refused` all forms must be written. */
export interface Breakout {
  /** The advisory. */
  readonly id: string;
  readonly what: string;
  layers(cage: Cage): readonly LayerBuilder[];
  /** The codes with which the merge may refuse the layers. */
  readonly refused?: readonly string[];
  /** What must stand in the unpacked root: a type, or `type -> target`, by path. `undefined`: nothing. */
  holds?(cage: Cage): Readonly<Record<string, string | undefined>>;
}

const SECRET = 'the secret outside';

/** A fresh layer. */
export function layer(): LayerBuilder {
  return new LayerBuilder();
}

/** Makes a test of each case. */
export function testBreakouts(cases: readonly Breakout[]): void {
  for (const one of cases) {
    test(`${one.id}: ${one.what}`, async (t) => {
      const folder = tempDir(t, 'cage');
      const outside = join(folder, 'outside');
      mkdirSync(join(outside, 'dir'), { recursive: true, mode: 0o711 });
      mkdirSync(join(outside, 'empty'));
      writeFileSync(join(outside, 'secret'), SECRET, { mode: 0o600 });
      writeFileSync(join(outside, 'dir', 'victim'), 'victim');
      const cage: Cage = { outside, up: '../outside', inside: outside.slice(1) };
      mkdirSync(join(folder, 'in'));
      const layers = writeLayers(folder, ...one.layers(cage));
      const before = snapshot(folder);
      await tryAll(folder, layers, one, cage);
      assert.deepEqual(snapshot(folder), before);
      assert.equal(lstatSync(join(outside, 'secret')).nlink, 1);
    });
  }
}

function snapshot(folder: string): Record<string, DiskEntry> {
  return Object.fromEntries(Object.entries(listTree(folder)).filter(([path]) => /^(outside|layer-)/.test(path)));
}

async function tryAll(folder: string, layers: readonly LayerTar[], one: Breakout, cage: Cage): Promise<void> {
  const root = join(folder, 'in', 'root');
  const codes = one.refused ?? [];
  const isRefusal = (error: unknown): boolean => error instanceof RootfsError && codes.includes(error.code);
  try {
    const tree = await mergeLayers(layers);
    await unpack(tree, layers, root);
    await flattenFile(tree, layers, join(folder, 'flat.tar'));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    assert.deepEqual(readdirSync(join(folder, 'in')), []);
    await assert.rejects(writeOverlay(layers, join(folder, 'overlay')), RootfsError);
    return;
  }
  assert.deepEqual(codes, [], 'expected the layers to be refused');
  const found = listTree(root);
  keepsOut(root, found);
  for (const [path, expected] of Object.entries(one.holds?.(cage) ?? {})) {
    const entry = found[path];
    const shown = entry?.target === undefined ? entry?.type : `${entry.type} -> ${entry.target}`;
    assert.equal(shown, expected, path);
  }
  checkFlat(folder, found);
  await writeOverlay(layers, join(folder, 'overlay')).catch((error: unknown) => {
    // Paths are literal there: what the merge accepts by following a link may be none at all.
    assert.ok(error instanceof RootfsError && error.code === 'ERR_LAYER_INVALID', String(error));
  });
}

function keepsOut(root: string, found: Readonly<Record<string, DiskEntry>>): void {
  for (const [path, { type, size }] of Object.entries(found)) {
    if (type !== 'file' || size === 0) continue;
    const content = readFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]));
    assert.ok(!content.includes(SECRET), `${path} holds the secret`);
  }
}

/** The flattened tar has no name that leads out, and another extractor makes the same tree of it. */
function checkFlat(folder: string, found: Readonly<Record<string, DiskEntry>>): void {
  const flat = join(folder, 'flat.tar');
  const links = new Set<string>();
  for (const { name, type } of readTarFile(flat)) {
    const parts = name.split('/').filter((part) => part !== '' && part !== '.');
    assert.ok(!name.startsWith('/') && !parts.includes('..'), name);
    for (let end = 1; end < parts.length; end++) assert.ok(!links.has(parts.slice(0, end).join('/')), name);
    if (type === 'symlink') links.add(parts.join('/'));
  }
  const tar = findTool('tar');
  if (tar === undefined) return;
  mkdirSync(join(folder, 'tarred'));
  execFileSync(tar, ['-xf', flat, '-C', join(folder, 'tarred'), '--no-same-owner'], { stdio: 'ignore' });
  const again = listTree(join(folder, 'tarred'), { content: false });
  assert.deepEqual(Object.keys(again).sort(), Object.keys(found).sort());
}
