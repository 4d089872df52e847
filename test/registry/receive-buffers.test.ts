import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { Duplex, type Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { giveBack, takePiece } from '../../src/io/lent-memory.js';
import { readChunks } from '../../src/io/read-chunks.js';
import { createReceiver, MIN_LENT_BYTES } from '../../src/registry/receive-buffers.js';
import { createRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { digestOf, image, SeededRandom, startRegistry } from '../../src/testing/testing.js';

const SIZE = 6_000_000;

/** Layers that are all different, so that a byte of another one would be seen. */
function blobs(count: number): Buffer[] {
  const random = new SeededRandom(1);
  return Array.from({ length: count }, () => {
    const piece = random.bytes(65_537);
    return Buffer.alloc(SIZE, piece);
  });
}

type Fetch = (layer: Descriptor, range?: { readonly start: number; readonly end: number }) => Promise<Readable>;

/** Serves an image of so many layers to `work`. */
async function served(
  count: number,
  work: (fetch: Fetch, layers: readonly Descriptor[]) => Promise<void>,
  maxConnectionsPerHost = 8,
): Promise<void> {
  await using registry = await startRegistry();
  const app = image().compression('none');
  for (const [index, bytes] of blobs(count).entries()) app.layer((layer) => layer.file(`file-${index}`, bytes));
  const built = app.build();
  registry.add('app', 'latest', built);
  const repository = createRepository(`${registry.host}/app`, { plainHttp: true, maxConnectionsPerHost });
  const { layers } = JSON.parse(String(built.blobs.get(built.descriptor.digest))) as { layers: Descriptor[] };
  await work((layer, range) => repository.fetch(layer, range === undefined ? {} : { range }), layers);
}

test('chunks that are kept stay as they were, however many are received at once', async () => {
  await served(6, async (fetch, layers) => {
    const whole = await Promise.all(
      layers.map(async (layer) => {
        const chunks: Buffer[] = [];
        for await (const chunk of await fetch(layer)) chunks.push(chunk as Buffer);
        return Buffer.concat(chunks);
      }),
    );
    assert.deepEqual(
      whole.map((one) => digestOf(one)),
      layers.map(({ digest }) => digest),
    );
  });
});

test('chunks that are taken as they come are whole, at once or after a while', async () => {
  await served(6, async (fetch, layers) => {
    const { signal } = new AbortController();
    const found = await Promise.all(
      layers.map(async (layer, index) => {
        const hash = createHash('sha256');
        let bytes = 0;
        let calls = 0;
        await readChunks(fetch(layer), signal, (chunk) => {
          assert.ok(chunk.length > 0);
          bytes += chunk.length;
          calls += 1;
          if (index % 2 === 0 || calls % 3 !== 0) return void hash.update(chunk);
          return pause(2).then(() => void hash.update(chunk));
        });
        return [`sha256:${hash.digest('hex')}`, bytes];
      }),
    );
    assert.deepEqual(
      found,
      layers.map(({ digest, size }) => [digest, size]),
    );
  });
});

test('a stream that waits for its reader loses nothing', async () => {
  await served(1, async (fetch, [layer]) => {
    assert.ok(layer !== undefined);
    const opening = fetch(layer);
    await opening;
    await pause(50);
    const hash = createHash('sha256');
    await readChunks(opening, new AbortController().signal, (chunk) => void hash.update(chunk));
    assert.equal(`sha256:${hash.digest('hex')}`, layer.digest);
  });
});

test('the last chunk of a range is good until it was taken, while its connection brings the next answer', async () => {
  const work = async (fetch: Fetch, layers: readonly Descriptor[]): Promise<void> => {
    const [first, second] = layers;
    assert.ok(first !== undefined && second !== undefined);
    const { signal } = new AbortController();
    // What is left for the last chunk is long enough to be lent.
    const range = { start: 0, end: 8 * 262_144 + 240_000 };
    const expected = createHash('sha256');
    for await (const chunk of await fetch(first, range)) expected.update(chunk as Buffer);
    const found = createHash('sha256');
    let bytes = 0;
    const slow = readChunks(fetch(first, range), signal, (chunk) => {
      bytes += chunk.length;
      if (bytes < range.end) return void found.update(chunk);
      return pause(20).then(() => void found.update(chunk));
    });
    const next = readChunks(fetch(second), signal, () => undefined);
    await Promise.all([slow, next]);
    assert.equal(found.digest('hex'), expected.digest('hex'));
  };
  await served(2, work, 1);
});

test('memory of connections that were closed is used again', async () => {
  await served(1, async (fetch, [layer]) => {
    assert.ok(layer !== undefined);
    const { signal } = new AbortController();
    const aborted = (): Promise<void> => readChunks(fetch(layer), signal, () => 'enough');
    for (let count = 0; count < 5; count += 1) await aborted();
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 200; count += 1) await aborted();
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(grown < 40_000_000, `${grown} bytes for 200 connections`);
  });
});

test('a chunk whose taker has not done with it stays as it was when its connection is closed', async () => {
  await served(2, async (fetch, [first, second]) => {
    assert.ok(first !== undefined && second !== undefined);
    const controller = new AbortController();
    const reason = new Error('enough');
    let held: { chunk: Uint8Array; copy: Buffer } | undefined;
    const taking = readChunks(fetch(first), controller.signal, (chunk) => {
      if (chunk.length < MIN_LENT_BYTES) return undefined;
      held = { chunk, copy: Buffer.from(chunk) };
      controller.abort(reason);
      return new Promise(() => {});
    });
    await assert.rejects(taking, reason);
    const { signal } = new AbortController();
    const other = (): Promise<void> => readChunks(fetch(second), signal, () => undefined);
    for (let count = 0; count < 5; count += 1) await Promise.all([other(), other(), other(), other()]);
    assert.ok(held?.copy.equals(held.chunk));
  });
});

/** What a socket receives; `all` is how Node 24 reads it, `first` how Node 26 does. */
class Received extends Duplex {
  readonly #all: boolean;
  readonly #lengths: number[] = [];

  constructor(all: boolean) {
    super({ read: () => undefined });
    this.#all = all;
  }

  override push(chunk: Uint8Array): boolean {
    this.#lengths.push(chunk.length);
    return super.push(chunk);
  }

  override unshift(chunk: Uint8Array): void {
    this.#lengths.unshift(chunk.length);
    super.unshift(chunk);
  }

  override read(size?: number): Buffer | null {
    if (size === 0) return super.read(0);
    const length = this.#all ? this.readableLength : this.#lengths.shift();
    if (this.#all) this.#lengths.length = 0;
    return super.read(length) as Buffer | null;
  }
}

/** Takes the memory that waits for its next use, as many pieces as may wait. They go back after the test. */
function takeFree(t: TestContext): Buffer[] {
  const pieces = Array.from({ length: 16 }, () => takePiece());
  t.after(() => {
    for (const piece of pieces) giveBack(piece);
  });
  return pieces;
}

for (const all of [true, false]) {
  test(`what waits in a socket is not used again, where a read gives ${all ? 'all that is there' : 'the first chunk'}`, (t) => {
    takeFree(t);
    const { options, lend } = createReceiver();
    const socket = new Received(all) as unknown as Socket;
    lend(socket);
    const received: Buffer[] = [];
    const receive = (length: number): void => {
      const memory = options.buffer();
      memory.fill(received.length + 1, 0, length);
      received.push(Buffer.from(memory.subarray(0, length)));
      options.callback.call(socket, length, memory);
    };
    /** Whoever takes memory now writes into it. */
    const used = (): void => {
      for (const piece of takeFree(t)) piece.fill(0xdd);
    };
    const seen: Buffer[] = [];
    const next = (): Buffer => {
      const chunk = socket.read() as Buffer | null;
      assert.ok(chunk !== null);
      used();
      return chunk;
    };
    for (const length of [MIN_LENT_BYTES, 1_000, MIN_LENT_BYTES + 1, MIN_LENT_BYTES, 2_000]) receive(length);
    const first = next();
    seen.push(Buffer.from(first.subarray(0, 50_000)));
    socket.unshift(first.subarray(50_000));
    used();
    receive(MIN_LENT_BYTES);
    while (socket.readableLength > 0) seen.push(Buffer.from(next()));
    assert.ok(Buffer.concat(seen).equals(Buffer.concat(received)));
  });
}

test('what was read is used again once its reader reads again', (t) => {
  takeFree(t);
  const { options, lend } = createReceiver();
  const socket = new Received(false) as unknown as Socket;
  lend(socket);
  const received: Buffer[] = [];
  for (let count = 0; count < 3; count += 1) {
    const memory = options.buffer();
    received.push(memory);
    options.callback.call(socket, MIN_LENT_BYTES, memory);
  }
  for (let count = 0; count < 3; count += 1) assert.ok(socket.read() !== null);
  socket.read(0);
  const taken = takeFree(t);
  const [first, second, third] = received.map((memory) => taken.includes(memory));
  assert.deepEqual([first, second, third], [true, true, false]);
});
