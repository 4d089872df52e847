/** A store in memory: for tests, for small images, and as the shortest complete example of a `Target`. */
import { Readable } from 'node:stream';
import { RootfsError } from '../errors.js';
import { abortStream, eachUntilAborted, throwIfAborted } from '../io/abort.js';
import { discard, discardOnError } from '../io/discard.js';
import { verifyChunks } from '../io/verify.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isDigest, requireVerifiable } from '../spec/digest.js';
import { absentBlob, resolveRange } from './blob-file.js';
import type { CallOptions, Deleter, FetchOptions, TagLister, Target } from './content.js';
import { requireReference } from './require-reference.js';

/** A store in memory. It has no bound of its own: whoever pushes decides what fits. */
export class MemoryStore implements Target, TagLister, Deleter {
  readonly #blobs = new Map<Digest, { readonly descriptor: Descriptor; readonly bytes: Buffer }>();
  readonly #tags = new Map<string, Descriptor>();

  /** @throws RootfsError `ERR_NOT_FOUND`: the reference is no tag and no digest of content here */
  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    throwIfAborted(options.signal);
    requireReference(reference, 'memory');
    const found =
      this.#tags.get(reference) ?? (isDigest(reference) ? this.#blobs.get(reference)?.descriptor : undefined);
    if (found !== undefined) return found;
    throw new RootfsError('ERR_NOT_FOUND', `${reference}: not found in memory; push and tag it first`, {
      detail: { reference },
    });
  }

  /** Opens content; see `Fetcher`. @throws RootfsError `ERR_NOT_FOUND`, `ERR_RANGE_INVALID` */
  async fetch(target: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    requireVerifiable(target.digest);
    throwIfAborted(options.signal);
    const range = resolveRange(options.range, target);
    const found = this.#blobs.get(target.digest);
    if (found === undefined) throw absentBlob(target.digest, 'memory');
    const bytes = found.bytes.subarray(range?.start ?? 0, range?.end ?? target.size + 1);
    return abortStream(Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false }), options.signal);
  }

  /** Whether content is here. */
  async exists(target: Descriptor, options: CallOptions = {}): Promise<boolean> {
    requireVerifiable(target.digest);
    throwIfAborted(options.signal);
    return this.#blobs.has(target.digest);
  }

  /** Stores content; see `Pusher`. */
  async push(expected: Descriptor, content: AsyncIterable<Uint8Array>, options: CallOptions = {}): Promise<void> {
    const present = await discardOnError(content, () => this.exists(expected, options));
    if (present && this.#blobs.get(expected.digest)?.bytes.length === expected.size) return discard(content);
    const chunks: Buffer[] = [];
    for await (const chunk of verifyChunks(eachUntilAborted(content, options.signal), expected)) {
      chunks.push(Buffer.from(chunk));
    }
    throwIfAborted(options.signal);
    this.#blobs.set(expected.digest, { descriptor: bareDescriptor(expected), bytes: Buffer.concat(chunks) });
  }

  /** Names content that is here; see `Tagger`. @throws RootfsError `ERR_NOT_FOUND` */
  async tag(target: Descriptor, reference: string, options: CallOptions = {}): Promise<void> {
    requireReference(reference, 'memory');
    if (!(await this.exists(target, options))) throw absentBlob(target.digest, 'memory');
    this.#tags.set(reference, target);
  }

  /** The names, in the order in which they were first given. */
  async *tags(options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    throwIfAborted(options.signal);
    yield* this.#tags.keys();
  }

  /** Removes content and the names that point at it; see `Deleter`. */
  async delete(target: Descriptor | Digest, options: CallOptions = {}): Promise<void> {
    throwIfAborted(options.signal);
    const digest = typeof target === 'string' ? target : target.digest;
    requireVerifiable(digest);
    this.#blobs.delete(digest);
    for (const [name, named] of this.#tags) if (named.digest === digest) this.#tags.delete(name);
  }
}
