/** `--all-tags` as JSON: what each image was copied from, and nothing that may not be there. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { image, startRegistry } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

test('every image is told by its own name', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('app', 'one', image().build());
  registry.add('app', 'two', image().config({ User: 'x' }).build());
  const app = `${registry.host}/app`;
  const at = join(tempDir(t), 'out');
  const told = async (...words: readonly string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await runRootfs([...words, '-q', '--json', '--all-tags']);
    assert.deepEqual([code, stderr], [0, '']);
    return JSON.parse(stdout.toString());
  };
  const sources = (list: unknown): unknown =>
    (list as readonly { source: string }[]).map(({ source }) => source).sort();
  assert.deepEqual(sources(await told('copy', app, `oci:${at}`)), [`${app}:one`, `${app}:two`]);
  assert.deepEqual(sources(await told('copy', `oci:${at}`, `oci:${at}2`)), [`oci:${at}:one`, `oci:${at}:two`]);
  assert.deepEqual(sources(await told('copy', app, `docker-archive:${at}.tar`)), [app]);
  // An archive has names in full, each of which it is asked by.
  const archived = ['one', 'two'].map((tag) => `docker-archive:${at}.tar:${app}:${tag}`);
  assert.deepEqual(sources(await told('copy', `docker-archive:${at}.tar`, `oci:${at}4`)), archived);
  for (const source of archived) assert.equal((await runRootfs(['digest', '-q', source])).code, 0);
  assert.equal(((await told('pull', app, '-o', `${at}3.tar`)) as { reference: string }).reference, app);
});

test('an image out of the cache is told by its whole name', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  const built = image().build();
  registry.add('app', 'one', built);
  const folder = tempDir(t);
  const env = { XDG_CACHE_HOME: join(folder, 'cache') };
  const { code, stderr } = await runRootfs(['copy', '--cache', `${registry.host}/app:one`, `oci:${folder}/out`], {
    env,
  });
  assert.equal(code, 0);
  assert.ok(stderr.startsWith(`rootfs: ${registry.host}/app:one is ${built.descriptor.digest}\n`), stderr);
});
