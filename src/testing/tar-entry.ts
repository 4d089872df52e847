/**
 * One tar entry with all that stands before it: PAX records, GNU long names, sparse maps.
 *
 * It writes what it is told, also where no honest tool would; `tar-header.ts` below it does the same for one block.
 */
import { RootfsError } from '../errors.js';
import { type Bytes, fitsOctal, padBlock, type TarHeaderFields, tarHeader, toBuffer } from './tar-header.js';

/** PAX records in order: a record, or pairs where a key stands twice. */
export type PaxRecords = Readonly<Record<string, Bytes>> | readonly (readonly [key: string, value: Bytes])[];

/** What every entry of a layer may carry besides its path. */
export interface EntryOptions {
  /** Permission, setuid, setgid and sticky bits. */
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly uname?: Bytes | undefined;
  readonly gname?: Bytes | undefined;
  /** A number is seconds since the epoch, a bigint nanoseconds. */
  readonly mtime?: number | bigint | undefined;
  /** Extended attributes by name; values are bytes. */
  readonly xattrs?: Readonly<Record<string, Bytes>> | undefined;
  /** Which records carry the attributes: `SCHILY.xattr.` (the default) or `LIBARCHIVE.xattr.` (base64). */
  readonly xattrStyle?: 'schily' | 'libarchive' | undefined;
  /** Further PAX records; they stand after those the entry needs, so that theirs is the last word. */
  readonly pax?: PaxRecords | undefined;
  /** The body of the PAX header verbatim, instead of any records: for records that are cut or lie about their length. */
  readonly paxBody?: Bytes | undefined;
  /** How what does not fit is written. Default `'pax'`. `'ustar'` and `'v7'` cut it. */
  readonly format?: 'pax' | 'gnu' | 'ustar' | 'v7' | undefined;
  /** Fields of the entry's own header that replace what would be written. */
  readonly header?: Partial<TarHeaderFields> | undefined;
}

/** What an entry is, before its options. */
export interface EntryFacts {
  readonly path: Bytes;
  /** The tar type flag. */
  readonly type: string;
  readonly mode: number;
  readonly linkname?: Bytes | undefined;
  readonly body?: Buffer | undefined;
  readonly devmajor?: number | undefined;
  readonly devminor?: number | undefined;
}

/** The mtime of entries that name none: 2024-01-01T00:00:00Z, in seconds. */
export const DEFAULT_MTIME = 1_704_067_200;

/** One PAX record: its length in decimal, a blank, key, `=`, value, newline. */
export function paxRecord(key: Bytes, value: Bytes): Buffer {
  const rest = Buffer.concat([Buffer.from(' '), toBuffer(key), Buffer.from('='), toBuffer(value), Buffer.from('\n')]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** A PAX header entry (`'x'` for the next entry, `'g'` for all that follow) with these records, or this very body. */
export function paxEntry(type: 'x' | 'g', records: PaxRecords | Uint8Array): Buffer {
  const body =
    records instanceof Uint8Array ? toBuffer(records) : Buffer.concat(pairs(records).map(([k, v]) => paxRecord(k, v)));
  const name = type === 'x' ? 'PaxHeaders/entry' : 'PaxHeaders/global';
  return Buffer.concat([tarHeader({ name, type, size: body.length }), padBlock(body)]);
}

/** A GNU long name (`'L'`) or long link target (`'K'`) entry. */
export function gnuLongEntry(type: 'L' | 'K', value: Bytes): Buffer {
  const body = Buffer.concat([toBuffer(value), Buffer.alloc(1)]);
  return Buffer.concat([
    tarHeader({ name: '././@LongLink', type, magic: 'gnu', size: body.length, mode: 0 }),
    padBlock(body),
  ]);
}

function pairs(records: PaxRecords): readonly (readonly [string, Bytes])[] {
  return Array.isArray(records) ? records : Object.entries(records);
}

function isPlain(bytes: Buffer): boolean {
  return bytes.every((byte) => byte > 0 && byte < 0x80);
}

/** The place of the slash where a path can be split into ustar's prefix and name, or -1. */
function splitPoint(path: Buffer): number {
  for (let at = Math.min(155, path.length - 2); at > 0; at -= 1) {
    if (path[at] === 0x2f && path.length - at - 1 <= 100) return at;
  }
  return -1;
}

function seconds(nanoseconds: bigint): { readonly whole: bigint; readonly rest: bigint } {
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { whole: (nanoseconds - rest) / 1_000_000_000n, rest };
}

function paxTime(nanoseconds: bigint): string {
  const { whole, rest } = seconds(nanoseconds < 0n ? -nanoseconds : nanoseconds);
  const fraction = rest === 0n ? '' : `.${rest.toString().padStart(9, '0').replace(/0+$/, '')}`;
  return `${nanoseconds < 0n ? '-' : ''}${whole}${fraction}`;
}

/** Writes one entry: extended headers, header, padded body. Nothing is checked for sense. */
export function tarEntry(facts: EntryFacts, options: EntryOptions = {}): Buffer {
  const format = options.format ?? 'pax';
  const path = toBuffer(facts.path);
  const link = facts.linkname === undefined ? undefined : toBuffer(facts.linkname);
  const body = facts.body ?? Buffer.alloc(0);
  const given = options.mtime ?? DEFAULT_MTIME;
  const floor = typeof given === 'bigint' ? 0 : Math.floor(given);
  const nanoseconds =
    typeof given === 'bigint' ? given : BigInt(floor) * 1_000_000_000n + BigInt(Math.round((given - floor) * 1e9));
  const time = seconds(nanoseconds);
  const uid = options.uid ?? 0;
  const gid = options.gid ?? 0;
  const records: [string, Bytes][] = [];
  const before: Buffer[] = [];
  let name = path;
  let prefix: Buffer | undefined;

  if (path.length > 100 && (format === 'pax' || format === 'ustar')) {
    const at = splitPoint(path);
    if (at > 0) {
      prefix = path.subarray(0, at);
      name = path.subarray(at + 1);
    }
  }
  if (format === 'pax') {
    if ((path.length > 100 && prefix === undefined) || !isPlain(path)) records.push(['path', path]);
    if (link !== undefined && (link.length > 100 || !isPlain(link))) records.push(['linkpath', link]);
    if (!fitsOctal(uid, 8)) records.push(['uid', String(uid)]);
    if (!fitsOctal(gid, 8)) records.push(['gid', String(gid)]);
    if (time.rest !== 0n || !fitsOctal(time.whole, 12)) records.push(['mtime', paxTime(nanoseconds)]);
  } else if (format === 'gnu') {
    if (link !== undefined && link.length > 100) before.push(gnuLongEntry('K', link));
    if (path.length > 100) before.push(gnuLongEntry('L', path));
  }
  for (const [key, value] of Object.entries(options.xattrs ?? {})) records.push(xattrRecord(key, value, options));
  for (const [key, value] of options.pax === undefined ? [] : pairs(options.pax)) records.push([key, value]);
  if (records.length > 0 && format !== 'pax' && options.pax === undefined) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `tar entry ${path.toString()}: format ${format} cannot hold extended attributes; use format 'pax'`,
    );
  }
  if (options.paxBody !== undefined) before.push(paxEntry('x', toBuffer(options.paxBody)));
  else if (records.length > 0) before.push(paxEntry('x', records));

  const inPax = (key: string): boolean => format === 'pax' && records.some(([have]) => have === key);
  const header = tarHeader({
    name,
    prefix,
    mode: options.mode ?? facts.mode,
    uid: inPax('uid') ? 0 : uid,
    gid: inPax('gid') ? 0 : gid,
    size: body.length,
    mtime: inPax('mtime') && !fitsOctal(time.whole, 12) ? 0 : time.whole,
    type: facts.type,
    linkname: link,
    uname: options.uname,
    gname: options.gname,
    devmajor: facts.devmajor,
    devminor: facts.devminor,
    magic: format === 'gnu' ? 'gnu' : format === 'v7' ? 'v7' : 'ustar',
    ...options.header,
  });
  return Buffer.concat([...before, header, padBlock(body)]);
}

function xattrRecord(key: string, value: Bytes, options: EntryOptions): [string, Bytes] {
  if (options.xattrStyle === 'libarchive') {
    return [`LIBARCHIVE.xattr.${encodeURIComponent(key)}`, toBuffer(value).toString('base64').replace(/=+$/, '')];
  }
  return [`SCHILY.xattr.${key}`, value];
}
