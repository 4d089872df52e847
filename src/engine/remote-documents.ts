/** A repository that names are resolved at by the bytes they lead to. */
import { Readable } from 'node:stream';
import type { CallOptions, Distruster, FetchOptions, ReadOnlyTarget, ReferenceFetcher } from '../content/content.js';
import { readVerified } from '../content/fetch-verified.js';
import { RootfsError } from '../errors.js';
import { canFetchReference } from '../image/document-reader.js';
import { fetchDescriptor } from '../image/fetch-descriptor.js';
import { untilAborted } from '../io/abort.js';
import { wrongAnswer } from '../io/part-error.js';
import { isMismatch } from '../io/verify.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';

/** How many documents wait for the fetch that follows. */
const MAX_DOCUMENTS = 16;

/** Whoever keeps content, as `CachedContent` does. */
export interface Keeper {
  read(target: Descriptor, origin: ReadOnlyTarget | undefined, options: CallOptions): Promise<Uint8Array | undefined>;
}

/**
 * One repository. What a registry says of a manifest in its headers may be wrong: a name means what the repository gives
 * the bytes of, by their own digest. They are kept, or remembered for the `fetch` that follows: nothing is asked for twice.
 */
export class RemoteDocuments implements ReadOnlyTarget, Distruster {
  readonly #remote: ReadOnlyTarget & Partial<ReferenceFetcher & Distruster>;
  readonly #read = new Map<Digest, Uint8Array>();

  constructor(remote: ReadOnlyTarget) {
    this.#remote = remote;
  }

  /**
   * What a name means.
   *
   * @param keeper Where it has what the registry says, nothing is asked for besides. What is read it keeps.
   * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`; what the repository throws; the signal's reason
   */
  async resolve(reference: string, options: CallOptions = {}, keeper?: Keeper): Promise<Descriptor> {
    const remote = this.#remote;
    try {
      const said = await untilAborted(remote.resolve(reference, options), options.signal);
      if (typeof said?.digest !== 'string') throw wrongAnswer('the repository', 'a descriptor', said);
      if (!canFetchReference(remote) || (await keeper?.read(said, undefined, options)) !== undefined) return said;
      return await this.#prove(said, options, keeper);
    } catch (error) {
      if (!canFetchReference(remote) || !isDoubt(error)) throw error;
      // What came by its name may have been damaged on its way: asked for by its digest it would not be there.
      const named = await fetchDescriptor(remote, reference, options);
      return this.#prove(named, options, keeper).catch((other: unknown) => {
        throw isDoubt(other) ? error : other;
      });
    }
  }

  async #prove(descriptor: Descriptor, options: CallOptions, keeper: Keeper | undefined): Promise<Descriptor> {
    if ((await keeper?.read(descriptor, this.#remote, options)) !== undefined) return descriptor;
    const bytes = await readVerified(this.#remote, bareDescriptor(descriptor), options);
    for (const oldest of this.#read.keys()) {
      if (this.#read.size < MAX_DOCUMENTS) break;
      this.#read.delete(oldest);
    }
    this.#read.set(descriptor.digest, bytes);
    return descriptor;
  }

  /** Opens content; a document that was read to resolve its name is not asked for again. */
  async fetch(target: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    const bytes = options.range === undefined ? this.#read.get(target.digest) : undefined;
    if (bytes === undefined) return this.#remote.fetch(target, options);
    this.#read.delete(target.digest);
    return Readable.from([bytes], { objectMode: false });
  }

  /** See the repository. */
  exists(target: Descriptor, options?: CallOptions): Promise<boolean> {
    return this.#remote.exists(target, options);
  }

  /** See the repository. */
  distrust(target: Descriptor): boolean {
    return this.#remote.distrust?.(target) ?? false;
  }
}

function isDoubt(error: unknown): boolean {
  return isMismatch(error) || (error instanceof RootfsError && error.code === 'ERR_NOT_FOUND');
}
