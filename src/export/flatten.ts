/** From the merged tree to one tar: deterministic, streamed, nothing held but a chunk. */
import { writeSync } from 'node:fs';
import { Readable } from 'node:stream';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { chooseMembers, type FlattenOptions } from './flatten-options.js';
import { closeLayers, LayerReader, openLayers, readLayer, SEND_BYTES, sendLayer } from './layer-files.js';
import { type TarMembersInput, type TarPart, tarMembers } from './tar-members.js';

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
  const chunks = chunk(chooseMembers(tree, layers, options), options);
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
  const chosen = chooseMembers(tree, layers, options);
  const writer = new PartWriter(fd);
  const open = openLayers(layers);
  try {
    let turn = 0;
    for (const part of tarMembers({ ...chosen, open }, options)) {
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
  } finally {
    closeLayers(open);
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
  write(part: TarPart, done: number): number | Promise<number> {
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

  async #send(part: Exclude<TarPart, Buffer>, done: number, left: number): Promise<number> {
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

/** Fills chunks of one size from the parts; small files are read straight into the chunk they share. */
async function* chunk(
  chosen: Omit<TarMembersInput, 'open'>,
  options: FlattenOptions,
): AsyncGenerator<Buffer, void, void> {
  const { signal } = options;
  const open = openLayers(chosen.layers);
  const reader = new LayerReader();
  let out = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let filled = 0;
  let chunks = 0;
  try {
    for (const part of tarMembers({ ...chosen, open }, options)) {
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
  } finally {
    closeLayers(open);
  }
}
