/** Sparse files: GNU's old `S` headers and the three PAX formats. All end as one sorted list of extents. */

import type { TarDraft } from './read-header.js';
import { readDecimal, readNumber } from './read-number.js';
import type { PaxRecords } from './read-pax.js';
import { printable, tarInvalid, tarLimitExceeded } from './tar-invalid.js';
import type { TarLimits } from './tar-limits.js';

/** Offsets and lengths in turn, as the archive gives them. */
export type SparsePairs = number[];

/**
 * Reads the pairs of one block of an old GNU sparse map.
 *
 * @param count How many pairs the block can hold: 4 in the header, 21 in an extension block.
 * @throws RootfsError `ERR_TAR_INVALID`
 */
export function readGnuPairs(bytes: Buffer, start: number, count: number, offset: number, into: SparsePairs): void {
  for (let index = 0; index < count; index += 1) {
    const at = start + index * 24;
    if (bytes[at] === 0) break;
    into.push(readNumber(bytes, at, 12, 'sparse offset', offset));
    into.push(readNumber(bytes, at + 12, 12, 'sparse length', offset));
  }
}

/** Which of the PAX sparse formats a member is in, or `undefined` for an ordinary file. */
export function paxSparseFormat(records: PaxRecords, offset: number): '0.0' | '0.1' | '1.0' | undefined {
  const { values } = records;
  // An empty value says what a missing one says.
  const major = values.get('GNU.sparse.major')?.toString('latin1') ?? '';
  const minor = values.get('GNU.sparse.minor')?.toString('latin1') ?? '';
  if (major === '' && minor === '') {
    if (values.has('GNU.sparse.map')) return '0.1';
    return records.sparse.length > 0 || values.has('GNU.sparse.numblocks') ? '0.0' : undefined;
  }
  if (major === '1' && minor === '0') return '1.0';
  if (major === '0' && minor === '1') return '0.1';
  if (major === '0' && minor === '0') return values.has('GNU.sparse.map') ? '0.1' : '0.0';
  throw tarInvalid(offset, `PAX sparse format: expected 0.0, 0.1 or 1.0, found ${printable(`${major}.${minor}`)}`);
}

/** The pairs that PAX records hold in formats 0.0 and 0.1. */
export function paxPairs(records: PaxRecords, offset: number, limits: TarLimits): SparsePairs {
  const { values } = records;
  const map = values.get('GNU.sparse.map');
  let pairs = records.sparse;
  if (map !== undefined) {
    const numbers = map.length === 0 ? [] : map.toString('latin1').split(',');
    checkExtents(numbers.length / 2, offset, limits);
    pairs = numbers.map((number) => readDecimal(number, 'GNU.sparse.map', offset));
  }
  const said = values.get('GNU.sparse.numblocks');
  const count =
    said === undefined ? pairs.length / 2 : readDecimal(said.toString('latin1'), 'GNU.sparse.numblocks', offset);
  if (pairs.length !== count * 2) {
    throw tarInvalid(offset, `PAX sparse map: expected ${count} runs of data, found ${pairs.length / 2}`);
  }
  return pairs;
}

/** Applies the name and the real size that PAX sparse records give to a member. */
export function applySparseRecords(draft: TarDraft, records: PaxRecords, offset: number): void {
  const name = records.values.get('GNU.sparse.name');
  if (name !== undefined && name.length > 0) draft.name = name.toString('latin1');
  for (const key of ['GNU.sparse.realsize', 'GNU.sparse.size']) {
    const size = records.values.get(key);
    if (size !== undefined) draft.size = readDecimal(size.toString('latin1'), key, offset);
  }
}

/** Zeros before a number mean nothing, but a map may not be a body of zeros. */
const MAX_DIGITS = 2048;

/** Reads the map that opens the body of a member in PAX sparse format 1.0, block by block. */
export class SparseMapReader {
  readonly pairs: SparsePairs = [];
  #count = -1;
  #value = 0;
  #digits = 0;

  /**
   * Takes one block of the map.
   *
   * @returns whether the map is complete; the data begins after this block
   * @throws RootfsError `ERR_TAR_INVALID`, `ERR_LIMIT_EXCEEDED`
   */
  give(bytes: Buffer, start: number, length: number, offset: number, limits: TarLimits): boolean {
    for (let at = start; at < start + length; at += 1) {
      const byte = bytes[at] as number;
      if (byte >= 0x30 && byte <= 0x39 && this.#digits < MAX_DIGITS && this.#value < 1e14) {
        this.#value = this.#value * 10 + (byte - 0x30);
        this.#digits += 1;
        continue;
      }
      if (byte !== 0x0a || this.#digits === 0) {
        throw tarInvalid(offset + at - start, 'PAX sparse map: expected decimal numbers, one a line');
      }
      if (this.#count < 0) {
        this.#count = this.#value;
        checkExtents(this.#count, offset, limits);
      } else {
        this.pairs.push(this.#value);
      }
      this.#value = 0;
      this.#digits = 0;
      if (this.pairs.length === this.#count * 2) return true;
    }
    return false;
  }
}

/** Refuses a map of more runs than the limit allows. */
export function checkExtents(count: number, offset: number, limits: TarLimits): void {
  if (count > limits.maxExtents) {
    throw tarLimitExceeded(offset, 'runs of sparse data', 'maxExtents', limits.maxExtents, Math.ceil(count));
  }
}

/**
 * Makes a sparse member of its map: checks that the runs are sorted, do not overlap, end within the file and make up
 * the body to the byte.
 *
 * @throws RootfsError `ERR_TAR_INVALID`
 */
export function applySparseMap(draft: TarDraft, pairs: SparsePairs): void {
  if (draft.type !== 'file') throw tarInvalid(draft.offset, `sparse map: expected a file, found a ${draft.type}`);
  if (pairs.length % 2 !== 0) throw tarInvalid(draft.offset, 'sparse map: expected pairs, found an offset alone');
  const extents = [];
  let end = 0;
  let tarOffset = draft.dataOffset;
  for (let index = 0; index < pairs.length; index += 2) {
    const fileOffset = pairs[index] as number;
    const length = pairs[index + 1] as number;
    if (length < 0 || fileOffset < end || length > draft.size - fileOffset) {
      throw tarInvalid(
        draft.offset,
        `sparse map: expected runs in order within ${draft.size} bytes, found ${length} bytes at ${fileOffset}`,
      );
    }
    if (length > 0) extents.push({ fileOffset, tarOffset, length });
    end = fileOffset + length;
    tarOffset += length;
  }
  const mapped = tarOffset - draft.dataOffset;
  if (mapped !== draft.dataBytes) {
    throw tarInvalid(draft.offset, `sparse map: expected runs of ${draft.dataBytes} bytes in all, found ${mapped}`);
  }
  if (mapped !== draft.size) draft.extents = extents;
}
