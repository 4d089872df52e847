/**
 * How a file's data becomes chunks: what can be addressed where it lies, what must be copied, what is a hole.
 *
 * A file lies in one device as a whole. Linux (6.18 does) joins reads of neighbouring blocks without asking whether they
 * are of one device: after block 4 of a layer, block 5 of the image would be read from the layer.
 */
import { RootfsError } from '../errors.js';
import type { DataExtent, Inode } from '../rootfs/tree.js';
import { CHUNK_INDEX_BYTES, MAX_CHUNK_BITS } from './erofs-format.js';

/** The chunks of one file. Sizes and offsets in bytes. */
export interface FileChunks {
  /** Blocks of a chunk, as a power of two. */
  readonly bits: number;
  readonly count: number;
  /** Bytes of the chunks that hold data, each but the file's last whole, where they must be copied; else 0. */
  readonly copiedBytes: number;
  /** One chunk that is read where the file's data begins: what nearly every file is. `runs` is empty then. */
  readonly isWhole: boolean;
  /** The data, joined where it goes on in the tar; sorted. */
  readonly runs: readonly DataExtent[];
}

/** Nearly every file is one of these. */
const WHOLE: readonly FileChunks[] = Array.from({ length: MAX_CHUNK_BITS + 1 }, (_, bits) => ({
  bits,
  count: 1,
  copiedBytes: 0,
  isWhole: true,
  runs: [],
}));

/** A chunk of a file: where its data lies in the layer, or that it must be copied. Holes are not told. */
export interface ChunkPlace {
  readonly index: number;
  /** Where in the layer tar; `undefined`: it must be copied. */
  readonly tarOffset: number | undefined;
}

/**
 * Divides a file into chunks so that what is stored for it is least: indexes and copied data together.
 *
 * @param addressable Bytes of the layer tar that can be addressed in blocks; 0 when all data is to be copied.
 */
export function divideFile(inode: Inode, blockSize: number, addressable: number): FileChunks {
  const { size, data } = inode;
  if (data === undefined) return { bits: 0, count: 0, copiedBytes: 0, isWhole: false, runs: [] };
  const whole = bitsOf(size, blockSize);
  const { tarOffset, extents } = data;
  const fits = tarOffset % blockSize === 0 && tarOffset + Math.ceil(size / blockSize) * blockSize <= addressable;
  if (extents === undefined && fits && size <= blockSize * 2 ** whole) return WHOLE[whole] as FileChunks;
  const runs = joinRuns(extents ?? [{ fileOffset: 0, tarOffset, length: size }]);
  let best: FileChunks | undefined;
  for (let bits = whole; bits >= 0; bits -= 1) {
    const chunk = blockSize * 2 ** bits;
    const count = Math.ceil(size / chunk);
    const inPlace = copiedChunks(runs, size, chunk, blockSize, addressable) === 0;
    const copiedBytes = inPlace ? 0 : copiedChunks(runs, size, chunk, blockSize, 0);
    const found = { bits, count, copiedBytes, isWhole: false, runs };
    if (best === undefined || cost(found) < cost(best)) best = found;
    // Smaller chunks only add indexes from here on.
    if (copiedBytes === 0) break;
  }
  if (best === undefined) throw new RootfsError('ERR_INTERNAL', 'a file has no chunk size; please report this');
  return best;
}

/** What a file costs beside its inode, in bytes. */
export function cost(chunks: FileChunks): number {
  return chunks.count * CHUNK_INDEX_BYTES + chunks.copiedBytes;
}

/** The chunks of a file that are no holes, in order. */
export function* chunkPlaces(
  { bits, runs, copiedBytes }: FileChunks,
  size: number,
  blockSize: number,
  addressable: number,
): Generator<ChunkPlace, void, void> {
  const chunk = blockSize * 2 ** bits;
  let next = 0;
  for (const run of runs) {
    const end = run.fileOffset + run.length;
    for (let index = Math.max(next, Math.floor(run.fileOffset / chunk)); index * chunk < end; index += 1) {
      const start = index * chunk;
      const tarOffset = run.tarOffset + start - run.fileOffset;
      const direct = copiedBytes === 0 && isDirect(run, start, Math.min(start + chunk, size), blockSize, addressable);
      yield { index, tarOffset: direct ? tarOffset : undefined };
      next = index + 1;
    }
  }
}

/** Blocks of the smallest chunk that holds the whole file, as a power of two, as far as the format goes. */
function bitsOf(size: number, blockSize: number): number {
  let bits = 0;
  for (let bytes = blockSize; bytes < size && bits < MAX_CHUNK_BITS; bytes *= 2) bits += 1;
  return bits;
}

/** Runs that follow one another both in the file and in the tar are one; empty ones are none. */
function joinRuns(extents: readonly DataExtent[]): readonly DataExtent[] {
  const runs: DataExtent[] = [];
  for (const { fileOffset, tarOffset, length } of extents) {
    if (length === 0) continue;
    const last = runs.at(-1);
    if (
      last !== undefined &&
      last.fileOffset + last.length === fileOffset &&
      last.tarOffset + last.length === tarOffset
    ) {
      runs[runs.length - 1] = { ...last, length: last.length + length };
    } else {
      runs.push({ fileOffset, tarOffset, length });
    }
  }
  return runs;
}

/** Whether a chunk, or what of it is inside the file, can be read where it lies: all from one run, on a block. */
function isDirect(run: DataExtent, start: number, end: number, blockSize: number, addressable: number): boolean {
  if (run.fileOffset > start || run.fileOffset + run.length < end) return false;
  const tarOffset = run.tarOffset + start - run.fileOffset;
  return tarOffset % blockSize === 0 && tarOffset + Math.ceil((end - start) / blockSize) * blockSize <= addressable;
}

/** Bytes of the chunks that hold data and cannot be read where they lie. */
function copiedChunks(
  runs: readonly DataExtent[],
  size: number,
  chunk: number,
  blockSize: number,
  addressable: number,
): number {
  const last = Math.ceil(size / chunk) - 1;
  const lastBytes = Math.ceil((size - last * chunk) / blockSize) * blockSize;
  let bytes = 0;
  let next = 0;
  for (const run of runs) {
    const end = run.fileOffset + run.length;
    const first = Math.max(next, Math.floor(run.fileOffset / chunk));
    const final = Math.ceil(end / chunk) - 1;
    if (final < first) continue;
    next = final + 1;
    const copies = final - first + 1 - directChunks(run, first, final, size, chunk, blockSize, addressable);
    bytes += copies * chunk;
    const lastIsCopied = final === last && !isDirect(run, last * chunk, size, blockSize, addressable);
    if (lastIsCopied) bytes -= chunk - lastBytes;
  }
  return bytes;
}

/** How many of the chunks `first` to `final` can be read from a run where they lie, by arithmetic: there may be many. */
function directChunks(
  run: DataExtent,
  first: number,
  final: number,
  size: number,
  chunk: number,
  blockSize: number,
  addressable: number,
): number {
  const direct = (index: number): boolean =>
    isDirect(run, index * chunk, Math.min((index + 1) * chunk, size), blockSize, addressable);
  // Between the chunks at both ends all are alike, but for the tar's end: only the very last can lie across it.
  const edges = new Set([first, final, Math.max(first, final - 1)]);
  const middle = Math.max(0, final - first + 1 - edges.size);
  let count = 0;
  for (const index of edges) if (direct(index)) count += 1;
  return count + (middle > 0 && direct(first + 1) ? middle : 0);
}
