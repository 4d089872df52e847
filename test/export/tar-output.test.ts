import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DirectOutput } from '../../src/export/tar-output.js';
import { loadNative } from '../../src/io/native.js';
import { SeededRandom } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const MIB = 1024 * 1024;
const native = loadNative() === undefined ? 'no native calls here' : false;

test('a long run is moved in pieces, and an abort is heard between two of them', { skip: native }, async (t) => {
  const folder = tempDir(t);
  const content = Buffer.from(new SeededRandom(1).bytes(20 * MIB));
  writeFileSync(join(folder, 'layer'), content);
  const layer = openSync(join(folder, 'layer'), 'r');
  const fd = openSync(join(folder, 'out'), 'wx');
  t.after(() => {
    closeSync(layer);
    closeSync(fd);
  });
  const controller = new AbortController();
  const reason = new Error('enough');
  const output = new DirectOutput(fd, controller.signal);
  output.chunk.write('head');
  await output.add(output.chunk, 4);
  await output.copy(layer, MIB, 9 * MIB);
  const before = Buffer.concat([Buffer.from('head'), content.subarray(MIB, 10 * MIB)]);
  assert.ok(readFileSync(join(folder, 'out')).equals(before));
  const copying = output.copy(layer, 0, 20 * MIB);
  setImmediate(() => controller.abort(reason));
  await assert.rejects(copying, reason);
  assert.ok(readFileSync(join(folder, 'out')).length < before.length + 10 * MIB);
});
