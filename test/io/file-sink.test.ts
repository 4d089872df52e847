import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileSink } from '../../src/io/file-sink.js';
import { digestOf, SeededRandom } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

function randomBytes(seed: number, length: number): Buffer {
  return Buffer.from(new SeededRandom(seed).bytes(length));
}

async function feed(sink: FileSink, content: Buffer, piece: number): Promise<void> {
  for (let at = 0; at < content.length; at += piece) {
    // The chunk is the caller's again afterwards.
    const chunk = Buffer.from(content.subarray(at, at + piece));
    await sink.add(chunk);
    chunk.fill(0);
  }
}

test('what several sinks are given at once stands in their files, and their digests are right', async (t) => {
  const folder = tempDir(t);
  const pieces = [1, 1_000, 65_536, 300_000, 3_000_000];
  await Promise.all(
    pieces.map(async (piece, index) => {
      const content = randomBytes(index, piece === 1 ? 10_000 : 2_500_000);
      const path = join(folder, String(index));
      const file = await open(path, 'wx+');
      try {
        const sink = new FileSink(file.fd, index === 3 ? 'sha512' : 'sha256', 1);
        await feed(sink, content, piece);
        const digest = await sink.end();
        if (index === 3) assert.equal(digest, `sha512:${createHash('sha512').update(content).digest('hex')}`);
        else assert.equal(digest, digestOf(content));
      } finally {
        await file.close();
      }
      assert.deepEqual(await readFile(path), content);
    }),
  );
});

test('a sink that was given nothing has the digest of nothing', async (t) => {
  const file = await open(join(tempDir(t), 'empty'), 'wx');
  try {
    assert.equal(await new FileSink(file.fd, 'sha256', 1).end(), digestOf(new Uint8Array(0)));
  } finally {
    await file.close();
  }
});

test('a file that cannot be written fails the sink with the error of the system, and no other sink', async (t) => {
  const folder = tempDir(t);
  const good = await open(join(folder, 'good'), 'wx');
  const bad = await open(join(folder, 'good'), 'r');
  try {
    const content = randomBytes(7, 2_000_000);
    const sink = new FileSink(bad.fd, 'sha256', 1);
    const other = new FileSink(good.fd, 'sha256', 1);
    await feed(other, content, 100_000);
    await assert.rejects(
      async () => {
        await feed(sink, content, 100_000);
        await sink.end();
      },
      { code: 'EBADF' },
    );
    await sink.stop();
    assert.equal(await other.end(), digestOf(content));
  } finally {
    await bad.close();
    await good.close();
  }
});

test('after a stop nothing is written any more', async (t) => {
  const path = join(tempDir(t), 'stopped');
  const file = await open(path, 'wx');
  const sink = new FileSink(file.fd, 'sha256', 1);
  await sink.add(randomBytes(1, 700_000));
  void sink.add(randomBytes(2, 700_000))?.catch(() => {});
  await sink.stop();
  await sink.stop();
  await file.close();
  const length = (await readFile(path)).length;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await readFile(path)).length, length);
});

test('a worker that the system refuses is told with what to do, one that ends otherwise as such', async (t) => {
  for (const [cause, code, message] of [
    ['Worker initialization failure: EMFILE', 'ERR_FILESYSTEM', /rootfs-file-sink: .*EMFILE; allow more open files/],
    ['out of memory', 'ERR_INTERNAL', /rootfs-file-sink: it ended before its work; try again/],
  ] as const) {
    const file = await open(join(tempDir(t), 'file'), 'wx');
    try {
      const sink = new FileSink(file.fd, 'sha256', 1);
      sink.died(new Error(cause));
      await assert.rejects(sink.end(), { code, message });
    } finally {
      await file.close();
    }
  }
});

test('workers that serve nobody hold up no exit', () => {
  const crew = new URL('../../src/io/file-sink-crew.js', import.meta.url).href;
  const script = `import { warmFileSinks } from ${JSON.stringify(crew)}; warmFileSinks();`;
  execFileSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 });
});
