/** Sparse files as GNU tar writes them: the old header, and the three PAX dialects. */
import { type EntryOptions, tarEntry } from './tar-entry.js';
import { type Bytes, sealHeader, toBuffer } from './tar-header.js';

/** What a sparse file holds: its whole length in bytes and the runs that are not holes, in order. */
export interface SparseContent {
  readonly size: number;
  readonly extents: readonly { readonly offset: number; readonly content: Bytes }[];
}

/** The four ways to write a sparse file: old GNU headers, or PAX formats 0.0, 0.1 and 1.0. */
export type SparseStyle = 'gnu' | 'pax-0.0' | 'pax-0.1' | 'pax-1.0';

interface Run {
  readonly offset: number;
  readonly data: Buffer;
}

function runs(content: SparseContent): Run[] {
  const out = content.extents.map(({ offset, content: bytes }) => ({ offset, data: toBuffer(bytes) }));
  const last = out.at(-1);
  // the writers of the field close a file that ends in a hole with an empty run at its end
  if ((last === undefined ? 0 : last.offset + last.data.length) < content.size) {
    out.push({ offset: content.size, data: Buffer.alloc(0) });
  }
  return out;
}

function octal12(value: number): Buffer {
  return Buffer.from(`${value.toString(8).padStart(11, '0')}\0`, 'latin1');
}

function putRuns(block: Buffer, at: number, list: readonly Run[]): void {
  for (const [index, run] of list.entries()) {
    octal12(run.offset).copy(block, at + index * 24);
    octal12(run.data.length).copy(block, at + index * 24 + 12);
  }
}

/** A sparse file with type `S`: four runs in the header, twenty-one in each block after it. */
export function gnuSparseEntry(path: Bytes, content: SparseContent, options: EntryOptions = {}): Buffer {
  const list = runs(content);
  const data = Buffer.concat(list.map((run) => run.data));
  const entry = tarEntry({ path, type: 'S', mode: 0o644, body: data }, { ...options, format: 'gnu' });
  const bodyBlocks = Math.ceil(data.length / 512) * 512;
  const headerAt = entry.length - bodyBlocks - 512;
  const header = Buffer.from(entry.subarray(headerAt, headerAt + 512));
  header.fill(0, 345, 500);
  putRuns(header, 386, list.slice(0, 4));
  header[482] = list.length > 4 ? 1 : 0;
  octal12(content.size).copy(header, 483);
  const blocks: Buffer[] = [];
  for (let at = 4; at < list.length; at += 21) {
    const block = Buffer.alloc(512);
    putRuns(block, 0, list.slice(at, at + 21));
    block[504] = at + 21 < list.length ? 1 : 0;
    blocks.push(block);
  }
  return Buffer.concat([
    entry.subarray(0, headerAt),
    options.header?.checksum === undefined ? sealHeader(header) : header,
    ...blocks,
    entry.subarray(headerAt + 512),
  ]);
}

/** A sparse file as an ordinary file whose PAX records (1.0: whose first data blocks) hold the map. */
export function paxSparseEntry(
  path: Bytes,
  content: SparseContent,
  style: Exclude<SparseStyle, 'gnu'>,
  options: EntryOptions = {},
): Buffer {
  const list = runs(content);
  const data = Buffer.concat(list.map((run) => run.data));
  const name = toBuffer(path);
  const slash = name.lastIndexOf(0x2f);
  const hidden = Buffer.concat([
    name.subarray(0, slash + 1),
    Buffer.from('GNUSparseFile.0/'),
    name.subarray(slash + 1),
  ]);
  const more = options.pax === undefined ? [] : Array.isArray(options.pax) ? options.pax : Object.entries(options.pax);
  if (style === 'pax-0.0') {
    const map = list.flatMap((run): [string, Bytes][] => [
      ['GNU.sparse.offset', String(run.offset)],
      ['GNU.sparse.numbytes', String(run.data.length)],
    ]);
    const pax: [string, Bytes][] = [
      ['GNU.sparse.size', String(content.size)],
      ['GNU.sparse.numblocks', String(list.length)],
      ...map,
      ...more,
    ];
    return tarEntry({ path, type: '0', mode: 0o644, body: data }, { ...options, pax });
  }
  if (style === 'pax-0.1') {
    const pax: [string, Bytes][] = [
      ['GNU.sparse.name', name],
      ['GNU.sparse.size', String(content.size)],
      ['GNU.sparse.numblocks', String(list.length)],
      ['GNU.sparse.map', list.map((run) => `${run.offset},${run.data.length}`).join(',')],
      ...more,
    ];
    return tarEntry({ path: hidden, type: '0', mode: 0o644, body: data }, { ...options, pax });
  }
  const map = Buffer.from(`${list.length}\n${list.map((run) => `${run.offset}\n${run.data.length}\n`).join('')}`);
  const padded = Buffer.concat([map, Buffer.alloc((512 - (map.length % 512)) % 512)]);
  const pax: [string, Bytes][] = [
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', name],
    ['GNU.sparse.realsize', String(content.size)],
    ...more,
  ];
  return tarEntry({ path: hidden, type: '0', mode: 0o644, body: Buffer.concat([padded, data]) }, { ...options, pax });
}
