/** The image cache as one repository: asked by tags and digests, as the registry's own repository is. */
import type { Readable } from 'node:stream';
import type {
  BlobLocation,
  BlobPath,
  CallOptions,
  Distruster,
  FetchOptions,
  ReadOnlyTarget,
} from '../content/content.js';
import type { Descriptor } from '../spec/descriptor.js';
import { isVerifiable } from '../spec/digest.js';
import { parseReference } from '../spec/reference.js';

/** What an image cache does, asked by full references. */
export type CachedImages = ReadOnlyTarget & BlobPath & Distruster;

/** One repository of an `ImageCache`; what it promises, the cache promises. */
export class CachedRepository implements ReadOnlyTarget, BlobPath, Distruster {
  /** The registry as in a reference. */
  readonly registry: string;
  /** The repository's path at the registry. */
  readonly repository: string;
  readonly #cache: CachedImages;

  /** @throws RootfsError `ERR_REFERENCE_INVALID` */
  constructor(cache: CachedImages, name: string) {
    const { registry, repository } = parseReference(name);
    this.registry = registry;
    this.repository = repository;
    this.#cache = cache;
  }

  /** What stands before tags and digests in messages. */
  get place(): string {
    return `${this.registry}/${this.repository}`;
  }

  /** What a tag or a digest means; see `ImageCache.resolve`. */
  resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    const separator = isVerifiable(reference) ? '@' : ':';
    return this.#cache.resolve(`${this.registry}/${this.repository}${separator}${reference}`, options);
  }

  /** See `ImageCache.fetch`. */
  fetch(target: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    return this.#cache.fetch(target, options);
  }

  /** See `ImageCache.exists`. */
  exists(target: Descriptor, options: CallOptions = {}): Promise<boolean> {
    return this.#cache.exists(target, options);
  }

  /** See `ImageCache.blobPath`. */
  blobPath(target: Descriptor, options: CallOptions = {}): Promise<BlobLocation | undefined> {
    return this.#cache.blobPath(target, options);
  }

  /** See `ImageCache.distrust`. */
  distrust(target: Descriptor): boolean {
    return this.#cache.distrust(target);
  }
}
