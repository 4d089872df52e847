/** One large layer in several ranges at once, from a registry: how many, how many bytes, and what faults do to it. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { Agent } from 'undici';
import type { FetchOptions } from '../../src/content/content.js';
import { RootfsError } from '../../src/errors.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { extractLayer } from '../../src/layer/extract-layer.js';
import { RANGE_BYTES } from '../../src/layer/fetch-ranges.js';
import type { RegistryOptions } from '../../src/registry/registry-options.js';
import { createRepository } from '../../src/registry/repository.js';
import { openRootFS } from '../../src/rootfs/open-rootfs.js';
import { type Fault, image, SeededRandom, startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { wrongLayers } from '../support/layer-files.js';
import { openFilesUnder } from '../support/open-files.js';
import { type ScriptedAnswer, scriptedRegistry } from '../support/scripted-registry.js';
import { tempDir } from '../support/temp-dir.js';

/** 36 MiB in which no two blocks are equal. */
function content(): Buffer {
  const bytes = Buffer.alloc(36 * 1024 ** 2, new SeededRandom(5).bytes(4_096));
  for (let at = 0; at < bytes.length; at += 4_096) bytes.writeUInt32LE(at, at);
  return bytes;
}

const built = image()
  .layer((one) => one.file('large', content()), { compression: 'none' })
  .build();
const [layer] = built.layers;
assert.ok(layer !== undefined);
const { descriptor, diffId } = layer;
const { digest, size } = descriptor;
const RANGES = Math.ceil(size / RANGE_BYTES);

async function serve(t: TestContext, ...faults: Fault[]): Promise<TestRegistry> {
  const registry = await startRegistry({ faults });
  t.after(() => registry.close());
  registry.add('app', 'latest', built);
  return registry;
}

async function extract(
  registry: Pick<TestRegistry, 'host'>,
  dst: string,
  options: RegistryOptions = {},
): Promise<void> {
  const repository = createRepository(`${registry.host}/app`, { retry: 2, timeoutMs: 2_000, ...options });
  const handle = await extractLayer(repository, { descriptor, diffId }, dst, { fsync: 'none' });
  await handle.close();
}

function checkWhole(dst: string): void {
  assert.deepEqual(wrongLayers(dst), []);
  assert.deepEqual(readdirSync(join(dst, 'sha256')), [diffId.slice(7)]);
  assert.deepEqual(readdirSync(join(dst, 'ingest')), []);
}

test('as many ranges at once as were asked for, each once, and the right bytes', async (t) => {
  const registry = await serve(t, { on: 'blob', do: 'latency', ms: 50 });
  const dst = tempDir(t);
  await extract(registry, dst, { parallelRanges: 4 });
  checkWhole(dst);
  const ranges = registry.log.of('blob', digest).map(({ headers }) => String(headers['range']));
  assert.equal(ranges.length, RANGES);
  assert.equal(new Set(ranges).size, RANGES);
  assert.equal(registry.log.mostBlobsAtOnce, 4);
  assert.equal(registry.log.bytesSent, size);
  assert.equal(new Set(registry.log.requests.map(({ connection }) => connection)).size, 4);
});

test('loopback is fetched in one piece unless the option says otherwise', async (t) => {
  const registry = await serve(t);
  const dst = tempDir(t);
  await extract(registry, dst);
  checkWhole(dst);
  assert.equal(registry.log.requests.length, 1);
  assert.equal(registry.log.requests[0]?.headers['range'], undefined);
});

test('elsewhere ranges come by themselves, from a server that was seen to honour Range', async (t) => {
  for (const honours of [true, false]) {
    const registry = await serve(t, { on: 'blob', do: 'headers', remove: honours ? [] : ['accept-ranges'] });
    const dispatcher = new Agent({
      connect: { lookup: (_host, _options, found) => found(null, [{ address: '127.0.0.1', family: 4 }]) },
    });
    t.after(() => dispatcher.close());
    const port = registry.host.split(':')[1];
    const repository = createRepository(`registry.test:${port}/app`, { plainHttp: true, dispatcher });
    const dst = tempDir(t);
    const found = await fetchImage(repository, 'latest', { platform: 'linux/amd64' });
    const rootfs = await openRootFS(repository, found, dst, { fsync: 'none' });
    await rootfs.close();
    checkWhole(dst);
    assert.equal(registry.log.of('blob', digest).length, honours ? RANGES : 1);
  }
});

test('ranges that are cut go on, each where it was cut', async (t) => {
  const registry = await serve(t, { on: 'blob', do: 'cut', after: 3 * 1024 ** 2 });
  const dst = tempDir(t);
  await extract(registry, dst, { parallelRanges: 4 });
  checkWhole(dst);
  assert.ok(registry.log.bytesSent <= size * 1.05, `${registry.log.bytesSent} bytes were sent for ${size}`);
});

test('wrong bytes in one range are found, and leave nothing', async (t) => {
  const registry = await serve(t, { on: 'blob', do: 'range', as: 'wrong-bytes', nth: 3, times: 1 });
  const dst = tempDir(t);
  const error = await extract(registry, dst, { parallelRanges: 4 }).catch((caught: unknown) => caught);
  assert.ok(error instanceof RootfsError);
  assert.equal(error.code, 'ERR_DIGEST_MISMATCH');
  assert.deepEqual(readdirSync(join(dst, 'ingest')), []);
  assert.ok(!existsSync(join(dst, 'sha256')) || readdirSync(join(dst, 'sha256')).length === 0);
  assert.deepEqual(openFilesUnder(dst), []);
});

test('a failure keeps the part without a gap, and the next run begins there', async (t) => {
  const registry = await serve(t, { on: 'blob', do: 'answer', status: 403, nth: 4 });
  const dst = tempDir(t);
  const error = await extract(registry, dst, { parallelRanges: 2 }).catch((caught: unknown) => caught);
  assert.ok(error instanceof RootfsError);
  assert.equal(error.code, 'ERR_DENIED');
  const [name = ''] = readdirSync(join(dst, 'ingest'));
  const kept = statSync(join(dst, 'ingest', name)).size;
  assert.ok(kept >= RANGE_BYTES, `${kept} bytes were kept`);
  registry.clearFaults();
  registry.log.reset();
  await extract(registry, dst, { parallelRanges: 2 });
  checkWhole(dst);
  assert.equal(registry.log.bytesSent, size - kept);
});

/** Serves the layer whole where no range is asked for, else what `answer` says of the `nth` range, counted from 1. */
async function scripted(t: TestContext, answer: (part: Part, nth: number) => ScriptedAnswer | Promise<ScriptedAnswer>) {
  const asked: string[] = [];
  let bytesSent = 0;
  let ranges = 0;
  const { host } = await scriptedRegistry(t, async ({ url, headers: { range } }) => {
    if (!url.pathname.includes('/blobs/')) return { status: 200 };
    asked.push(range ?? 'whole');
    const found = /^bytes=(\d+)-(\d*)$/.exec(range ?? '');
    const [start, end] = [Number(found?.[1]), Number(found?.[2] || size - 1) + 1];
    const whole: ScriptedAnswer = { status: 200, headers: { 'accept-ranges': 'bytes' }, body: layer?.blob };
    const part = { start, end, bytes: layer?.blob.subarray(start, end) ?? Buffer.alloc(0), whole };
    const given = found === null ? whole : await answer(part, ++ranges);
    bytesSent += (given?.body as Buffer | undefined)?.length ?? 0;
    return given;
  });
  return { host, asked, sent: () => bytesSent };
}

interface Part {
  readonly start: number;
  readonly end: number;
  readonly bytes: Buffer;
  readonly whole: ScriptedAnswer;
}

function honoured({ start, end, bytes }: Part, unit = 'bytes'): ScriptedAnswer {
  return { status: 206, headers: { 'content-range': `${unit} ${start}-${end - 1}/${size}` }, body: bytes };
}

for (const [name, answer] of [
  ...[400, 403, 405, 416, 501].map((status) => [`refused with ${status}`, (): ScriptedAnswer => ({ status })] as const),
  ['given without saying which', ({ bytes }: Part) => ({ status: 206, body: bytes.subarray(0, 1_000) })],
  [
    'given in an envelope of parts',
    ({ bytes }: Part) => ({
      status: 206,
      headers: { 'content-type': 'multipart/byteranges; boundary=b' },
      body: bytes.subarray(0, 1_000),
    }),
  ],
] as const) {
  test(`ranges that are ${name}: the layer comes in one piece`, async (t) => {
    const registry = await scripted(t, answer);
    const dst = tempDir(t);
    await extract({ host: registry.host }, dst, { parallelRanges: 4 });
    checkWhole(dst);
    assert.equal(registry.asked.filter((range) => range === 'whole').length, 1);
    assert.ok(registry.asked.length <= 9, registry.asked.join('\n'));
    assert.ok(registry.sent() < size + 10_000, `${registry.sent()} bytes were sent for ${size}`);
    assert.deepEqual(openFilesUnder(dst), []);
  });
}

test('ranges that are ignored: one whole answer more is asked for, not one for each range', async (t) => {
  const registry = await scripted(t, ({ whole }) => whole);
  const dst = tempDir(t);
  await extract({ host: registry.host }, dst, { parallelRanges: 4 });
  checkWhole(dst);
  assert.ok(registry.asked.length <= 5, registry.asked.join('\n'));
  assert.equal(registry.asked.at(-1), 'whole');
});

test('ranges whose unit is written in capitals are ranges', async (t) => {
  const registry = await scripted(t, (part) => honoured(part, 'Bytes'));
  const dst = tempDir(t);
  await extract({ host: registry.host }, dst, { parallelRanges: 4 });
  checkWhole(dst);
  assert.equal(registry.asked.length, RANGES);
  assert.equal(registry.sent(), size);
});

test('ranges that are refused after some came: what came is kept, and the rest comes once', async (t) => {
  for (const isRest of [true, false]) {
    const registry = await scripted(t, (part, nth) =>
      nth <= 3 || (isRest && part.end === size) ? honoured(part) : { status: 403 },
    );
    const dst = tempDir(t);
    await extract({ host: registry.host }, dst, { parallelRanges: 2 });
    checkWhole(dst);
    assert.equal(registry.asked.filter((range) => range === 'whole').length, isRest ? 0 : 1, registry.asked.join('\n'));
    if (isRest) assert.match(registry.asked.at(-1) ?? '', /^bytes=[1-9]/);
  }
});

test('a run that goes on where another one ended survives a server that refuses ranges', async (t) => {
  let isBroken = true;
  const registry = await scripted(t, (part, nth) => {
    if (!isBroken) return { status: 400 };
    return nth <= 2 ? honoured(part) : { status: 404 };
  });
  const dst = tempDir(t);
  const host = { host: registry.host };
  await assert.rejects(extract(host, dst, { parallelRanges: 2 }), { code: 'ERR_NOT_FOUND' });
  isBroken = false;
  await extract(host, dst, { parallelRanges: 2 });
  checkWhole(dst);
});

test('a layer that is said to be of nine petabytes costs no more than what comes of it', async (t) => {
  const dst = tempDir(t);
  const asked: unknown[] = [];
  const source = {
    fetchParallelism: () => 4,
    fetch: async (_: unknown, { range }: FetchOptions = {}): Promise<Readable> => {
      asked.push(range?.start);
      if (asked.length > 4) throw new RootfsError('ERR_NETWORK', 'it broke');
      return Readable.from([Buffer.alloc(RANGE_BYTES)]);
    },
  };
  const absurd = { ...descriptor, size: Number.MAX_SAFE_INTEGER };
  await assert.rejects(
    extractLayer(source, { descriptor: absurd, diffId }, dst, { fsync: 'none', maxLayerSize: absurd.size }),
    {
      code: /ERR_(?:NETWORK|DIGEST_MISMATCH|DECOMPRESS)/,
    },
  );
  assert.ok(asked.length < 12, `${asked.length} ranges were asked for`);
  assert.deepEqual(openFilesUnder(dst), []);
});
