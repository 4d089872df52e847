/** The manifests in the layout inside a docker-archive: an image's own is found by its config. */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { isMismatch } from '../io/verify.js';
import { report } from '../progress.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { parseManifestOrIndex } from '../spec/image-document.js';
import { isIndexType, isManifestType } from '../spec/media-types.js';
import type { CallOptions, ReadOnlyStorage } from './content.js';
import { readVerified } from './fetch-verified.js';

/** How many documents of the layout inside an archive are read in search of an image's own manifest. */
export const MAX_ARCHIVED_DOCUMENTS = 256;

interface Found {
  readonly descriptor: Descriptor;
  readonly layers: readonly Descriptor[];
  /** Whether all layers are here, once that was asked. */
  whole?: boolean;
}

/** What a layout lists, read as far as it takes, and each document once for all images of the archive. */
export class ArchivedManifests {
  readonly #archive: ReadOnlyStorage;
  readonly #pending: Descriptor[];
  readonly #found = new Map<Digest, Found[]>();
  #read = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** @param roots What the layout's `index.json` lists. */
  constructor(archive: ReadOnlyStorage, roots: readonly Descriptor[]) {
    this.#archive = archive;
    this.#pending = [...roots];
  }

  /** The first manifest with this config all of whose layers are here; `undefined` where there is none. */
  find(config: Digest, options: CallOptions = {}): Promise<Descriptor | undefined> {
    // One after the other: what one search has taken to read, the next must not miss.
    const search = this.#last.then(() => this.#search(config, options));
    this.#last = search.catch(() => {});
    return search;
  }

  async #search(config: Digest, options: CallOptions): Promise<Descriptor | undefined> {
    for (const one of this.#found.get(config) ?? []) if (await this.#isWhole(one)) return one.descriptor;
    while (this.#read < MAX_ARCHIVED_DOCUMENTS) {
      throwIfAborted(options.signal);
      const [entry] = this.#pending;
      if (entry === undefined) return undefined;
      await this.#readNext(entry, options);
      this.#pending.shift();
      this.#read += 1;
      const found = this.#found.get(config)?.at(-1);
      if (found !== undefined && (await this.#isWhole(found))) return found.descriptor;
    }
    return undefined;
  }

  async #readNext(entry: Descriptor, options: CallOptions): Promise<void> {
    if (!isManifestType(entry.mediaType) && !isIndexType(entry.mediaType)) return;
    try {
      const bytes = await readVerified(this.#archive, entry, options);
      const document = parseManifestOrIndex(bytes, { subject: entry.digest, mediaType: entry.mediaType });
      if (document.kind === 'index') {
        // No more than may still be read: what lists of thousands say would not fit into memory.
        const room = Math.max(0, MAX_ARCHIVED_DOCUMENTS - this.#read - this.#pending.length);
        this.#pending.push(...document.value.manifests.slice(0, room));
        return;
      }
      const { config } = document.value;
      // Without what descriptors may say at length: they are kept as long as the archive is open.
      const layers = document.value.layers.map(bareDescriptor);
      const found = { descriptor: bareDescriptor(entry), layers };
      const others = this.#found.get(config.digest);
      if (others === undefined) this.#found.set(config.digest, [found]);
      else others.push(found);
    } catch (error) {
      // A document that is missing or of another kind: platforms that were not saved, attestations.
      throwIfAborted(options.signal);
      if (!(error instanceof RootfsError)) throw error;
      if (isMismatch(error))
        report(options.onProgress, { type: 'warning:raised', message: `${error.message}; passed over` });
    }
  }

  async #isWhole(found: Found): Promise<boolean> {
    found.whole ??= await this.#haveAll(found.layers);
    return found.whole;
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
