/** Writes the headers of one member: ustar where it fits, a PAX header before it where it does not. */
import { isUtf8 } from 'node:buffer';
import { RootfsError } from '../errors.js';
import { BLOCK, paddedBytes } from './block.js';
import type { TarEntryType, TarTime } from './tar-entry.js';
import { printable } from './tar-invalid.js';
import { encodePaxRecords, encodePaxTime, type PaxValues, putXattr } from './write-pax.js';

/** What a member is to say. Names and targets are bytes as latin1. */
export interface TarHeader {
  /** Written verbatim: the slash that ends a directory's name is the caller's. */
  readonly name: string;
  readonly type: Exclude<TarEntryType, 'volume-label' | 'other'>;
  /** 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: TarTime;
  readonly atime?: TarTime | undefined;
  readonly ctime?: TarTime | undefined;
  readonly uname?: string | undefined;
  readonly gname?: string | undefined;
  /** Length of a file's content in bytes, holes included; not looked at for other types. */
  readonly size?: number | undefined;
  /** Target of a link; not looked at for other types. */
  readonly linkname?: string | undefined;
  readonly devmajor?: number | undefined;
  readonly devminor?: number | undefined;
  readonly xattrs?: ReadonlyMap<string, Buffer> | undefined;
  /** Makes a sparse file (PAX format 1.0): sorted runs; only their bytes follow, one after another. */
  readonly extents?: readonly { readonly fileOffset: number; readonly length: number }[] | undefined;
}

const TYPEFLAGS: Readonly<Record<TarHeader['type'], string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** What all headers have in common. */
const BLANK = Buffer.alloc(BLOCK);
BLANK.write('ustar\x0000', 257, 'latin1');

let records: PaxValues = new Map();

/** An empty map of records. */
function freshRecords(): PaxValues {
  if (records.size > 0) records = new Map();
  return records;
}

const ZERO = 0x30;
const SPACE = 0x20;

const MAX_7 = 0o7777777;
const MAX_11 = 0o77777777777;

/**
 * Encodes the headers of one member, and the map that opens the body of a sparse one.
 *
 * The same member gives the same bytes, everywhere and always. Then follow the file's bytes and `padding` for them;
 * after the last member comes `endOfArchive`. What ustar cannot say goes into PAX records: long names, owners above
 * 2,097,151, sizes from 8 GiB, times before the epoch or between seconds, extended attributes.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` for a NUL in a text, a number that is negative (seconds may be) or no
 *   integer, an unknown type, a link without a target
 */
export function encodeHeader(header: TarHeader): Buffer {
  const { name, type, mtime, xattrs, extents } = header;
  const link = type === 'symlink' || type === 'hardlink';
  const linkname = link ? (header.linkname ?? '') : '';
  const sparse = type === 'file' && extents !== undefined ? sparseMap(header, extents, header.size ?? 0) : undefined;
  const size = type === 'file' ? whole(header, 'size', header.size ?? 0) : 0;
  const body = sparse === undefined ? size : sparse.map.length + sparse.dataBytes;
  if (link && linkname === '') throw invalid(header, 'linkname', 'a target', '""');
  checkTime(header, 'mtime', mtime);
  if (header.atime !== undefined) checkTime(header, 'atime', header.atime);
  if (header.ctime !== undefined) checkTime(header, 'ctime', header.ctime);
  const typeflag = TYPEFLAGS[type] as string | undefined;
  if (typeflag === undefined) throw invalid(header, 'type', Object.keys(TYPEFLAGS).join(' or '), String(type));
  // Most members need no record: the map is used again by the next one.
  const pax = freshRecords();
  // From the pool: one allocation of its own for every header would cost more than filling it.
  const block = Buffer.allocUnsafe(BLOCK);
  block.set(BLANK);

  let plain = text(header, 'name', name);
  if (sparse !== undefined) {
    pax.set('GNU.sparse.major', '1');
    pax.set('GNU.sparse.minor', '0');
    pax.set('GNU.sparse.name', name);
    pax.set('GNU.sparse.realsize', String(size));
    plain = name.slice(-100);
  }
  putName(block, plain, pax);
  if (link) {
    if (linkname.length > 100) pax.set('linkpath', text(header, 'linkname', linkname));
    putText(block, 157, 100, text(header, 'linkname', linkname));
  }
  if (header.uname !== undefined) putText(block, 265, 31, text(header, 'uname', header.uname), 'uname', pax);
  if (header.gname !== undefined) putText(block, 297, 31, text(header, 'gname', header.gname), 'gname', pax);

  putNumber(block, 100, 7, whole(header, 'mode', header.mode) & 0o7777);
  putLimited(block, 108, 7, MAX_7, whole(header, 'uid', header.uid), 'uid', pax);
  putLimited(block, 116, 7, MAX_7, whole(header, 'gid', header.gid), 'gid', pax);
  putLimited(block, 124, 11, MAX_11, body, 'size', pax);
  putNumber(block, 136, 11, Math.min(Math.max(mtime.seconds, 0), MAX_11));
  if (mtime.seconds < 0 || mtime.seconds > MAX_11 || mtime.nanoseconds !== 0) pax.set('mtime', encodePaxTime(mtime));
  if (header.atime !== undefined) pax.set('atime', encodePaxTime(header.atime));
  if (header.ctime !== undefined) pax.set('ctime', encodePaxTime(header.ctime));

  block[156] = typeflag.charCodeAt(0);
  if (type === 'char' || type === 'block') {
    putLimited(block, 329, 7, MAX_7, whole(header, 'devmajor', header.devmajor ?? 0), 'SCHILY.devmajor', pax);
    putLimited(block, 337, 7, MAX_7, whole(header, 'devminor', header.devminor ?? 0), 'SCHILY.devminor', pax);
  }
  if (xattrs !== undefined) {
    for (const [key, value] of xattrs) {
      if (key === '' || key.includes('\0')) throw invalid(header, 'xattrs', 'names without NUL', printable(key));
      putXattr(pax, key, value);
    }
  }
  putChecksum(block);
  if (pax.size === 0 && sparse === undefined) return block;
  const tail = sparse === undefined ? [] : [sparse.map];
  return Buffer.concat([...paxHeader(pax, plain), block, ...tail]);
}

function paxHeader(pax: PaxValues, name: string): Buffer[] {
  const texts = ['path', 'linkpath', 'uname', 'gname', 'GNU.sparse.name'].map((key) => pax.get(key) ?? '');
  if (texts.some((value) => !isUtf8(Buffer.from(value as string, 'latin1')))) pax.set('hdrcharset', 'BINARY');
  const body = encodePaxRecords(pax);
  const block = Buffer.from(BLANK);
  const base = name.slice(name.lastIndexOf('/', name.length - 2) + 1).replaceAll('/', '');
  block.write(`PaxHeaders/${base}`.slice(0, 100), 0, 'latin1');
  putNumber(block, 100, 7, 0o644);
  putNumber(block, 108, 7, 0);
  putNumber(block, 116, 7, 0);
  putNumber(block, 124, 11, body.length);
  putNumber(block, 136, 11, 0);
  block.write('x', 156, 'latin1');
  putChecksum(block);
  return [block, body, Buffer.alloc(paddedBytes(body.length) - body.length)];
}

/**
 * The map of PAX sparse format 1.0: how many runs, then offset and length of each, one number a line. A hole at the
 * end is told by an empty run, without which GNU tar cuts it off.
 */
function sparseMap(
  header: TarHeader,
  extents: NonNullable<TarHeader['extents']>,
  size: number,
): { map: Buffer; dataBytes: number } {
  for (const { fileOffset, length } of extents) {
    whole(header, 'extents', fileOffset);
    whole(header, 'extents', length);
  }
  const last = extents.at(-1);
  const end = last === undefined ? 0 : last.fileOffset + last.length;
  const runs = end < size ? [...extents, { fileOffset: size, length: 0 }] : extents;
  const lines = [runs.length, ...runs.flatMap(({ fileOffset, length }) => [fileOffset, length])];
  const numbers = Buffer.from(`${lines.join('\n')}\n`);
  const map = Buffer.alloc(paddedBytes(numbers.length));
  numbers.copy(map);
  return { map, dataBytes: extents.reduce((sum, { length }) => sum + length, 0) };
}

/** A name of more than 100 bytes is split at a slash into prefix and name; where that fails it goes into a record. */
function putName(block: Buffer, name: string, pax: PaxValues): void {
  if (name.length <= 100) {
    block.write(name, 0, 'latin1');
    return;
  }
  const slash = name.lastIndexOf('/', Math.min(155, name.length - 2));
  if (slash > 0 && name.length - slash - 1 <= 100) {
    block.write(name.slice(slash + 1), 0, 'latin1');
    block.write(name.slice(0, slash), 345, 'latin1');
    return;
  }
  block.write(name.slice(0, 100), 0, 'latin1');
  pax.set('path', name);
}

function putText(block: Buffer, at: number, length: number, value: string, key?: string, pax?: PaxValues): void {
  if (value === '') return;
  block.write(value.slice(0, length), at, 'latin1');
  if (key !== undefined && value.length > length) pax?.set(key, value);
}

/** Octal digits, written one by one: this runs for every field of every header. */
function putNumber(block: Buffer, at: number, digits: number, value: number): void {
  let rest = value;
  let place = at + digits - 1;
  // Nearly every number is small, and whole numbers of 31 bits are divided fastest by shifting.
  if (value <= 0x7fffffff) {
    for (let small = value | 0; place >= at; place -= 1) {
      block[place] = ZERO + (small & 7);
      small >>= 3;
    }
    return;
  }
  for (; place >= at; place -= 1) {
    block[place] = ZERO + (rest % 8);
    rest = Math.floor(rest / 8);
  }
}

function putLimited(
  block: Buffer,
  at: number,
  digits: number,
  most: number,
  value: number,
  key: string,
  pax: PaxValues,
): void {
  putNumber(block, at, digits, value > most ? 0 : value);
  if (value > most) pax.set(key, String(value));
}

function putChecksum(block: Buffer): void {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK; at += 1) sum += block[at] as number;
  putNumber(block, 148, 6, sum);
  block[155] = SPACE;
}

function text(header: TarHeader, field: string, value: string): string {
  if (value.includes('\0')) throw invalid(header, field, 'no NUL', printable(value));
  return value;
}

function checkTime(header: TarHeader, field: string, { seconds, nanoseconds }: TarTime): void {
  if (!Number.isSafeInteger(seconds)) throw invalid(header, field, 'whole seconds', String(seconds));
  if (!Number.isSafeInteger(nanoseconds) || nanoseconds < 0 || nanoseconds > 999_999_999) {
    throw invalid(header, field, 'whole nanoseconds from 0 to 999,999,999', String(nanoseconds));
  }
}

function whole(header: TarHeader, field: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw invalid(header, field, 'a whole number of at least 0', String(value));
  return value;
}

function invalid({ name }: TarHeader, field: string, expected: string, found: string): RootfsError {
  return new RootfsError(
    'ERR_OPTION_INVALID',
    `tar member ${printable(name)}: ${field}: expected ${expected}, found ${found}`,
    {
      detail: { option: field },
    },
  );
}
