import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeContent } from '../../src/content/write-content.js';
import { describe } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

/** Two and a half of the pieces that are read at once. */
const bytes = randomBytes(2.5 * 1024 * 1024);
const target = describe('application/x.blob', bytes);

/** Writes the target out of a local file that holds `content` behind some other bytes. */
async function written(t: TestContext, content: Buffer): Promise<Buffer> {
  const folder = tempDir(t);
  const path = join(folder, 'source');
  writeFileSync(path, Buffer.concat([Buffer.alloc(100), content]));
  const source = {
    fetch: () => assert.fail('it lies here'),
    blobPath: async () => ({ path, offset: 100, size: content.length }),
  };
  const out = join(folder, 'out');
  const file = await open(out, 'wx');
  try {
    await writeContent(source, target, file, 7, {});
  } finally {
    await file.close();
  }
  return readFileSync(out);
}

test('content of a local file is copied to its place', async (t) => {
  const found = await written(t, bytes);
  assert.deepEqual(found.subarray(0, 7), Buffer.alloc(7));
  assert.ok(found.subarray(7).equals(bytes));
});

test('content of a local file that is wrong, cut or too long is refused', async (t) => {
  const wrong = Buffer.from(bytes);
  wrong.writeUInt8(wrong.readUInt8(wrong.length - 1) ^ 1, wrong.length - 1);
  await assert.rejects(written(t, wrong), { code: 'ERR_DIGEST_MISMATCH' });
  await assert.rejects(written(t, bytes.subarray(0, -1)), { code: 'ERR_DIGEST_MISMATCH' });
  await assert.rejects(written(t, Buffer.concat([bytes, Buffer.alloc(5)])), { code: 'ERR_SIZE_MISMATCH' });
});

test('a file that cannot be read is the one that is named', { skip: process.platform !== 'linux' }, async (t) => {
  // A regular file whose first bytes nobody can read.
  const path = '/proc/self/mem';
  const source = {
    fetch: () => assert.fail('it lies here'),
    blobPath: async () => ({ path, offset: 0, size: bytes.length }),
  };
  const file = await open(join(tempDir(t), 'out'), 'wx');
  try {
    const refused = { code: 'ERR_FILESYSTEM', message: /^\/proc\/self\/mem: EIO/ };
    await assert.rejects(writeContent(source, target, file, 0, {}), refused);
  } finally {
    await file.close();
  }
});
