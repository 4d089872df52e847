/**
 * Where the compressed bytes of a layer arrive: a file in `ingest/` that a worker reads while it grows, or memory for
 * a small blob.
 *
 * Network and work are apart: a transfer only fills the file, a worker never holds a connection. The file is also
 * what a later run continues from.
 */
import { accessSync, constants, fstatSync, ftruncateSync, lstatSync, rmSync, unlinkSync } from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { FileWriter } from '../io/file-writer.js';
import { REPLACE_OWN, readOwn } from '../io/own-file.js';
import { readChunks } from '../io/read-chunks.js';
import { requireBytes } from '../io/verify.js';
import type { ProgressListener } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import { fetchRanges, type RangeSource } from './fetch-ranges.js';
import type { LayerControl } from './layer-control.js';
import type { LayerInput } from './layer-task.js';

/** Blobs up to this many bytes stay in memory. */
export const MEMORY_SPOOL_BYTES = 1024 ** 2;

/** Blobs with more bytes left than this are fetched in ranges, where the source says that it helps: 32 MiB. */
const PARALLEL_MIN_BYTES = 32 * 1024 ** 2;

/** How often the length of the part without a gap is noted. */
const NOTE_BYTES = 4 * 1024 ** 2;

/** How a spool is filled. */
export interface FillOptions {
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener | undefined;
  /** Most ranges at once. */
  readonly parallelRanges: number;
}

/** The compressed bytes of one layer on their way in. */
export interface Spool {
  readonly input: LayerInput;
  /** Bytes that were here already, from an earlier run. */
  readonly resumedBytes: number;
  /** Settles when a worker may begin: some bytes are here, in memory all of them. Never rejects; may never settle. */
  readonly ready: Promise<void>;
  /** Brings the rest in and advances the layer's control. @throws what the source throws, system errors, the reason */
  fill(source: RangeSource, options: FillOptions): Promise<void>;
  /** Closes the spool. With `keep` the bytes without a gap stay for a later run, where there is such a place. */
  end(keep: boolean): Promise<void>;
}

/** Opens a spool in memory. */
export function openMemorySpool(target: Descriptor, control: LayerControl): Spool {
  // One byte more than promised: a longer body is seen.
  const bytes = new Uint8Array(new SharedArrayBuffer(target.size + 1));
  const ready = new Signpost();
  let used = 0;
  return {
    get input(): LayerInput {
      return { kind: 'memory', bytes: bytes.subarray(0, used) };
    },
    resumedBytes: 0,
    ready: ready.reached,
    async fill(source, { signal, onProgress }) {
      await readChunks(source.fetch(target, { signal, onProgress }), signal, (chunk) => {
        requireBytes(chunk, target.digest);
        const part = chunk.subarray(0, bytes.length - used);
        bytes.set(part, used);
        used += part.length;
        control.available = used;
        return used === bytes.length ? 'enough' : undefined;
      });
      throwIfAborted(signal);
      control.finish();
      ready.reach();
    },
    async end() {},
  };
}

/** A promise that is kept from outside. */
class Signpost {
  reach: () => void = () => {};
  readonly reached = new Promise<void>((resolve) => {
    this.reach = resolve;
  });
}

/** Where a file spool lies. */
export interface SpoolPlace {
  readonly path: string;
  /** Whether the file belongs to the digest, under its lock, and outlives this process; else it is a temporary. */
  readonly partial: boolean;
  /** Whether bytes that are there already are continued. */
  readonly resume: boolean;
}

/** Opens a spool in a file. @throws RootfsError `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM` */
export async function openFileSpool(place: SpoolPlace, target: Descriptor, control: LayerControl): Promise<Spool> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | (place.partial ? 0 : constants.O_EXCL);
  try {
    const file = await open(place.path, flags, 0o600);
    try {
      const isContinued = place.partial && place.resume;
      const present = isContinued ? usableBytes(fstatSync(file.fd).size, place.path, target.size) : 0;
      ftruncateSync(file.fd, present);
      if (place.partial) removeNote(place.path);
      control.available = present;
      return new FileSpool(place, file, target, control, present);
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
  } catch (error) {
    throw wrapSystemError(error, place.path);
  }
}

/** Beside a partial that is written in several places at once stands how much of it has no gap. */
function gaplessPath(path: string): string {
  return `${path}.gapless`;
}

/**
 * How much of a blob of `size` bytes the partial at `path` saves the next run. Nothing is opened but the note beside it.
 *
 * @throws the system's error where this user may not go on from it
 */
export function keptBytes(path: string, size: number): number {
  const found = size <= MEMORY_SPOOL_BYTES ? undefined : lstatSync(path, { throwIfNoEntry: false });
  if (found?.isFile() !== true) return 0;
  accessSync(path, constants.R_OK | constants.W_OK);
  return usableBytes(found.size, path, size);
}

function usableBytes(present: number, path: string, size: number): number {
  const gapless = readNote(path);
  const usable = gapless === undefined ? present : Math.min(present, Number(/^\d{1,15}\n/.exec(gapless)?.[0] ?? 0));
  return usable > size ? 0 : usable;
}

function readNote(path: string): string | undefined {
  try {
    return readOwn(gaplessPath(path));
  } catch {
    return undefined;
  }
}

function removeNote(path: string): void {
  try {
    unlinkSync(gaplessPath(path));
  } catch {
    // There is none in most runs; one that stays speaks of fewer bytes than there are.
  }
}

class FileSpool implements Spool {
  readonly input: LayerInput;
  readonly resumedBytes: number;
  readonly #ready = new Signpost();
  readonly #place: SpoolPlace;
  readonly #file: FileHandle;
  readonly #target: Descriptor;
  readonly #control: LayerControl;

  constructor(place: SpoolPlace, file: FileHandle, target: Descriptor, control: LayerControl, present: number) {
    this.#place = place;
    this.#file = file;
    this.#target = target;
    this.#control = control;
    this.resumedBytes = present;
    this.input = { kind: 'file', fd: file.fd, offset: 0 };
    if (present > 0) this.#ready.reach();
  }

  get ready(): Promise<void> {
    return this.#ready.reached;
  }

  async fill(source: RangeSource, options: FillOptions): Promise<void> {
    const left = this.#target.size - this.resumedBytes;
    if (left > 0) {
      const ranges = left > PARALLEL_MIN_BYTES ? (source.fetchParallelism?.(this.#target) ?? 1) : 1;
      const parallel = Math.min(ranges, options.parallelRanges);
      const isDone = parallel > 1 && (await this.#fillRanges(source, parallel, options));
      if (!isDone) await this.#fillOnce(source, options);
    }
    throwIfAborted(options.signal);
    this.#control.finish();
    this.#ready.reach();
  }

  #advance(bytes: number): void {
    this.#control.available = bytes;
    this.#ready.reach();
  }

  async #fillOnce(source: RangeSource, { signal, onProgress }: FillOptions): Promise<void> {
    const start = this.#control.available;
    const range = start === 0 ? {} : { range: { start } };
    const opening = source.fetch(this.#target, { signal, onProgress, ...range });
    const writer = new FileWriter(this.#file, start);
    const advance = (): void => this.#advance(writer.position);
    const failed = (error: unknown): never => {
      throw wrapSystemError(error, this.#place.path);
    };
    await readChunks(opening, signal, (chunk) => {
      requireBytes(chunk, this.#target.digest);
      if (writer.position > this.#target.size) return 'enough';
      try {
        const writing = writer.add(chunk);
        if (writing !== undefined) return writing.then(advance, failed);
      } catch (error) {
        failed(error);
      }
      advance();
      return undefined;
    });
  }

  async #writeAll(chunk: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < chunk.length; ) {
        done += (await this.#file.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
      }
    } catch (error) {
      throw wrapSystemError(error, this.#place.path);
    }
  }

  /** @returns false where ranges are refused: what is here has no gap, and the rest is to come in one piece */
  async #fillRanges(source: RangeSource, parallel: number, { signal, onProgress }: FillOptions): Promise<boolean> {
    // Noted before the first gap can arise, then now and then: bytes past the note are fetched again by a later run.
    let noted = this.resumedBytes;
    await this.#noteGapless(noted);
    const isDone = await fetchRanges(source, this.#target, {
      start: this.resumedBytes,
      parallel,
      signal,
      onProgress,
      write: (chunk, position) => this.#writeAll(chunk, position),
      gapless: async (bytes) => {
        this.#advance(bytes);
        if (bytes - noted < NOTE_BYTES) return;
        noted = bytes;
        await this.#noteGapless(bytes);
      },
    });
    if (!isDone) this.#dropAhead();
    return isDone;
  }

  /** Drops what lies behind the first gap, and then the note that there is one. */
  #dropAhead(): void {
    try {
      ftruncateSync(this.#file.fd, this.#control.available);
    } catch (error) {
      throw wrapSystemError(error, this.#place.path);
    }
    if (this.#place.partial) removeNote(this.#place.path);
  }

  async #noteGapless(bytes: number): Promise<void> {
    if (this.#place.partial) {
      await writeFile(gaplessPath(this.#place.path), `${bytes}\n`, { flag: REPLACE_OWN });
    }
  }

  async end(keep: boolean): Promise<void> {
    const { path, partial } = this.#place;
    const bytes = Math.min(this.#control.available, this.#target.size);
    const kept = keep && partial && bytes > 0;
    try {
      if (kept) ftruncateSync(this.#file.fd, bytes);
      // Somebody may have cleaned up: what was to be gone is gone, and the layer is none the worse.
      else rmSync(path, { force: true });
      if (partial) removeNote(path);
    } finally {
      await this.#file.close();
    }
  }
}
