/** Copies that begin in one new layout at once: one that fails takes nothing from the others. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { BlobPlaces } from '../../src/content/blob-places.js';
import { BlobTrust } from '../../src/content/blob-trust.js';
import { layoutLock } from '../../src/content/empty-layout.js';
import { openLayoutForCopy } from '../../src/content/layout-for-copy.js';
import { nameBlob } from '../../src/content/name-blob.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { tryLock } from '../../src/io/lock.js';
import { MediaType } from '../../src/spec/media-types.js';
import { digestOf } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const BYTES = Buffer.from('{"schemaVersion":2}');
const TARGET = { mediaType: MediaType.ociManifest, digest: digestOf(BYTES), size: BYTES.length };

test('a copy that fails takes away the layout that it made, also where another copy is under way, which makes it again', async (t) => {
  const folder = join(tempDir(t), 'a', 'new');
  const failing = await openLayoutForCopy(folder);
  const other = await openLayoutForCopy(folder);
  await failing.close();
  assert.ok(!existsSync(join(folder, 'oci-layout')));
  await other.layout.push(TARGET, Readable.from([BYTES]));
  await other.layout.tag(TARGET, 'v1');
  await other.close();
  assert.equal((await (await OciLayout.open(folder)).resolve('v1')).digest, TARGET.digest);
  assert.deepEqual(readdirSync(folder).sort(), ['blobs', 'index.json', 'oci-layout']);
});

test('a layout in which another copy has brought something stays', async (t) => {
  const folder = join(tempDir(t), 'new');
  const failing = await openLayoutForCopy(folder);
  const other = await openLayoutForCopy(folder);
  await other.layout.push(TARGET, Readable.from([BYTES]));
  await failing.close();
  assert.deepEqual(readdirSync(folder).sort(), ['blobs', 'index.json', 'oci-layout']);
});

test('a layout in which another copy has brought something while it was about to go stays', async (t) => {
  const folder = join(tempDir(t), 'new');
  const failing = await openLayoutForCopy(folder);
  const release = await tryLock(layoutLock(folder));
  assert.ok(release);
  const closed = failing.close();
  // It has seen that there is no blob, and waits for the lock.
  await setTimeout(100);
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  writeFileSync(join(folder, 'blobs/sha256', TARGET.digest.slice(7)), BYTES);
  await release();
  await closed;
  assert.deepEqual(readdirSync(folder).sort(), ['blobs', 'index.json', 'oci-layout']);
});

test('a folder that is taken away while a layout is made in it is made again', async (t) => {
  const folder = join(tempDir(t), 'new');
  mkdirSync(folder);
  // Held for ever: whoever makes the layout waits for it, until it goes with its folder.
  assert.ok(await tryLock(layoutLock(folder)));
  const opening = openLayoutForCopy(folder);
  await setTimeout(100);
  rmSync(folder, { recursive: true });
  const { layout } = await opening;
  await layout.push(TARGET, Readable.from([BYTES]));
  assert.deepEqual(readdirSync(folder).sort(), ['blobs', 'index.json', 'oci-layout']);
});

test('a list that is lost in a layout that stands is told, and not begun anew', async (t) => {
  const folder = join(tempDir(t), 'new');
  const { layout } = await openLayoutForCopy(folder);
  await layout.push(TARGET, Readable.from([BYTES]));
  rmSync(join(folder, 'index.json'));
  await assert.rejects(layout.tag(TARGET, 'v1'), { code: 'ERR_LAYOUT_INVALID' });
});

test('the folder of a blob that somebody else takes away while it is empty is made again', async (t) => {
  const root = tempDir(t);
  const places = new BlobPlaces(root, 'blobs');
  const temporary = join(root, 'temporary');
  writeFileSync(temporary, BYTES);
  await nameBlob(temporary, TARGET.digest, places, new BlobTrust(places, false));
  assert.deepEqual(readFileSync(places.blob(TARGET.digest)), BYTES);
  const gone = nameBlob(join(root, 'gone'), digestOf(Buffer.from('x')), places, new BlobTrust(places, false));
  await assert.rejects(gone, { code: 'ENOENT' });
});
