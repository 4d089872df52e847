/**
 * What a store of content is: interfaces of one to three methods, composed, and the one way to read with proof.
 *
 * This file knows descriptors and streams. It does not know registries, folders, images or layers; those meet here.
 * Optional powers are separate interfaces: a caller probes for the method and does without where it is missing.
 */
import type { Readable } from 'node:stream';
import type { ProgressListener } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';

/** What every call takes: an abort signal that goes down and a listener for progress that comes up. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
}

/** A half-open range of bytes: `start` is the first byte, `end` the first byte after it (the blob's end if absent). */
export interface ByteRange {
  readonly start: number;
  readonly end?: number | undefined;
}

/** Options of `Fetcher.fetch`. */
export interface FetchOptions extends CallOptions {
  /**
   * Only these bytes of the content. The stream gives exactly this range or fails; a source whose server ignores
   * ranges reads and drops what was not asked for. `ERR_RANGE_INVALID` where the range lies outside the content.
   */
  readonly range?: ByteRange | undefined;
}

/** Turns a reference (a tag or a digest, in the source's own dialect) into a descriptor. */
export interface Resolver {
  /** @throws RootfsError `ERR_NOT_FOUND` when there is no such name here. */
  resolve(reference: string, options?: CallOptions): Promise<Descriptor>;
}

/** Gives the raw bytes of content. They are NOT verified: see `fetchVerified`. */
export interface Fetcher {
  /**
   * Opens the content of `target`: its raw bytes, at most `target.size + 1` of them (so that a longer body is seen
   * and not read). The caller owns the stream and must end or destroy it.
   *
   * @throws RootfsError `ERR_NOT_FOUND` when it is not here.
   */
  fetch(target: Descriptor, options?: FetchOptions): Promise<Readable>;
}

/** A store that can be read. */
export interface ReadOnlyStorage extends Fetcher {
  /** Whether the content is here. True promises that `fetch` finds it, not that its bytes are sound. */
  exists(target: Descriptor, options?: CallOptions): Promise<boolean>;
}

/** A store that can be read and knows names. */
export interface ReadOnlyTarget extends ReadOnlyStorage, Resolver {}

/** Takes content in. */
export interface Pusher {
  /**
   * Stores `content` under `expected`, all of it or nothing: digest and size are checked before it becomes visible.
   * Content that is there already is success.
   *
   * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`
   */
  push(expected: Descriptor, content: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<void>;
}

/** Gives content a name. */
export interface Tagger {
  /** Points `reference` at `target`, which must be here; an older meaning of the name is replaced. */
  tag(target: Descriptor, reference: string, options?: CallOptions): Promise<void>;
}

/** A store that can be read, written and named in. */
export interface Target extends ReadOnlyTarget, Pusher, Tagger {}

/** Optional power: a reference becomes its descriptor and its bytes in one request. The bytes are not verified. */
export interface ReferenceFetcher {
  fetchReference(reference: string, options?: CallOptions): Promise<{ descriptor: Descriptor; content: Readable }>;
}

/** Optional power: a manifest is stored and named in one request. */
export interface TagPusher {
  /** As `push`, and points `reference` at it; see `Tagger`. */
  pushTagged(
    expected: Descriptor,
    content: AsyncIterable<Uint8Array>,
    reference: string,
    options?: CallOptions,
  ): Promise<void>;
}

/** Where a blob's raw bytes lie on this machine: `size` bytes from `offset` in the regular file `path`. */
export interface BlobLocation {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/** Optional power: the blob is (part of) a local regular file that may be read directly. */
export interface BlobPath {
  /** Where the blob lies, or `undefined` when this one has no file of its own. Its bytes are not verified. */
  blobPath(target: Descriptor, options?: CallOptions): Promise<BlobLocation | undefined>;
}

/** Optional power: says into how many ranges at once a blob may usefully be split. */
export interface ParallelFetcher {
  /**
   * The number of ranges of `target` worth fetching at once; 1 where splitting does not help or is not honoured. Asked
   * again while ranges come: 1 from then on makes the rest come in one piece, as a range's `ERR_RANGE_INVALID` does.
   */
  fetchParallelism(target: Descriptor): number;
}

/** Optional power: content of another repository of the same registry becomes content here without moving bytes. */
export interface Mounter {
  /** @returns false when the other side did not do it; the caller pushes then. */
  mount(target: Descriptor, fromRepository: string, options?: CallOptions): Promise<boolean>;
}

/** Optional power: what is not mounted is stored in the upload that the other side opened in the mount's place. */
export interface Importer extends Mounter {
  /**
   * Mounts as `Mounter`, else stores as `Pusher`.
   *
   * @param content Asked for once, and only where bytes are wanted.
   * @returns whether it was mounted
   */
  mountOrPush(
    target: Descriptor,
    fromRepository: string,
    content: () => AsyncIterable<Uint8Array>,
    options?: CallOptions,
  ): Promise<boolean>;
}

/** Optional power: the names here. */
export interface TagLister {
  /** Yields each name once, in the source's order. */
  tags(options?: CallOptions): AsyncIterable<string>;
}

/** A name under which a source lists an image. */
export interface KeptName {
  /** In full: `docker.io/library/alpine:3`. */
  readonly full: string;
  /** `org.opencontainers.image.ref.name`, as it stands in a layout. */
  readonly refName?: string | undefined;
}

/** Optional power: knows images by names in full, which whoever gets a copy may want to keep. */
export interface NameKeeper {
  /**
   * The name of what `reference` means here: the one asked for, or the only one it has. `undefined` where it has none
   * or several, or was asked for by its digest.
   */
  keptName(reference: string, options?: CallOptions): Promise<KeptName | undefined>;
}

/** Content that a source holds, and its name there; several entries may be of one name, or of one content. */
export interface HeldEntry {
  readonly descriptor: Descriptor;
  readonly tag?: string | undefined;
}

/** Optional power: all that is held here under a name or by itself. */
export interface EntryLister {
  entries(options?: CallOptions): AsyncIterable<HeldEntry>;
}

/** Optional power: the repositories here. */
export interface Catalog {
  repositories(options?: CallOptions): AsyncIterable<string>;
}

/** Optional power: the manifests whose `subject` is `target`. */
export interface Referrers {
  referrers(target: Descriptor, artifactType?: string, options?: CallOptions): AsyncIterable<Descriptor>;
}

/** Optional power: content can be removed. */
export interface Deleter {
  /** Removes the content. What is not there is success. */
  delete(target: Descriptor | Digest, options?: CallOptions): Promise<void>;
}

/** Optional power: a name can be taken away, and others of the same content stay. */
export interface Untagger {
  /** @throws RootfsError `ERR_NOT_FOUND` where nothing has that name, `ERR_REFERENCE_INVALID` for an empty one */
  untag(reference: string, options?: CallOptions): Promise<void>;
}

/**
 * Optional power: knows of content what its digest does not say. A docker-archive computes the digests of compressed
 * layers from the bytes that it holds: these would fit damaged ones too.
 */
export interface ContentChecker {
  /** Called before content is handed on. @throws RootfsError `ERR_DIFFID_MISMATCH`, `ERR_DECOMPRESS` */
  check(target: Descriptor, options?: CallOptions): Promise<void>;
}

/** Optional power: hears that content it gave was not what its digest promises, and asks elsewhere next time. */
export interface Distruster {
  /** @returns Whether fetching `target` again asks somebody else; false where there is nobody else to ask. */
  distrust(target: Descriptor): boolean;
}
