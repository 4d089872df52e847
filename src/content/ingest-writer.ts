/** Writes one blob over as many processes as it takes: bytes are kept under a name of the caller's until they are whole. */
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { checkByteLimit } from '../io/limit.js';
import { type ReleaseLock, tryLock } from '../io/lock.js';
import { partError } from '../io/part-error.js';
import { removeTree } from '../io/remove-tree.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import type { BlobDir } from './blob-dir.js';
import { makeFolder } from './blob-file.js';
import { checkLabels } from './blob-record.js';
import { type ExpectedBlob, INGEST_DATA, type IngestStatus, ingestPath, startIngest } from './ingest-state.js';

/** Options of `ContentStore.ingest`. */
export interface IngestOptions {
  /** What the bytes shall become. Without it, `commit` says (a sha256); without that, they are named by their sha256. */
  readonly expected?: ExpectedBlob | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Options of `IngestWriter.commit`. */
export interface CommitOptions {
  readonly expected?: ExpectedBlob | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * An open ingest. It is held by one writer at a time; `close` leaves its bytes for the next one, in this process or
 * another. Calls run one after the other.
 */
export class IngestWriter implements AsyncDisposable {
  readonly #blobs: BlobDir;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #release: ReleaseLock;
  readonly #hash: Hash;
  readonly #algorithm: string;
  #status: IngestStatus;
  #open = true;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    blobs: BlobDir,
    path: string,
    held: { readonly file: FileHandle; readonly release: ReleaseLock },
    read: { readonly hash: Hash; readonly algorithm: string; readonly status: IngestStatus },
  ) {
    this.#blobs = blobs;
    this.#path = path;
    this.#file = held.file;
    this.#release = held.release;
    this.#hash = read.hash;
    this.#algorithm = read.algorithm;
    this.#status = read.status;
  }

  /** Starts or resumes an ingest; see `ContentStore.ingest`. What is there already is read once, to be hashed. */
  static async open(blobs: BlobDir, ref: string, options: IngestOptions = {}): Promise<IngestWriter> {
    const path = ingestPath(blobs.ingestFolder, ref);
    checkExpected(options.expected);
    const algorithm = options.expected && requireVerifiable(options.expected.digest).algorithm;
    let release: ReleaseLock | undefined;
    let file: FileHandle | undefined;
    try {
      await makeFolder(blobs.ingestFolder, false);
      release = await tryLock(`${path}.lock`);
      if (release === undefined) {
        throw new RootfsError('ERR_BUSY', `${ref}: somebody else writes this ingest; wait, or use another ref`, {
          detail: { ref },
        });
      }
      const status = await startIngest(path, ref, options.expected);
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
      file = await open(join(path, INGEST_DATA), flags, 0o600);
      const used = algorithm ?? (status.expected ? requireVerifiable(status.expected.digest).algorithm : 'sha256');
      const hash = createHash(used);
      const offset = await hashSoFar(file, hash, options.signal);
      return new IngestWriter(blobs, path, { file, release }, { hash, algorithm: used, status: { ...status, offset } });
    } catch (error) {
      await file?.close().catch(() => {});
      await release?.();
      throwIfAborted(options.signal);
      throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, path);
    }
  }

  /** How far it is. */
  status(): IngestStatus {
    return this.#status;
  }

  /**
   * Appends bytes.
   *
   * @throws RootfsError `ERR_OPTION_INVALID` (text, or anything else that is no bytes), `ERR_SIZE_MISMATCH` (more than expected; nothing of this chunk is written), `ERR_NO_SPACE`,
   *   `ERR_FILESYSTEM`, `ERR_INTERNAL` (the writer is closed)
   */
  write(chunk: Uint8Array): Promise<void> {
    return this.#next(async () => {
      // Text has no length in bytes: it would be taken for nothing, and lost.
      if (!(chunk instanceof Uint8Array))
        throw partError('chunk', 'bytes', chunk, 'give a Buffer or another Uint8Array');
      const { ref, offset, expected } = this.#status;
      if (expected?.size !== undefined && offset + chunk.byteLength > expected.size) {
        throw sizeError(ref, expected.size, `more than that was written`, offset + chunk.byteLength);
      }
      let done = 0;
      try {
        while (done < chunk.byteLength) {
          const { bytesWritten } = await this.#file.write(chunk, done, chunk.byteLength - done, offset + done);
          this.#hash.update(chunk.subarray(done, done + bytesWritten));
          done += bytesWritten;
        }
      } catch (error) {
        throw wrapSystemError(error, this.#path);
      } finally {
        this.#status = { ...this.#status, offset: offset + done, updatedAt: Date.now() };
      }
    });
  }

  /**
   * Makes a blob of the bytes, as `BlobDir.commitFile` does, and ends the ingest. A blob that is there already is
   * success.
   *
   * @returns the blob's digest
   * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`: the bytes are wrong, and removed; `ERR_OPTION_INVALID`
   *   (labels that are no texts; a digest of another algorithm than it was opened for: sha256, unless something else was
   *   expected then),
   *   `ERR_INTERNAL` (the writer is closed); and as `commitFile`
   */
  commit(options: CommitOptions = {}): Promise<Digest> {
    return this.#next(async () => {
      const { ref, offset, expected: before } = this.#status;
      checkExpected(options.expected);
      if (options.labels !== undefined) checkLabels(options.labels);
      const expected = options.expected ?? before;
      if (expected !== undefined && requireVerifiable(expected.digest).algorithm !== this.#algorithm) {
        throw new RootfsError('ERR_OPTION_INVALID', `${ref}: ${expected.digest} was not expected when it was opened`);
      }
      const digest: Digest = `${this.#algorithm}:${this.#hash.digest('hex')}`;
      try {
        if (expected !== undefined && expected.digest !== digest) {
          throw new RootfsError(
            'ERR_DIGEST_MISMATCH',
            `${ref}: the bytes are not what was promised: expected ${expected.digest}, found ${digest}; write it again`,
            { detail: { ref, expected: expected.digest, found: digest, receivedBytes: offset } },
          );
        }
        if (expected?.size !== undefined && expected.size !== offset) {
          throw sizeError(ref, expected.size, `${offset} were written`, offset);
        }
        await this.#blobs.commitFile(join(this.#path, INGEST_DATA), digest, offset, { labels: options.labels });
      } finally {
        await this.#end(true);
      }
      return digest;
    });
  }

  /** Gives the ingest up: its bytes are removed. */
  async abort(): Promise<void> {
    await this.#last.catch(() => {});
    await this.#end(true);
  }

  /** Lets go of the ingest; its bytes stay, to be resumed by its ref. After `commit` or `abort` it does nothing. */
  async close(): Promise<void> {
    await this.#last.catch(() => {});
    await this.#end(false);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last
      .catch(() => {})
      .then(() => {
        if (this.#open) return work();
        throw new RootfsError('ERR_INTERNAL', `${this.#status.ref}: this writer is closed; open the ingest again`);
      });
    this.#last = result;
    return result;
  }

  async #end(remove: boolean): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    try {
      await this.#file.close();
      if (remove) removeTree(this.#path);
    } catch (error) {
      throw wrapSystemError(error, this.#path);
    } finally {
      await this.#release();
    }
  }
}

async function hashSoFar(file: FileHandle, hash: Hash, signal: AbortSignal | undefined): Promise<number> {
  const buffer = Buffer.allocUnsafe(1024 * 1024);
  for (let offset = 0; ; ) {
    throwIfAborted(signal);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) return offset;
    hash.update(buffer.subarray(0, bytesRead));
    offset += bytesRead;
  }
}

function checkExpected(expected: ExpectedBlob | undefined): void {
  if (expected?.size !== undefined) checkByteLimit('expected.size', expected.size);
}

function sizeError(ref: string, size: number, what: string, received: number): RootfsError {
  return new RootfsError('ERR_SIZE_MISMATCH', `${ref}: ${size} bytes were expected, ${what}; write it again`, {
    detail: { ref, expectedBytes: size, receivedBytes: received },
  });
}
