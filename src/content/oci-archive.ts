/** An OCI archive: an OCI image layout inside a tar, read in place. */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { parseImageLayout } from '../spec/image-layout.js';
import { ArchiveEntries } from './archive-entries.js';
import { type ArchiveFile, type ArchiveOptions, openArchiveFile } from './archive-file.js';
import type {
  CallOptions,
  EntryLister,
  HeldEntry,
  KeptName,
  NameKeeper,
  ReadOnlyTarget,
  Referrers,
  TagLister,
} from './content.js';
import { readVerified } from './fetch-verified.js';
import { LayoutIndex, MAX_LAYOUT_INDEX_BYTES } from './layout-index.js';
import { layoutReferrers } from './layout-referrers.js';
import { LocalSource, type Located } from './local-source.js';
import { archivedBlob } from './member.js';
import { isPromised } from './promised-blob.js';
import { requireReference } from './require-reference.js';

/** An OCI archive, open for reading. `close` removes the copy that was made of a compressed or piped one. */
export class OciArchive
  extends LocalSource
  implements ReadOnlyTarget, TagLister, EntryLister, NameKeeper, Referrers, AsyncDisposable
{
  override readonly place: string;
  readonly #archive: ArchiveFile;
  readonly #entries: ArchiveEntries;
  readonly #index: LayoutIndex;
  readonly #made = new Map<Digest, Buffer>();

  private constructor(archive: ArchiveFile, entries: ArchiveEntries, index: LayoutIndex) {
    super();
    this.place = archive.name;
    this.#archive = archive;
    this.#entries = entries;
    this.#index = index;
  }

  /**
   * Opens an archive.
   *
   * @param file A path, or `-` for standard input.
   * @throws RootfsError `ERR_ARCHIVE_INVALID` (no tar, cut, no layout inside), `ERR_LAYOUT_INVALID` (another version),
   *   `ERR_MANIFEST_INVALID` (its index), and as `openArchiveFile`
   */
  static async open(file: string, options: ArchiveOptions = {}): Promise<OciArchive> {
    const archive = await openArchiveFile(file, options);
    try {
      const entries = await ArchiveEntries.read(archive, options.signal);
      return new OciArchive(archive, entries, await readArchivedIndex(archive, entries));
    } catch (error) {
      await archive.close();
      throw error;
    }
  }

  /** Finds an image; see `OciLayout.resolve` for what a reference may be. */
  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    throwIfAborted(options.signal);
    requireReference(reference, this.place);
    const { descriptor, bytes } = await this.#index.resolve(
      reference,
      (nested, nestedOptions) => readVerified(this, nested, nestedOptions),
      options,
    );
    if (bytes !== undefined) this.#made.set(descriptor.digest, bytes);
    return descriptor;
  }

  /** The names of the entries, each once, in their order. */
  async *tags(options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    throwIfAborted(options.signal);
    yield* this.#index.names();
  }

  /** The full name of an image; see `NameKeeper`. */
  async keptName(reference: string, options: CallOptions = {}): Promise<KeptName | undefined> {
    throwIfAborted(options.signal);
    return this.#index.keptName(reference);
  }

  /** All entries, in their order. */
  async *entries(options: CallOptions = {}): AsyncGenerator<HeldEntry, void, undefined> {
    throwIfAborted(options.signal);
    yield* this.#index.entries();
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
    return layoutReferrers(() => this.#index, this, target, artifactType, options);
  }

  /** Removes the copy, where one was made; a second call does nothing. */
  close(): Promise<void> {
    return this.#archive.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected override async locate(digest: Digest): Promise<Located | undefined> {
    return this.#made.get(digest) ?? this.#entries.find(archivedBlob(digest));
  }

  protected override async absent(target: Descriptor, options: CallOptions): Promise<RootfsError> {
    const { digest } = target;
    if (!(await isPromised(digest, this.#index.value.manifests, this, options))) return super.absent(target, options);
    return new RootfsError(
      'ERR_ARCHIVE_INVALID',
      `${this.place}: the archive is incomplete, it names ${digest} and does not hold it; save it again`,
      { detail: { archive: this.place, digest } },
    );
  }
}

/** Reads the index of the layout inside an archive. @throws RootfsError as `OciArchive.open` */
export async function readArchivedIndex(archive: ArchiveFile, entries: ArchiveEntries): Promise<LayoutIndex> {
  const version = await entries.readDocument('oci-layout', 64 * 1024);
  const index = await entries.readDocument('index.json', MAX_LAYOUT_INDEX_BYTES);
  const asDocker = entries.has('manifest.json') ? `try docker-archive:${archive.name}` : undefined;
  if (version === undefined || index === undefined) {
    const missing = version === undefined ? 'oci-layout' : 'index.json';
    const advice = asDocker ?? entries.adviceFor(missing) ?? 'give an archive that has one';
    throw new RootfsError(
      'ERR_ARCHIVE_INVALID',
      `${archive.name}: no OCI layout inside, ${missing} is missing; ${advice}`,
      {
        detail: { archive: archive.name, missing },
      },
    );
  }
  parseImageLayout(version, { subject: archive.name });
  // Docker 25 lists no image without a name there, and has it in its own list all the same.
  return new LayoutIndex(index, archive.name, undefined, asDocker);
}
