/**
 * One tar header block of 512 bytes, right or wrong on purpose. Knows the fields' places and nothing of layers.
 *
 * @see https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
 */
import { RootfsError } from '../errors.js';

/** Text (written as UTF-8) or bytes as they are. */
export type Bytes = string | Uint8Array;

/** A number field: a number (octal, base-256 where octal has no room), or its bytes verbatim. */
export type NumberField = number | bigint | Bytes | { readonly base256: bigint };

/** The fields of a header. What is absent gets the usual value; what is given is written as it is, sense or not. */
export interface TarHeaderFields {
  /** At most 100 bytes are written. */
  readonly name: Bytes;
  readonly mode?: NumberField | undefined;
  readonly uid?: NumberField | undefined;
  readonly gid?: NumberField | undefined;
  readonly size?: NumberField | undefined;
  /** Seconds since the epoch. */
  readonly mtime?: NumberField | undefined;
  /** `'0'` file, `'1'` hard link, `'2'` symlink, `'3'` char, `'4'` block, `'5'` directory, `'6'` FIFO, or anything. */
  readonly type?: string | number | undefined;
  readonly linkname?: Bytes | undefined;
  /** What stands at 257: `'ustar'`, `'gnu'`, `'v7'` (nothing), or eight bytes of one's own. */
  readonly magic?: 'ustar' | 'gnu' | 'v7' | Uint8Array | undefined;
  readonly uname?: Bytes | undefined;
  readonly gname?: Bytes | undefined;
  readonly devmajor?: NumberField | undefined;
  readonly devminor?: NumberField | undefined;
  readonly prefix?: Bytes | undefined;
  /** `'wrong'` writes a sum that is off by one, `'signed'` the sum that old tars made of signed characters. */
  readonly checksum?: 'wrong' | 'signed' | NumberField | undefined;
}

const MAGIC = { ustar: 'ustar\x0000', gnu: 'ustar  \x00', v7: '' } as const;

/** Bytes as a Buffer: text becomes UTF-8, bytes are not copied. */
export function toBuffer(bytes: Bytes): Buffer {
  return typeof bytes === 'string'
    ? Buffer.from(bytes, 'utf8')
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Whether a number can stand as octal digits in a field of `width` bytes, the last of them a NUL. */
export function fitsOctal(value: number | bigint, width: number): boolean {
  return value >= 0 && BigInt(value) < 8n ** BigInt(width - 1);
}

function base256(value: bigint, width: number): Buffer {
  const out = Buffer.alloc(width);
  let rest = value;
  for (let at = width - 1; at >= 0; at -= 1) {
    out[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  // two's complement: the leading byte is 0x80 for a positive number and 0xff for a negative one
  out[0] = value < 0n ? 0xff : (out[0] ?? 0) | 0x80;
  return out;
}

function numberField(value: NumberField, width: number): Buffer {
  if (typeof value === 'string' || value instanceof Uint8Array) return toBuffer(value);
  if (typeof value === 'object') return base256(value.base256, width);
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new RootfsError('ERR_OPTION_INVALID', `tar header: ${value} is no whole number; give one, or bytes`);
  }
  if (!fitsOctal(value, width)) return base256(BigInt(value), width);
  return Buffer.from(`${value.toString(8).padStart(width - 1, '0')}\0`, 'latin1');
}

/**
 * Writes one header block of 512 bytes with its checksum. Fields that are too long are cut, never refused.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` for a number that is not whole.
 */
export function tarHeader(fields: TarHeaderFields): Buffer {
  const block = Buffer.alloc(512);
  const put = (bytes: Buffer, offset: number, width: number): void => {
    bytes.copy(block, offset, 0, Math.min(width, bytes.length));
  };
  put(toBuffer(fields.name), 0, 100);
  put(numberField(fields.mode ?? 0o644, 8), 100, 8);
  put(numberField(fields.uid ?? 0, 8), 108, 8);
  put(numberField(fields.gid ?? 0, 8), 116, 8);
  put(numberField(fields.size ?? 0, 12), 124, 12);
  put(numberField(fields.mtime ?? 0, 12), 136, 12);
  const type = fields.type ?? '0';
  block[156] = typeof type === 'number' ? type : type.charCodeAt(0);
  put(toBuffer(fields.linkname ?? ''), 157, 100);
  const magic = fields.magic ?? 'ustar';
  put(typeof magic === 'string' ? Buffer.from(MAGIC[magic], 'latin1') : toBuffer(magic), 257, 8);
  if (magic !== 'v7') {
    put(toBuffer(fields.uname ?? ''), 265, 32);
    put(toBuffer(fields.gname ?? ''), 297, 32);
    put(numberField(fields.devmajor ?? 0, 8), 329, 8);
    put(numberField(fields.devminor ?? 0, 8), 337, 8);
    put(toBuffer(fields.prefix ?? ''), 345, 155);
  }
  put(checksumField(block, fields.checksum), 148, 8);
  return block;
}

/** Writes the checksum of a header block anew, after its bytes were changed by hand. */
export function sealHeader(block: Buffer): Buffer {
  checksumField(block, undefined).copy(block, 148);
  return block;
}

function checksumField(block: Buffer, how: TarHeaderFields['checksum']): Buffer {
  block.fill(0x20, 148, 156);
  if (how !== undefined && how !== 'wrong' && how !== 'signed') return numberField(how, 8);
  let sum = 0;
  for (const byte of block) sum += how === 'signed' && byte > 127 ? byte - 256 : byte;
  if (how === 'wrong') sum += 1;
  return Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `, 'latin1');
}

/** Bytes followed by zeros up to the next multiple of 512. */
export function padBlock(body: Buffer): Buffer {
  const rest = body.length % 512;
  return rest === 0 ? body : Buffer.concat([body, Buffer.alloc(512 - rest)]);
}
