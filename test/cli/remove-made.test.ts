import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { inMade, removeMade } from '../../src/cli/remove-made.js';
import { BlobDir } from '../../src/content/blob-dir.js';
import { type Lease, takeLease, withoutNewLeases } from '../../src/content/lease.js';
import { wrapSystemError } from '../../src/errors.js';
import { image, startRegistry, writeLayout } from '../../src/testing/testing.js';
import { rootfs } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

/** A layout whose one layer has a wrong byte. */
async function damagedLayout(folder: string): Promise<string> {
  const built = image()
    .compression('none')
    .layer((layer) => layer.file('a', 'a'.repeat(5_000)))
    .build();
  await writeLayout(folder, { latest: built });
  const digest = built.layers[0]?.descriptor.digest ?? '';
  const blob = join(folder, 'blobs', digest.replace(':', '/'));
  const bytes = readFileSync(blob);
  bytes[600] = (bytes[600] ?? 0) ^ 1;
  writeFileSync(blob, bytes);
  return `oci:${folder}`;
}

test('a folder that extract made and that got no layer goes again, and those above it that were made', async (t) => {
  const layout = await damagedLayout(tempDir(t));
  const folder = tempDir(t);
  const words = ['extract', '-q', layout];
  const failed = await rootfs([...words, '--dst', join(folder, 'a/b/c')]);
  assert.equal(failed.code, 5, failed.stderr);
  assert.deepEqual(readdirSync(folder), []);

  // What was there before stays, empty as it was, and so does a store.
  mkdirSync(join(folder, 'mine'));
  assert.equal((await rootfs([...words, '--dst', join(folder, 'mine')])).code, 5);
  assert.ok(existsSync(join(folder, 'mine')));
  const unpack = ['unpack', '-q', '--store', join(folder, 'store'), '--dst', join(folder, 'root')];
  assert.equal((await rootfs([...unpack, layout])).code, 5);
  assert.deepEqual(readdirSync(folder), ['mine']);
});

test('a folder in which another process has begun stays as it is', async (t) => {
  const folder = tempDir(t);
  const store = join(folder, 'a', 'store');
  for (const name of ['ingest', 'leases', 'meta/sha256', 'sha256']) mkdirSync(join(store, name), { recursive: true });
  const lease = await takeLease(store, { purpose: 'another extract', open: true });
  await removeMade(store, join(folder, 'a'));
  assert.deepEqual(readdirSync(store).sort(), ['ingest', 'leases', 'meta', 'sha256']);
  await lease.release();
  await removeMade(store, join(folder, 'a'));
  assert.deepEqual(readdirSync(folder), []);
});

test('a folder that got a layer stays', async (t) => {
  const folder = tempDir(t);
  await using registry = await startRegistry();
  const built = image()
    .layer((builder) => builder.file('a', 'a'))
    .layer((builder) => builder.file('b', 'b'.repeat(9_000)))
    .build();
  registry.add('app', 'latest', built);
  const words = ['extract', '-q', '--retry', '0', '--max-layer-size', '8KiB', '--dst', join(folder, 'x')];
  const failed = await rootfs([...words, `${registry.host}/app`]);
  assert.notEqual(failed.code, 0);
  const left = existsSync(join(folder, 'x')) ? readdirSync(join(folder, 'x', 'sha256')) : [];
  assert.ok(left.length <= 1);
  assert.equal(existsSync(join(folder, 'x')), left.length === 1);
});

test('a folder that another run has made, and takes away because it failed, is made again', async (t) => {
  const outer = join(tempDir(t), 'a');
  const store = join(outer, 'store');
  const make = async (): Promise<string> => {
    mkdirSync(store, { recursive: true });
    return outer;
  };
  let tries = 0;
  const use = (): Promise<Lease> => {
    tries += 1;
    if (tries < 3) rmSync(outer, { recursive: true });
    return takeLease(store, { purpose: 'extract' });
  };
  const { value: lease, made } = await inMade(store, make, use);
  assert.equal(tries, 3);
  assert.equal(made, outer);
  await lease.release();
  await assert.rejects(
    inMade(store, make, async () => Promise.reject(new Error('mine'))),
    { message: 'mine' },
  );
  assert.ok(!existsSync(outer));
});

test('a folder that one run takes away and another makes again at once is begun with anew', async (t) => {
  const store = join(tempDir(t), 'store');
  const make = async (): Promise<string> => {
    mkdirSync(store, { recursive: true });
    return store;
  };
  // A look at the folder finds it gone, or the first step in it does; by the time that is told, it is there again.
  const looks = async (): Promise<unknown> => BlobDir.open(store);
  const begins = async (): Promise<unknown> => {
    throw wrapSystemError(await mkdir(join(store, 'leases')).catch((error: unknown) => error), join(store, 'leases/a'));
  };
  for (const step of [looks, begins]) {
    let tries = 0;
    const use = async (): Promise<number> => {
      tries += 1;
      if (tries > 2) return tries;
      rmdirSync(store);
      await step().finally(() => make());
      return 0;
    };
    assert.equal((await inMade(store, make, use)).value, 3, step.name);
  }
  let tries = 0;
  const makesLate = async (): Promise<string> => {
    tries += 1;
    const subject = `--dst ${store}`;
    if (tries === 1)
      throw wrapSystemError(await mkdir(join(store, 'gone/x')).catch((error: unknown) => error), subject);
    return make();
  };
  await inMade(store, makesLate, looks);
  assert.equal(tries, 2);
  // What is missing elsewhere is told at once.
  tries = 0;
  const fails = async (): Promise<unknown> => {
    tries += 1;
    return BlobDir.open(join(store, '..', 'elsewhere'));
  };
  await assert.rejects(inMade(store, make, fails), { code: 'ERR_NOT_FOUND' });
  assert.equal(tries, 1);
});

test('a store is taken away only while nobody can begin to use it', async (t) => {
  const store = join(tempDir(t), 'store');
  mkdirSync(join(store, 'ingest'), { recursive: true });
  await withoutNewLeases(store, async () => {
    await removeMade(store, store);
    assert.deepEqual(readdirSync(store), ['ingest', 'prune.lock']);
  });
  await removeMade(store, store);
  assert.ok(!existsSync(store));
});
