/** From the merged tree to one tar: deterministic, streamed, nothing held but a chunk. */
import { writeSync } from 'node:fs';
import { Readable } from 'node:stream';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { CallOptions } from '../content/content.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { report } from '../progress.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { DataExtent, Inode, MergedTree, Timestamp } from '../rootfs/tree.js';
import { walkTree } from '../rootfs/walk-tree.js';
import { BLOCK, endOfArchive, paddedBytes, padding } from '../tar/block.js';
import { encodeHeader, type TarHeader } from '../tar/write-header.js';
import {
  checkDataPlace,
  closeLayers,
  LayerReader,
  openLayers,
  readLayer,
  SEND_BYTES,
  sendLayer,
} from './layer-files.js';
import { type PathPatterns, selectNodes } from './path-filter.js';

/** Options of `flatten`. */
export interface FlattenOptions extends CallOptions, PathPatterns {
  /**
   * Modification times after this moment (seconds since the epoch) become it. Default: `SOURCE_DATE_EPOCH` of the
   * environment where it is set, else times stay as they are.
   */
  readonly sourceDateEpoch?: number | undefined;
}

const CHUNK_BYTES = 256 * 1024;
/** Chunks between two turns of the event loop: some milliseconds of reading. */
const CHUNKS_A_TURN = 16;

/**
 * Writes a merged tree as one tar.
 *
 * The same tree gives the same bytes, everywhere and always: directories before what they hold, the names of one
 * directory in the order of their bytes, a hard link after the name that carries the data, no access times, no user
 * names. The root is the first entry, `./`; all other names are relative. What ustar cannot say stands in PAX records;
 * sparse files stay sparse (PAX format 1.0).
 *
 * Layers are opened when reading begins and closed when the stream ends or is destroyed. The stream fails with
 * RootfsError `ERR_LAYER_INVALID`, `ERR_NOT_FOUND` (a layer tar), `ERR_FILESYSTEM`, or the signal's reason.
 *
 * @param layers What the tree was made from, base first.
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function flatten(tree: MergedTree, layers: readonly LayerTar[], options: FlattenOptions = {}): Readable {
  const latest = latestTime(options.sourceDateEpoch);
  const selected = selectNodes(tree, options);
  options.signal?.throwIfAborted();
  const chunks = chunk(members(tree, layers, selected, latest, options), options.signal);
  return Readable.from(chunks, { objectMode: false, highWaterMark: 4 * CHUNK_BYTES });
}

/**
 * Writes the tar that `flatten` streams to an open file, pipe or socket, from its position on: the same bytes, and
 * where the system can, without moving them through this process.
 *
 * Writing is synchronous in short pieces: where the other side of a pipe stalls, so does this thread. The descriptor
 * stays open; what was written before a failure stays in it.
 *
 * @param fd An open descriptor.
 * @returns the length of the tar in bytes
 * @throws RootfsError what `flatten` fails with, `ERR_NO_SPACE`, `ERR_PERMISSION`; the signal's reason
 */
export async function flattenTo(
  tree: MergedTree,
  layers: readonly LayerTar[],
  fd: number,
  options: FlattenOptions = {},
): Promise<number> {
  const { signal } = options;
  const latest = latestTime(options.sourceDateEpoch);
  const selected = selectNodes(tree, options);
  signal?.throwIfAborted();
  const writer = new PartWriter(fd);
  try {
    let turn = 0;
    for (const part of members(tree, layers, selected, latest, options)) {
      for (let done = 0; done < part.length; ) {
        const wrote = writer.write(part, done);
        done += typeof wrote === 'number' ? wrote : await wrote;
        if (writer.written - turn < CHUNKS_A_TURN * CHUNK_BYTES) continue;
        turn = writer.written;
        await setImmediate();
        signal?.throwIfAborted();
      }
    }
    await writer.flush();
    return writer.written;
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw wrapSystemError(error, 'flatten');
  }
}

/** Gathers small parts in one buffer and hands large ones to the kernel. */
class PartWriter {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  readonly #reader = new LayerReader();
  #filled = 0;
  written = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Writes what comes next of a part; returns how much that was. Only slow calls are waited for. */
  write(part: Part, done: number): number | Promise<number> {
    const left = part.length - done;
    if (!Buffer.isBuffer(part) && left >= SEND_BYTES) return this.#send(part, done, left);
    const piece = Math.min(left, CHUNK_BYTES - this.#filled);
    if (Buffer.isBuffer(part)) part.copy(this.#buffer, this.#filled, done, done + piece);
    else this.#reader.read(part.fd, this.#buffer, this.#filled, piece, part.tarOffset + done);
    this.#filled += piece;
    return this.#filled < CHUNK_BYTES ? piece : this.flush().then(() => piece);
  }

  async flush(): Promise<void> {
    for (let done = 0; done < this.#filled; ) {
      done += await patiently(() => writeSync(this.#fd, this.#buffer, done, this.#filled - done));
    }
    this.written += this.#filled;
    this.#filled = 0;
  }

  async #send(part: Exclude<Part, Buffer>, done: number, left: number): Promise<number> {
    if (this.#filled > 0) await this.flush();
    const length = Math.min(left, CHUNKS_A_TURN * CHUNK_BYTES);
    const moved = await patiently(() => sendLayer(this.#fd, part.fd, part.tarOffset + done, length));
    this.written += moved;
    if (moved > 0) return moved;
    const piece = Math.min(left, CHUNK_BYTES);
    readLayer(part.fd, this.#buffer, 0, piece, part.tarOffset + done);
    this.#filled = piece;
    await this.flush();
    return piece;
  }
}

/** Tries again where a pipe that does not block is full. */
async function patiently(work: () => number): Promise<number> {
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (systemErrorCode(error) !== 'EAGAIN') throw error;
      await setTimeout(1);
    }
  }
}

function latestTime(option: number | undefined): number {
  const given = option ?? process.env['SOURCE_DATE_EPOCH'];
  if (given === undefined || given === '') return Number.POSITIVE_INFINITY;
  const seconds = typeof given === 'number' || /^[0-9]{1,15}$/.test(given) ? Number(given) : Number.NaN;
  if (Number.isSafeInteger(seconds) && seconds >= 0) return seconds;
  const name = option === undefined ? 'SOURCE_DATE_EPOCH' : 'sourceDateEpoch';
  throw new RootfsError('ERR_OPTION_INVALID', `${name}: expected whole seconds since the epoch, found ${given}`);
}

/** What a chunk is filled from: bytes as they are, or a place in a layer. */
type Part = Buffer | { readonly fd: number; readonly tarOffset: number; readonly length: number };

function* members(
  tree: MergedTree,
  layers: readonly LayerTar[],
  selected: ReadonlySet<unknown> | undefined,
  latest: number,
  { onProgress }: FlattenOptions,
): Generator<Part, void, void> {
  const open = openLayers(layers);
  const names = new Map<Inode, string>();
  let entries = 0;
  let dataBytes = 0;
  try {
    for (const { path, node } of walkTree(tree)) {
      if (selected?.has(node) === false) continue;
      const { inode } = node;
      const first = inode.links > 1 ? names.get(inode) : undefined;
      if (inode.links > 1 && first === undefined) names.set(inode, path);
      yield encodeHeader(headerOf(path, inode, first, latest));
      if (first === undefined && inode.data !== undefined) {
        checkDataPlace(inode, layers, () => Buffer.from(path, 'latin1').toString());
        yield* dataOf(inode, open);
        dataBytes += inode.size;
      }
      entries += 1;
      if (entries % 1024 !== 0 && entries !== tree.entries) continue;
      const totals = { totalEntries: tree.entries, totalDataBytes: tree.dataBytes };
      report(onProgress, { type: 'entries:written', entries, dataBytes, ...totals });
    }
    yield endOfArchive();
  } finally {
    closeLayers(open);
  }
}

function headerOf(path: string, inode: Inode, first: string | undefined, latest: number): TarHeader {
  const mtime: Timestamp = inode.mtime.seconds >= latest ? { seconds: latest, nanoseconds: 0 } : inode.mtime;
  const again = first !== undefined;
  // One literal, no spreads: this runs for every entry.
  return {
    name: inode.type === 'directory' ? `${path === '' ? '.' : path}/` : path,
    type: again ? 'hardlink' : inode.type,
    mode: inode.mode,
    uid: inode.uid,
    gid: inode.gid,
    mtime,
    size: inode.size,
    linkname: again ? first : inode.linkTarget,
    devmajor: inode.rdevMajor,
    devminor: inode.rdevMinor,
    xattrs: again ? undefined : inode.xattrs,
    extents: again ? undefined : inode.data?.extents && wholeBlockRuns(inode.data.extents),
  };
}

/**
 * The runs of a sparse file as they are written: all but the last have whole blocks, zeros added where they must be.
 * GNU tar begins each run in a block of its own, Go goes on where the last one ended; so both read the same.
 */
function wholeBlockRuns(extents: readonly DataExtent[]): DataExtent[] {
  const runs: { fileOffset: number; tarOffset: number; length: number }[] = [];
  for (const { fileOffset, tarOffset, length } of extents) {
    if (length === 0) continue;
    const last = runs.at(-1);
    if (last !== undefined) last.length = paddedBytes(last.length);
    if (last === undefined || fileOffset >= last.fileOffset + last.length) {
      runs.push({ fileOffset, tarOffset, length });
    } else {
      last.length = fileOffset + length - last.fileOffset;
    }
  }
  return runs;
}

/** Fewer zeros than a block has. */
function zeros(count: number): Buffer {
  return padding(BLOCK - count);
}

function* dataOf(inode: Inode, open: readonly number[]): Generator<Part, void, void> {
  const { data, size } = inode;
  if (data === undefined) return;
  const fd = open[data.layer] as number;
  if (data.extents === undefined) {
    yield { fd, tarOffset: data.tarOffset, length: size };
    yield padding(size);
    return;
  }
  const extents = data.extents.filter(({ length }) => length > 0);
  let bytes = 0;
  let next = 0;
  for (const run of wholeBlockRuns(extents)) {
    const end = run.fileOffset + run.length;
    let at = run.fileOffset;
    for (; next < extents.length; next += 1) {
      const { fileOffset, tarOffset, length } = extents[next] as DataExtent;
      if (fileOffset >= end) break;
      yield zeros(fileOffset - at);
      yield { fd, tarOffset, length };
      at = fileOffset + length;
    }
    yield zeros(end - at);
    bytes += run.length;
  }
  yield padding(bytes);
}

/** Fills chunks of one size from the parts; small files are read straight into the chunk they share. */
async function* chunk(
  parts: Generator<Part, void, void>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, void> {
  const reader = new LayerReader();
  let out = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let filled = 0;
  let chunks = 0;
  try {
    for (const part of parts) {
      const length = part.length;
      for (let done = 0; done < length; ) {
        const piece = Math.min(length - done, CHUNK_BYTES - filled);
        if (Buffer.isBuffer(part)) part.copy(out, filled, done, done + piece);
        else reader.read(part.fd, out, filled, piece, part.tarOffset + done);
        filled += piece;
        done += piece;
        if (filled < CHUNK_BYTES) continue;
        yield out;
        out = Buffer.allocUnsafeSlow(CHUNK_BYTES);
        filled = 0;
        chunks += 1;
        if (chunks % CHUNKS_A_TURN === 0) await setImmediate();
        signal?.throwIfAborted();
      }
    }
    if (filled > 0) yield out.subarray(0, filled);
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw wrapSystemError(error, 'flatten');
  }
}
