/** Numbers of tar headers: octal and base-256 fields, decimal PAX values, PAX times. */
import type { TarTime } from './tar-entry.js';
import { printable, tarInvalid } from './tar-invalid.js';

const SPACE = 0x20;
const ZERO = 0x30;
const SEVEN = 0x37;
/** Digits of the largest number that is exact in a double; zeros before them and a plus sign mean nothing. */
const DECIMAL = /^\+?0*[0-9]{1,16}$/;
const TIME = /^([+-]?)0*([0-9]{1,16})(?:\.([0-9]*))?$/;

/**
 * Reads a numeric header field: octal digits with spaces or NULs around them, or base-256 (GNU) in two's complement.
 *
 * An empty field is 0. Bytes after a NUL are not looked at.
 *
 * @param offset Where the block lies in the archive, for the message.
 * @throws RootfsError `ERR_TAR_INVALID` when it is no number, or none that is exact in a double
 */
export function readNumber(block: Buffer, start: number, length: number, field: string, offset: number): number {
  const first = block[start] as number;
  if (first >= 0x80) return readBase256(block, start, length, field, offset);
  const end = start + length;
  let at = start;
  while (at < end && (block[at] === SPACE || block[at] === 0)) at += 1;
  let value = 0;
  for (; at < end; at += 1) {
    const byte = block[at] as number;
    if (byte < ZERO || byte > SEVEN) break;
    value = value * 8 + (byte - ZERO);
  }
  while (at < end && block[at] === SPACE) at += 1;
  if (at < end && block[at] !== 0) {
    const found = printable(block.toString('latin1', start, end));
    throw tarInvalid(offset, `header field ${field}: expected an octal number, found ${found}`, { field });
  }
  return value;
}

function readBase256(block: Buffer, start: number, length: number, field: string, offset: number): number {
  const first = block[start] as number;
  const negative = (first & 0x40) !== 0;
  const flip = negative ? 0xff : 0;
  let value = (first & 0x7f) ^ (negative ? 0x7f : 0);
  for (let at = start + 1; at < start + length; at += 1) {
    value = value * 256 + ((block[at] as number) ^ flip);
    if (value > Number.MAX_SAFE_INTEGER) {
      throw tarInvalid(offset, `header field ${field}: expected a number below 2^53, found a larger base-256 number`, {
        field,
      });
    }
  }
  return negative ? -1 - value : value;
}

/**
 * Reads a whole decimal number of at least 0 from a PAX value.
 *
 * @throws RootfsError `ERR_TAR_INVALID` when it is none, or none below 2^53
 */
export function readDecimal(text: string, key: string, offset: number): number {
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw tarInvalid(offset, `PAX record ${key}: expected a decimal number, found ${printable(text)}`, { key });
  }
  return value;
}

/**
 * Reads a PAX time: seconds with an optional sign and fraction. Digits after the ninth are cut off.
 *
 * @throws RootfsError `ERR_TAR_INVALID` when it is none, or beyond 2^53 seconds
 */
export function readPaxTime(text: string, key: string, offset: number): TarTime {
  const match = TIME.exec(text);
  const whole = Number(match?.[2] ?? Number.NaN);
  if (match === null || !Number.isSafeInteger(whole)) {
    throw tarInvalid(offset, `PAX record ${key}: expected seconds, found ${printable(text)}`, { key });
  }
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] !== '-') return { seconds: whole, nanoseconds };
  // `0 - x` and not `-x`: there is no -0 in a timestamp
  return nanoseconds === 0
    ? { seconds: 0 - whole, nanoseconds: 0 }
    : { seconds: -1 - whole, nanoseconds: 1_000_000_000 - nanoseconds };
}
