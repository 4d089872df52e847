/** Content into a piece of a file: fetched, verified and written at once, with as few writes as that takes. */
import type { FileHandle } from 'node:fs/promises';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { Verifier } from '../io/verify.js';
import { report } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { CallOptions, Distruster, Fetcher } from './content.js';
import { embeddedContent } from './fetch-verified.js';

/** Bytes that are written with one call. */
const BATCH_BYTES = 1024 * 1024;

/** How often content whose bytes were wrong is fetched again from somebody else. */
const MAX_DISTRUSTS = 8;

/**
 * Fetches content and writes it at `offset`, verified before this returns. When it throws, what stands there is
 * worthless. Tells `blob:started`, `blob:progressed` and `blob:copied`.
 *
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, what the source throws; the system's own errors
 */
export async function writeContent(
  source: Fetcher,
  target: Descriptor,
  file: FileHandle,
  offset: number,
  call: CallOptions,
): Promise<void> {
  const { digest, size } = target;
  report(call.onProgress, { type: 'blob:started', digest, bytes: size });
  for (let attempt = 0; ; attempt += 1) {
    try {
      await writeOnce(source, target, file, offset, call);
      break;
    } catch (error) {
      const wrong = error instanceof RootfsError && /^ERR_(?:DIGEST|SIZE)_MISMATCH$/.test(error.code);
      const other = source as Partial<Distruster>;
      if (!wrong || attempt >= MAX_DISTRUSTS || other.distrust?.(target) !== true) throw error;
    }
  }
  report(call.onProgress, { type: 'blob:copied', digest, bytes: size, skipped: false });
}

async function writeOnce(
  source: Fetcher,
  target: Descriptor,
  file: FileHandle,
  offset: number,
  call: CallOptions,
): Promise<void> {
  const verifier = new Verifier(target);
  const writer = new BatchWriter(file, offset);
  const embedded = embeddedContent(target);
  const content = embedded === undefined ? await source.fetch(target, call) : [embedded];
  try {
    for await (const chunk of content as AsyncIterable<Uint8Array>) {
      throwIfAborted(call.signal);
      verifier.update(chunk);
      const full = writer.add(chunk);
      if (full !== undefined) await full;
      const { receivedBytes: copiedBytes } = verifier;
      report(call.onProgress, { type: 'blob:progressed', digest: target.digest, bytes: target.size, copiedBytes });
    }
    verifier.end();
  } finally {
    await writer.end();
  }
}

/** Gathers chunks and writes them together; while one batch is written the next is gathered. */
export class BatchWriter {
  readonly #file: FileHandle;
  #offset: number;
  #batch: Uint8Array[] = [];
  #bytes = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: FileHandle, offset: number) {
    this.#file = file;
    this.#offset = offset;
  }

  /** Takes a chunk, which must not be changed afterwards. @returns what to wait for, where a batch is full */
  add(chunk: Uint8Array): Promise<void> | undefined {
    if (chunk.byteLength === 0) return undefined;
    this.#batch.push(chunk);
    this.#bytes += chunk.byteLength;
    return this.#bytes < BATCH_BYTES ? undefined : this.#flush();
  }

  /** Writes the rest; nothing is under way afterwards. */
  async end(): Promise<void> {
    await this.#flush();
    await this.#writing;
  }

  /** Starts a write when the one before it has ended. */
  async #flush(): Promise<void> {
    await this.#writing;
    const batch = this.#batch;
    const offset = this.#offset;
    this.#batch = [];
    this.#offset += this.#bytes;
    this.#bytes = 0;
    if (batch.length === 0) return;
    this.#writing = writeAll(this.#file, batch, offset);
    // Whoever waits for it next hears of a failure.
    this.#writing.catch(() => {});
  }
}

async function writeAll(file: FileHandle, batch: readonly Uint8Array[], offset: number): Promise<void> {
  let rest = [...batch];
  let at = offset;
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, at);
    at += bytesWritten;
    let done = bytesWritten;
    while (rest[0] !== undefined && done >= rest[0].byteLength) {
      done -= rest[0].byteLength;
      rest = rest.slice(1);
    }
    if (rest[0] !== undefined && done > 0) rest[0] = rest[0].subarray(done);
  }
}
