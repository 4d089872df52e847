import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { TarChunk } from '../../src/export/tar-chunk.js';
import { SeededRandom } from '../../src/testing/testing.js';
import { Random } from '../support/random-layers.js';
import { tempDir } from '../support/temp-dir.js';

const LAYER_BYTES = 100_000;

/** Some layers, open, and what is in them. */
function layers(t: TestContext): { fd: number; content: Buffer }[] {
  const folder = tempDir(t);
  return [1, 2, 3].map((seed) => {
    const content = Buffer.from(new SeededRandom(seed).bytes(LAYER_BYTES));
    writeFileSync(join(folder, String(seed)), content);
    const fd = openSync(join(folder, String(seed)), 'r');
    t.after(() => closeSync(fd));
    return { fd, content };
  });
}

test('a chunk holds its parts in their order, whichever of them are neighbours in a layer', (t) => {
  const open = layers(t);
  const random = new Random(11);
  for (let round = 0; round < 400; round += 1) {
    const chunk = new TarChunk(Buffer.alloc(60_000, 'left from before'));
    const expected: Buffer[] = [];
    let layer = 0;
    let position = 0;
    while (chunk.room > 4096) {
      // Bytes that stand where the layer has as many of its own: the runs around them are read at once.
      const bytes = Buffer.alloc(random.below(3) === 0 ? 0 : 1 + random.below(1024), `${round}.`);
      assert.equal(chunk.put(bytes, 0), bytes.length);
      expected.push(bytes);
      position += bytes.length;
      if (random.below(4) === 0) layer = random.below(open.length);
      if (random.below(4) === 0 || position > LAYER_BYTES - 2048) position = random.below(LAYER_BYTES - 4096);
      const length = random.below(5) === 0 ? 0 : 1 + random.below(2047);
      const { fd, content } = open[layer] as (typeof open)[0];
      assert.equal(chunk.put({ fd, tarOffset: position, length }, 0), length);
      expected.push(content.subarray(position, position + length));
      position += length;
    }
    const whole = Buffer.concat(expected);
    assert.equal(chunk.length, whole.length);
    assert.ok(chunk.fill().subarray(0, whole.length).equals(whole), `round ${round}`);
  }
});

test('a part that has no room goes on in the next chunk', (t) => {
  const [{ fd, content }] = layers(t) as [{ fd: number; content: Buffer }, ...unknown[]];
  const parts = [Buffer.from('header'), { fd, tarOffset: 7, length: 50 }, Buffer.from('the end')];
  const found: Buffer[] = [];
  let chunk = new TarChunk(Buffer.alloc(10));
  for (const part of parts) {
    for (let done = 0; done < part.length; ) {
      done += chunk.put(part, done);
      if (chunk.room > 0) continue;
      found.push(chunk.fill());
      chunk = new TarChunk(Buffer.alloc(10));
    }
  }
  found.push(chunk.fill().subarray(0, chunk.length));
  assert.equal(Buffer.concat(found).toString('latin1'), `header${content.toString('latin1', 7, 57)}the end`);
});

test('a layer that ends before a run does is told, and nothing is made up for it', (t) => {
  const { fd } = layers(t)[0] as { fd: number };
  const chunk = new TarChunk(Buffer.alloc(4096));
  chunk.put({ fd, tarOffset: LAYER_BYTES - 10, length: 11 }, 0);
  assert.throws(
    () => chunk.fill(),
    (error) => error instanceof RootfsError && error.code === 'ERR_LAYER_INVALID',
  );
});
