/** Broken transfers: what stays, and how the next run goes on from it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { BlobDir } from '../../src/content/blob-dir.js';
import type { FetchOptions } from '../../src/content/content.js';
import { RootfsError } from '../../src/errors.js';
import { extractLayer } from '../../src/layer/extract-layer.js';
import { extractLayers } from '../../src/layer/extract-layers.js';
import type { LayerSource } from '../../src/layer/layer-input.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { MediaType } from '../../src/spec/media-types.js';
import { openFilesUnder } from '../support/open-files.js';
import { tempDir } from '../support/temp-dir.js';
import { blobSource, type CountingSource, gzipLayer, type MadeLayer, makeLayer, seededTar } from './layer-source.js';

const made = gzipLayer(seededTar(31, 9_000_000));
const half = made.blob.length >> 1;

/** Serves the first `bytes` of each stream, then `then` happens. */
function brokenSource(layer: MadeLayer, bytes: number, then: () => Promise<never>): LayerSource {
  return {
    async fetch(target: Descriptor, options: FetchOptions = {}): Promise<Readable> {
      const start = options.range?.start ?? 0;
      const end = Math.min(bytes, options.range?.end ?? target.size);
      async function* content(): AsyncGenerator<Buffer> {
        if (end > start) yield layer.blob.subarray(start, end);
        await then();
      }
      return Readable.from(content(), { objectMode: false });
    },
  };
}

const cut = async (): Promise<never> => {
  throw new RootfsError('ERR_NETWORK', 'the connection broke');
};

async function partialOf(dst: string, layer: MadeLayer): Promise<string> {
  return (await BlobDir.open(dst)).partialPath(layer.layer.descriptor.digest);
}

async function putPartial(dst: string, layer: MadeLayer, bytes: Uint8Array): Promise<string> {
  const path = await partialOf(dst, layer);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

async function extractsFrom(
  dst: string,
  source: CountingSource,
  starts: readonly number[],
  layer = made,
): Promise<void> {
  const events: ProgressEvent[] = [];
  const handle = await extractLayer(source, layer.layer, dst, { onProgress: (event) => events.push(event) });
  assert.ok((await handle.file.readFile()).equals(layer.tar));
  await handle.close();
  assert.deepEqual(
    source.fetched.map(({ start }) => start),
    starts,
  );
  assert.deepEqual(readdirSync(`${dst}/ingest`), []);
  assert.equal(
    events.filter(({ type }) => type === 'warning:raised').length,
    starts.length > 1 || (starts[0] === 0 && starts.length === 2) ? 1 : 0,
  );
}

test('a broken transfer leaves what arrived, and the next run fetches the rest', async (t) => {
  const dst = tempDir(t);
  await assert.rejects(extractLayer(brokenSource(made, half, cut), made.layer, dst), { code: 'ERR_NETWORK' });
  assert.deepEqual(readdirSync(`${dst}/ingest`), [(await partialOf(dst, made)).split('/').pop()]);
  assert.ok(readFileSync(await partialOf(dst, made)).equals(made.blob.subarray(0, half)));
  assert.deepEqual(openFilesUnder(dst), []);
  // It may break again, further on.
  await assert.rejects(extractLayer(brokenSource(made, half + 1000, cut), made.layer, dst), { code: 'ERR_NETWORK' });
  await extractsFrom(dst, blobSource([made]), [half + 1000]);
});

test('an error that no source of ours throws is a network error when it looks like one', async (t) => {
  const dst = tempDir(t);
  const reset = async (): Promise<never> => {
    throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  };
  await assert.rejects(extractLayer(brokenSource(made, half, reset), made.layer, dst), {
    code: 'ERR_NETWORK',
    message: new RegExp(`^${made.layer.descriptor.digest}`),
  });
  await extractsFrom(dst, blobSource([made]), [half]);
});

test('without resume nothing old is used', async (t) => {
  const dst = tempDir(t);
  await putPartial(dst, made, made.blob.subarray(0, half));
  const source = blobSource([made]);
  await (await extractLayer(source, made.layer, dst, { resume: false })).close();
  assert.deepEqual(
    source.fetched.map(({ start }) => start),
    [0],
  );
});

test("what stands in the place of a partial and is none is in nobody's way", async (t) => {
  const make: Readonly<Record<string, (path: string) => unknown>> = {
    folder: (path) => mkdirSync(path),
    link: (path) => symlinkSync('/nonexistent/file', path),
    pipe: (path) => execFileSync('mkfifo', [path]),
  };
  for (const put of Object.values(make)) {
    const dst = tempDir(t);
    const path = await partialOf(dst, made);
    mkdirSync(dirname(path), { recursive: true });
    put(path);
    await extractsFrom(dst, blobSource([made]), [0]);
  }
});

test("another user's partial is in nobody's way", async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root to become another user');
  const dst = tempDir(t);
  chmodSync(dst, 0o777);
  const path = await putPartial(dst, made, made.blob.subarray(0, half));
  chmodSync(path, 0o600);
  chmodSync(dirname(path), 0o777);
  process.seteuid?.(65534);
  try {
    await extractsFrom(dst, blobSource([made]), [0]);
  } finally {
    process.seteuid?.(0);
  }
});

test('a partial that is all of it needs no transfer', async (t) => {
  const dst = tempDir(t);
  await putPartial(dst, made, made.blob);
  await extractsFrom(dst, blobSource([made]), []);
});

test('a partial that somebody removes meanwhile costs nothing', async (t) => {
  const dst = tempDir(t);
  const plain = blobSource([made]);
  const path = await putPartial(dst, made, made.blob.subarray(0, half));
  const source: CountingSource = {
    ...plain,
    async fetch(target, options) {
      unlinkSync(path);
      return plain.fetch(target, options);
    },
  };
  await extractsFrom(dst, source, [half]);
});

test('a partial with wrong bytes, or too many, is dropped, and the layer fetched from its start', async (t) => {
  const wrong = Buffer.from(made.blob.subarray(0, half));
  wrong[100] = (wrong[100] ?? 0) ^ 1;
  const first = tempDir(t);
  await putPartial(first, made, wrong);
  await extractsFrom(first, blobSource([made]), [half, 0]);
  const second = tempDir(t);
  await putPartial(second, made, Buffer.concat([made.blob, Buffer.alloc(1)]));
  await extractsFrom(second, blobSource([made]), [0]);
});

test('a partial that the source cannot continue is dropped', async (t) => {
  const dst = tempDir(t);
  await putPartial(dst, made, made.blob.subarray(0, half));
  const plain = blobSource([made]);
  const source: CountingSource = {
    ...plain,
    async fetch(target, options) {
      const stream = await plain.fetch(target, options);
      if (options?.range === undefined) return stream;
      stream.destroy();
      throw new RootfsError('ERR_RANGE_INVALID', 'no such range');
    },
  };
  await extractsFrom(dst, source, [half, 0]);
});

test('bytes that stay wrong are fetched twice, not for ever, and leave nothing', async (t) => {
  const dst = tempDir(t);
  await putPartial(dst, made, made.blob.subarray(0, half));
  const source = blobSource([made], undefined, (blob) => Buffer.concat([blob.subarray(0, -1), Buffer.from('x')]));
  await assert.rejects(extractLayer(source, made.layer, dst), { code: 'ERR_DIGEST_MISMATCH' });
  assert.deepEqual(
    source.fetched.map(({ start }) => start),
    [half, 0],
  );
  assert.deepEqual(readdirSync(`${dst}/ingest`), []);
});

for (const reason of [new Error('interrupted'), new RootfsError('ERR_DIGEST_MISMATCH', 'said by the caller')]) {
  test(`an abort (${reason.name}) ends with its reason, closes everything and leaves what arrived`, async (t) => {
    const dst = tempDir(t);
    const controller = new AbortController();
    const stalled = brokenSource(made, half, () => new Promise(() => {}));
    const run = extractLayer(stalled, made.layer, dst, {
      signal: controller.signal,
      onProgress: (event) => {
        if (event.type === 'layer:progressed' && event.fetchedBytes === half) controller.abort(reason);
      },
    });
    await assert.rejects(run, reason);
    assert.deepEqual(openFilesUnder(dst), []);
    assert.ok(readFileSync(await partialOf(dst, made)).equals(made.blob.subarray(0, half)));
    await extractsFrom(dst, blobSource([made]), [half]);
    await assert.rejects(extractLayer(stalled, made.layer, dst, { signal: controller.signal }), reason);
  });
}

test('an abort ends a source that hangs before it gives a stream, and destroys what it gives later', async (t) => {
  const dst = tempDir(t);
  const controller = new AbortController();
  const reason = new Error('interrupted');
  let give = (_: Readable): void => {};
  const source: LayerSource = {
    fetch: () =>
      new Promise((resolve) => {
        give = resolve;
        setImmediate(() => controller.abort(reason));
      }),
  };
  await assert.rejects(extractLayer(source, made.layer, dst, { signal: controller.signal }), reason);
  const late = Readable.from([made.blob], { objectMode: false });
  const closed = new Promise((resolve) => late.once('close', resolve));
  give(late);
  await closed;
  assert.deepEqual(readdirSync(`${dst}/ingest`), []);
});

test('when bytes are wrong somewhere, no half-fetched sibling stays either', async (t) => {
  const dst = tempDir(t);
  const bad = gzipLayer(seededTar(33, 3_000_000));
  const good = brokenSource(made, half, () => new Promise(() => {}));
  const damaged = blobSource([bad], undefined, (blob) => Buffer.concat([blob.subarray(0, -1), Buffer.from('x')]));
  const source: LayerSource = {
    fetch: (target, options) => (target.digest === bad.layer.descriptor.digest ? damaged : good).fetch(target, options),
  };
  await assert.rejects(extractLayers(source, [made.layer, bad.layer], dst), { code: 'ERR_DIGEST_MISMATCH' });
  assert.deepEqual(readdirSync(`${dst}/ingest`), []);
});

const wide = ((): MadeLayer => {
  const tar = randomBytes(45 * 1024 ** 2 + 12345);
  return makeLayer(tar, tar, MediaType.ociLayer);
})();

/** A source that offers four ranges at once, and says how many were open. */
function rangeSource(breakAt = Number.POSITIVE_INFINITY): LayerSource & { ranges: number[]; most: number } {
  let open = 0;
  const source = {
    ranges: [] as number[],
    most: 0,
    fetchParallelism: () => 4,
    async fetch(_: Descriptor, options: FetchOptions = {}): Promise<Readable> {
      const { start = 0, end = wide.blob.length } = options.range ?? {};
      source.ranges.push(start);
      source.most = Math.max(source.most, ++open);
      async function* content(): AsyncGenerator<Buffer> {
        try {
          for (let at = start; at < end; at += 65536) {
            if (at === breakAt) await cut();
            yield wide.blob.subarray(at, Math.min(at + 65536, end));
          }
        } finally {
          open--;
        }
      }
      return Readable.from(content(), { objectMode: false });
    },
  };
  return source;
}

test('a large blob is fetched in several ranges at once where the source says that it helps', async (t) => {
  const dst = tempDir(t);
  const source = rangeSource();
  const handle = await extractLayer(source, wide.layer, dst);
  assert.ok((await handle.file.readFile()).equals(wide.tar));
  await handle.close();
  assert.deepEqual(
    [...source.ranges].sort((a, b) => a - b),
    Array.from({ length: 6 }, (_, index) => index * 8 * 1024 ** 2),
  );
  assert.equal(source.most, 4);
  assert.deepEqual(readdirSync(`${dst}/ingest`), []);
  const single = rangeSource();
  await (await extractLayer(single, wide.layer, tempDir(t), { parallelRanges: 1 })).close();
  assert.deepEqual(single.ranges, [0]);
});

test('broken ranges leave the part without a gap', async (t) => {
  const dst = tempDir(t);
  const breakAt = 11 * 1024 ** 2;
  await assert.rejects(extractLayer(rangeSource(breakAt), wide.layer, dst), { code: 'ERR_NETWORK' });
  const left = readFileSync(await partialOf(dst, wide));
  assert.ok(
    left.length > 0 && left.length <= breakAt && left.equals(wide.blob.subarray(0, left.length)),
    `${left.length} bytes`,
  );
  assert.equal(readdirSync(`${dst}/ingest`).length, 1);
  const source = rangeSource();
  const handle = await extractLayer(source, wide.layer, dst);
  assert.ok((await handle.file.readFile()).equals(wide.tar));
  await handle.close();
  assert.equal(Math.min(...source.ranges), left.length);
});

test('a partial with gaps, as a killed process leaves it, is used up to its first gap', async (t) => {
  const dst = tempDir(t);
  const gapless = 5_000_000;
  const gappy = Buffer.concat([wide.blob.subarray(0, gapless), Buffer.alloc(20_000_000)]);
  const path = await putPartial(dst, wide, gappy);
  writeFileSync(`${path}.gapless`, `${gapless}\n`);
  const source = blobSource([wide]);
  await extractsFrom(dst, source, [gapless], wide);
  assert.ok(!existsSync(`${path}.gapless`));
});

test('a note that cannot be read means that nothing is known', async (t) => {
  const dst = tempDir(t);
  const path = await putPartial(dst, wide, wide.blob.subarray(0, 5_000_000));
  writeFileSync(`${path}.gapless`, 'NaN');
  await extractsFrom(dst, blobSource([wide]), [0], wide);
});
