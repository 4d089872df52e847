/**
 * xxHash64 with seed 0, as zstd frames carry it. Pure.
 *
 * 64-bit numbers are kept as two unsigned halves: BigInt would be fifty times slower.
 *
 * @see https://github.com/Cyan4973/xxHash/blob/v0.8.3/doc/xxhash_spec.md#xxh64-algorithm-description
 */

/** Low and high half of a 64-bit number, both as signed 32-bit values. */
interface Word {
  low: number;
  high: number;
}

const PRIME_1: Readonly<Word> = { low: 0x85ebca87 | 0, high: 0x9e3779b1 | 0 };
const PRIME_2: Readonly<Word> = { low: 0x27d4eb4f | 0, high: 0xc2b2ae3d | 0 };
const PRIME_3: Readonly<Word> = { low: 0x9e3779f9 | 0, high: 0x165667b1 | 0 };
const PRIME_4: Readonly<Word> = { low: 0xc2b2ae63 | 0, high: 0x85ebca77 | 0 };
const PRIME_5: Readonly<Word> = { low: 0x165667c5 | 0, high: 0x27d4eb2f | 0 };

const STRIPE_BYTES = 32;

/** The hash of bytes that arrive in pieces. */
export class Xxh64 {
  readonly #lanes: readonly [Word, Word, Word, Word] = [
    { low: 0, high: 0 },
    { low: 0, high: 0 },
    { low: 0, high: 0 },
    { low: 0, high: 0 },
  ];
  readonly #rest = new Uint8Array(STRIPE_BYTES);
  #restLength = 0;
  #total = 0;

  constructor() {
    this.reset();
  }

  /** Forgets everything that was hashed. */
  reset(): void {
    const [a, b, c, d] = this.#lanes;
    set(a, PRIME_1);
    add(a, PRIME_2);
    set(b, PRIME_2);
    set(c, { low: 0, high: 0 });
    set(d, negative(PRIME_1));
    this.#restLength = 0;
    this.#total = 0;
  }

  /** Takes the next bytes. */
  update(bytes: Uint8Array): void {
    this.#total += bytes.length;
    let offset = 0;
    if (this.#restLength > 0) {
      offset = Math.min(STRIPE_BYTES - this.#restLength, bytes.length);
      this.#rest.set(bytes.subarray(0, offset), this.#restLength);
      this.#restLength += offset;
      if (this.#restLength < STRIPE_BYTES) return;
      this.#stripes(this.#rest, 0, STRIPE_BYTES);
      this.#restLength = 0;
    }
    const end = bytes.length - ((bytes.length - offset) % STRIPE_BYTES);
    this.#stripes(bytes, offset, end);
    this.#rest.set(bytes.subarray(end));
    this.#restLength = bytes.length - end;
  }

  #stripes(bytes: Uint8Array, start: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const [a, b, c, d] = this.#lanes;
    for (let at = start; at < end; at += STRIPE_BYTES) {
      round(a, view.getInt32(at, true), view.getInt32(at + 4, true));
      round(b, view.getInt32(at + 8, true), view.getInt32(at + 12, true));
      round(c, view.getInt32(at + 16, true), view.getInt32(at + 20, true));
      round(d, view.getInt32(at + 24, true), view.getInt32(at + 28, true));
    }
  }

  /** The lower 32 bits of the hash, unsigned: what zstd stores. More bytes may follow afterwards. */
  digestLow(): number {
    const hash: Word = { low: 0, high: 0 };
    if (this.#total >= STRIPE_BYTES) {
      const [a, b, c, d] = this.#lanes;
      add(hash, rotated(a, 1));
      add(hash, rotated(b, 7));
      add(hash, rotated(c, 12));
      add(hash, rotated(d, 18));
      for (const lane of this.#lanes) {
        const merged: Word = { low: 0, high: 0 };
        round(merged, lane.low, lane.high);
        xor(hash, merged);
        multiply(hash, PRIME_1);
        add(hash, PRIME_4);
      }
    } else {
      set(hash, PRIME_5);
    }
    add(hash, { low: this.#total | 0, high: Math.floor(this.#total / 2 ** 32) | 0 });
    this.#tail(hash);
    avalanche(hash);
    return hash.low >>> 0;
  }

  #tail(hash: Word): void {
    const view = new DataView(this.#rest.buffer, 0, this.#restLength);
    let at = 0;
    for (; at + 8 <= this.#restLength; at += 8) {
      const word: Word = { low: 0, high: 0 };
      round(word, view.getInt32(at, true), view.getInt32(at + 4, true));
      xor(hash, word);
      set(hash, rotated(hash, 27));
      multiply(hash, PRIME_1);
      add(hash, PRIME_4);
    }
    if (at + 4 <= this.#restLength) {
      const word: Word = { low: view.getInt32(at, true), high: 0 };
      multiply(word, PRIME_1);
      xor(hash, word);
      set(hash, rotated(hash, 23));
      multiply(hash, PRIME_2);
      add(hash, PRIME_3);
      at += 4;
    }
    for (; at < this.#restLength; at++) {
      const word: Word = { low: view.getUint8(at), high: 0 };
      multiply(word, PRIME_5);
      xor(hash, word);
      set(hash, rotated(hash, 11));
      multiply(hash, PRIME_1);
    }
  }
}

function round(lane: Word, low: number, high: number): void {
  const word: Word = { low, high };
  multiply(word, PRIME_2);
  add(lane, word);
  set(lane, rotated(lane, 31));
  multiply(lane, PRIME_1);
}

function avalanche(hash: Word): void {
  xor(hash, shifted(hash, 33));
  multiply(hash, PRIME_2);
  xor(hash, shifted(hash, 29));
  multiply(hash, PRIME_3);
  xor(hash, shifted(hash, 32));
}

function set(word: Word, value: Readonly<Word>): void {
  word.low = value.low;
  word.high = value.high;
}

function add(word: Word, value: Readonly<Word>): void {
  const low = (word.low >>> 0) + (value.low >>> 0);
  word.high = (word.high + value.high + (low > 0xffffffff ? 1 : 0)) | 0;
  word.low = low | 0;
}

function xor(word: Word, value: Readonly<Word>): void {
  word.low ^= value.low;
  word.high ^= value.high;
}

function negative(word: Readonly<Word>): Word {
  const result: Word = { low: ~word.low, high: ~word.high };
  add(result, { low: 1, high: 0 });
  return result;
}

function multiply(word: Word, by: Readonly<Word>): void {
  const { low, high } = word;
  word.high = (highOfProduct(low, by.low) + Math.imul(low, by.high) + Math.imul(high, by.low)) | 0;
  word.low = Math.imul(low, by.low);
}

/** The upper half of the product of two unsigned 32-bit numbers. */
function highOfProduct(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const lowLow = (aLow * bLow) >>> 0;
  const middle = aHigh * bLow + (lowLow >>> 16);
  const other = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(other / 0x10000)) | 0;
}

function rotated(word: Readonly<Word>, bits: number): Word {
  if (bits === 32) return { low: word.high, high: word.low };
  return {
    low: (word.low << bits) | (word.high >>> (32 - bits)),
    high: (word.high << bits) | (word.low >>> (32 - bits)),
  };
}

function shifted(word: Readonly<Word>, bits: number): Word {
  if (bits >= 32) return { low: word.high >>> (bits - 32), high: 0 };
  return { low: (word.low >>> bits) | (word.high << (32 - bits)), high: word.high >>> bits };
}
