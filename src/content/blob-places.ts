/** The names inside a folder of blobs: where blobs, records, temporaries, partials and locks lie. It opens nothing. */
import { randomBytes } from 'node:crypto';
import { openSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { makeFolders } from '../io/make-folders.js';
import { processMark } from '../io/process-mark.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';

/** What to do about a folder that cannot be written. */
export const NOT_WRITABLE = 'give a folder that can be written';

/** The names under one root. A digest is checked before it becomes part of a path. */
export class BlobPlaces {
  /** Absolute path of the root. */
  readonly root: string;
  readonly #blobs: string;

  /** @param blobs The folder under the root that holds the algorithm folders, `''` for the root itself. */
  constructor(root: string, blobs: string) {
    this.root = root;
    this.#blobs = join(root, blobs);
  }

  /** The folder of temporaries, partials and locks. */
  get ingestFolder(): string {
    return join(this.root, 'ingest');
  }

  /** The folder of records. */
  get recordsFolder(): string {
    return join(this.root, 'meta');
  }

  /** The folder that holds the algorithm folders. */
  get blobsFolder(): string {
    return this.#blobs;
  }

  /** A blob's name. @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED` */
  blob(digest: Digest): string {
    const { algorithm, encoded } = requireVerifiable(digest);
    return join(this.#blobs, algorithm, encoded);
  }

  /** The name of a blob's record. */
  record(digest: Digest): string {
    const { algorithm, encoded } = requireVerifiable(digest);
    return join(this.recordsFolder, algorithm, `${encoded}.json`);
  }

  /** `ingest/<algorithm>-<encoded>.<ending>` */
  ingest(digest: Digest, ending: 'partial' | 'lock' | 'commit.lock'): string {
    const { algorithm, encoded } = requireVerifiable(digest);
    return join(this.ingestFolder, `${algorithm}-${encoded}.${ending}`);
  }

  /**
   * Makes the folder that holds the algorithm folders. The specification wants one in an empty layout too, and umoci
   * refuses a layout without it.
   *
   * @throws RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`
   */
  makeBlobsFolder(): void {
    make(this.blobsFolder);
  }

  /** A free name in `ingest/` that tells which process took it; the folder is made. See `BlobDir.temporaryPath`. */
  temporary(): string {
    make(this.ingestFolder);
    return join(this.ingestFolder, `tmp-${processMark()}-${randomBytes(8).toString('hex')}`);
  }

  /** A new empty file under a name of `temporary`, open for writing; whoever got it closes and removes it. */
  async createTemporary(): Promise<{ readonly path: string; readonly file: FileHandle }> {
    for (let attempt = 0; ; attempt++) {
      const path = this.temporary();
      try {
        return { path, file: await open(path, 'wx', 0o600) };
      } catch (error) {
        this.#retryOrThrow(error, attempt);
      }
    }
  }

  /** As `createTemporary`, at once: the file is a descriptor. */
  openTemporary(): { readonly path: string; readonly fd: number } {
    for (let attempt = 0; ; attempt++) {
      const path = this.temporary();
      try {
        return { path, fd: openSync(path, 'wx', 0o600) };
      } catch (error) {
        this.#retryOrThrow(error, attempt);
      }
    }
  }

  /** An empty `ingest/` of a layout may be removed by another process between making it and using it. */
  #retryOrThrow(error: unknown, attempt: number): void {
    if (systemErrorCode(error) !== 'ENOENT' || attempt >= 10) throw wrapSystemError(error, this.root, NOT_WRITABLE);
  }
}

function make(folder: string): void {
  try {
    makeFolders(folder);
  } catch (error) {
    throw wrapSystemError(error, folder, NOT_WRITABLE);
  }
}
