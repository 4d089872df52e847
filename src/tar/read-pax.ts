/** PAX extended headers: `length key=value\n` records, read by their length prefix, values kept as bytes. */

import { readDecimal } from './read-number.js';
import { printable, tarInvalid, tarLimitExceeded } from './tar-invalid.js';
import type { TarLimits } from './tar-limits.js';

const LINE_FEED = 0x0a;
const SPACE = 0x20;
const EQUALS = 0x3d;

/** What one or several PAX headers say. */
export interface PaxRecords {
  /** The last value of each key; keys as latin1. */
  readonly values: Map<string, Buffer>;
  /** The pairs of GNU sparse 0.0 in order (offset, length, offset, length…): the one format that repeats keys. */
  readonly sparse: number[];
}

/**
 * Reads the records of a PAX header body into `into`; a later record replaces an earlier one of the same key.
 *
 * @param body The body, exactly as long as the header says. The values are views of it.
 * @param offset Where the body lies in the archive.
 * @throws RootfsError `ERR_TAR_INVALID` when a record is cut, has no `=`, no key or a NUL in its key;
 *   `ERR_LIMIT_EXCEEDED` when there are too many extents
 */
export function readPax(body: Buffer, offset: number, into: PaxRecords, limits: TarLimits): void {
  let at = 0;
  while (at < body.length) {
    const start = at;
    let length = 0;
    for (; at < body.length && body[at] !== SPACE; at += 1) {
      const digit = (body[at] as number) - 0x30;
      if (digit < 0 || digit > 9 || at - start > 8) throw badRecord(body, start, offset, 'a length in decimal');
      length = length * 10 + digit;
    }
    const end = start + length;
    if (at === start || at >= body.length || end > body.length || end < at + 4 || body[end - 1] !== LINE_FEED) {
      throw badRecord(body, start, offset, 'a record as long as its length says');
    }
    const key = at + 1;
    const equals = body.indexOf(EQUALS, key);
    if (equals === -1 || equals >= end - 1) throw badRecord(body, start, offset, 'key=value');
    if (equals === key) throw badRecord(body, start, offset, 'a key');
    const name = body.toString('latin1', key, equals);
    if (name.includes('\0')) throw badRecord(body, start, offset, 'a key without NUL');
    put(into, name, body.subarray(equals + 1, end - 1), offset + start, limits);
    at = end;
  }
}

function put(into: PaxRecords, key: string, value: Buffer, offset: number, limits: TarLimits): void {
  const odd = into.sparse.length % 2 === 1;
  if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
    if (odd !== (key === 'GNU.sparse.numbytes')) {
      throw tarInvalid(offset, 'PAX sparse map: expected offsets and lengths in turn, found two of one kind', { key });
    }
    if (into.sparse.length >= 2 * limits.maxExtents) {
      throw tarLimitExceeded(offset, 'runs of sparse data', 'maxExtents', limits.maxExtents, limits.maxExtents + 1);
    }
    into.sparse.push(readDecimal(value.toString('latin1'), key, offset));
    return;
  }
  if ((key === 'path' || key === 'linkpath' || key === 'GNU.sparse.name') && value.includes(0)) {
    throw tarInvalid(
      offset,
      `PAX record ${key}: expected no NUL byte, found one in ${printable(value.toString('latin1'))}`,
      {
        key,
      },
    );
  }
  into.values.set(key, value);
}

function badRecord(body: Buffer, start: number, offset: number, expected: string): Error {
  const found = printable(body.toString('latin1', start, Math.min(body.length, start + 60)));
  return tarInvalid(offset + start, `PAX record: expected ${expected}, found ${found}`);
}
