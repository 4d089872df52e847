import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { readChunks } from '../../src/io/read-chunks.js';
import { createRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { image, SeededRandom, startRegistry } from '../../src/testing/testing.js';

const SIZE = 6_000_000;

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Layers that are all different, so that a byte of another one would be seen. */
function blobs(count: number): Buffer[] {
  const random = new SeededRandom(1);
  return Array.from({ length: count }, () => {
    const piece = random.bytes(65_537);
    return Buffer.alloc(SIZE, piece);
  });
}

type Fetch = (layer: Descriptor) => Promise<Readable>;

/** Serves an image of so many layers to `work`. */
async function served(
  count: number,
  work: (fetch: Fetch, layers: readonly Descriptor[]) => Promise<void>,
): Promise<void> {
  await using registry = await startRegistry();
  const app = image().compression('none');
  for (const [index, bytes] of blobs(count).entries()) app.layer((layer) => layer.file(`file-${index}`, bytes));
  const built = app.build();
  registry.add('app', 'latest', built);
  const repository = createRepository(`${registry.host}/app`, { plainHttp: true });
  const { layers } = JSON.parse(String(built.blobs.get(built.descriptor.digest))) as { layers: Descriptor[] };
  await work((layer) => repository.fetch(layer), layers);
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
      whole.map(sha256),
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
