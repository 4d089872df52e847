/** What local forms have in common: each blob is a piece of a regular file, or bytes that were made when it was opened. */
import type { Readable } from 'node:stream';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import { absentBlob, lookAt, readableBytes, resolveRange } from './blob-file.js';
import type { BlobLocation, BlobPath, CallOptions, FetchOptions, ReadOnlyStorage } from './content.js';
import { LinkedBlobs } from './linked-blobs.js';
import { HeldBlob, openBlob } from './open-blob.js';

/**
 * Asks for content that is not here where its descriptor's `urls` say it is.
 *
 * @param absent What is thrown where none of them can be asked.
 */
export type AskUrls = (target: Descriptor, absent: RootfsError, options: FetchOptions) => Promise<Readable>;

/** Where the bytes of a digest are: a piece of a file, a symbolic link to one that is nothing else, or memory. */
export type Located = BlobLocation | { readonly link: string } | Buffer;

/** What is wrong with a link that leads to no blob. */
const WRONG_LINK: ReadonlySet<string> = new Set([
  'ERR_NOT_FOUND',
  'ERR_LAYOUT_INVALID',
  'ERR_ARCHIVE_INVALID',
  'ERR_DIGEST_MISMATCH',
]);

/** A store whose blobs lie in local files. A form says where each blob lies; reading is done here. */
export abstract class LocalSource implements ReadOnlyStorage, BlobPath {
  /** What errors name: the file or folder that was opened. */
  abstract readonly place: string;
  /** Brings what is not here and has `urls` (layers that must not be handed on); without it, it is not found. */
  askUrls: AskUrls | undefined;
  readonly #links = new LinkedBlobs();

  /** Where a blob lies; `undefined` where this source does not have it. A file need not be checked here. */
  protected abstract locate(digest: Digest): Promise<Located | undefined>;

  /** What is thrown for a blob that is not here. */
  protected async absent(target: Descriptor, _options: CallOptions): Promise<RootfsError> {
    return absentBlob(target.digest, this.place);
  }

  /** Opens the raw bytes of a blob; see `Fetcher`. They are not verified. */
  async fetch(target: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    requireVerifiable(target.digest);
    const range = resolveRange(options.range, target);
    throwIfAborted(options.signal);
    const located = await this.#find(target, options);
    if (Buffer.isBuffer(located)) {
      const bytes = located.subarray(range?.start ?? 0, range?.end ?? target.size + 1);
      // Whoever gets bytes may change them; these are kept.
      return new HeldBlob(Buffer.from(bytes), options.signal);
    }
    return (located && openBlob(located, target, options)) ?? this.#elsewhere(target, options);
  }

  /** Whether the blob is here. A link is one only where it leads to the right bytes. */
  async exists(target: Descriptor, options: CallOptions = {}): Promise<boolean> {
    requireVerifiable(target.digest);
    throwIfAborted(options.signal);
    const located = await this.#find(target, options).catch((error: unknown) => {
      throwIfAborted(options.signal);
      if (error instanceof RootfsError && WRONG_LINK.has(error.code)) return undefined;
      throw error;
    });
    if (located === undefined || Buffer.isBuffer(located)) return located !== undefined;
    return lookAt(located.path)?.isFile() === true;
  }

  /** Where the blob lies in a regular file; see `BlobPath`. */
  async blobPath(target: Descriptor, options: CallOptions = {}): Promise<BlobLocation | undefined> {
    requireVerifiable(target.digest);
    throwIfAborted(options.signal);
    const located = await this.#find(target, options);
    if (located === undefined || Buffer.isBuffer(located)) return undefined;
    const bytes = readableBytes(located.path);
    if (bytes === undefined) return undefined;
    const size = Math.max(0, Math.min(located.size, bytes - located.offset));
    return { path: located.path, offset: located.offset, size };
  }

  async #find(target: Descriptor, { signal }: CallOptions): Promise<BlobLocation | Buffer | undefined> {
    const located = await this.locate(target.digest);
    if (located === undefined || !('link' in located)) return located;
    return { path: await this.#links.follow(located.link, target, signal), offset: 0, size: target.size };
  }

  async #elsewhere(target: Descriptor, options: FetchOptions): Promise<Readable> {
    const absent = await this.absent(target, options);
    if (this.askUrls === undefined || (target.urls ?? []).length === 0) throw absent;
    return this.askUrls(target, absent, options);
  }
}
