/**
 * A folder of blobs, each named by its own digest: `<root>/<blobs>/<algorithm>/<encoded>`.
 *
 * The one place of atomicity: a name appears only after its bytes were verified, written and (unless told otherwise)
 * brought to disk. It knows digests and files. It does not know images, layers, registries or who writes into it;
 * many processes may do so at once.
 */
import { unlinkSync, utimesSync } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { closeAfter } from '../io/close-after.js';
import { discard, discardOnError } from '../io/discard.js';
import { Verifier } from '../io/verify.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { absentBlob, isAbsent, lookAt, makeFolder, readableBytes, requireFolder } from './blob-file.js';
import { BlobPlaces, NOT_WRITABLE } from './blob-places.js';
import type { BlobFacts, BlobRecord } from './blob-record.js';
import { BlobTrust, type FindOptions } from './blob-trust.js';
import type { BlobLocation, BlobPath, CallOptions, Deleter, FetchOptions, Pusher, ReadOnlyStorage } from './content.js';
import { syncFolder } from './folder-sync.js';
import { nameBlob, sealFile } from './name-blob.js';
import { openBlob } from './open-blob.js';
import { sweepIngest } from './sweep-ingest.js';
import { writeVerified } from './write-verified.js';

/** Options of `BlobDir.open`. */
export interface BlobDirOptions {
  /** The folder under the root that holds the algorithm folders: `''` for a store (default), `'blobs'` for a layout. */
  readonly blobs?: string | undefined;
  /** Whether each blob is brought to disk before its name appears (`'layer'`, default), or left to the system. */
  readonly fsync?: 'layer' | 'none' | undefined;
  /** Whether `meta/` is kept. Default true; without it each judgement of a present blob hashes it again. */
  readonly records?: boolean | undefined;
}

/** A blob that is here and can be trusted. */
export interface FoundBlob {
  /** Absolute path of a regular file. */
  readonly path: string;
  /** Length in bytes. */
  readonly size: number;
}

/** A folder of blobs. Nothing is kept open between calls, so there is nothing to close. */
export class BlobDir implements ReadOnlyStorage, Pusher, Deleter, BlobPath {
  readonly #places: BlobPlaces;
  readonly #trust: BlobTrust;
  readonly #sync: boolean;

  private constructor(root: string, options: BlobDirOptions) {
    this.#places = new BlobPlaces(root, options.blobs ?? '');
    this.#trust = new BlobTrust(this.#places, options.records !== false);
    this.#sync = options.fsync !== 'none';
  }

  /**
   * Opens the folder `root`, which must exist; what lies under it is made when it is needed.
   *
   * @throws RootfsError `ERR_NOT_FOUND`, `ERR_FILESYSTEM` (not a folder, or under a file), `ERR_PERMISSION`,
   *   `ERR_OPTION_INVALID`
   */
  static async open(root: string, options: BlobDirOptions = {}): Promise<BlobDir> {
    const { blobs = '', fsync = 'layer' } = options;
    if (fsync !== 'layer' && fsync !== 'none') {
      throw new RootfsError('ERR_OPTION_INVALID', `fsync: ${JSON.stringify(fsync)} is unknown; use layer or none`);
    }
    if (blobs !== '' && !/^[a-z]+$/.test(blobs)) {
      throw new RootfsError('ERR_OPTION_INVALID', `blobs: ${JSON.stringify(blobs)} is no folder name; use '' or blobs`);
    }
    const path = absolutePath(root, 'root');
    requireFolder(path);
    return new BlobDir(path, options);
  }

  /** Absolute path of the root. */
  get root(): string {
    return this.#places.root;
  }

  /** Where the blob lies once it is here. @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED` */
  path(digest: Digest): string {
    return this.#places.blob(digest);
  }

  /** The folder of temporaries, partials and locks. Made by `temporaryPath` and `prepare`. */
  get ingestFolder(): string {
    return this.#places.ingestFolder;
  }

  /** Where the bytes of a broken transfer wait to be continued. It belongs to whoever holds `lockPath`. */
  partialPath(digest: Digest): string {
    return this.#places.ingest(digest, 'partial');
  }

  /** The lock of a transfer. */
  lockPath(digest: Digest): string {
    return this.#places.ingest(digest, 'lock');
  }

  /**
   * A free name in `ingest/` that nobody else gets. It tells which process took it, so that `sweep` recognises it
   * after that process died. The folder is made; the file is not (open it with `wx`).
   *
   * @throws RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`
   */
  temporaryPath(): string {
    return this.#places.temporary();
  }

  /** Proves that writing works, to fail before the first byte is fetched. @throws as `temporaryPath` */
  async prepare(): Promise<void> {
    const { path, file } = await this.#places.createTemporary();
    await closeAfter(file, () => unlink(path)).catch((error: unknown) => {
      throw wrapSystemError(error, this.root, NOT_WRITABLE);
    });
  }

  /**
   * Gives a finished temporary its name. The caller vouches for the bytes: it verified them while it wrote. The
   * temporary is gone afterwards, whatever happens.
   *
   * A sound blob under that name is left as it is, which is success; a bad one is replaced.
   *
   * @param size Length in bytes; the temporary must have it.
   * @param record Facts to remember with the blob; added to what is remembered already.
   * @returns the blob's absolute path
   * @throws RootfsError as `path`; `ERR_SIZE_MISMATCH`, `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`
   */
  async commitFile(temporaryPath: string, digest: Digest, size: number, record: BlobFacts = {}): Promise<string> {
    try {
      const path = this.path(digest);
      try {
        const mtimeNs = await sealFile(temporaryPath, size, this.#sync);
        if ((await this.#trust.judge(digest, {})) === undefined) {
          await makeFolder(dirname(path), this.#sync);
          await this.#trust.remember(digest, { size, mtimeNs }, record);
          await nameBlob(temporaryPath, digest, this.#places, this.#trust);
          if (this.#sync) await syncFolder(dirname(path));
        } else {
          await this.note(digest, record);
        }
        return path;
      } catch (error) {
        await this.#forgetAbsent(digest);
        throw wrapSystemError(error, path);
      }
    } finally {
      removeQuietly(temporaryPath);
    }
  }

  /**
   * Finds a blob that can be trusted: a regular file, mode 0444, with the size and the modification time it had when
   * its bytes were last found right. One without a record, or changed since, is hashed again; so is every one under
   * `verify: 'always'`. A bad one is removed, and a `warning:raised` event says so: then it is as if it was never here.
   *
   * @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; the
   *   abort's reason
   */
  async find(digest: Digest, options: FindOptions = {}): Promise<FoundBlob | undefined> {
    const path = this.path(digest);
    throwIfAborted(options.signal);
    try {
      const size = await this.#trust.judge(digest, options);
      return size === undefined ? undefined : { path, size };
    } catch (error) {
      throwIfAborted(options.signal);
      throw wrapSystemError(error, path);
    }
  }

  /** What is remembered of a blob; `undefined` where nothing is. Says nothing about whether the blob is here. */
  async record(digest: Digest): Promise<BlobRecord | undefined> {
    return this.#trust.record(digest);
  }

  /** Adds facts to what is remembered of a blob; without a record, or in a store that cannot be written, it does nothing. */
  note(digest: Digest, facts: BlobFacts): Promise<void> {
    return this.#trust.note(digest, facts);
  }

  /** Notes that a blob is used now. Without a record, or in a store that cannot be written, it does nothing. */
  async markUsed(digest: Digest): Promise<void> {
    const now = new Date();
    try {
      utimesSync(this.#places.record(digest), now, now);
    } catch {
      // a thing to know, not to rely on
    }
  }

  /** When a blob was last used or noted, in whole milliseconds since the epoch; `undefined` where nothing is remembered. */
  async lastUsed(digest: Digest): Promise<number | undefined> {
    const found = await lstat(this.#places.record(digest)).catch(() => undefined);
    return found && Math.floor(found.mtimeMs);
  }

  /**
   * Changes what is remembered of a blob, one process at a time. `undefined` where nothing is remembered.
   *
   * @throws RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`; what `edit` throws
   */
  editRecord(digest: Digest, edit: (record: BlobRecord) => BlobRecord): Promise<BlobRecord | undefined> {
    return this.#trust.edit(digest, edit);
  }

  /**
   * Removes from `ingest/` what dead processes left, partials older than seven days and partials of blobs that are
   * here. What cannot be removed is left for the next time. @returns the names that were removed
   */
  async sweep(): Promise<readonly string[]> {
    return sweepIngest(this.ingestFolder, {
      isHere: async (digest) => (await lstat(this.path(digest)).catch(() => undefined)) !== undefined,
      records: this.#places.recordsFolder,
    });
  }

  /** Whether a regular file stands under the blob's name. */
  async exists(target: Descriptor, options: CallOptions = {}): Promise<boolean> {
    const path = this.path(target.digest);
    throwIfAborted(options.signal);
    return lookAt(path)?.isFile() === true;
  }

  /** Opens the raw bytes of a blob; see `Fetcher`. They are not verified. */
  async fetch(target: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    const opened = openBlob({ path: this.path(target.digest), offset: 0 }, target, options);
    if (opened === undefined) throw absentBlob(target.digest, this.root);
    return opened;
  }

  /** Where the blob lies; see `BlobPath`. Its bytes are not verified. */
  async blobPath(target: Descriptor, options: CallOptions = {}): Promise<BlobLocation | undefined> {
    const path = this.path(target.digest);
    throwIfAborted(options.signal);
    const size = readableBytes(path);
    return size === undefined ? undefined : { path, offset: 0, size };
  }

  /** Stores content; see `Pusher`. @throws RootfsError also `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM` */
  async push(expected: Descriptor, content: AsyncIterable<Uint8Array>, options: CallOptions = {}): Promise<void> {
    const temporary = await discardOnError(content, async () => {
      new Verifier(expected);
      const present = await this.find(expected.digest, options);
      return present?.size === expected.size ? undefined : this.#places.createTemporary();
    });
    if (temporary === undefined) return discard(content);
    try {
      await closeAfter(temporary.file, () => writeVerified(temporary.file, content, expected, options.signal));
    } catch (error) {
      await unlink(temporary.path).catch(() => {});
      throwIfAborted(options.signal);
      throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, this.path(expected.digest));
    }
    await this.commitFile(temporary.path, expected.digest, expected.size);
  }

  /** Removes a blob and what is remembered of it; see `Deleter`. */
  async delete(target: Descriptor | Digest, options: CallOptions = {}): Promise<void> {
    const digest = typeof target === 'string' ? target : target.digest;
    const path = this.path(digest);
    throwIfAborted(options.signal);
    // The record first: of one that a process left that died in between, prune would never know.
    for (const name of [...(this.#trust.keepsRecords ? [this.#places.record(digest)] : []), path]) {
      await unlink(name).catch((error: unknown) => {
        if (!isAbsent(error)) throw wrapSystemError(error, name);
      });
    }
  }

  /** A record that was written for a name that did not appear speaks of nothing. */
  async #forgetAbsent(digest: Digest): Promise<void> {
    const named = await lstat(this.path(digest)).catch((error: unknown) => (isAbsent(error) ? undefined : error));
    if (named === undefined) await unlink(this.#places.record(digest)).catch(() => {});
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // gone, or swept later
  }
}
