import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finished, PassThrough, type Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { readVerified } from '../../src/content/fetch-verified.js';
import { HeldBlob, openBlob } from '../../src/content/open-blob.js';
import { describe } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

const SMALL = randomBytes(64 * 1024);
const LARGE = randomBytes(64 * 1024 + 1);

/** A file with the content in its middle. */
function file(t: TestContext, content: Buffer) {
  const path = join(tempDir(t), 'file');
  writeFileSync(path, Buffer.concat([Buffer.alloc(9, '<'), content, Buffer.alloc(9, '>')]));
  const isOpen = (): boolean =>
    readdirSync('/proc/self/fd').some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path;
      } catch {
        return false;
      }
    });
  return { location: { path, offset: 9, size: content.length }, target: describe('a/b', content), isOpen };
}

test('small and large blobs, whole and in ranges, are exactly their piece of the file', async (t) => {
  for (const content of [SMALL, LARGE, Buffer.alloc(0)]) {
    const { location, target, isOpen } = file(t, content);
    for (const [start, end] of [
      [0, content.length],
      [0, 0],
      [content.length >> 1, content.length],
    ] as const) {
      const range = openBlob(location, target, { range: { start, end } });
      assert.ok(Buffer.concat((await range?.toArray()) ?? []).equals(content.subarray(start, end)));
    }
    const whole = openBlob(location, target);
    assert.ok(Buffer.concat((await whole?.toArray()) ?? []).equals(content));
    assert.equal(isOpen(), false);
  }
});

test('one byte more than a blob should have is given, and no more; a range that is not there is refused', async (t) => {
  const { location, target } = file(t, SMALL);
  const short = { ...target, size: SMALL.length - 10 };
  assert.equal(Buffer.concat((await openBlob(location, short)?.toArray()) ?? []).length, SMALL.length - 9);
  const long = { ...target, size: SMALL.length + 10 };
  const range = { start: SMALL.length, end: SMALL.length + 1 };
  assert.throws(() => openBlob(location, long, { range }), { code: 'ERR_SIZE_MISMATCH' });
  assert.throws(() => openBlob(location, target, { range }), { code: 'ERR_RANGE_INVALID' });
});

test('a small blob leaves no file open, and can be taken as a whole; a large one closes its file with the stream', async (t) => {
  const small = file(t, SMALL);
  const held = openBlob(small.location, small.target);
  assert.equal(small.isOpen(), false);
  assert.ok(held instanceof HeldBlob);
  assert.ok(held.whole()?.equals(SMALL));
  assert.ok(held.destroyed);
  const large = file(t, LARGE);
  const stream = openBlob(large.location, large.target);
  assert.ok(stream !== undefined && !(stream instanceof HeldBlob) && large.isOpen());
  stream.destroy();
  await once(stream, 'close');
  assert.equal(large.isOpen(), false);
});

test('an abort destroys the stream with its reason, and is no error of one that was taken', async (t) => {
  for (const content of [SMALL, LARGE]) {
    const { location, target } = file(t, content);
    const abort = new AbortController();
    const stream = openBlob(location, target, { signal: abort.signal });
    const reason = new Error('enough');
    abort.abort(reason);
    await assert.rejects(stream?.toArray() ?? Promise.resolve(), (error) => error === reason);
    assert.throws(
      () => openBlob(location, target, { signal: abort.signal }),
      (error) => error === reason,
    );
  }
  const { location, target } = file(t, SMALL);
  const abort = new AbortController();
  const held = openBlob(location, target, { signal: abort.signal }) as HeldBlob;
  assert.ok(held.whole()?.equals(SMALL));
  abort.abort(new Error('enough'));
  await new Promise((turn) => setImmediate(turn));
});

test('who listens to a blob that somebody reads as a whole gets all of it, and its end', async (t) => {
  const { location, target } = file(t, SMALL);
  const readWith = (use: (stream: Readable) => void, signal?: AbortSignal): Promise<Buffer> =>
    readVerified(
      {
        fetch: async (_, options) => {
          const stream = openBlob(location, target, options) as Readable;
          use(stream);
          return stream;
        },
      },
      target,
      { signal },
    );
  for (const signal of [undefined, new AbortController().signal]) {
    const copy = new PassThrough({ highWaterMark: SMALL.length + 1 });
    assert.ok((await readWith((stream) => stream.pipe(copy), signal)).equals(SMALL));
    assert.ok(Buffer.concat(await copy.toArray()).equals(SMALL));
    let heard = 0;
    await readWith((stream) => stream.on('data', ({ length }: Buffer) => (heard += length)), signal);
    assert.equal(heard, SMALL.length);
    let end: unknown = 'nothing';
    await readWith((stream) => finished(stream, (error) => (end = error)), signal);
    assert.equal(end ?? undefined, undefined);
  }
  const late = new Error('too late');
  await assert.rejects(
    readWith((stream) => stream.on('error', () => {}).destroy(late)),
    (error) => error === late,
  );
  const abort = new AbortController();
  await assert.rejects(
    readWith(() => queueMicrotask(() => abort.abort(late)), abort.signal),
    (error) => error === late,
  );
});

test('what is not there is undefined; links are not followed', (t) => {
  const { location, target } = file(t, SMALL);
  assert.equal(openBlob({ ...location, path: `${location.path}-none` }, target), undefined);
  symlinkSync(location.path, `${location.path}-link`);
  assert.throws(() => openBlob({ ...location, path: `${location.path}-link` }, target), { code: 'ERR_LAYOUT_INVALID' });
});
