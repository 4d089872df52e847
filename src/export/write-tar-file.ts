/**
 * The flattened tar into a file that can be written anywhere: where each part goes is known before it is written, so
 * that workers move the long runs of data while this thread makes the headers and writes what is small.
 */
import { writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { wrapSystemError } from '../errors.js';
import { mapConcurrently } from '../io/concurrency.js';
import { workerEntry } from '../io/worker-entry.js';
import { WorkerPool } from '../io/worker-pool.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { chooseMembers, type FlattenOptions } from './flatten-options.js';
import { closeLayers, LayerReader, openLayers, SEND_BYTES } from './layer-files.js';
import type { RangesTask } from './ranges-worker.js';
import { type TarPart, tarMembers } from './tar-members.js';
import type { LayerRange } from './write-ranges.js';

/** A worker gets this much to move at once, or what there is after so many small bytes were written, in bytes. */
const BATCH_BYTES = 16 * 1024 * 1024;
const TURN_BYTES = 2 * 1024 * 1024;
const BUFFER_BYTES = 256 * 1024;
/** More threads only wait for memory. */
const MAX_WORKERS = 4;

let pool: WorkerPool<RangesTask, undefined> | undefined;

/**
 * Writes the tar of `flatten` into an empty regular file, which was not opened for appending: the same bytes.
 *
 * When this has settled, nothing touches the file any more. The descriptor stays open.
 *
 * @returns the length of the tar in bytes
 * @throws RootfsError what `flatten` fails with, `ERR_NO_SPACE`, `ERR_PERMISSION`; the signal's reason
 */
export async function writeTarFile(
  tree: MergedTree,
  layers: readonly LayerTar[],
  fd: number,
  options: FlattenOptions = {},
): Promise<number> {
  const { signal } = options;
  const chosen = chooseMembers(tree, layers, options);
  const size = Math.min(MAX_WORKERS, availableParallelism());
  pool ??= new WorkerPool(workerEntry(new URL('./ranges-worker.js', import.meta.url), 'export'), {
    name: 'rootfs-ranges',
    size,
  });
  const crew = pool;
  crew.warm(size);
  const open = openLayers(layers);
  const writer = new PlacedWriter(fd);
  try {
    await mapConcurrently(
      writer.batches(tarMembers({ ...chosen, open }, options)),
      async (ranges, ended) => {
        // An empty batch is a turn for others.
        if (ranges.length === 0) await setImmediate();
        else await crew.run({ target: { fd }, ranges }, { signal: ended });
      },
      { concurrency: size + 1, signal },
    );
    return writer.written;
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw wrapSystemError(error, 'flatten');
  } finally {
    closeLayers(open);
  }
}

/** Gives every part its place: small ones are gathered and written, long runs of data are left to others. */
class PlacedWriter {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #reader = new LayerReader();
  #filled = 0;
  /** Where the next byte goes: the length of the tar in the end. */
  written = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Takes the parts in their order; what comes out are the runs that are still to be moved. */
  *batches(parts: Iterable<TarPart>): Generator<readonly LayerRange[], void, void> {
    let ranges: LayerRange[] = [];
    let rangeBytes = 0;
    let turn = 0;
    for (const part of parts) {
      if (!Buffer.isBuffer(part) && part.length >= SEND_BYTES) {
        this.#flush();
        ranges.push([part.fd, part.tarOffset, this.written, part.length]);
        rangeBytes += part.length;
        this.written += part.length;
      } else this.#gather(part);
      if (rangeBytes < BATCH_BYTES && this.written - rangeBytes - turn < TURN_BYTES) continue;
      yield ranges;
      turn = this.written;
      ranges = [];
      rangeBytes = 0;
    }
    this.#flush();
    if (ranges.length > 0) yield ranges;
  }

  #gather(part: TarPart): void {
    for (let done = 0; done < part.length; ) {
      const piece = Math.min(part.length - done, BUFFER_BYTES - this.#filled);
      if (Buffer.isBuffer(part)) part.copy(this.#buffer, this.#filled, done, done + piece);
      else this.#reader.read(part.fd, this.#buffer, this.#filled, piece, part.tarOffset + done);
      this.#filled += piece;
      this.written += piece;
      done += piece;
      if (this.#filled === BUFFER_BYTES) this.#flush();
    }
  }

  #flush(): void {
    const start = this.written - this.#filled;
    for (let done = 0; done < this.#filled; ) {
      done += writeSync(this.#fd, this.#buffer, done, this.#filled - done, start + done);
    }
    this.#filled = 0;
  }
}
