/**
 * A process that commits blobs: `commit-child ROOT SEED COUNT`; with `layout` behind them, into an OCI layout, each with
 * a tag. Killed at any moment, or run beside its like.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { BlobDir } from '../../src/content/blob-dir.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { digestOf } from '../../src/testing/testing.js';

const [root = '', seed = '0', count = '0', form] = process.argv.slice(2);

function content(at: number): Buffer {
  const block = createHash('sha256').update(`${seed} ${at}`).digest();
  return Buffer.concat(Array.from({ length: 1 + ((block[0] ?? 0) % 40) * 200 }, () => block));
}

async function pushAndTag(layout: OciLayout, at: number): Promise<void> {
  const bytes = content(at);
  const digest = digestOf(bytes);
  const descriptor = { mediaType: 'application/octet-stream', digest, size: bytes.length };
  await layout.push(descriptor, Readable.from([bytes]));
  await layout.tag(descriptor, `${process.pid}-${at}`);
}

async function commit(store: BlobDir, at: number): Promise<void> {
  const bytes = content(at);
  const digest = digestOf(bytes);
  if (at % 2 === 0) {
    const half = bytes.length >> 1;
    const pieces = Readable.from([bytes.subarray(0, half), bytes.subarray(half)]);
    await store.push({ mediaType: 'application/octet-stream', digest, size: bytes.length }, pieces);
    return;
  }
  const temporary = store.temporaryPath();
  const file = await open(temporary, 'wx');
  await file.writeFile(bytes);
  await file.close();
  await store.commitFile(temporary, digest, bytes.length, { compressed: [digest] });
}

process.stdout.write('ready\n');
if (form === 'layout') {
  const layout = await OciLayout.open(root, { create: true });
  for (let at = 0; at < Number(count); at++) await pushAndTag(layout, at);
} else {
  const store = await BlobDir.open(root);
  for (let at = 0; at < Number(count); at++) await commit(store, at);
}
