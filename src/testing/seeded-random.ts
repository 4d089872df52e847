/** Random numbers that are the same for a seed on every machine: 32-bit integer arithmetic only. */

/** A stream of pseudo-random numbers (mulberry32). Not for secrets. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to 2^32 - 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = this.#state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return (value ^ (value >>> 14)) >>> 0;
  }

  /** A whole number from 0 to `limit` - 1. */
  int(limit: number): number {
    return this.next() % limit;
  }

  /** True in `percent` of a hundred cases. */
  chance(percent: number): boolean {
    return this.int(100) < percent;
  }

  /** One of `list`, which must not be empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)] as T;
  }

  /** So many random bytes. */
  bytes(length: number): Buffer {
    const out = Buffer.alloc(length);
    for (let at = 0; at < length; at += 1) out[at] = this.int(256);
    return out;
  }
}
