/** Reads an image's documents from a source: verified, bounded, each at most once. */
import type { CallOptions, ReadOnlyTarget, ReferenceFetcher } from '../content/content.js';
import { readVerified } from '../content/fetch-verified.js';
import { RootfsError } from '../errors.js';
import { untilAborted } from '../io/abort.js';
import { discard } from '../io/discard.js';
import type { ArtifactManifest } from '../spec/artifact-manifest.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import { isVerifiable } from '../spec/digest.js';
import type { ImageConfig } from '../spec/image-config.js';
import type { ManifestOrIndex } from '../spec/image-document.js';
import type { ImageIndex } from '../spec/image-index.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import { isIndexType, isManifestType, MediaType } from '../spec/media-types.js';
import type { ImageDocument } from './image.js';
import { imageName } from './image-name.js';

/** A manifest or an index that was read. */
export type ReadDocument =
  | ({ readonly kind: 'manifest' } & ImageDocument<ImageManifest>)
  | ({ readonly kind: 'index' } & ImageDocument<ImageIndex>);

/** Options of a reader: the signal and listener of its every call, and the bound of a document. */
export interface DocumentReaderOptions extends CallOptions {
  /** The most bytes that a manifest, an index or a config may have. */
  readonly maxBytes: number;
}

/** Reads the documents above an image's layers. What it returns is verified, parsed, and remembered by digest. */
export class DocumentReader {
  /** What messages start with. */
  readonly name: string;
  readonly #reference: string;
  readonly #source: ReadOnlyTarget;
  readonly #options: DocumentReaderOptions;
  readonly #read = new Map<string, Promise<ReadDocument>>();

  constructor(source: ReadOnlyTarget, reference: string, options: DocumentReaderOptions) {
    this.#source = source;
    this.name = imageName(source, reference);
    this.#reference = reference;
    this.#options = options;
  }

  /**
   * Resolves the reference and reads what it points at: in one request where the source can.
   *
   * @throws RootfsError what the source throws, and as `readVerified` and `parseManifestOrIndex`
   */
  async target(): Promise<ReadDocument> {
    const { signal, onProgress } = this.#options;
    const parser = loadDocuments();
    parser.catch(() => {});
    if (!canFetchReference(this.#source)) {
      const descriptor = await untilAborted(this.#source.resolve(this.#reference, { signal, onProgress }), signal);
      this.#checkPinned(descriptor);
      return this.#parse(descriptor, await this.#bytes(descriptor), this.name, parser);
    }
    const { descriptor, content } = await untilAborted(
      this.#source.fetchReference(this.#reference, { signal, onProgress }),
      signal,
      (late) => discard(late.content),
    );
    try {
      this.#checkPinned(descriptor);
      const bytes = await readVerified({ fetch: async () => content }, bareDescriptor(descriptor), this.#options);
      return await this.#parse(descriptor, bytes, this.name, parser);
    } finally {
      discard(content);
    }
  }

  /** The signal of every call. */
  get signal(): AbortSignal | undefined {
    return this.#options.signal;
  }

  /**
   * Reads a manifest or an index by its descriptor.
   *
   * @param signal Ends this reading, where it is one of many; the reader's own when absent.
   * @throws RootfsError as `target`
   */
  manifest(descriptor: Descriptor, signal = this.signal): Promise<ReadDocument> {
    const known = this.#read.get(descriptor.digest);
    if (known !== undefined) return known;
    const reading = this.#bytes(descriptor, signal).then((bytes) =>
      this.#parse(descriptor, bytes, this.#subject(descriptor), loadDocuments()),
    );
    this.#read.set(descriptor.digest, reading);
    return reading;
  }

  /**
   * Reads an image config by its descriptor.
   *
   * @param signal As for `manifest`.
   * @throws RootfsError as `readVerified` and `readImageConfig`
   */
  async config(descriptor: Descriptor, signal = this.signal): Promise<ImageDocument<ImageConfig>> {
    const bytes = await this.#bytes(descriptor, signal);
    const { readImageConfig } = await import('../spec/image-config.js');
    const subject = this.#subject(descriptor);
    return { descriptor, bytes, value: readImageConfig(bytes, { subject, maxBytes: this.#options.maxBytes }) };
  }

  /**
   * Reads an artifact manifest by its descriptor.
   *
   * @param signal As for `manifest`.
   * @throws RootfsError as `readVerified` and `parseArtifactManifest`
   */
  async artifact(descriptor: Descriptor, signal = this.signal): Promise<ImageDocument<ArtifactManifest>> {
    const bytes = await this.#bytes(descriptor, signal);
    const { parseArtifactManifest } = await import('../spec/artifact-manifest.js');
    const subject = this.#subject(descriptor);
    return { descriptor, bytes, value: parseArtifactManifest(bytes, { subject, maxBytes: this.#options.maxBytes }) };
  }

  #bytes(descriptor: Descriptor, signal = this.signal): Promise<Buffer> {
    return readVerified(this.#source, descriptor, { ...this.#options, signal });
  }

  async #parse(
    descriptor: Descriptor,
    bytes: Uint8Array,
    subject: string,
    parser: ReturnType<typeof loadDocuments>,
  ): Promise<ReadDocument> {
    const { parseManifestOrIndex } = await parser;
    const { maxBytes } = this.#options;
    const { mediaType } = descriptor;
    const document = parseManifestOrIndex(bytes, { subject, mediaType, maxBytes });
    const known = document.kind === 'index' ? isIndexType(mediaType) : isManifestType(mediaType);
    return { descriptor: known ? descriptor : { ...descriptor, mediaType: typeOf(document) }, bytes, ...document };
  }

  #subject(descriptor: Descriptor): string {
    return `${this.name}: ${descriptor.digest}`;
  }

  /** A reference that names a digest is a promise: no source may answer it with other content. */
  #checkPinned(descriptor: Descriptor): void {
    const pinned = this.#reference.slice(this.#reference.lastIndexOf('@') + 1);
    if (!isVerifiable(pinned) || pinned === descriptor.digest) return;
    throw new RootfsError(
      'ERR_DIGEST_MISMATCH',
      `${this.name}: the source answered with ${descriptor.digest} instead; fetch it again, or ask who runs the source`,
      { detail: { expected: pinned, found: descriptor.digest } },
    );
  }
}

/** What a document is that was announced as nothing in particular: stores look manifests up by this type. */
function typeOf({ kind, value }: ManifestOrIndex): string {
  return value.mediaType || (kind === 'index' ? MediaType.ociIndex : MediaType.ociManifest);
}

/** valibot comes with these modules: loaded when the first image is, and while the first request is under way. */
function loadDocuments(): Promise<typeof import('../spec/image-document.js')> {
  return import('../spec/image-document.js');
}

/** Whether a source gives descriptor and bytes in one answer. */
export function canFetchReference(source: ReadOnlyTarget): source is ReadOnlyTarget & ReferenceFetcher {
  return typeof (source as Partial<ReferenceFetcher>).fetchReference === 'function';
}
