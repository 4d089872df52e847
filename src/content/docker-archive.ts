/**
 * A docker-archive: what `docker save` writes, in all its forms since 1.10, and what other tools write after it.
 *
 * Such an archive has no manifest of the specification. Where an OCI layout lies beside `manifest.json` (Docker 25 and
 * later) and holds the image's own manifest, that one is given; else one is made here, always the same for the same
 * archive: it names the config, and the layers as they lie in the archive.
 *
 * @see https://github.com/moby/moby/blob/v25.0.0/image/spec/spec.md
 */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { digestOf } from '../io/digest-of.js';
import { warn } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isVerifiable } from '../spec/digest.js';
import { ArchiveEntries } from './archive-entries.js';
import { type ArchiveFile, type ArchiveOptions, openArchiveFile } from './archive-file.js';
import { checkMade, type KnownHashes, type MadeManifest, makeManifest } from './archived-manifest.js';
import { ArchivedManifests } from './archived-manifests.js';
import { type CompressedLayer, checkCompressedLayer } from './compressed-layer.js';
import type {
  CallOptions,
  ContentChecker,
  EntryLister,
  HeldEntry,
  KeptName,
  NameKeeper,
  ReadOnlyTarget,
  TagLister,
} from './content.js';
import { type ArchivedImage, pickImage, readImageList } from './docker-image-list.js';
import { canonicalName, listNames } from './image-names.js';
import type { LayoutIndex } from './layout-index.js';
import { LocalSource, type Located } from './local-source.js';
import { archivedBlob } from './member.js';
import { readArchivedIndex } from './oci-archive.js';
import { requireReference } from './require-reference.js';

/** What is wrong with one image of an archive, and with none of the others. */
const NO_IMAGE: ReadonlySet<string> = new Set(['ERR_ARCHIVE_INVALID', 'ERR_CONFIG_INVALID', 'ERR_LIMIT_EXCEEDED']);

function isNoImage(error: unknown): error is RootfsError {
  return error instanceof RootfsError && NO_IMAGE.has(error.code);
}

/** A docker-archive, open for reading. `close` removes the copy that was made of a compressed or piped one. */
export class DockerArchive
  extends LocalSource
  implements ReadOnlyTarget, TagLister, EntryLister, NameKeeper, ContentChecker, AsyncDisposable
{
  override readonly place: string;
  readonly #archive: ArchiveFile;
  readonly #entries: ArchiveEntries;
  readonly #images: readonly ArchivedImage[];
  readonly #layout: ArchivedManifests | undefined;
  readonly #hashes: KnownHashes = new Map();
  readonly #known = new Map<ArchivedImage, Descriptor>();
  readonly #held = new Map<Digest, Located>();
  readonly #unproven = new Map<Digest, CompressedLayer>();

  private constructor(
    archive: ArchiveFile,
    entries: ArchiveEntries,
    images: readonly ArchivedImage[],
    layout: LayoutIndex | undefined,
  ) {
    super();
    this.place = archive.name;
    this.#archive = archive;
    this.#entries = entries;
    this.#images = images;
    this.#layout = layout && new ArchivedManifests(this, layout.value.manifests);
  }

  /**
   * Opens an archive.
   *
   * @param file A path, or `-` for standard input.
   * @throws RootfsError `ERR_ARCHIVE_INVALID` (no tar, cut, no `manifest.json` that can be read), and as
   *   `openArchiveFile`
   */
  static async open(file: string, options: ArchiveOptions = {}): Promise<DockerArchive> {
    return DockerArchive.read(await openArchiveFile(file, options), options.signal);
  }

  /** Reads an archive that is open, and takes it over: it is closed with this, or at once when this throws. */
  static async read(archive: ArchiveFile, signal?: AbortSignal): Promise<DockerArchive> {
    try {
      const entries = await ArchiveEntries.read(archive, signal);
      const list = await entries.readDocument('manifest.json');
      if (list === undefined) {
        const advice = entries.has('oci-layout')
          ? `try oci-archive:${archive.name}`
          : entries.has('repositories')
            ? 'Docker before 1.10 saved this, in a form that is not read; load it into a Docker that takes it, and save it again'
            : (entries.adviceFor('manifest.json') ?? 'save the image again');
        throw new RootfsError('ERR_ARCHIVE_INVALID', `${archive.name}: manifest.json is missing; ${advice}`, {
          detail: { archive: archive.name },
        });
      }
      const images = readImageList(list, archive.name);
      return new DockerArchive(archive, entries, images, await layoutBeside(archive, entries));
    } catch (error) {
      await archive.close();
      throw error;
    }
  }

  /**
   * Finds an image: by one of its names, as saved or normalised; by `@0`, `@1`… in the order of the archive; by the
   * digest of its manifest, a name before it or not; or without a reference, where the archive holds one.
   *
   * @throws RootfsError `ERR_NOT_FOUND`, `ERR_REFERENCE_INVALID` (several images and no reference; the message lists
   *   them), `ERR_ARCHIVE_INVALID` (the image's config or a layer is missing), `ERR_DIGEST_MISMATCH` (a config whose
   *   name states another digest), `ERR_CONFIG_INVALID` (also: not as many diffIDs as layers)
   */
  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    throwIfAborted(options.signal);
    requireReference(reference, this.place);
    const pinned = pinnedDigest(reference);
    if (pinned !== undefined) {
      let broken: RootfsError | undefined;
      for (const image of this.#images) {
        try {
          const descriptor = await this.#manifestOf(image, options);
          if (descriptor.digest === pinned) return descriptor;
        } catch (error) {
          throwIfAborted(options.signal);
          if (!isNoImage(error)) throw error;
          broken ??= error;
        }
      }
      // It may be the one that was asked for.
      if (broken !== undefined) throw broken;
    }
    return this.#manifestOf(pickImage(this.#images, reference, this.place), options);
  }

  /** The names of the images, each once, in the archive's order. */
  async *tags(options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    throwIfAborted(options.signal);
    yield* new Set(this.#images.flatMap((image) => image.tags));
  }

  /** The full name of an image; see `NameKeeper`. @throws RootfsError `ERR_NOT_FOUND`, `ERR_REFERENCE_INVALID` */
  async keptName(reference: string, options: CallOptions = {}): Promise<KeptName | undefined> {
    throwIfAborted(options.signal);
    requireReference(reference, this.place);
    if (pinnedDigest(reference) !== undefined) return undefined;
    const names = new Set(pickImage(this.#images, reference, this.place).tags.map(canonicalName));
    const asked = canonicalName(reference);
    if (asked !== undefined && names.has(asked)) return { full: asked };
    const [only] = names;
    return names.size === 1 && only !== undefined ? { full: only } : undefined;
  }

  /**
   * Each image under each of its names, or once without one, in the archive's order. One whose config or layers are
   * not all there, or whose config is none, is left out with a warning.
   *
   * @throws RootfsError `ERR_DIGEST_MISMATCH`; or the signal's own reason
   */
  async *entries(options: CallOptions = {}): AsyncGenerator<HeldEntry, void, undefined> {
    for (const [at, image] of this.#images.entries()) {
      throwIfAborted(options.signal);
      const descriptor = await this.#manifestOf(image, options).catch((error: unknown) => {
        throwIfAborted(options.signal);
        if (!isNoImage(error)) throw error;
        const named = image.tags.length === 0 ? `@${at}` : listNames(image.tags);
        warn(options.onProgress, `${error.message}; left out (${named})`);
        return undefined;
      });
      if (descriptor === undefined) continue;
      for (const tag of image.tags.length === 0 ? [undefined] : image.tags) yield { descriptor, tag };
    }
  }

  /**
   * Checks a compressed layer of an image without a manifest of its own by its diffID, once: its digest was computed here
   * from the bytes that the archive has. Called by whoever hands content on.
   *
   * @throws RootfsError `ERR_DIFFID_MISMATCH`, `ERR_DECOMPRESS`, `ERR_LIMIT_EXCEEDED`; the signal's own reason
   */
  async check(target: Descriptor, { signal }: CallOptions = {}): Promise<void> {
    const layer = this.#unproven.get(target.digest);
    if (layer === undefined) return;
    await checkCompressedLayer(this.place, layer, signal);
    this.#unproven.delete(target.digest);
  }

  /** Removes the copy, where one was made; a second call does nothing. */
  close(): Promise<void> {
    return this.#archive.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected override async locate(digest: Digest): Promise<Located | undefined> {
    return this.#held.get(digest) ?? this.#entries.find(archivedBlob(digest));
  }

  async #manifestOf(image: ArchivedImage, options: CallOptions): Promise<Descriptor> {
    const known = this.#known.get(image);
    if (known !== undefined) return known;
    const made = await makeManifest(image, this.#entries, this.place, this.#hashes, options);
    for (const [digest, located] of made.blobs) this.#held.set(digest, located);
    const descriptor = (await this.#layout?.find(made.config, options)) ?? this.#hold(made);
    this.#known.set(image, descriptor);
    return descriptor;
  }

  #hold(made: MadeManifest): Descriptor {
    checkMade(made, this.place);
    const { mediaType, bytes } = made.manifest;
    const digest = digestOf(bytes);
    this.#held.set(digest, bytes);
    for (const [layer, unproven] of made.unproven) this.#unproven.set(layer, unproven);
    return { mediaType, digest, size: bytes.length };
  }
}

/** The digest that a reference is, or ends in. */
function pinnedDigest(reference: string): Digest | undefined {
  const text = reference.slice(reference.lastIndexOf('@') + 1);
  return isVerifiable(text) ? text : undefined;
}

/** `manifest.json` says what is here: a layout beside it that cannot be read takes nothing away. */
async function layoutBeside(archive: ArchiveFile, entries: ArchiveEntries): Promise<LayoutIndex | undefined> {
  if (!entries.has('oci-layout') || !entries.has('index.json')) return undefined;
  try {
    return await readArchivedIndex(archive, entries);
  } catch (error) {
    if (!(error instanceof RootfsError)) throw error;
    return undefined;
  }
}
