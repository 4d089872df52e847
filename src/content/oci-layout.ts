/**
 * An OCI image layout: a folder with `oci-layout`, `index.json` and `blobs/`, as a store with names.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 */
import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { withLock } from '../io/lock.js';
import { makeFolders } from '../io/make-folders.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import { type ImageLayout, parseImageLayout } from '../spec/image-layout.js';
import { BlobDir } from './blob-dir.js';
import { absentBlob, lookAt, requireFolder } from './blob-file.js';
import { BlobPlaces } from './blob-places.js';
import type {
  CallOptions,
  Deleter,
  EntryLister,
  HeldEntry,
  KeptName,
  NameKeeper,
  Referrers,
  TagLister,
  Target,
  Untagger,
} from './content.js';
import { INDEX_FILE, isNoLayout, LAYOUT_FILE, layoutLock, makeEmptyLayout } from './empty-layout.js';
import { checkEntryName } from './entry-name.js';
import { readVerified } from './fetch-verified.js';
import { adviceFor, readLayoutDocument } from './layout-document.js';
import { LayoutIndex, type ReadDocument } from './layout-index.js';
import { layoutReferrers } from './layout-referrers.js';
import { refuseLink } from './linked-blobs.js';
import { LocalSource, type Located } from './local-source.js';
import { nameEntry } from './name-entry.js';
import { type Removal, removeImages, removeNamed } from './remove-image.js';
import { replaceDocument } from './replace-document.js';
import { requireReference } from './require-reference.js';

/** Options of `OciLayout.open`. */
export interface OciLayoutOptions {
  /** Makes the folder and an empty layout in it where there is none. Default false. */
  readonly create?: boolean | undefined;
  /** Whether each blob and each change of a name is brought to disk; see `BlobDirOptions.fsync`. */
  readonly fsync?: 'layer' | 'none' | undefined;
}

/**
 * An OCI image layout on disk. Blobs come in as `BlobDir` promises; `index.json` is replaced as a whole, under a lock
 * that other programs do not know. Links are followed where something is read; nothing is written through a folder that
 * is one. Nothing is kept open between calls.
 */
export class OciLayout
  extends LocalSource
  implements Target, TagLister, EntryLister, NameKeeper, Referrers, Deleter, Untagger
{
  override readonly place: string;
  readonly #blobs: BlobDir;
  readonly #places: BlobPlaces;
  readonly #sync: boolean;
  readonly #creates: boolean;
  readonly #made = new Map<Digest, Buffer>();
  /** The last reading of `index.json`: the same bytes are not parsed again. */
  #last: LayoutIndex | undefined;
  /** Works that go on: see `#tidy`. */
  #working = 0;
  readonly #readDocument: ReadDocument = (target, call) => readVerified(this, target, call);

  private constructor(blobs: BlobDir, options: OciLayoutOptions) {
    super();
    this.place = blobs.root;
    this.#blobs = blobs;
    this.#places = new BlobPlaces(blobs.root, 'blobs');
    this.#sync = options.fsync !== 'none';
    this.#creates = options.create === true;
  }

  /**
   * Opens the layout in a folder.
   *
   * @throws RootfsError `ERR_NOT_FOUND` (no folder), `ERR_LAYOUT_INVALID` (no layout, another version), `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`
   */
  static async open(folder: string, options: OciLayoutOptions = {}): Promise<OciLayout> {
    const root = absolutePath(folder, 'folder');
    if (options.create === true) {
      try {
        makeFolders(root);
      } catch (error) {
        if (systemErrorCode(error) !== 'EEXIST') {
          throw wrapSystemError(error, root, 'give a folder that can be written');
        }
      }
    }
    requireFolder(root, options.create === true ? undefined : `give a folder, or try oci-archive:${folder}`);
    const blobs = await BlobDir.open(root, { blobs: 'blobs', fsync: options.fsync, records: false });
    const layout = new OciLayout(blobs, options);
    const parse = (bytes: Buffer): ImageLayout => parseImageLayout(bytes, { subject: root });
    if ((await readLayoutDocument(join(root, LAYOUT_FILE), parse)) !== undefined) return layout;
    if (options.create === true) await layout.#create();
    else {
      throw new RootfsError(
        'ERR_LAYOUT_INVALID',
        `${root}: not an OCI layout, ${LAYOUT_FILE} is missing; ${await adviceFor(root, folder)}`,
        { detail: { path: root } },
      );
    }
    return layout;
  }

  /**
   * Finds an image: by a tag (`org.opencontainers.image.ref.name` first, then containerd's full name), by a digest with
   * or without `@` (also of a manifest that only a nested index lists), by both (`v1@sha256:…`, where the digest decides
   * unless an entry is called so), by `@0`, `@1`… for an entry by its place, or by nothing: then the layout must hold
   * one image. Several entries of one image for different platforms are one index; attestations and artifacts that lie
   * beside an image make it no less the only one.
   *
   * @throws RootfsError `ERR_NOT_FOUND`, `ERR_REFERENCE_INVALID` (several images fit; the message lists them),
   *   `ERR_LAYOUT_INVALID`, `ERR_MANIFEST_INVALID`
   */
  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    throwIfAborted(options.signal);
    requireReference(reference, this.place);
    const index = await this.#readIndex();
    const { descriptor, bytes } = await index.resolve(reference, this.#readDocument, options);
    if (bytes !== undefined) this.#made.set(descriptor.digest, bytes);
    return descriptor;
  }

  /** Stores a blob; see `Pusher` and `BlobDir.push`. */
  async push(expected: Descriptor, content: AsyncIterable<Uint8Array>, options: CallOptions = {}): Promise<void> {
    await this.#tidy(() => this.#blobs.push(expected, content, options));
  }

  /**
   * Names content that is here; see `Tagger`. An empty reference or a digest gives an entry without a name, so that
   * the content can be found by its digest.
   *
   * @throws RootfsError `ERR_NOT_FOUND`, `ERR_REFERENCE_INVALID` (a name that the specification's grammar refuses, or
   *   `@0`, `@1`…)
   */
  async tag(target: Descriptor, reference: string, options: CallOptions = {}): Promise<void> {
    requireReference(reference, this.place);
    const name = reference === '' || reference.replace(/^@/, '') === target.digest ? undefined : reference;
    if (name !== undefined) checkEntryName(name);
    const made = this.#made.get(target.digest);
    // An index that is made of several entries is none of the blobs: a name of its own needs one.
    if (made !== undefined) await this.push({ ...target, size: made.length }, Readable.from([made]), options);
    await this.#change(async (index, replace) => {
      if (!(await this.exists(target, options))) throw absentBlob(target.digest, this.place);
      await replace(nameEntry(index.value.manifests, target, name));
    }, options);
  }

  /** The names of the entries, each once, in their order. */
  async *tags(options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    throwIfAborted(options.signal);
    yield* (await this.#readIndex()).names();
  }

  /** The full name of an image; see `NameKeeper`. */
  async keptName(reference: string, options: CallOptions = {}): Promise<KeptName | undefined> {
    throwIfAborted(options.signal);
    return (await this.#readIndex()).keptName(reference);
  }

  /** All entries, in their order. */
  async *entries(options: CallOptions = {}): AsyncGenerator<HeldEntry, void, undefined> {
    throwIfAborted(options.signal);
    yield* (await this.#readIndex()).entries();
  }

  /**
   * The manifests here that name `target` as their subject, each once; those of `artifactType` alone where one is given.
   * What `index.json` and the indexes below it list is read, 10,000 documents at most; one that cannot be read is left
   * out with a warning.
   *
   * @throws RootfsError `ERR_LIMIT_EXCEEDED`, `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, as `readVerified`; or the
   *   signal's own reason
   */
  referrers(target: Descriptor, artifactType?: string, options: CallOptions = {}): AsyncIterableIterator<Descriptor> {
    return layoutReferrers(() => this.#readIndex(), this, target, artifactType, options);
  }

  /**
   * Removes a blob and the entries that point at it; see `Deleter`. What it refers to stays, and so does a manifest with
   * an entry of its own that an index here lists as well: without it that index would be broken. An index that is made
   * of several entries goes with these.
   */
  async delete(target: Descriptor | Digest, options: CallOptions = {}): Promise<void> {
    await this.deleteAll([typeof target === 'string' ? target : target.digest], options);
  }

  /** Removes several, as `delete` does each; `index.json` is written once. */
  async deleteAll(digests: readonly Digest[], options: CallOptions = {}): Promise<void> {
    for (const digest of digests) requireVerifiable(digest);
    const made = digests.flatMap((digest) => this.#made.get(digest) ?? []);
    await this.#remove(({ value }) => removeImages(value.manifests, new Set(digests), made), digests, options);
  }

  /**
   * Takes a name away, or an entry by its place (`@0`). The manifest goes with the last entry that needs it; what it
   * refers to stays.
   */
  async untag(reference: string, options: CallOptions = {}): Promise<void> {
    requireReference(reference, this.place);
    await this.#remove((index) => removeNamed(index, reference), [], options);
  }

  protected override async locate(digest: Digest): Promise<Located | undefined> {
    const made = this.#made.get(digest);
    if (made !== undefined) return made;
    const path = this.#blobs.path(digest);
    const found = lookAt(path);
    if (found?.isSymbolicLink() === true) return { link: path };
    return found === undefined ? undefined : { path, offset: 0, size: found.size };
  }

  async #remove(pick: (index: LayoutIndex) => Removal, also: readonly Digest[], options: CallOptions): Promise<void> {
    await this.#change(async (index, replace) => {
      const { left, gone } = pick(index);
      const changed = gone.length === 0 ? index : await replace(left);
      const listed = await changed.listed(new Set(gone), this.#readDocument, options);
      for (const digest of new Set([...also, ...gone])) if (!listed.has(digest)) await this.#blobs.delete(digest);
    }, options);
  }

  async #readIndex(): Promise<LayoutIndex> {
    const path = join(this.place, INDEX_FILE);
    const index = await readLayoutDocument(path, (bytes) => {
      if (this.#last?.isOf(bytes) !== true) this.#last = new LayoutIndex(bytes, this.place);
      return this.#last;
    });
    if (index !== undefined) return index;
    throw new RootfsError('ERR_LAYOUT_INVALID', `${this.place}: index.json is missing; copy the image there again`, {
      detail: { path },
    });
  }

  async #create(): Promise<void> {
    await this.#locked(() => makeEmptyLayout(this.#places, this.#sync), {});
  }

  /** Changes the entries while nobody else does. Blobs that go with them go meanwhile: else somebody could name one. */
  async #change(
    change: (index: LayoutIndex, replace: (entries: readonly Descriptor[]) => Promise<LayoutIndex>) => Promise<unknown>,
    options: CallOptions,
  ): Promise<void> {
    await this.#locked(async () => {
      // A copy that failed has taken away the layout that it had made, while this one brought what is named now.
      if (this.#creates && isNoLayout(this.place)) await makeEmptyLayout(this.#places, this.#sync);
      const index = await this.#readIndex();
      await change(index, async (entries) => {
        const changed = index.withEntries(entries);
        await replaceDocument(join(this.place, INDEX_FILE), changed.bytes, this.#places, this.#sync);
        this.#last = changed;
        return changed;
      });
    }, options);
  }

  async #locked(work: () => Promise<void>, options: CallOptions): Promise<void> {
    await this.#tidy(() => withLock(layoutLock(this.place), work, options));
  }

  /**
   * Other programs read this folder: neither an empty `ingest/` nor what a dead process left in it stays. It is looked
   * at when the last of the works that go on here ends.
   */
  async #tidy<T>(work: () => Promise<T>): Promise<T> {
    for (const name of ['ingest', 'blobs', 'blobs/sha256', 'blobs/sha512']) refuseLink(join(this.place, name));
    this.#working += 1;
    try {
      return await work();
    } finally {
      this.#working -= 1;
      if (this.#working === 0) await this.sweep();
    }
  }

  /** Removes what dead processes left in `ingest/`, and the folder where it is empty. Never fails. */
  async sweep(): Promise<void> {
    await rmdir(this.#blobs.ingestFolder).catch(async () => {
      await this.#blobs.sweep().catch(() => []);
      await rmdir(this.#blobs.ingestFolder).catch(() => {});
    });
  }
}
