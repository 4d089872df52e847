/** One blob from a source to a destination: skipped where it is, mounted where it can be, else moved and verified. */
import { closeSync } from 'node:fs';
import { absentBlob, openRegular, readAt } from '../content/blob-file.js';
import type { ChunkSource } from '../content/chunk-source.js';
import type {
  BlobLocation,
  BlobPath,
  CallOptions,
  ContentChecker,
  Fetcher,
  Importer,
  Mounter,
  Pusher,
  ReadOnlyStorage,
} from '../content/content.js';
import { embeddedContent } from '../content/fetch-verified.js';
import { retryDistrusted } from '../content/retry-distrusted.js';
import { eachUntilAborted, throwIfAborted, untilAborted, untilEnded } from '../io/abort.js';
import { discard } from '../io/discard.js';
import { readChunks, type TakeChunk } from '../io/read-chunks.js';
import { report } from '../progress.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';

/** What became of a blob. */
export type CopiedBlob = 'copied' | 'present' | 'mounted';

/** Options of `copyBlob`. */
export interface CopyBlobOptions extends CallOptions {
  /** A repository of the destination's registry that may have the blob already. */
  readonly mountFrom?: string | undefined;
}

/**
 * Brings one blob to a destination, which verifies it. Bytes that a mirror got wrong are fetched from the next one.
 *
 * @throws what source and destination throw
 */
export async function copyBlob(
  source: Fetcher,
  destination: ReadOnlyStorage & Pusher,
  target: Descriptor,
  options: CopyBlobOptions,
): Promise<CopiedBlob> {
  const { signal, onProgress } = options;
  const { digest, size } = target;
  const call = { signal, onProgress };
  const done = (skipped: boolean): void => report(onProgress, { type: 'blob:copied', digest, bytes: size, skipped });
  await untilAborted((source as Partial<ContentChecker>).check?.(target, call), signal);
  if (await isPresent(destination, target, call)) {
    done(true);
    return 'present';
  }
  let from = options.mountFrom;
  if (from !== undefined && canMount(destination) && !canImport(destination)) {
    if (await untilEnded(destination.mount(target, from, call), signal)) {
      done(true);
      return 'mounted';
    }
  }
  let isStarted = false;
  const content = (): BlobContent => {
    if (!isStarted) report(onProgress, { type: 'blob:started', digest, bytes: size });
    isStarted = true;
    return new BlobContent(source, target, call);
  };
  const isMounted = await retryDistrusted(source, target, onProgress, async () => {
    // What a manifest says of a blob besides its content is no business of a store of blobs.
    const bare = bareDescriptor(target);
    const other = from;
    from = undefined;
    if (other !== undefined && canImport(destination)) {
      return untilEnded(destination.mountOrPush(bare, other, content, call), signal);
    }
    await untilEnded(destination.push(bare, content(), call), signal);
    return false;
  });
  done(isMounted);
  return isMounted ? 'mounted' : 'copied';
}

/** The bytes of a blob, fetched anew each time they are asked for: a lost upload can start again from any place. */
class BlobContent implements ChunkSource {
  readonly #source: Fetcher;
  readonly #target: Descriptor;
  readonly #call: CallOptions;

  constructor(source: Fetcher, target: Descriptor, call: CallOptions) {
    this.#source = source;
    this.#target = target;
    this.#call = call;
  }

  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    return this.from(0);
  }

  /** The bytes from `offset` on: an upload that was cut goes on from there. */
  async *from(offset: number): AsyncGenerator<Uint8Array, void, undefined> {
    const { digest, size } = this.#target;
    const embedded = embeddedContent(this.#target);
    if (embedded !== undefined) {
      yield embedded.subarray(offset);
      return;
    }
    let copiedBytes = offset;
    const { signal } = this.#call;
    // A source that hangs hears of no abort: whoever reads this does.
    const content = await untilAborted(this.#open(offset), signal, discard);
    for await (const chunk of eachUntilAborted(content, signal)) {
      yield chunk;
      copiedBytes += chunk.byteLength;
      report(this.#call.onProgress, { type: 'blob:progressed', digest, bytes: size, copiedBytes });
    }
  }

  /** Every chunk as it comes, from the start. */
  async readChunks(take: TakeChunk, signal: AbortSignal = new AbortController().signal): Promise<void> {
    const { digest, size } = this.#target;
    const embedded = embeddedContent(this.#target);
    if (embedded !== undefined) {
      await take(embedded);
      return;
    }
    let copiedBytes = 0;
    await readChunks(this.#source.fetch(this.#target, { ...this.#call, signal }), signal, (chunk) => {
      copiedBytes += chunk.byteLength;
      report(this.#call.onProgress, { type: 'blob:progressed', digest, bytes: size, copiedBytes });
      return take(chunk);
    });
  }

  async #open(offset: number): Promise<AsyncIterable<Uint8Array>> {
    const located = await (this.#source as Partial<BlobPath>).blobPath?.(this.#target, this.#call);
    if (located !== undefined) return readLocated(located, offset, this.#target, this.#call.signal);
    const range = offset === 0 ? {} : { range: { start: offset } };
    return this.#source.fetch(this.#target, { ...this.#call, ...range });
  }
}

/** Bytes of a local file that are read at once. */
const CHUNK_BYTES = 1024 * 1024;

/** Large pieces of a local file, at most one byte more than there should be. */
async function* readLocated(
  { path, offset, size }: BlobLocation,
  start: number,
  target: Descriptor,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const opened = openRegular(path);
  if (opened === undefined) throw absentBlob(target.digest, path);
  const end = Math.min(size, target.size + 1);
  try {
    for (let at = start; at < end; ) {
      throwIfAborted(signal);
      const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, end - at));
      const count = await readAt(opened.fd, buffer, buffer.length, offset + at);
      if (count === 0) return;
      yield buffer.subarray(0, count);
      at += count;
    }
  } finally {
    closeSync(opened.fd);
  }
}

/** A file under the blob's name that has another length is no blob: another program was interrupted there. */
async function isPresent(destination: ReadOnlyStorage, target: Descriptor, call: CallOptions): Promise<boolean> {
  if (!(await untilAborted(destination.exists(target, call), call.signal))) return false;
  const located = await untilAborted((destination as Partial<BlobPath>).blobPath?.(target, call), call.signal);
  return located === undefined || located.size === target.size;
}

function canImport(destination: object): destination is Importer {
  return typeof (destination as Partial<Importer>).mountOrPush === 'function';
}

function canMount(destination: object): destination is Mounter {
  return typeof (destination as Partial<Mounter>).mount === 'function';
}
