import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FileOutput } from '../../src/export/file-output.js';
import { loadNative } from '../../src/io/native.js';
import { SeededRandom } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const skip = loadNative() === undefined ? 'no native calls here' : false;
const MIB = 1024 * 1024;

function opened(t: TestContext, path: string, how: string): number {
  const fd = openSync(path, how);
  t.after(() => closeSync(fd));
  return fd;
}

/** A layer of some size and a new file, open. */
function place(t: TestContext, layerBytes: number): { layer: number; content: Buffer; path: string; fd: number } {
  const folder = tempDir(t);
  const content = Buffer.from(new SeededRandom(layerBytes).bytes(layerBytes));
  writeFileSync(join(folder, 'layer'), content);
  const path = join(folder, 'out');
  return { layer: opened(t, join(folder, 'layer'), 'r'), content, path, fd: opened(t, path, 'wx+') };
}

async function add(output: FileOutput, text: string): Promise<void> {
  output.chunk.write(text);
  await output.add(output.chunk, text.length);
}

test('what is added and what is copied stand in their order, and no room is left behind', { skip }, async (t) => {
  const { layer, content, path, fd } = place(t, 40 * MIB);
  // More than comes: the layers may hold much that no tree has.
  const output = new FileOutput(fd, 400 * MIB);
  output.expect(300 * MIB);
  const expected: Buffer[] = [];
  for (let at = 0; at + 5 * MIB < content.length; at += 7 * MIB) {
    await add(output, `before ${at}`);
    await output.copy(layer, at, 5 * MIB + at / MIB);
    expected.push(Buffer.from(`before ${at}`), content.subarray(at, at + 5 * MIB + at / MIB));
  }
  await add(output, 'the end');
  await output.end();
  await output.stop();
  expected.push(Buffer.from('the end'));
  assert.ok(readFileSync(path).equals(Buffer.concat(expected)));
  const { size, blocks } = fstatSync(fd);
  assert.ok(blocks * 512 < size + MIB, `${blocks} blocks for ${size} bytes`);
});

test('a layer that ends too soon is an error of a later call, and nothing waits for ever', { skip }, async (t) => {
  const { layer, fd } = place(t, 6 * MIB);
  const output = new FileOutput(fd, 64 * MIB);
  await output.copy(layer, MIB, 6 * MIB);
  await assert.rejects(output.end(), { code: 'ERR_LAYER_INVALID' });
  await assert.rejects(async () => add(output, 'more'), { code: 'ERR_LAYER_INVALID' });
  await output.stop();
});

test('after an abort nothing more is moved, and its reason is told', { skip }, async (t) => {
  const { layer, path, fd } = place(t, 40 * MIB);
  const controller = new AbortController();
  const output = new FileOutput(fd, 400 * MIB, controller.signal);
  const reason = new Error('enough');
  for (let count = 0; count < 10; count += 1) await output.copy(layer, 0, 40 * MIB);
  controller.abort(reason);
  await assert.rejects(output.end(), reason);
  await output.stop();
  const written = readFileSync(path).length;
  assert.ok(written <= 16 * MIB, `${written} bytes`);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(readFileSync(path).length, written);
});

test('a file that cannot be written fails with the error of the system', { skip }, async (t) => {
  const { layer, path } = place(t, 6 * MIB);
  const output = new FileOutput(opened(t, path, 'r'), 64 * MIB);
  await assert.rejects(async () => add(output, 'x'), { code: 'EBADF' });
  await output.copy(layer, 0, 5 * MIB);
  await assert.rejects(output.end(), { code: 'EBADF' });
  await output.stop();
});
