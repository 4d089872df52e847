/** From the members of a tar to where the tar goes: small parts gathered, large ones copied from file to file. */
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../io/abort.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { chooseMembers, type FlattenOptions } from './flatten-options.js';
import { closeLayers, openLayers } from './layer-files.js';
import { TarChunk } from './tar-chunk.js';
import { type TarPart, tarMembers } from './tar-members.js';
import type { TarOutput } from './tar-output.js';

/** Written between two turns of the event loop: some milliseconds. */
const A_TURN_BYTES = 1024 * 1024;

/**
 * Writes the tar of `flatten` to an output.
 *
 * @param output Is stopped at the end, also after a failure.
 * @returns the length of the tar in bytes
 * @throws what `flattenTo` throws; the system's error as it is: the caller knows where the tar goes
 */
export async function writeMembers(
  tree: MergedTree,
  layers: readonly LayerTar[],
  output: TarOutput,
  options: FlattenOptions,
): Promise<number> {
  const { signal } = options;
  let open: readonly number[] = [];
  try {
    const chosen = chooseMembers(tree, layers, options);
    open = openLayers(layers);
    const writer = new PartWriter(output);
    let turn = 0;
    for (const part of tarMembers({ ...chosen, open }, options)) {
      for (let done = 0; done < part.length; ) {
        const wrote = writer.write(part, done);
        done += typeof wrote === 'number' ? wrote : await wrote;
        if (writer.written - turn < A_TURN_BYTES) continue;
        turn = writer.written;
        await setImmediate();
        throwIfAborted(signal);
      }
    }
    await writer.flush();
    await output.end();
    return writer.written;
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw error;
  } finally {
    await output.stop();
    closeLayers(open);
  }
}

/** Gathers small parts in chunks and has large ones copied. */
class PartWriter {
  readonly #output: TarOutput;
  #chunk: TarChunk;
  written = 0;

  constructor(output: TarOutput) {
    this.#output = output;
    this.#chunk = new TarChunk(output.chunk);
  }

  /** Writes what comes next of a part; returns how much that was. Only slow calls are waited for. */
  write(part: TarPart, done: number): number | Promise<number> {
    if (!Buffer.isBuffer(part) && part.length - done >= this.#output.copyFrom) return this.#copy(part, done);
    const put = this.#chunk.put(part, done);
    return this.#chunk.room > 0 ? put : this.flush().then(() => put);
  }

  async flush(): Promise<void> {
    const { length } = this.#chunk;
    if (length === 0) return;
    this.#chunk = new TarChunk(await this.#output.add(this.#chunk.fill(), length));
    this.written += length;
  }

  /** The rest of a part. */
  async #copy(part: Exclude<TarPart, Buffer>, done: number): Promise<number> {
    await this.flush();
    const length = part.length - done;
    await this.#output.copy(part.fd, part.tarOffset + done, length);
    this.written += length;
    return length;
  }
}
