/** Documents that come byte by byte cost no more memory than others. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { Gathered } from '../../src/io/gathered.js';

test('chunks of any length are gathered in their order, and may be used again', () => {
  for (const expected of [undefined, 0, 1, 100_000]) {
    const gathered = new Gathered(expected);
    assert.equal(gathered.bytes.length, 0);
    const chunk = Buffer.alloc(1000);
    for (let at = 0; at < 100; at += 1) gathered.add(chunk.fill(at));
    gathered.add(Buffer.alloc(0));
    assert.equal(gathered.bytes.length, 100_000);
    for (let at = 0; at < 100; at += 1) assert.equal(gathered.bytes[at * 1000 + 999], at);
  }
});

/** Each reads a MiB in chunks of one byte: kept as they came, they take 120 MiB. */
const READERS: Readonly<Record<string, string>> = {
  readVerified: `const { readVerified } = await load('content/fetch-verified.js');
    const target = { mediaType: 'a/b', digest, size };
    assert((await readVerified({ fetch: async () => Readable.from(chunks(), { objectMode: false }) }, target)).equals(bytes));`,
  readLimited: `const { readLimited } = await load('io/limit.js');
    assert((await readLimited(chunks(), size, 'x')).equals(bytes));`,
  'the body of an answer': `const { WireBody } = await load('registry/wire-body.js');
    const body = new WireBody({ resume() {}, pause() {}, cancel() {} });
    const read = body.bytes({ bytes: size, withinMs: 60_000 }, 'x');
    for await (const chunk of chunks()) body.data(chunk);
    body.end();
    assert((await read).equals(bytes));`,
  'a config store': `const { imageConfigStoreFromStore } = await load('engine/image-config-store.js');
    const store = imageConfigStoreFromStore({ fetch: async () => chunks() });
    assert((await store.get(digest)).equals(bytes));`,
};

for (const [name, script] of Object.entries(READERS)) {
  test(`${name}: a document in chunks of one byte needs no memory for each of them`, { timeout: 60_000 }, () => {
    const source = `import assert from 'node:assert/strict';
      import { createHash } from 'node:crypto';
      import { Readable } from 'node:stream';
      const load = (file) => import(${JSON.stringify(new URL('../../src/', import.meta.url).href)} + file);
      const size = 1024 * 1024;
      const bytes = Buffer.alloc(size, 'rootfs');
      const digest = 'sha256:' + createHash('sha256').update(bytes).digest('hex');
      async function* chunks() { for (let at = 0; at < size; at += 1) yield Buffer.from(bytes.subarray(at, at + 1)); }
      ${script}`;
    const flags = ['--max-old-space-size=64', '--input-type=module', '-e', source];
    const run = spawnSync(process.execPath, flags, { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr.slice(0, 2000));
  });
}
