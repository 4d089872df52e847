/** Servers that take an upload slowly, and servers that take it and are silent. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { createRepository } from '../../src/registry/repository.js';
import { answerTimeout, inPieces } from '../../src/registry/sent-body.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { digestOf } from '../../src/testing/testing.js';
import { listen } from '../support/listen.js';

const MIB = 1024 * 1024;

function blobOf(size: number): { readonly bytes: Buffer; readonly target: Descriptor } {
  const bytes = Buffer.alloc(size, 'slow ');
  const digest = digestOf(bytes);
  return { bytes, target: { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size } };
}

/** How a server reads bodies: so many bytes a second, nothing, or all of it without ever answering. */
type Way = number | 'nothing' | 'all of it';

/** A registry that takes every upload in its own way. */
async function serve(t: TestContext, way: Way): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    let head = '';
    let method = '';
    let left = 0;
    const answer = (): void => {
      const status = { HEAD: 404, POST: 202, PATCH: 202, PUT: 201 }[method] ?? 204;
      socket.write(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\nLocation: /v2/app/blobs/uploads/1\r\n\r\n`);
    };
    socket.on('data', (chunk) => {
      if (left === 0) {
        head += chunk.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        method = head.slice(0, head.indexOf(' '));
        left = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0) - (head.length - end - 4);
        head = '';
      } else left -= chunk.length;
      if (left <= 0 && (way !== 'all of it' || method === 'HEAD' || method === 'POST')) answer();
      if (left <= 0) return;
      if (way === 'nothing') socket.pause();
      if (typeof way !== 'number') return;
      socket.pause();
      setTimeout(() => socket.resume(), (chunk.length / way) * 1_000);
    });
  });
  return listen(t, server);
}

async function push(host: string, size: number, timeoutMs: number): Promise<void> {
  const { bytes, target } = blobOf(size);
  const whole = {
    async *[Symbol.asyncIterator]() {
      yield bytes;
    },
  };
  await createRepository(`${host}/app`, { timeoutMs, retry: 0 }).push(target, whole);
}

describe('slow uploads', { concurrency: 6 }, () => {
  for (const [name, size] of [
    ['in one request', 4 * MIB],
    ['streamed, from one chunk', 8 * MIB],
  ] as const) {
    // The buffers take 4 MiB at once: that is 2.5 s without a sign, where 1.5 s are the longest silence.
    test(`a server that reads slowly but steadily gets it all: ${name}`, async (t) => {
      await push(await serve(t, (4 * MIB) / 2.5), size, 1_500);
    });
  }

  for (const [way, size] of [
    ['nothing', 4 * MIB],
    ['nothing', 8 * MIB],
    ['all of it', 1_000],
    ['all of it', 4 * MIB],
    ['all of it', 8 * MIB],
  ] as const) {
    test(`a server that reads ${way} and is silent is found out: ${size} bytes`, { timeout: 30_000 }, async (t) => {
      await assert.rejects(push(await serve(t, way), size, 300), {
        code: 'ERR_TIMEOUT',
        message: new RegExp(`no answer within ${answerTimeout(300, size)} ms`),
      });
    });
  }
});

test('the longest silence grows with what may be in the buffers, and not beyond', () => {
  for (const size of [0, 4_000, 64 * 1024]) assert.equal(answerTimeout(30_000, size), 30_000);
  assert.equal(answerTimeout(30_000, MIB / 2), 45_000);
  for (const size of [4 * MIB, 400 * MIB, undefined]) assert.equal(answerTimeout(30_000, size), 150_000);
  assert.equal(answerTimeout(2 ** 31 - 1, MIB), 2 ** 31 - 1);
});

test('a body is handed over in pieces, every byte once and in order', async () => {
  const bytes = Buffer.from(Array.from({ length: 2 * MIB + 7 }, (_, at) => (at * 7919) >> 3));
  assert.equal(inPieces(bytes.subarray(0, MIB)).constructor, Buffer);
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 5);
    yield bytes.subarray(5, 5);
    yield bytes.subarray(5);
  };
  for (const body of [bytes, chunks()]) {
    const pieces: Uint8Array[] = [];
    for await (const piece of inPieces(body) as AsyncIterable<Uint8Array>) pieces.push(piece);
    assert.ok(pieces.every(({ byteLength }) => byteLength > 0 && byteLength <= MIB));
    assert.deepEqual(Buffer.concat(pieces), bytes);
  }
});
