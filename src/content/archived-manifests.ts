/** The manifests in the layout inside a docker-archive: an image's own is found by its config. */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { isMismatch } from '../io/verify.js';
import { warn } from '../progress.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { parseManifestOrIndex } from '../spec/image-document.js';
import { isIndexType, isManifestType } from '../spec/media-types.js';
import type { CallOptions, ReadOnlyStorage } from './content.js';
import { readVerified } from './fetch-verified.js';

/** How many documents of the layout inside an archive are read in search of its images' manifests: one for each image. */
export const MAX_ARCHIVED_DOCUMENTS = 10_000;

/** How many bytes these may have together: 256 MiB. */
export const MAX_ARCHIVED_DOCUMENT_BYTES = 256 * 1024 * 1024;

/** What a layout lists, read as far as it takes, and each document once for all images of the archive. */
export class ArchivedManifests {
  readonly #archive: ReadOnlyStorage;
  /** What is to be read, and how far that has come. */
  readonly #listed: Descriptor[];
  #next = 0;
  /** What was read. */
  readonly #seen = new Set<Digest>();
  #bytes = 0;
  /** By the config: the first manifest all of whose layers are here. */
  readonly #found = new Map<Digest, Descriptor>();
  #last: Promise<unknown> = Promise.resolve();

  /** @param roots What the layout's `index.json` lists. */
  constructor(archive: ReadOnlyStorage, roots: readonly Descriptor[]) {
    this.#archive = archive;
    this.#listed = [...roots];
  }

  /** The first manifest with this config all of whose layers are here; `undefined` where there is none. */
  find(config: Digest, options: CallOptions = {}): Promise<Descriptor | undefined> {
    // One after the other: what one search has taken to read, the next must not miss.
    const search = this.#last.then(() => this.#search(config, options));
    this.#last = search.catch(() => {});
    return search;
  }

  async #search(config: Digest, options: CallOptions): Promise<Descriptor | undefined> {
    for (; !this.#found.has(config) && this.#next < MAX_ARCHIVED_DOCUMENTS; this.#next += 1) {
      throwIfAborted(options.signal);
      const entry = this.#listed[this.#next];
      if (entry === undefined) return undefined;
      const isDocument = isManifestType(entry.mediaType) || isIndexType(entry.mediaType);
      if (!isDocument || this.#seen.has(entry.digest)) continue;
      // One that is longer is refused unread.
      const bytes = Math.min(entry.size, MAX_DOCUMENT_BYTES);
      if (this.#bytes + bytes > MAX_ARCHIVED_DOCUMENT_BYTES) return undefined;
      await this.#read(entry, options);
      this.#seen.add(entry.digest);
      this.#bytes += bytes;
    }
    return this.#found.get(config);
  }

  async #read(entry: Descriptor, options: CallOptions): Promise<void> {
    try {
      const bytes = await readVerified(this.#archive, entry, options);
      const document = parseManifestOrIndex(bytes, { subject: entry.digest, mediaType: entry.mediaType });
      if (document.kind === 'index') {
        // No more than may still be read.
        const room = Math.max(0, MAX_ARCHIVED_DOCUMENTS - this.#listed.length);
        this.#listed.push(...document.value.manifests.slice(0, room));
        return;
      }
      const { config, layers } = document.value;
      if (!this.#found.has(config.digest) && (await this.#haveAll(layers))) {
        this.#found.set(config.digest, bareDescriptor(entry));
      }
    } catch (error) {
      // A document that is missing or of another kind: platforms that were not saved, attestations.
      throwIfAborted(options.signal);
      if (!(error instanceof RootfsError)) throw error;
      if (isMismatch(error)) warn(options.onProgress, `${error.message}; passed over`);
    }
  }

  async #haveAll(layers: readonly Descriptor[]): Promise<boolean> {
    try {
      for (const layer of layers) if (!(await this.#archive.exists(layer))) return false;
      return true;
    } catch (error) {
      // A digest of another algorithm: nobody can say that it is here.
      if (!(error instanceof RootfsError)) throw error;
      return false;
    }
  }
}
