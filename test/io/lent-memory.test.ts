import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileSink } from '../../src/io/file-sink.js';
import { giveBack, keepPiece, lasting, takePiece } from '../../src/io/lent-memory.js';
import { digestOf, SeededRandom } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

test('a piece is used again when neither its lender nor any keeper has it', () => {
  const piece = takePiece();
  const first = keepPiece(piece.subarray(10, 20));
  const second = keepPiece(piece.subarray(30));
  giveBack(piece);
  assert.notEqual(takePiece().buffer, piece.buffer);
  first?.();
  assert.notEqual(takePiece().buffer, piece.buffer);
  second?.();
  assert.equal(takePiece().buffer, piece.buffer);
});

test('other memory is not kept, and needs no copy to last', () => {
  const own = Buffer.alloc(8);
  assert.equal(keepPiece(own), undefined);
  assert.equal(lasting(own), own);
  const piece = takePiece();
  const chunk = piece.subarray(0, 8).fill(1);
  const copy = lasting(chunk);
  piece.fill(2);
  assert.deepEqual([...copy], Array(8).fill(1));
});

test('a sink is handed pieces that are filled anew as soon as they are free, and writes each as it was', async (t) => {
  const path = join(tempDir(t), 'out');
  const file = await open(path, 'wx');
  const content = Buffer.from(new SeededRandom(1).bytes(40_000_000));
  try {
    const sink = new FileSink(file.fd, 'sha256', 1);
    const seen = new Set<ArrayBufferLike>();
    for (let at = 0, length = 1; at < content.length; at += length) {
      const piece = takePiece();
      seen.add(piece.buffer);
      // Large ones are handed over, small ones between them are copied.
      length = Math.min(content.length - at, length === 20_000 ? piece.length - 3 : 20_000);
      content.copy(piece, 3, at, at + length);
      await sink.add(piece.subarray(3, 3 + length));
      giveBack(piece);
    }
    await sink.end().then((digest) => {
      assert.equal(digest, digestOf(content));
    });
    assert.ok(seen.size < 10, `${seen.size} pieces`);
  } finally {
    await file.close();
  }
  assert.ok((await readFile(path)).equals(content));
});
