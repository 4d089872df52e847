/** zstd with both decoders: frames, skippable frames, checksums, limits, damage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Xxh64 } from '../../src/codec/xxh64.js';
import { hasNativeZstd, openZstdInflater } from '../../src/codec/zstd-inflater.js';
import { CollectingOutput, pushAll } from './inflate-all.js';

const text = Buffer.from(
  Array.from({ length: 400 }, (_, index) => `line ${(index * index) % 97} of a text that compresses\n`).join(''),
);
/** `text` by `zstd -19 --check`. */
const compressed = Buffer.from(
  'KLUv/QRo1QUAAg0gFqApHQBsr31mc5oAwEdKmWRKksK9W630nTTv2afVU54adk7XHjUs/Wxe7TvI6DVmppkznkrefvPU+B7ZFWpRXZH1bpya' +
    '/xtJ5c9mTGY1dDvIV/PsX2l4VEs3Z8tU2VOaf35pzjMBDITBQBaKQ0JQkgAhKUkDSUqgDBLlKAiiYAhhqCEovf3voJ12AxJIEPh/BYHp92Pf' +
    'CciaLbAr6BRHIPEC3UfbwYOqsgO/f9QEbSwITwIbApBVakxZ1A==',
  'base64',
);
const PIECES = [1, 2, 3, 5, 17, 1000, 1 << 20];
const DECODERS = hasNativeZstd() ? [true, false] : [false];

interface FrameOptions {
  readonly checksum?: boolean;
  readonly window?: number;
  readonly contentSize?: number;
  readonly dictionary?: number;
  readonly reserved?: boolean;
}

/** A frame of raw blocks. */
function rawFrame(content: Buffer, options: FrameOptions = {}): Buffer {
  const { checksum = false, window = 0x50, contentSize, dictionary, reserved = false } = options;
  const descriptor =
    (contentSize === undefined ? 0 : 0x80) |
    (dictionary === undefined ? 0 : 3) |
    (checksum ? 4 : 0) |
    (reserved ? 8 : 0);
  const parts: Buffer[] = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, descriptor, window])];
  if (dictionary !== undefined) parts.push(word(dictionary, 4));
  if (contentSize !== undefined) parts.push(word(contentSize, 4));
  const blocks = Math.max(1, Math.ceil(content.length / 1000));
  for (let index = 0; index < blocks; index++) {
    const block = content.subarray(index * 1000, (index + 1) * 1000);
    parts.push(word((block.length << 3) | (index === blocks - 1 ? 1 : 0), 3), block);
  }
  if (checksum) {
    const hash = new Xxh64();
    hash.update(content);
    parts.push(word(hash.digestLow(), 4));
  }
  return Buffer.concat(parts);
}

function word(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntLE(value, 0, length);
  return bytes;
}

function skippable(content: Buffer): Buffer {
  return Buffer.concat([word(0x184d2a55, 4), word(content.length, 4), content]);
}

async function inflate(bytes: Uint8Array, native: boolean, pieceBytes: number, bufferBytes?: number): Promise<Buffer> {
  const output = new CollectingOutput(bufferBytes);
  pushAll(await openZstdInflater('sha256:x', output, native), bytes, pieceBytes);
  return output.bytes();
}

for (const native of DECODERS) {
  const name = native ? 'node:zlib' : 'fzstd';

  test(`${name}: a frame, cut anywhere, into buffers of any size`, async () => {
    for (const piece of PIECES) {
      for (const buffer of [1, 100, 65536]) {
        assert.ok((await inflate(compressed, native, piece, buffer)).equals(text), `pieces of ${piece}`);
      }
    }
  });

  test(`${name}: many frames, empty ones and skippable ones among them`, async () => {
    const bytes = Buffer.concat([
      skippable(Buffer.from('first')),
      compressed,
      skippable(Buffer.alloc(0)),
      rawFrame(text, { checksum: true }),
      rawFrame(Buffer.alloc(0)),
      // Without a window, as an encoder writes what is known to be empty.
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0]),
      rawFrame(text, { contentSize: text.length }),
      compressed,
      skippable(Buffer.alloc(5000)),
    ]);
    const expected = Buffer.concat([text, text, text, text]);
    for (const piece of PIECES) assert.ok((await inflate(bytes, native, piece)).equals(expected), `pieces of ${piece}`);
  });

  test(`${name}: a run repeats its byte`, async () => {
    const frame = Buffer.concat([
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x50]),
      word((5000 << 3) | 2 | 1, 3),
      Buffer.from('z'),
    ]);
    for (const piece of PIECES) assert.deepEqual(await inflate(frame, native, piece), Buffer.alloc(5000, 'z'));
  });

  test(`${name}: what is damaged is refused, wherever it is cut`, async () => {
    const badSum = Buffer.from(compressed);
    badSum[badSum.length - 1] = (badSum[badSum.length - 1] ?? 0) ^ 1;
    const rawSum = rawFrame(text, { checksum: true });
    rawSum[100] = (rawSum[100] ?? 0) ^ 1;
    const cases: Record<string, Buffer> = {
      'wrong checksum': badSum,
      'changed content under a checksum': rawSum,
      'cut in the magic': compressed.subarray(0, 3),
      'cut in the header': compressed.subarray(0, 5),
      'cut in a block': compressed.subarray(0, 100),
      'cut in the checksum': compressed.subarray(0, compressed.length - 1),
      'garbage behind': Buffer.concat([compressed, Buffer.from('garbage')]),
      'zeros behind': Buffer.concat([compressed, Buffer.alloc(16)]),
      'cut in a skippable frame': skippable(Buffer.alloc(100)).subarray(0, 50),
      'more content than promised': rawFrame(text, { contentSize: text.length - 1 }),
      'less content than promised': rawFrame(text, { contentSize: text.length + 1 }),
      'no content at all, where some is promised': rawFrame(Buffer.alloc(0), { contentSize: 16 }),
      'an empty last block behind less than was promised': Buffer.concat([
        rawFrame(Buffer.alloc(0), { contentSize: 16 }).subarray(0, 10),
        word(3 << 3, 3),
        Buffer.from('abc'),
        word(1, 3),
      ]),
      'an empty compressed block': Buffer.concat([rawFrame(text).subarray(0, 6), word((2 << 1) | 1, 3)]),
      'a run of no length in a frame without room': Buffer.concat([
        Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 0]),
        word(3, 3),
        Buffer.from('z'),
      ]),
      'a reserved bit': rawFrame(text, { reserved: true }),
      'a reserved block type': Buffer.concat([rawFrame(text).subarray(0, 6), word((10 << 3) | 6, 3), Buffer.alloc(10)]),
      'a block over its window': Buffer.concat([
        rawFrame(text).subarray(0, 6),
        word((200_000 << 3) | 2 | 1, 3),
        Buffer.alloc(1),
      ]),
      'a dictionary nobody has': rawFrame(text, { dictionary: 4711 }),
    };
    for (const [what, bytes] of Object.entries(cases)) {
      for (const piece of PIECES) {
        await assert.rejects(
          inflate(bytes, native, piece),
          { code: 'ERR_DECOMPRESS', message: /^sha256:x: / },
          `${what}, ${piece}`,
        );
      }
    }
  });

  test(`${name}: every flipped bit of a frame is either refused or changes nothing`, async () => {
    for (let bit = 0; bit < compressed.length * 8; bit += 3) {
      const changed = Buffer.from(compressed);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await inflate(changed, native, 64).then(
        (bytes) => assert.ok(bytes.length === 0 || bytes.equals(text), `bit ${bit}`),
        (error) => assert.match(error.code, /^ERR_(DECOMPRESS|LIMIT_EXCEEDED)$/, `bit ${bit}: ${error.stack}`),
      );
    }
  });

  test(`${name}: a window over 128 MiB is refused before anything is allocated`, async () => {
    for (const window of [(17 << 3) | 1, 0xff]) {
      await assert.rejects(inflate(rawFrame(text, { window }), native, 1000), { code: 'ERR_LIMIT_EXCEEDED' });
    }
    assert.ok((await inflate(rawFrame(text, { window: 17 << 3 }), native, 1000)).equals(text));
  });

  test(`${name}: an error of the receiver comes through as it is`, async () => {
    const full = new Error('full');
    const inflater = await openZstdInflater(
      'x',
      {
        space: () => Buffer.alloc(10),
        filled: () => {
          throw full;
        },
      },
      native,
    );
    assert.throws(() => inflater.push(compressed), full);
    inflater.close();
  });
}
