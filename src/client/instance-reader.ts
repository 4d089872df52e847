/** What a list tells of each image: how large it is, and when it was made. */
import type { CallOptions, ReadOnlyTarget } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { DocumentReader } from '../image/document-reader.js';
import { type FetchedManifest, fetchManifest } from '../image/fetch-manifest.js';
import { imageFailure } from '../image/image-failure.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { Annotation } from '../spec/annotations.js';
import { describeArtifact } from '../spec/artifact.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import { isIndexType, isManifestType } from '../spec/media-types.js';

/** How many manifests and configs are remembered for the other images that share them. */
const MAX_REMEMBERED = 50_000;

/** How many manifests of an index are read for its size; more than any index of images has. */
export const MAX_MEASURED = 1000;

/** How many images of an index are asked when they were made, and how many indexes below it. */
const MAX_ASKED = 8;

/** What is wrong with one document, and no reason to list nothing else. Wrong bytes are: those end the list. */
const UNREADABLE: ReadonlySet<string> = new Set([
  'ERR_NOT_FOUND',
  'ERR_MANIFEST_INVALID',
  'ERR_CONFIG_INVALID',
  'ERR_NOT_AN_IMAGE',
  'ERR_SCHEMA1_UNSUPPORTED',
  'ERR_LIMIT_EXCEEDED',
  'ERR_DIGEST_UNSUPPORTED',
  // A registry that refuses a tag which it listed.
  'ERR_REFERENCE_INVALID',
  // A blob that is a pipe or a circle of links: the source itself was opened before.
  'ERR_LAYOUT_INVALID',
  'ERR_ARCHIVE_INVALID',
]);

/** Whether an error says of one document alone that it cannot be read. */
export function isUnreadable(error: unknown): error is RootfsError {
  return error instanceof RootfsError && UNREADABLE.has(error.code);
}

/** Size and time of an image, as an `Instance` has them. */
export interface Measured {
  readonly size: number;
  readonly created?: Date | undefined;
  /** What of it could not be read, and what that means for size and time. */
  readonly warnings: readonly string[];
}

/** A manifest's share: what it names in bytes, its own among them, and the config that may tell a time. */
interface Part {
  readonly size: number;
  readonly config?: Descriptor | undefined;
  /** Why it could not be read, though it is here. */
  readonly problem?: string | undefined;
}

/** What a config tells, or why it tells nothing. */
interface Told {
  readonly created?: Date | undefined;
  readonly problem?: string | undefined;
}

/** Reads size and time of images, one after the other or many at once. What several of them share is read once. */
export class InstanceReader {
  readonly #source: ReadOnlyTarget;
  readonly #byDigest: boolean;
  readonly #parts = new Map<Digest, Promise<Partial<Part>>>();
  readonly #times = new Map<Digest, Promise<Told>>();

  /**
   * @param byDigest Whether manifests are asked for by digest alone: a registry's word on their size may be wrong. A
   *   layout would read its index anew for each.
   */
  constructor(source: ReadOnlyTarget, byDigest: boolean) {
    this.#source = source;
    this.#byDigest = byDigest;
  }

  /**
   * Measures the image that `target` is. What an index lists and nobody can read, or what is no manifest, counts with
   * the size that the index tells; so do an index in an index, and manifests after the first `MAX_MEASURED`.
   *
   * @throws RootfsError as `fetchManifest`; or the signal's own reason
   */
  async read(target: Descriptor, call: CallOptions): Promise<Measured> {
    const document = await this.#document(target, call);
    const own = document.bytes.byteLength;
    const entries = document.kind === 'index' ? document.value.manifests : [];
    const parts =
      document.kind === 'index'
        ? [{ size: own }, ...(await this.#partsOf(entries, call))]
        : [partOf(document.value, own)];
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    const said = dateOf(document.value.annotations?.[Annotation.created]);
    const told = said === undefined ? await this.#timeOf(parts, entries, call) : { created: said };
    return { size, created: told.created, warnings: warningsOf(target, entries, parts, told) };
  }

  /** What each entry of an index counts with, in their order. */
  async #partsOf(entries: readonly Descriptor[], call: CallOptions): Promise<readonly Part[]> {
    const parts: Part[] = [];
    let measured = 0;
    for (const entry of entries) {
      const readable = isManifestType(entry.mediaType) && measured < MAX_MEASURED;
      if (readable) measured += 1;
      const part = readable ? await this.#part(entry, call) : {};
      parts.push({ ...part, size: part.size ?? entry.size });
    }
    return parts;
  }

  #part(entry: Descriptor, call: CallOptions): Promise<Partial<Part>> {
    return remembered(this.#parts, entry.digest, async () => {
      try {
        const document = await this.#document(entry, call);
        if (document.kind === 'index') return {};
        const { size, config } = partOf(document.value, document.bytes.byteLength);
        // Of what is remembered, nothing may be as large as a manifest: `data` and annotations may.
        return { size, config: config && bareDescriptor(config) };
      } catch (error) {
        return { problem: problemOf(error) };
      }
    });
  }

  /** The time of the first image that tells one: any image of an index tells it, or else any of an index below. */
  async #timeOf(parts: readonly Part[], entries: readonly Descriptor[], call: CallOptions): Promise<Told> {
    let told = await this.#timeIn(parts, call);
    const below = indexesOf(entries).slice(0, MAX_ASKED);
    for (const entry of below) {
      if (told.created !== undefined) break;
      const { created, problem, further } = await this.#timeBelow(entry, call);
      told = created === undefined ? { problem: told.problem ?? problem } : { created };
      below.push(...further.slice(0, MAX_ASKED - below.length));
    }
    return told;
  }

  async #timeBelow(entry: Descriptor, call: CallOptions): Promise<Told & { readonly further: readonly Descriptor[] }> {
    try {
      const document = await this.#document(entry, call);
      if (document.kind === 'manifest') return { further: [] };
      const { manifests } = document.value;
      const images = manifests.filter(({ mediaType }) => isManifestType(mediaType)).slice(0, MAX_ASKED);
      const told = await this.#timeIn(await this.#partsOf(images, call), call);
      return { ...told, further: indexesOf(manifests) };
    } catch (error) {
      return { problem: problemOf(error), further: [] };
    }
  }

  async #timeIn(parts: readonly Part[], call: CallOptions): Promise<Told> {
    let first: string | undefined;
    const configs = parts.flatMap(({ config }) => config ?? []);
    for (const config of configs.slice(0, MAX_ASKED)) {
      const { created, problem } = await remembered(this.#times, config.digest, () => this.#time(config, call));
      if (created !== undefined) return { created };
      first ??= problem;
    }
    return { problem: first };
  }

  async #time(config: Descriptor, call: CallOptions): Promise<Told> {
    try {
      const { value } = await this.#read(call, (documents) => documents.config(config));
      return { created: dateOf(value.created) };
    } catch (error) {
      return { problem: unreadable(error).message };
    }
  }

  async #document(target: Descriptor, call: CallOptions): Promise<FetchedManifest> {
    if (this.#byDigest) return fetchManifest(this.#source, target.digest, call);
    return this.#read(call, (documents) => documents.manifest(target));
  }

  /** One reader for each document: it keeps what it has read. */
  async #read<T>({ signal, onProgress }: CallOptions, work: (documents: DocumentReader) => Promise<T>): Promise<T> {
    const documents = new DocumentReader(this.#source, '', { signal, onProgress, maxBytes: MAX_DOCUMENT_BYTES });
    try {
      return await work(documents);
    } catch (error) {
      throw imageFailure(error, documents.name, signal);
    }
  }
}

function partOf(manifest: ImageManifest, own: number): Part {
  const { config, layers } = manifest;
  const size = [config, ...layers].reduce((sum, one) => sum + one.size, own);
  return { size, config: describeArtifact(manifest) === undefined ? config : undefined };
}

/** One line for each thing that is wrong, however many manifests it is wrong with. */
function warningsOf(
  target: Descriptor,
  entries: readonly Descriptor[],
  parts: readonly Part[],
  told: Told,
): readonly string[] {
  const warnings: string[] = [];
  const [problem, ...others] = parts.flatMap((part) => part.problem ?? []);
  if (problem !== undefined) {
    const more = others.length === 0 ? '' : `, as ${others.length} more of it`;
    warnings.push(`${problem}; counted with the size that its index tells${more}`);
  }
  const manifests = entries.filter(({ mediaType }) => isManifestType(mediaType)).length;
  if (manifests > MAX_MEASURED) {
    const rest = 'the others count with the size that it tells';
    warnings.push(`${target.digest}: of its ${manifests} manifests ${MAX_MEASURED} are read; ${rest}`);
  }
  if (told.problem !== undefined) warnings.push(`${told.problem}; listed without a time`);
  return warnings;
}

/** `undefined` for what is no time. */
function dateOf(text: string | undefined): Date | undefined {
  const date = new Date(text ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function indexesOf(entries: readonly Descriptor[]): readonly Descriptor[] {
  return entries.filter(({ mediaType }) => isIndexType(mediaType));
}

/** What is wrong with an entry of an index. That it was not copied with its index is not. */
function problemOf(error: unknown): string | undefined {
  const { code, message } = unreadable(error);
  return code === 'ERR_NOT_FOUND' ? undefined : message;
}

/** What says of one document that it cannot be read; whatever else was caught is thrown. */
function unreadable(error: unknown): RootfsError {
  if (!isUnreadable(error)) throw error;
  return error;
}

/** A source of many more documents than these is no reason to fill the memory. */
function remembered<T>(known: Map<Digest, Promise<T>>, digest: Digest, make: () => Promise<T>): Promise<T> {
  const found = known.get(digest);
  if (found !== undefined) return found;
  if (known.size >= MAX_REMEMBERED) known.clear();
  const made = make();
  known.set(digest, made);
  return made;
}
