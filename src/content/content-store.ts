/**
 * A content store for engines: what `BlobDir` promises, with writers that can be resumed, labels, and walking.
 *
 * It knows blobs, their labels and unfinished writes; it must not know what a blob is for.
 */
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Closable } from '../io/close-after.js';
import { tryLock } from '../io/lock.js';
import { removeTree } from '../io/remove-tree.js';
import { type Digest, isDigest } from '../spec/digest.js';
import { BlobDir, type BlobDirOptions } from './blob-dir.js';
import { absentBlob, isAbsent, lookAt, openRegularFile } from './blob-file.js';
import { checkLabels } from './blob-record.js';
import type { CallOptions } from './content.js';
import { type IngestStatus, ingestPath, readIngest, readIngests } from './ingest-state.js';
import { type IngestOptions, IngestWriter } from './ingest-writer.js';

/** What is known of a blob. Moments are milliseconds since the epoch. */
export interface ContentInfo {
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** Reads a blob at any place. */
export interface ContentReader extends Closable, AsyncDisposable {
  /** Length in bytes. */
  readonly size: number;
  /**
   * Fills `buffer` from `position`; returns how many bytes came, fewer only at the blob's end.
   *
   * @throws RootfsError `ERR_RANGE_INVALID` (a position that is none), `ERR_FILESYSTEM`
   */
  read(buffer: Uint8Array, position: number): Promise<number>;
}

/** A content store in a folder; many processes may use it at once. Nothing is kept open between calls. */
export class ContentStore {
  /** The blobs themselves: a `Fetcher`, a `Pusher`, and all that `BlobDir` is. */
  readonly blobs: BlobDir;

  private constructor(blobs: BlobDir) {
    this.blobs = blobs;
  }

  /** Opens the store in `root`, which must exist. @throws RootfsError as `BlobDir.open` */
  static async open(root: string, options: Omit<BlobDirOptions, 'records'> = {}): Promise<ContentStore> {
    return new ContentStore(await BlobDir.open(root, options));
  }

  /**
   * Starts to write a blob under a name of the caller's, or resumes where the last writer of that name stopped:
   * `status().offset` says where. What nobody touches for seven days is swept.
   *
   * @throws RootfsError `ERR_BUSY` (another writer has it open), `ERR_OPTION_INVALID` (it shall become something
   *   else), `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED`, `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`; the
   *   abort's reason
   */
  ingest(ref: string, options: IngestOptions = {}): Promise<IngestWriter> {
    return IngestWriter.open(this.blobs, ref, options);
  }

  /** How far an ingest is, whoever writes it. @throws RootfsError `ERR_NOT_FOUND` */
  async status(ref: string): Promise<IngestStatus> {
    const path = ingestPath(this.blobs.ingestFolder, ref);
    const status = await guarded(path, () => readIngest(path));
    if (status !== undefined) return status;
    throw new RootfsError('ERR_NOT_FOUND', `${ref}: no such ingest in ${this.blobs.root}`, { detail: { ref } });
  }

  /** The ingests that are not finished, in no promised order. */
  async *listStatuses(
    filter: (status: IngestStatus) => boolean = () => true,
  ): AsyncGenerator<IngestStatus, void, undefined> {
    try {
      for await (const status of readIngests(this.blobs.ingestFolder)) if (filter(status)) yield status;
    } catch (error) {
      throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, this.blobs.ingestFolder);
    }
  }

  /** Removes an ingest that nobody writes; what is not there is success. @throws RootfsError `ERR_BUSY` */
  async abort(ref: string): Promise<void> {
    const path = ingestPath(this.blobs.ingestFolder, ref);
    if ((await guarded(path, () => readIngest(path))) === undefined) return;
    const release = await tryLock(`${path}.lock`);
    if (release === undefined) {
      throw new RootfsError('ERR_BUSY', `${ref}: somebody writes this ingest; abort it there`, { detail: { ref } });
    }
    try {
      await guarded(path, async () => removeTree(path));
    } finally {
      await release();
    }
  }

  /** Opens a blob for reading at any place; the caller closes it. @throws RootfsError `ERR_NOT_FOUND` */
  async readerAt(digest: Digest): Promise<ContentReader> {
    const path = this.blobs.path(digest);
    const opened = await openRegularFile(path);
    if (opened === undefined) throw absentBlob(digest, this.blobs.root);
    const { file, stat } = opened;
    let closed: Promise<void> | undefined;
    const close = (): Promise<void> => {
      closed ??= file.close();
      return closed;
    };
    return {
      size: stat.size,
      async read(buffer, position) {
        // The system takes -1 for the place where it stands, and others for 0.
        if (!Number.isSafeInteger(position) || position < 0) {
          throw new RootfsError(
            'ERR_RANGE_INVALID',
            `${digest}: ${position} is not a position; expected a whole number of bytes, 0 or more`,
            { detail: { digest, position: String(position), size: stat.size } },
          );
        }
        let done = 0;
        while (done < buffer.byteLength) {
          const from = done;
          const { bytesRead } = await guarded(path, () =>
            file.read(buffer, from, buffer.byteLength - from, position + from),
          );
          if (bytesRead === 0) break;
          done += bytesRead;
        }
        return done;
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  }

  /** What is known of a blob. Its bytes are judged as `BlobDir.find` judges them. @throws RootfsError `ERR_NOT_FOUND` */
  async info(digest: Digest, options: CallOptions = {}): Promise<ContentInfo> {
    throwIfAborted(options.signal);
    if ((await this.blobs.find(digest, options)) === undefined) throw absentBlob(digest, this.blobs.root);
    const info = await this.#known(digest);
    if (info === undefined) throw absentBlob(digest, this.blobs.root);
    return info;
  }

  /**
   * Changes labels, and nothing else.
   *
   * @param info The digest, and the labels as they shall be.
   * @param fieldpaths `labels` for all of them, `labels.KEY` for one (removed where `info` does not have it); all when
   *   absent.
   * @returns what is known afterwards
   * @throws RootfsError `ERR_NOT_FOUND`, `ERR_OPTION_INVALID` for any other field, or labels that are no texts,
   *   `ERR_PERMISSION`, `ERR_NO_SPACE`
   */
  async update(
    info: Pick<ContentInfo, 'digest' | 'labels'>,
    fieldpaths: readonly string[] = ['labels'],
  ): Promise<ContentInfo> {
    for (const path of fieldpaths) {
      if (path === 'labels' || /^labels\../.test(path)) continue;
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `fieldpaths: ${JSON.stringify(path)} cannot be changed; labels and labels.KEY can`,
        { detail: { digest: info.digest, fieldpath: path } },
      );
    }
    checkLabels(info.labels);
    await this.info(info.digest);
    await this.blobs.editRecord(info.digest, (record) => {
      let labels = new Map(Object.entries(record.labels));
      for (const path of fieldpaths) {
        const key = path.slice('labels.'.length);
        const value = Object.hasOwn(info.labels, key) ? info.labels[key] : undefined;
        if (path === 'labels') labels = new Map(Object.entries(info.labels));
        else if (value === undefined) labels.delete(key);
        else labels.set(key, value);
      }
      return { ...record, labels: Object.fromEntries(labels), updatedAt: Date.now() };
    });
    return this.info(info.digest);
  }

  /** Yields what is known of each blob, sorted by digest. Bytes are not looked at: `info` does that. */
  async *walk(
    filter: (info: ContentInfo) => boolean = () => true,
    options: CallOptions = {},
  ): AsyncGenerator<ContentInfo, void, undefined> {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const digest = (encoded: string): Digest => `${algorithm}:${encoded}`;
      const folder = dirname(this.blobs.path(digest('0'.repeat(algorithm === 'sha256' ? 64 : 128))));
      const names = await readdir(folder).catch((error: unknown) => {
        if (isAbsent(error)) return [];
        throw wrapSystemError(error, folder);
      });
      for (const name of names.sort()) {
        throwIfAborted(options.signal);
        const info = isDigest(digest(name)) ? await this.#known(digest(name)) : undefined;
        if (info !== undefined && filter(info)) yield info;
      }
    }
  }

  /** Removes a blob and its labels; what is not there is success. */
  delete(digest: Digest): Promise<void> {
    return this.blobs.delete(digest);
  }

  /** Removes what nobody will finish; see `BlobDir.sweep`. */
  sweep(): Promise<readonly string[]> {
    return this.blobs.sweep();
  }

  async #known(digest: Digest): Promise<ContentInfo | undefined> {
    const path = this.blobs.path(digest);
    const found = lookAt(path);
    if (found?.isFile() !== true) return undefined;
    const record = await this.blobs.record(digest);
    return {
      digest,
      size: found.size,
      createdAt: record?.createdAt ?? Math.floor(found.mtimeMs),
      updatedAt: record?.updatedAt ?? Math.floor(found.mtimeMs),
      labels: record?.labels ?? {},
    };
  }
}

async function guarded<T>(subject: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw wrapSystemError(error, subject);
  }
}
