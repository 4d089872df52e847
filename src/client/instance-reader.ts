/** What a list tells of each image: how large it is, and when it was made. */
import type { CallOptions, ReadOnlyTarget } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { DocumentReader } from '../image/document-reader.js';
import { type FetchedManifest, fetchManifest } from '../image/fetch-manifest.js';
import { imageFailure } from '../image/image-failure.js';
import { throwIfAborted } from '../io/abort.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { Annotation } from '../spec/annotations.js';
import { describeArtifact, isAttestation } from '../spec/artifact.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import type { ImageIndex } from '../spec/image-index.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import { isManifestType } from '../spec/media-types.js';

/** How many manifests and configs are remembered for the other images that share them. */
const MAX_REMEMBERED = 50_000;

/** How many manifests of an index are read for its size; more than any index of images has. */
export const MAX_MEASURED = 1000;

/** How many images of an index are asked when they were made. */
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
]);

/** Whether an error says of one document alone that it cannot be read. */
export function isUnreadable(error: unknown): error is RootfsError {
  return error instanceof RootfsError && UNREADABLE.has(error.code);
}

/** Size and time of an image, as an `Instance` has them. */
export interface Measured {
  readonly size: number;
  readonly created?: Date | undefined;
}

/** A manifest's share: what it names in bytes, its own among them, and the config that may tell a time. */
interface Part {
  readonly size: number;
  readonly config?: Descriptor | undefined;
}

/** Reads size and time of images, one after the other or many at once. What several of them share is read once. */
export class InstanceReader {
  readonly #source: ReadOnlyTarget;
  readonly #byDigest: boolean;
  readonly #parts = new Map<Digest, Promise<Part | undefined>>();
  readonly #times = new Map<Digest, Promise<string | undefined>>();

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
    const { annotations } = document.value;
    const own = document.bytes.byteLength;
    const parts =
      document.kind === 'manifest' ? [partOf(document.value, own)] : await this.#partsOf(document.value, call);
    const sum = parts.reduce((total, { size }) => total + size, document.kind === 'index' ? own : 0);
    const created = new Date(annotations?.[Annotation.created] ?? (await this.#timeOf(parts, call)) ?? Number.NaN);
    return { size: sum, ...(Number.isNaN(created.getTime()) ? {} : { created }) };
  }

  async #partsOf(index: ImageIndex, call: CallOptions): Promise<readonly Part[]> {
    const parts: Part[] = [];
    let measured = 0;
    for (const entry of index.manifests) {
      const readable = isManifestType(entry.mediaType) && measured < MAX_MEASURED;
      if (readable) measured += 1;
      const part = readable ? await this.#part(entry, call) : undefined;
      parts.push({ size: part?.size ?? entry.size, config: isAttestation(entry) ? undefined : part?.config });
    }
    return parts;
  }

  #part(entry: Descriptor, call: CallOptions): Promise<Part | undefined> {
    return remembered(this.#parts, entry.digest, () =>
      unlessUnreadable(call, async () => {
        const document = await this.#document(entry, call);
        return document.kind === 'manifest' ? partOf(document.value, document.bytes.byteLength) : undefined;
      }),
    );
  }

  /** The time of the first image that tells one: of an index, any of its images tells it. */
  async #timeOf(parts: readonly Part[], call: CallOptions): Promise<string | undefined> {
    const configs = parts.flatMap(({ config }) => (config === undefined ? [] : [config]));
    for (const config of configs.slice(0, MAX_ASKED)) {
      const told = await remembered(this.#times, config.digest, () =>
        unlessUnreadable(call, async () => (await this.#documents(call).config(config)).value.created ?? undefined),
      );
      if (told !== undefined) return told;
    }
    return undefined;
  }

  async #document(target: Descriptor, call: CallOptions): Promise<FetchedManifest> {
    if (this.#byDigest) return fetchManifest(this.#source, target.digest, call);
    const documents = this.#documents(call);
    try {
      return await documents.manifest(target);
    } catch (error) {
      throw imageFailure(error, documents.name, call.signal);
    }
  }

  /** One for each document: it keeps what it has read. */
  #documents({ signal, onProgress }: CallOptions): DocumentReader {
    return new DocumentReader(this.#source, '', { signal, onProgress, maxBytes: MAX_DOCUMENT_BYTES });
  }
}

function partOf(manifest: ImageManifest, own: number): Part {
  const { config, layers } = manifest;
  const size = [config, ...layers].reduce((sum, one) => sum + one.size, own);
  return { size, config: describeArtifact(manifest) === undefined ? config : undefined };
}

async function unlessUnreadable<T>(call: CallOptions, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    throwIfAborted(call.signal);
    if (isUnreadable(error)) return undefined;
    throw error;
  }
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
