/** One 512-byte header block: checksum, dialect, fields. */
import { isAscii } from 'node:buffer';
import { RootfsError } from '../errors.js';
import { BLOCK } from './block.js';
import { readNumber } from './read-number.js';
import type { TarEntryType, TarExtent, TarTime } from './tar-entry.js';
import { tarInvalid } from './tar-invalid.js';

/** A member while its headers are read: `TarEntry` before it is finished. */
export interface TarDraft {
  offset: number;
  name: string;
  type: TarEntryType;
  typeflag: string;
  mode: number;
  uid: number;
  gid: number;
  uname: string;
  gname: string;
  mtime: TarTime;
  atime: TarTime | undefined;
  ctime: TarTime | undefined;
  /** Bytes of the body as the header says it; becomes the file's size. */
  size: number;
  linkname: string;
  devmajor: number;
  devminor: number;
  dataOffset: number;
  dataBytes: number;
  extents: TarExtent[] | undefined;
  xattrs: ReadonlyMap<string, Buffer> | undefined;
  pax: ReadonlyMap<string, Buffer> | undefined;
}

/** By the type's byte. */
const TYPES: ReadonlyMap<number, TarEntryType> = new Map([
  [0, 'file'],
  [0x30, 'file'], // 0
  [0x31, 'hardlink'], // 1
  [0x32, 'symlink'], // 2
  [0x33, 'char'], // 3
  [0x34, 'block'], // 4
  [0x35, 'directory'], // 5
  [0x36, 'fifo'], // 6
  [0x37, 'file'], // 7
  [0x53, 'file'], // S
  [0x56, 'volume-label'], // V
]);
const FLAGS = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte === 0 ? 0x30 : byte));

/** Whether a block is all zeros: the mark of the archive's end. */
export function isZeroBlock(bytes: Buffer, start: number): boolean {
  for (let at = start; at < start + BLOCK; at += 1) if (bytes[at] !== 0) return false;
  return true;
}

/**
 * Compares the checksum of the block with its bytes, added as unsigned or, as some old writers did, as signed ones.
 *
 * @throws RootfsError `ERR_TAR_INVALID`
 */
export function checkHeader(bytes: Buffer, start: number, offset: number, memory: HeaderMemory): void {
  const said = readNumber(bytes, start + 148, 8, 'chksum', offset);
  let sum = sumOfBytes(bytes, start, memory) + 8 * 0x20;
  for (let at = start + 148; at < start + 156; at += 1) sum -= bytes[at] as number;
  if (sum === said) return;
  let signed = sum;
  for (let at = 0; at < BLOCK; at += 1) {
    if ((at < 148 || at >= 156) && (bytes[start + at] as number) >= 0x80) signed -= 256;
  }
  if (signed !== said) {
    throw tarInvalid(offset, `header checksum: expected ${sum}, found ${said}`, { expected: sum, found: said });
  }
}

/** The bytes of a block added up; four at a time where the block is aligned, since every header pays for this. */
function sumOfBytes(bytes: Buffer, start: number, memory: HeaderMemory): number {
  let sum = 0;
  if ((bytes.byteOffset + start) % 4 !== 0) {
    for (let at = start; at < start + BLOCK; at += 1) sum += bytes[at] as number;
    return sum;
  }
  const words = memory.words(bytes.buffer);
  // two sums in each number: 128 times 255 stays within 16 bits
  let even = 0;
  let odd = 0;
  const first = (bytes.byteOffset + start) / 4;
  for (let at = first; at < first + BLOCK / 4; at += 1) {
    const word = words[at] as number;
    even += word & 0x00ff00ff;
    odd += (word >>> 8) & 0x00ff00ff;
  }
  return (even & 0xffff) + (even >>> 16) + (odd & 0xffff) + (odd >>> 16);
}

/** A text field: the bytes before the first NUL, as latin1. */
export function readText(bytes: Buffer, start: number, length: number): string {
  let end = start;
  while (end < start + length && bytes[end] !== 0) end += 1;
  return end === start ? '' : bytes.toString('latin1', start, end);
}

/** The length of the member's body: what every type must tell before anything else is looked at. */
export function readSize(bytes: Buffer, start: number, offset: number): number {
  const size = readNumber(bytes, start + 124, 12, 'size', offset);
  if (size < 0) throw tarInvalid(offset, `header field size: expected at least 0, found ${size}`, { field: 'size' });
  return size;
}

/** Whether the block bears GNU tar's own magic (`ustar  `), which moves the fields after the 345th byte. */
export function isGnu(bytes: Buffer, start: number): boolean {
  return has(bytes, start + 257, GNU_MAGIC);
}

const GNU_MAGIC = Buffer.from('ustar  \0', 'latin1');
const USTAR_MAGIC = Buffer.from('ustar\0', 'latin1');
const STAR_MAGIC = Buffer.from('tar\0', 'latin1');

function has(bytes: Buffer, start: number, expected: Buffer): boolean {
  for (let at = 0; at < expected.length; at += 1) if (bytes[start + at] !== expected[at]) return false;
  return true;
}

/** What one header leaves for the next, so that it is not made again: every member pays for each allocation. */
export class HeaderMemory {
  readonly uname = new RepeatedText();
  readonly gname = new RepeatedText();
  #words: Int32Array = new Int32Array();

  /** The same memory as 32-bit numbers: headers lie in a few large windows. */
  words(memory: ArrayBufferLike): Int32Array {
    if (this.#words.buffer !== memory) this.#words = new Int32Array(memory, 0, memory.byteLength >> 2);
    return this.#words;
  }
}

/** A text that mostly stands in one header after the other. */
class RepeatedText {
  #last = '';

  /** As `readText`. */
  read(bytes: Buffer, start: number, length: number): string {
    const last = this.#last;
    let at = 0;
    while (at < last.length && bytes[start + at] === last.charCodeAt(at)) at += 1;
    if (at === last.length && (at === length || bytes[start + at] === 0)) return last;
    this.#last = readText(bytes, start, length);
    return this.#last;
  }
}

/**
 * Reads the fields of a member's header block; extension headers are applied by the caller.
 *
 * @param offset Where the block lies in the archive, for messages.
 * @throws RootfsError `ERR_TAR_INVALID` when a number is none, or the size or an owner is negative
 */
export function readHeader(bytes: Buffer, start: number, offset: number, memory: HeaderMemory): TarDraft {
  const gnu = isGnu(bytes, start);
  const ustar = has(bytes, start + 257, USTAR_MAGIC);
  const flag = bytes[start + 156] as number;
  const typeflag = FLAGS[flag] as string;
  let name = readText(bytes, start, 100);
  const type = TYPES.get(flag) ?? 'other';
  let atime: TarTime | undefined;
  let ctime: TarTime | undefined;
  if (ustar) {
    const star = has(bytes, start + 508, STAR_MAGIC);
    if (bytes[start + 345] !== 0) name = `${readText(bytes, start + 345, star ? 131 : 155)}/${name}`;
    if (star) {
      if (bytes[start + 476] !== 0) atime = wholeSeconds(readNumber(bytes, start + 476, 12, 'atime', offset));
      if (bytes[start + 488] !== 0) ctime = wholeSeconds(readNumber(bytes, start + 488, 12, 'ctime', offset));
    }
  } else if (gnu && bytes[start + 345] !== 0) {
    try {
      atime = wholeSeconds(readNumber(bytes, start + 345, 12, 'atime', offset));
      if (bytes[start + 357] !== 0) ctime = wholeSeconds(readNumber(bytes, start + 357, 12, 'ctime', offset));
    } catch (error) {
      // Go before 1.8 (so Docker before 2017) put a ustar prefix here under GNU magic when a number did not fit.
      // What is neither means nothing, to Go's reader too: no file system is given these times.
      const prefix = readText(bytes, start + 345, 155);
      if (!(error instanceof RootfsError)) throw error;
      if (isAscii(Buffer.from(prefix, 'latin1'))) name = `${prefix}/${name}`;
      atime = undefined;
    }
  }
  const device = (type === 'char' || type === 'block') && (ustar || gnu);
  return {
    offset,
    name,
    type,
    typeflag,
    mode: readNumber(bytes, start + 100, 8, 'mode', offset) & 0o7777,
    uid: readId(bytes, start + 108, 'uid', offset),
    gid: readId(bytes, start + 116, 'gid', offset),
    uname: ustar || gnu ? memory.uname.read(bytes, start + 265, 32) : '',
    gname: ustar || gnu ? memory.gname.read(bytes, start + 297, 32) : '',
    mtime: wholeSeconds(readNumber(bytes, start + 136, 12, 'mtime', offset)),
    atime,
    ctime,
    size: readSize(bytes, start, offset),
    linkname: type === 'hardlink' || type === 'symlink' ? readText(bytes, start + 157, 100) : '',
    devmajor: device ? readId(bytes, start + 329, 'devmajor', offset) : 0,
    devminor: device ? readId(bytes, start + 337, 'devminor', offset) : 0,
    dataOffset: 0,
    dataBytes: 0,
    extents: undefined,
    xattrs: undefined,
    pax: undefined,
  };
}

function wholeSeconds(seconds: number): TarTime {
  return { seconds, nanoseconds: 0 };
}

function readId(bytes: Buffer, start: number, field: string, offset: number): number {
  const id = readNumber(bytes, start, 8, field, offset);
  if (id < 0) throw tarInvalid(offset, `header field ${field}: expected at least 0, found ${id}`, { field });
  return id;
}

/** Links, directories, devices and FIFOs have no body, whatever their size field says. */
export function hasBody(draft: TarDraft): boolean {
  switch (draft.type) {
    case 'file':
    case 'volume-label':
    case 'other':
      return true;
    default:
      return false;
  }
}
