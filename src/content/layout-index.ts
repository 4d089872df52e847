/**
 * What the `index.json` of an OCI layout calls by which name: pure but for reading nested indexes through its caller.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md#indexjson-file
 */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { digestOf } from '../io/digest-of.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { isMismatch } from '../io/verify.js';
import { warn } from '../progress.js';
import { Annotation } from '../spec/annotations.js';
import { isAttestation } from '../spec/artifact.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isVerifiable } from '../spec/digest.js';
import { type ImageIndex, MAX_INDEX_ENTRIES, parseIndex } from '../spec/image-index.js';
import { isConfigType, isIndexType, isManifestType, MediaType } from '../spec/media-types.js';
import type { CallOptions, HeldEntry, KeptName } from './content.js';
import { choicesOf, fullName, keptNameOf, nameOf, namesOf } from './entry-names.js';
import { canonicalName, listNames } from './image-names.js';

/** The most bytes of `index.json` that are read: 16 MiB, as many entries as an index may have. */
export const MAX_LAYOUT_INDEX_BYTES = 16 * 1024 * 1024;
/** How deep indexes may lie in each other while a digest is searched. */
export const MAX_INDEX_DEPTH = 8;
/** How many nested indexes are read while a digest is searched: a layout may have thousands of names. */
export const MAX_INDEXES = 4096;
/** How many bytes these may have together: 256 MiB. */
export const MAX_INDEX_BYTES = 256 * 1024 * 1024;

/** Reads a nested index, verified. */
export type ReadDocument = (target: Descriptor, options: CallOptions) => Promise<Buffer>;

/** What a reference means here. */
export interface ResolvedEntry {
  readonly descriptor: Descriptor;
  /** The bytes, where they are no blob of the layout: `index.json` itself, or an index made of some of its entries. */
  readonly bytes?: Buffer | undefined;
}

/** One reading of `index.json`. */
export class LayoutIndex {
  readonly #index: ImageIndex;
  readonly #bytes: Buffer;
  readonly #place: string;
  readonly #whenEmpty: string;

  /**
   * @param place What errors name: the layout's folder or archive.
   * @param known What the bytes say, where that was checked already.
   * @param whenEmpty What to do where an image is wanted and none is listed.
   * @throws RootfsError `ERR_MANIFEST_INVALID`, `ERR_LIMIT_EXCEEDED`
   */
  constructor(bytes: Buffer, place: string, known?: ImageIndex, whenEmpty = 'copy one there first') {
    this.#bytes = bytes;
    this.#place = place;
    this.#whenEmpty = whenEmpty;
    this.#index = known ?? readIndex(bytes, place);
  }

  /** Whether these bytes are the ones that were read. */
  isOf(bytes: Buffer): boolean {
    return this.#bytes.equals(bytes);
  }

  /** The bytes that say it. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /**
   * The same index with other entries. Those that it has are not read again: whoever names thousands of images one after
   * the other has as many long lists.
   *
   * @throws RootfsError `ERR_MANIFEST_INVALID`, `ERR_LIMIT_EXCEEDED` (it would be too long to be read)
   */
  withEntries(entries: readonly Descriptor[]): LayoutIndex {
    const held = new Set(this.#index.manifests);
    const others = entries.filter((entry) => !held.has(entry));
    const read = readIndex(bytesOf({ ...this.#index, manifests: others }), this.#place).manifests;
    const checked = new Map(others.map((entry, at) => [entry, read[at] ?? entry]));
    const index = { ...this.#index, manifests: entries.map((entry) => checked.get(entry) ?? entry) };
    const bytes = bytesOf(index);
    const fits = entries.length <= MAX_INDEX_ENTRIES && bytes.length <= MAX_LAYOUT_INDEX_BYTES;
    return new LayoutIndex(bytes, this.#place, fits ? index : undefined);
  }

  /** The index as it was read. */
  get value(): ImageIndex {
    return this.#index;
  }

  /** All entries, each with the name by which it is found. */
  entries(): readonly HeldEntry[] {
    const names = namesOf(this.#index.manifests);
    return this.#index.manifests.map((descriptor, at) => ({ descriptor, tag: names[at] }));
  }

  /** Each name once, in the order of the entries. */
  names(): readonly string[] {
    return [...new Set(this.entries().flatMap(({ tag }) => tag ?? []))];
  }

  /**
   * Finds what a reference means: a tag (`org.opencontainers.image.ref.name` first, then containerd's full name), a
   * digest with or without `@` (also of a manifest that only a nested index lists), both (`v1@sha256:…`, where the digest
   * decides unless an entry is called so), `@0`, `@1`… for an entry by its place, or nothing: then the layout must
   * hold one image. Several entries of one image for different platforms are one index; attestations and artifacts
   * that lie beside an image make it no less the only one.
   *
   * @throws RootfsError `ERR_NOT_FOUND`, `ERR_REFERENCE_INVALID` (several images fit; the message lists them)
   */
  async resolve(reference: string, read: ReadDocument, options: CallOptions = {}): Promise<ResolvedEntry> {
    const text = reference.startsWith('@') ? reference.slice(1) : reference;
    if (isVerifiable(text)) return this.#byDigest(text, read, options);
    const entries = this.named(reference);
    const pinned = text.slice(text.lastIndexOf('@') + 1);
    if (entries.length === 0 && isVerifiable(pinned)) return this.#byDigest(pinned, read, options);
    if (entries.length === 0) throw this.notFound(reference);
    const one = this.#one(entries);
    if (one !== undefined) return one;
    const distinct = distinctOf(entries);
    const images = distinct.filter(isImage);
    const choices = choicesOf(images.length === 0 ? distinct : images);
    throw new RootfsError(
      'ERR_REFERENCE_INVALID',
      `${this.#place}: ${reference === '' ? 'it holds several images' : `${reference} fits several images`}; say which: ${listNames(choices)}`,
      { detail: { place: this.#place, reference, choices } },
    );
  }

  /** The full name of what a reference means; see `NameKeeper`. A tag alone is none. */
  keptName(reference: string): KeptName | undefined {
    const images = this.named(reference).filter(isImage);
    const names = new Map(images.flatMap((entry) => keptNameOf(entry) ?? []).map((name) => [name.full, name]));
    const [only] = names.values();
    return names.size === 1 ? only : undefined;
  }

  /** Which of this content is an entry, or listed by an index among them; see `resolve`. */
  async listed(digests: ReadonlySet<Digest>, read: ReadDocument, options: CallOptions): Promise<ReadonlySet<Digest>> {
    const found = new Set<Digest>();
    for await (const entries of this.#lists(read, options)) {
      for (const { digest } of entries) if (digests.has(digest)) found.add(digest);
      if (found.size === digests.size) break;
    }
    return found;
  }

  /** The entries that a tag, a full name or a place (`@0`) means; all of them where `reference` is empty. */
  named(reference: string): readonly Descriptor[] {
    const entries = this.#index.manifests;
    if (reference === '') return entries;
    const found = this.#byName(reference);
    const position = /^@(\d{1,6})$/.exec(reference)?.[1];
    if (position === undefined || found.length > 0) return found;
    return entries.slice(Number(position), Number(position) + 1);
  }

  /** The error for a reference that means nothing here. */
  notFound(reference: string): RootfsError {
    const names = this.names();
    const entries = this.#index.manifests;
    const offered = names.length === 0 ? choicesOf(entries) : names;
    const offer = entries.length === 0 ? `it is empty, ${this.#whenEmpty}` : `it has ${listNames(offered)}`;
    const what = reference === '' ? 'no image' : `no image ${reference}`;
    return new RootfsError('ERR_NOT_FOUND', `${this.#place}: ${what} here; ${offer}`, {
      detail: { place: this.#place, reference, names },
    });
  }

  /** The one image that some entries are, or those of them that may be images: one entry, or one for each platform. */
  #one(entries: readonly Descriptor[]): ResolvedEntry | undefined {
    const distinct = distinctOf(entries);
    return this.#single(distinct) ?? this.#single(distinct.filter(isImage));
  }

  #single(entries: readonly Descriptor[]): ResolvedEntry | undefined {
    const [first, ...others] = entries;
    if (first === undefined) return undefined;
    if (others.length === 0) return { descriptor: first };
    const sameName = others.every((entry) => nameOf(entry) === nameOf(first));
    const flat = entries.every((entry) => !isIndexType(entry.mediaType) && entry.platform !== undefined);
    return sameName && flat ? this.#asIndex(entries) : undefined;
  }

  #byName(name: string): readonly Descriptor[] {
    const entries = this.#index.manifests;
    for (const key of [Annotation.refName, Annotation.containerdImageName]) {
      const found = entries.filter((entry) => entry.annotations?.[key] === name);
      if (found.length > 0) return found;
    }
    const canonical = canonicalName(name);
    if (canonical === undefined) return [];
    return entries.filter((entry) =>
      [Annotation.containerdImageName, Annotation.refName].some((key) => {
        const full = entry.annotations?.[key];
        return full !== undefined && fullName(full) === canonical;
      }),
    );
  }

  async #byDigest(digest: Digest, read: ReadDocument, options: CallOptions): Promise<ResolvedEntry> {
    for await (const entries of this.#lists(read, options)) {
      const found = entries.find((entry) => entry.digest === digest);
      if (found !== undefined) return { descriptor: found };
    }
    const made = this.#madeIndex(digest);
    if (made === undefined) throw this.notFound(digest);
    return made;
  }

  /** The entries, then what each index among them lists, and those below. */
  async *#lists(read: ReadDocument, options: CallOptions): AsyncGenerator<readonly Descriptor[], void, undefined> {
    yield this.#index.manifests;
    let level = this.#index.manifests.filter(isIndexEntry);
    const seen = new Set<Digest>();
    let bytes = 0;
    for (let depth = 0; depth < MAX_INDEX_DEPTH && level.length > 0; depth++) {
      const next: Descriptor[] = [];
      for (const entry of level) {
        throwIfAborted(options.signal);
        if (seen.has(entry.digest) || seen.size >= MAX_INDEXES) continue;
        // One that is longer than a document is refused unread.
        bytes += Math.min(entry.size, MAX_DOCUMENT_BYTES);
        if (bytes > MAX_INDEX_BYTES) return;
        seen.add(entry.digest);
        try {
          const { manifests } = parseIndex(await read(entry, options), { subject: entry.digest });
          yield manifests;
          // Of a list of thousands, what may lead further is kept.
          const further = manifests.filter((one) => isIndexEntry(one) && !seen.has(one.digest));
          next.push(...distinctOf(further).slice(0, MAX_INDEXES - next.length));
        } catch (error) {
          // One index that is missing or broken does not hide what the others list.
          throwIfAborted(options.signal);
          if (!(error instanceof RootfsError)) throw error;
          if (isMismatch(error)) warn(options.onProgress, `${error.message}; passed over`);
        }
      }
      level = next;
    }
  }

  /** An index that is made of the entries of one name: whoever was given its digest may ask by it. */
  #madeIndex(digest: Digest): ResolvedEntry | undefined {
    const groups = new Map<string, Descriptor[]>();
    for (const entry of this.#index.manifests) {
      for (const key of [Annotation.refName, Annotation.containerdImageName]) {
        const name = entry.annotations?.[key];
        if (name === undefined) continue;
        const group = groups.get(name);
        if (group === undefined) groups.set(name, [entry]);
        else group.push(entry);
      }
    }
    for (const group of [this.#index.manifests, ...groups.values()]) {
      const made = group.length > 1 ? this.#one(group) : undefined;
      if (made?.bytes !== undefined && made.descriptor.digest === digest) return made;
    }
    return undefined;
  }

  #asIndex(entries: readonly Descriptor[]): ResolvedEntry {
    const whole = entries.length === this.#index.manifests.length;
    const made = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: entries };
    const bytes = whole ? this.#bytes : bytesOf(made);
    const digest = digestOf(bytes);
    return { descriptor: { mediaType: MediaType.ociIndex, digest, size: bytes.length }, bytes };
  }
}

function readIndex(bytes: Buffer, place: string): ImageIndex {
  return parseIndex(bytes, { subject: `${place}: index.json`, place: 'index', maxBytes: MAX_LAYOUT_INDEX_BYTES });
}

function bytesOf(index: object): Buffer {
  return Buffer.from(JSON.stringify(index));
}

function distinctOf(entries: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Map(entries.map((entry) => [entry.digest, entry])).values()];
}

function isIndexEntry({ mediaType }: Descriptor): boolean {
  return isIndexType(mediaType);
}

/** Whether an entry may be an image: attestations, artifacts and what is of no known type may not. */
function isImage(entry: Descriptor): boolean {
  const { artifactType = '', mediaType } = entry;
  if (isAttestation(entry) || !(isManifestType(mediaType) || isIndexType(mediaType))) return false;
  return artifactType === '' || isConfigType(artifactType);
}
