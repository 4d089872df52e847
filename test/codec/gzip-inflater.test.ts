/** gzip: members, padding, and everything that must be refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { openGzipInflater } from '../../src/codec/gzip-inflater.js';
import { CollectingOutput, pushAll } from './inflate-all.js';

const text = Buffer.from(Array.from({ length: 5000 }, (_, index) => `line ${(index * index) % 971}\n`).join(''));
const PIECES = [1, 7, 100, 4096, 1 << 20];

async function gunzip(bytes: Uint8Array, pieceBytes: number, bufferBytes?: number): Promise<Buffer> {
  const output = new CollectingOutput(bufferBytes);
  pushAll(await openGzipInflater('sha256:x', output), bytes, pieceBytes);
  return output.bytes();
}

test('one member, cut anywhere, into buffers of any size', async () => {
  for (const piece of PIECES) {
    for (const buffer of [1, 333, 65536, text.length, text.length * 2]) {
      if (piece === 1 && buffer === 1) continue;
      assert.ok((await gunzip(gzipSync(text), piece, buffer)).equals(text), `pieces of ${piece}, buffer of ${buffer}`);
    }
  }
});

test('many members, empty ones among them, and zeros behind the last', async () => {
  const members = [text.subarray(0, 1000), Buffer.alloc(0), text.subarray(1000, 1001), text.subarray(1001)];
  const bytes = Buffer.concat([...members.map((member) => gzipSync(member)), Buffer.alloc(1537)]);
  for (const piece of PIECES) assert.ok((await gunzip(bytes, piece)).equals(text), `pieces of ${piece}`);
});

test('CVE-2022-30631 (Go): members without content, one after another, need no stack', async () => {
  const empty = gzipSync(Buffer.alloc(0));
  const many = Buffer.concat(Array<Buffer>(100_000).fill(empty));
  for (const bytes of [Buffer.concat([many, gzipSync(text)]), Buffer.concat([gzipSync(text), many])]) {
    assert.ok((await gunzip(bytes, 1 << 16)).equals(text));
  }
});

test('shared memory on both sides', async () => {
  const compressed = gzipSync(text);
  const input = new Uint8Array(new SharedArrayBuffer(compressed.length));
  input.set(compressed);
  const room = new Uint8Array(new SharedArrayBuffer(512));
  const chunks: Buffer[] = [];
  const inflater = await openGzipInflater('sha256:x', {
    space: () => room,
    filled: (length) => chunks.push(Buffer.from(room.subarray(0, length))),
  });
  inflater.push(input);
  inflater.finish();
  inflater.close();
  assert.ok(Buffer.concat(chunks).equals(text));
});

test('CVE-2021-20291 (containers/storage): what is damaged is refused, wherever it is cut', async () => {
  const whole = gzipSync(text);
  const crc = Buffer.from(whole);
  crc[whole.length - 8] = (crc[whole.length - 8] ?? 0) ^ 1;
  const isize = Buffer.from(whole);
  isize[whole.length - 4] = (isize[whole.length - 4] ?? 0) ^ 1;
  const body = Buffer.from(whole);
  body[whole.length >> 1] = (body[whole.length >> 1] ?? 0) ^ 0x55;
  const cases: Record<string, Buffer> = {
    'wrong CRC32': crc,
    'wrong length': isize,
    'flipped bit': body,
    'cut in the header': whole.subarray(0, 5),
    'cut in the body': whole.subarray(0, whole.length - 100),
    'cut in the trailer': whole.subarray(0, whole.length - 1),
    'garbage behind': Buffer.concat([whole, Buffer.from('garbage')]),
    'garbage behind padding': Buffer.concat([whole, Buffer.alloc(600), Buffer.from('x')]),
    'a member behind padding': Buffer.concat([whole, Buffer.alloc(3), whole]),
    'a second member that is cut': Buffer.concat([whole, whole.subarray(0, 30)]),
    'the first byte of a second member': Buffer.concat([whole, whole.subarray(0, 1)]),
  };
  for (const [name, bytes] of Object.entries(cases)) {
    for (const piece of PIECES) {
      await assert.rejects(
        gunzip(bytes, piece),
        { code: 'ERR_DECOMPRESS', message: /^sha256:x: / },
        `${name}, ${piece}`,
      );
    }
  }
});
