/** From the merged tree to one tar: deterministic, streamed, nothing held but a chunk. */
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { streamReason, throwIfAborted } from '../io/abort.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { chooseMembers, type FlattenOptions } from './flatten-options.js';
import { closeLayers, openLayers } from './layer-files.js';
import { TarChunk } from './tar-chunk.js';
import { type TarMembersInput, tarMembers } from './tar-members.js';
import { DirectOutput } from './tar-output.js';
import { writeMembers } from './write-members.js';

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
  return readable(chooseMembers(tree, layers, options), options);
}

/** The same for readers that fail on sparse files: they are written whole, however large their holes are. */
export function flattenDense(tree: MergedTree, layers: readonly LayerTar[], options: FlattenOptions = {}): Readable {
  return readable({ ...chooseMembers(tree, layers, options), dense: true }, options);
}

function readable(chosen: Omit<TarMembersInput, 'open'>, options: FlattenOptions): Readable {
  return Readable.from(chunk(chosen, options), { objectMode: false, highWaterMark: 4 * CHUNK_BYTES });
}

/**
 * Writes the tar that `flatten` streams to an open file, pipe or socket, from its position on: the same bytes, and
 * where the system can, without moving them through this process.
 *
 * Writing is synchronous in short pieces: where the other side of a pipe stalls, so does this thread, unless the
 * descriptor is open without blocking (`O_NONBLOCK`). The descriptor stays open; what was written before a failure stays in it.
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
  try {
    return await writeMembers(tree, layers, new DirectOutput(fd, options.signal), options);
  } catch (error) {
    if (options.signal?.aborted === true) throw options.signal.reason;
    // Of the two sides, the one that failed.
    const isReading = (error as NodeJS.ErrnoException).syscall === 'read';
    throw wrapSystemError(error, fd === 1 && !isReading ? 'stdout' : 'flatten');
  }
}

/** Fills chunks of one size from the parts; small files are read straight into the chunk they share. */
async function* chunk(
  chosen: Omit<TarMembersInput, 'open'>,
  options: FlattenOptions,
): AsyncGenerator<Buffer, void, void> {
  const { signal } = options;
  const open = openLayers(chosen.layers);
  let next = new TarChunk(Buffer.allocUnsafeSlow(CHUNK_BYTES));
  let chunks = 0;
  try {
    for (const part of tarMembers({ ...chosen, open }, options)) {
      const { length } = part;
      for (let done = 0; done < length; ) {
        done += next.put(part, done);
        if (next.room > 0) continue;
        yield next.fill();
        next = new TarChunk(Buffer.allocUnsafeSlow(CHUNK_BYTES));
        chunks += 1;
        if (chunks % CHUNKS_A_TURN === 0) await setImmediate();
        throwIfAborted(signal);
      }
    }
    if (next.length > 0) yield next.fill().subarray(0, next.length);
  } catch (error) {
    if (signal?.aborted === true) throw streamReason(signal);
    // What the reader destroyed the stream with comes here too, and stays what it is.
    throw /^E(?!RR_)/.test(systemErrorCode(error) ?? '') ? wrapSystemError(error, 'flatten') : error;
  } finally {
    closeLayers(open);
  }
}
