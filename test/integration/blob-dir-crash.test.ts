/** The promise of the blob folder under SIGKILL, under company, on a full disk and on one that cannot be written. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BlobDir } from '../../src/content/blob-dir.js';
import { readVerified } from '../../src/content/fetch-verified.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { describe } from '../../src/testing/testing.js';
import { NO_MOUNT, smallDisk } from '../support/small-disk.js';
import { tempDir } from '../support/temp-dir.js';

const CHILD = fileURLToPath(new URL('./commit-child.js', import.meta.url));
const ROUNDS = Number(process.env['ROOTFS_CRASH_ROUNDS'] ?? 50);

/** Numbers from 0 to 1 that are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function checkNames(root: string): number {
  const folder = join(root, 'sha256');
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of names) {
    const path = join(folder, name);
    assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), name);
    assert.equal(statSync(path).mode & 0o7777, 0o444);
  }
  return names.length;
}

test(`killed ${ROUNDS} times at random moments, no name ever shows other bytes`, { timeout: 300_000 }, async (t) => {
  const root = tempDir(t);
  const random = seeded(7);
  let killed = 0;
  let leftovers = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const child = spawn(process.execPath, [CHILD, root, String(round), '100000'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = new Promise<NodeJS.Signals | null>((resolve) =>
      child.once('exit', (_code, signal) => resolve(signal)),
    );
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    await new Promise((resolve) => setTimeout(resolve, random() * 30));
    child.kill('SIGKILL');
    if ((await gone) === 'SIGKILL') killed++;
    leftovers += readdirSync(root).includes('ingest') ? readdirSync(join(root, 'ingest')).length : 0;
    checkNames(root);
    await (await BlobDir.open(root)).sweep();
    assert.deepEqual(existsSync(join(root, 'ingest')) ? readdirSync(join(root, 'ingest')) : [], []);
  }
  assert.equal(killed, ROUNDS);
  const blobs = checkNames(root);
  assert.ok(blobs > 0, 'the processes lived long enough to commit something');
  assert.ok(leftovers > 0, 'some were killed in the middle of a commit');
  t.diagnostic(`${blobs} blobs committed, ${leftovers} leftovers swept`);
  const store = await BlobDir.open(root);
  for (const name of readdirSync(join(root, 'sha256'))) assert.ok(await store.find(`sha256:${name}`));
});

test('five processes commit the same blobs into one folder, all succeed and agree', async (t) => {
  const root = tempDir(t);
  const codes = await Promise.all(
    Array.from({ length: 5 }, () => {
      const child = spawn(process.execPath, [CHILD, root, 'same', '60'], { stdio: ['ignore', 'ignore', 'inherit'] });
      return new Promise((resolve) => child.once('exit', resolve));
    }),
  );
  assert.deepEqual(codes, [0, 0, 0, 0, 0]);
  assert.equal(checkNames(root), 60);
  assert.deepEqual(readdirSync(join(root, 'ingest')), []);
  const store = await BlobDir.open(root);
  for (const name of readdirSync(join(root, 'sha256'))) {
    const found = await store.find(`sha256:${name}`);
    assert.equal(found?.size, statSync(join(root, 'sha256', name)).size);
  }
});

test('a layout whose writers are killed stays whole, and the next writer goes on', { timeout: 300_000 }, async (t) => {
  const root = join(tempDir(t), 'layout');
  const random = seeded(11);
  for (let round = 0; round < 10; round++) {
    const children = [0, 1].map((at) =>
      spawn(process.execPath, [CHILD, root, `${round} ${at}`, '100000', 'layout'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    );
    await Promise.all(children.map((child) => new Promise((resolve) => child.stdout?.once('data', resolve))));
    await new Promise((resolve) => setTimeout(resolve, random() * 60));
    const gone = children.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(gone);
    const layout = await OciLayout.open(root, { create: true });
    for await (const tag of layout.tags()) await readVerified(layout, await layout.resolve(tag));
  }
  const layout = await OciLayout.open(root);
  const bytes = Buffer.from('the last one');
  const last = describe('application/octet-stream', bytes);
  await layout.push(last, Readable.from([bytes]));
  await layout.tag(last, 'last');
  assert.deepEqual(readdirSync(root).sort(), ['blobs', 'index.json', 'oci-layout']);
});

test('five processes tag in one layout at once, and no name is lost', async (t) => {
  const root = join(tempDir(t), 'layout');
  const codes = await Promise.all(
    Array.from({ length: 5 }, (_, at) => {
      const child = spawn(process.execPath, [CHILD, root, String(at), '8', 'layout'], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      return new Promise((resolve) => child.once('exit', resolve));
    }),
  );
  assert.deepEqual(codes, [0, 0, 0, 0, 0]);
  let tags = 0;
  for await (const _ of (await OciLayout.open(root)).tags()) tags++;
  assert.equal(tags, 40);
});

test('a full disk is ERR_NO_SPACE, and nothing half-made stays', async (t) => {
  const root = smallDisk(t, 'size=256k');
  if (root === undefined) return t.skip(NO_MOUNT);
  const store = await BlobDir.open(root);
  const small = Buffer.alloc(20_000, 's');
  await store.push(describe('application/octet-stream', small), Readable.from([small]));
  const bytes = Buffer.alloc(1024 * 1024, 'x');
  const chunks = Array.from({ length: 16 }, (_, at) => bytes.subarray(at * 65_536, (at + 1) * 65_536));
  const big = describe('application/octet-stream', bytes);
  await assert.rejects(store.push(big, Readable.from(chunks)), (error: { code: string; message: string }) => {
    return error.code === 'ERR_NO_SPACE' && error.message.startsWith(store.path(big.digest));
  });
  assert.deepEqual(readdirSync(join(root, 'ingest')), []);
  assert.equal(checkNames(root), 1);
  const layout = join(root, 'layout');
  const target = await OciLayout.open(layout, { create: true });
  await assert.rejects(target.push(big, Readable.from(chunks)), { code: 'ERR_NO_SPACE' });
  assert.deepEqual(readdirSync(layout).sort(), ['blobs', 'index.json', 'oci-layout']);
});

test('a disk without room for one more file is ERR_NO_SPACE too', async (t) => {
  const root = smallDisk(t, 'size=1m,nr_inodes=7');
  if (root === undefined) return t.skip(NO_MOUNT);
  const store = await BlobDir.open(root);
  const failed: string[] = [];
  for (let at = 0; at < 8; at++) {
    const bytes = Buffer.from(`blob ${at}`);
    await store.push(describe('application/octet-stream', bytes), Readable.from([bytes])).catch((error: unknown) => {
      failed.push((error as { code: string }).code);
    });
  }
  assert.ok(failed.length > 0);
  assert.deepEqual([...new Set(failed)], ['ERR_NO_SPACE']);
  assert.deepEqual(existsSync(join(root, 'ingest')) ? readdirSync(join(root, 'ingest')) : [], []);
  checkNames(root);
});

test('a folder that cannot be written is ERR_PERMISSION, and what is in it is still found', async (t) => {
  const mounted = smallDisk(t, 'size=1m');
  const root = mounted ?? tempDir(t);
  const bytes = Buffer.from('a blob');
  const blob = describe('application/octet-stream', bytes);
  const store = await BlobDir.open(root);
  await store.push(blob, Readable.from([bytes]));
  const damaged = Buffer.from('another blob');
  const bad = describe('application/octet-stream', damaged);
  await store.push(bad, Readable.from([damaged]));
  chmodSync(store.path(bad.digest), 0o600);
  execFileSync('sh', ['-c', `printf X > "$0"`, store.path(bad.digest)]);
  if (mounted !== undefined) execFileSync('mount', ['-o', 'remount,ro', root]);
  else for (const name of ['.', 'ingest', 'meta', 'sha256']) chmodSync(join(root, name), 0o555);
  assert.equal((await store.find(blob.digest, { verify: 'always' }))?.size, bytes.length);
  assert.equal(await store.find(bad.digest), undefined);
  const other = Buffer.from('one more');
  for (const work of [
    () => store.push(describe('application/octet-stream', other), Readable.from([other])),
    () => store.prepare(),
  ]) {
    await assert.rejects(work(), (error: { code: string; message: string }) => {
      return error.code === 'ERR_PERMISSION' && error.message.includes(root);
    });
  }
});
