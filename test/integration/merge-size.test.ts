/** A layer of 200,000 small files: how much memory merging it may take. The times are told; `npm run bench` judges them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { END } from '../support/raw-tar.js';
import { tempDir } from '../support/temp-dir.js';

const FILES = 200_000;
/** Files that are built at once: builders hold their bytes. */
const PIECE = 10_000;

interface Spent {
  readonly entries: number;
  readonly seconds: number;
  readonly peak: number;
}

test('200,000 entries are merged within 400 MB', (t) => {
  const path = join(tempDir(t, 'large'), 'layer.tar');
  const fd = openSync(path, 'w');
  for (let from = 0; from < FILES; from += PIECE) {
    const builder = new LayerBuilder();
    for (let at = from; at < from + PIECE; at += 1)
      builder.file(`d${at % 500}/s${(at >> 9) % 50}/file-${at}`, `${at}\n`);
    const tar = builder.tar();
    assert.deepEqual(tar.subarray(-END.length), END);
    writeSync(fd, tar, 0, tar.length - END.length);
  }
  writeSync(fd, END);
  closeSync(fd);
  const child = fileURLToPath(new URL('../bench/merge-part.js', import.meta.url));
  const run = (what: 'read' | 'merge'): Spent =>
    JSON.parse(execFileSync(process.execPath, [child, what, path], { encoding: 'utf8' })) as Spent;

  const read = run('read');
  assert.equal(read.entries, FILES);
  const perSecond = Math.round(read.entries / read.seconds);
  const merged = run('merge');
  assert.ok(merged.entries > FILES);
  assert.ok(merged.peak <= 400e6, `merged in ${merged.peak} bytes`);
  t.diagnostic(
    `${perSecond} headers a second; merged in ${merged.seconds.toFixed(2)} s, ${Math.round(merged.peak / 1e6)} MB`,
  );
});
