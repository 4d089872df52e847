/** Links where a layout or a store keeps its own: nothing behind them is removed, and a layout is not written through one. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { BlobDir } from '../../src/content/blob-dir.js';
import { listLeases, takeLease } from '../../src/content/lease.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { describe } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const bytes = Buffer.from('a blob');
const blob = describe('application/octet-stream', bytes);

/** A folder of somebody's, with a file and a folder that are old. */
function theirs(t: TestContext): { readonly folder: string; check(): void } {
  const folder = tempDir(t);
  mkdirSync(join(folder, 'photos'));
  for (const name of ['photos/one', 'thesis', 'thesis.json']) writeFileSync(join(folder, name), 'precious');
  for (const name of ['photos', 'thesis', 'thesis.json']) utimesSync(join(folder, name), 1, 1);
  const before = readdirSync(folder, { recursive: true }).sort();
  return { folder, check: () => assert.deepEqual(readdirSync(folder, { recursive: true }).sort(), before) };
}

test('a layout whose folder of temporaries is a link is not written, and what lies behind the link stays', async (t) => {
  const { folder, check } = theirs(t);
  const root = tempDir(t);
  const layout = await OciLayout.open(root, { create: true });
  await layout.push(blob, Readable.from([bytes]));
  await layout.tag(blob, 'v1');
  symlinkSync(folder, join(root, 'ingest'));
  const refusal = {
    code: 'ERR_LAYOUT_INVALID',
    message: /ingest: a link to a folder, through which nothing is written/,
  };
  await assert.rejects(layout.tag(blob, 'v2'), refusal);
  await assert.rejects(layout.push(blob, Readable.from([bytes])), refusal);
  await assert.rejects(layout.untag('v1'), refusal);
  check();
  assert.equal((await layout.resolve('v1')).digest, blob.digest);
});

test('a store sweeps what it knows alone, also behind a link', async (t) => {
  const { folder, check } = theirs(t);
  const root = tempDir(t);
  symlinkSync(folder, join(root, 'ingest'));
  const store = await BlobDir.open(root);
  await store.push(blob, Readable.from([bytes]));
  assert.deepEqual(await store.sweep(), []);
  check();
});

test('of leases only those that are some are removed, also behind a link', async (t) => {
  const { folder, check } = theirs(t);
  const root = tempDir(t);
  symlinkSync(folder, join(root, 'leases'));
  const lease = await takeLease(root, { purpose: 'x' });
  assert.equal((await listLeases(root)).filter(({ purpose }) => purpose === 'x').length, 1);
  await lease.release();
  check();
});
