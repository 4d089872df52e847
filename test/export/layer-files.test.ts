import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LayerReader } from '../../src/export/layer-files.js';
import { Random } from '../support/random-layers.js';
import { tempDir } from '../support/temp-dir.js';

test('a reader that goes to and fro between layers never mixes them', (t) => {
  const folder = tempDir(t);
  const random = new Random(7);
  const contents = ['a', 'b', 'c'].map((letter) => Buffer.alloc(200_000, letter));
  const files = contents.map((content, at) => {
    const path = join(folder, String(at));
    writeFileSync(path, content);
    return openSync(path, 'r');
  });
  try {
    const reader = new LayerReader();
    let position = 0;
    for (let round = 0; round < 5000; round += 1) {
      const layer = random.below(3);
      // Mostly onwards in small steps, so that the reader reads ahead.
      position = random.below(10) === 0 ? random.below(150_000) : (position + random.below(2000)) % 150_000;
      const length = 1 + random.below(3000);
      const into = Buffer.alloc(length);
      reader.read(files[layer] as number, into, 0, length, position);
      const expected = contents[layer]?.subarray(position, position + length);
      assert.ok(
        expected !== undefined && into.equals(expected),
        `round ${round}, layer ${layer}, ${position}+${length}`,
      );
    }
  } finally {
    for (const fd of files) closeSync(fd);
  }
});
