/**
 * A repository of a registry as a source and a destination of content.
 *
 * This room knows the distribution API: where manifests and blobs lie, who may see them, how to get them whole over
 * networks that fail. It must not know what is inside an image or where layers go; it verifies what it pushes, and
 * leaves the verification of what it fetches to whoever asked.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */
import { Readable } from 'node:stream';
import type {
  CallOptions,
  Deleter,
  Distruster,
  FetchOptions,
  Importer,
  ParallelFetcher,
  ReferenceFetcher,
  Referrers,
  TagLister,
  TagPusher,
  Target,
} from '../content/content.js';
import { abortStream } from '../io/abort.js';
import { discard, discardOnError } from '../io/discard.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import type { Reference } from '../spec/reference.js';
import type { Subject } from './answer-error.js';
import { blobExists } from './blob-exists.js';
import { deleteContent } from './delete-content.js';
import { fetchBlob } from './fetch-blob.js';
import { listReferrers } from './list-referrers.js';
import { type ListedPage, listedEntries, listedPage } from './listed-instances.js';
import { isManifestContent, manifestStream } from './manifest-answer.js';
import { ManifestClient } from './manifest-client.js';
import { mountBlob } from './mount-blob.js';
import { listNames, listPages, type NamesRequest } from './paged-list.js';
import { pushBlob } from './push-blob.js';
import { readReference } from './read-reference.js';
import { type RegistryOptions, registrySettings } from './registry-options.js';
import { RegistrySession } from './registry-session.js';
import { repositoryScope } from './scopes.js';
import { ServedContent } from './served-content.js';
import type { UploadContext } from './upload-place.js';

/**
 * Opens a repository by name (`ubuntu`, `ghcr.io/user/name`; a tag or digest in it is not used). Nothing is asked of
 * the registry yet. Nothing needs to be closed: idle connections hold up no exit.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_OPTION_INVALID`
 */
export function createRepository(name: string | Reference, options: RegistryOptions = {}): RegistryRepository {
  const { registry, repository } = readReference(name);
  return new RegistryRepository(registry, repository, options);
}

/** One repository. Made by `createRepository`. Safe for concurrent use. */
export class RegistryRepository
  implements Target, ReferenceFetcher, TagPusher, ParallelFetcher, Importer, TagLister, Referrers, Deleter, Distruster
{
  /** The registry as in a reference: `docker.io`, `localhost:5000`. */
  readonly registry: string;
  /** The repository's path at the registry. */
  readonly repository: string;
  readonly #session: RegistrySession;
  readonly #manifests: ManifestClient;
  readonly #served = new ServedContent();

  constructor(registry: string, repository: string, options: RegistryOptions) {
    this.registry = registry;
    this.repository = repository;
    this.#session = new RegistrySession(registry, repository, registrySettings(options));
    this.#manifests = new ManifestClient(this.#session, registry, repository);
  }

  /**
   * Asks what a tag or digest points at: HEAD, and GET where HEAD is refused or hung up on, or leaves something open.
   *
   * @param reference A tag, a digest, or a full reference to this repository; with both, the digest decides.
   * @throws RegistryError `ERR_NOT_FOUND`, `ERR_UNAUTHORIZED`, `ERR_DENIED`, `ERR_RATE_LIMITED`, `ERR_REGISTRY`
   * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_NETWORK`, `ERR_TIMEOUT`, `ERR_TLS`
   */
  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    return this.#manifests.resolve(this.#manifests.ask(reference), options);
  }

  /**
   * Fetches what a tag or digest points at in one GET: descriptor and bytes. For a tag the digest is computed from
   * the bytes; for a digest it is the one asked for, and the bytes are not verified.
   *
   * @throws RegistryError, RootfsError as `resolve`; `ERR_LIMIT_EXCEEDED` for a manifest over 4 MiB
   */
  async fetchReference(
    reference: string,
    options: CallOptions = {},
  ): Promise<{ descriptor: Descriptor; content: Readable }> {
    const { descriptor, bytes } = await this.#manifests.get(this.#manifests.ask(reference), options);
    return { descriptor, content: abortStream(Readable.from([bytes], { objectMode: false }), options.signal) };
  }

  /**
   * Opens content: manifests and indexes by their media type, everything else as a blob. A blob whose connection
   * breaks goes on where it broke, at the next endpoint if need be; manifests of a mirror are checked, and asked for
   * elsewhere when they are wrong.
   *
   * @throws RegistryError `ERR_NOT_FOUND`, `ERR_UNAUTHORIZED`, `ERR_DENIED`, `ERR_RANGE_INVALID`, `ERR_REGISTRY`
   * @throws RootfsError `ERR_NETWORK`, `ERR_TIMEOUT`, `ERR_TLS`, `ERR_RATE_LIMITED`, `ERR_RANGE_INVALID`
   */
  async fetch(target: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    requireVerifiable(target.digest);
    const name = `${this.place}@${target.digest}`;
    if (!isManifestContent(target.mediaType)) {
      return fetchBlob(
        target,
        {
          session: this.#session,
          subject: this.#subject('blob', name),
          distrusted: this.#served.distrusted(target.digest),
          served: (endpoint, origin, ranges) => this.#served.note(target.digest, endpoint, origin, ranges),
          refused: (endpoint, origin) => this.#served.refused(target.digest, endpoint, origin),
        },
        options,
      );
    }
    const { bytes } = await this.#manifests.get(this.#manifests.askDigest(target.digest), options);
    return abortStream(manifestStream(bytes, target, options.range, name), options.signal);
  }

  /** Whether the content is here, by one HEAD; by GET where that is refused. A blob's 404 to nobody is believed, and the registry's before what its mirrors have. @throws RegistryError, RootfsError as `resolve`, but never `ERR_NOT_FOUND` */
  async exists(target: Descriptor, options: CallOptions = {}): Promise<boolean> {
    return this.#exists(target, options, false);
  }

  async #exists(target: Descriptor, options: CallOptions, beforePush: boolean): Promise<boolean> {
    if (isManifestContent(target.mediaType)) {
      return this.#manifests.exists(this.#manifests.askDigest(target.digest), options);
    }
    requireVerifiable(target.digest);
    const subject = this.#subject('blob', `${this.place}@${target.digest}`);
    const found = await blobExists(this.#session, target.digest, subject, options, beforePush);
    this.#served.noteThere(target.digest, found);
    return found;
  }

  /**
   * How many ranges of a blob are worth fetching at once: the option `parallelRanges`; under `auto` 1 for small blobs,
   * loopback, and servers that did not show that they honour Range. 1 too where a range was refused or ignored.
   */
  fetchParallelism(target: Descriptor): number {
    return this.#served.parallelism(target, this.#session.settings.parallelRanges);
  }

  /**
   * Tells that the bytes of `target` that came last were not what its digest promises: the mirrors that brought them
   * are not asked for it again while there is another endpoint.
   *
   * @returns Whether fetching again asks somebody else.
   */
  distrust(target: Descriptor): boolean {
    return this.#served.distrust(target.digest);
  }

  /**
   * Stores content: manifests and indexes under their digest, everything else as a blob. What is there is success.
   *
   * Digest and size are checked here before the registry is asked to keep anything. An upload whose connection breaks
   * goes on from what the registry confirms; from further back only where `content` can be iterated again. A manifest
   * with a `subject` is added to the list of referrers where the registry does not do that itself; where something else
   * stands in the list's place that is left, and an error: the manifest itself is stored then.
   *
   * @throws RegistryError, RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_UNSUPPORTED` (read-only),
   * `ERR_LIMIT_EXCEEDED` (413; a manifest over 4 MiB), `ERR_UNAUTHORIZED`, `ERR_DENIED`, and as `resolve`
   */
  async push(expected: Descriptor, content: AsyncIterable<Uint8Array>, options: CallOptions = {}): Promise<void> {
    await discardOnError(content, async () => {
      requireVerifiable(expected.digest);
      if (isManifestContent(expected.mediaType)) {
        await this.#manifests.push(expected, content, options);
      } else if (!this.#served.takeAbsent(expected.digest) && (await this.#exists(expected, options, true))) {
        discard(content);
      } else {
        await pushBlob(expected, content, this.#upload(expected.digest), options);
      }
    });
  }

  /** Stores a manifest as `push` does, under a tag: one request, where its digest is by sha256. @throws as `push`, `tag` */
  async pushTagged(
    expected: Descriptor,
    content: AsyncIterable<Uint8Array>,
    reference: string,
    options: CallOptions = {},
  ): Promise<void> {
    await discardOnError(content, () => this.#manifests.push(expected, content, options, reference));
  }

  /**
   * Points a tag at a manifest that is here: the same bytes, the same media type.
   *
   * @param reference A tag, or a full reference to this repository with a tag.
   * @throws RegistryError, RootfsError as `push`; `ERR_REFERENCE_INVALID` for a digest
   */
  async tag(target: Descriptor, reference: string, options: CallOptions = {}): Promise<void> {
    await this.#manifests.tag(target, reference, options);
  }

  /**
   * Makes a blob of another repository of this registry a blob of this one, without moving its bytes.
   *
   * @returns false where the registry does not do it, or not for us; the caller pushes then.
   * @throws RootfsError `ERR_REFERENCE_INVALID` for a repository name that is none; as `resolve`
   */
  async mount(target: Descriptor, fromRepository: string, options: CallOptions = {}): Promise<boolean> {
    const isMounted = (await mountBlob(target, fromRepository, this.#upload(target.digest), options)) === true;
    if (isMounted) this.#served.noteThere(target.digest, true);
    return isMounted;
  }

  /** Mounts as `mount`, else pushes, in the upload that the registry opened instead. @returns whether it was mounted @throws as both */
  async mountOrPush(
    target: Descriptor,
    fromRepository: string,
    content: () => AsyncIterable<Uint8Array>,
    options: CallOptions = {},
  ): Promise<boolean> {
    const upload = this.#upload(target.digest);
    const found = await mountBlob(target, fromRepository, upload, options, true);
    if (found !== false) this.#served.noteThere(target.digest, true);
    if (found === true) return true;
    const source = content();
    if (found === false) await this.push(target, source, options);
    else await discardOnError(source, () => pushBlob(target, source, upload, options, found));
    return false;
  }

  /** The tags of this repository, in the registry's order, each once. @throws RegistryError, RootfsError as `resolve` */
  tags(options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    return listNames(this.#session, 'tags', this.#tagList(), options);
  }

  /** What is new in each page of the list of tags, with what the registry tells of its manifests. @throws as `tags` */
  async *listing(options: CallOptions = {}): AsyncGenerator<ListedPage, void, undefined> {
    for await (const page of listPages(this.#session, listedEntries(this.#tagList(), options), options)) {
      if (page !== undefined) yield listedPage(page);
    }
  }

  /**
   * The manifests whose `subject` is `target`: by the registry's API, else by the tag that stands in for it.
   *
   * @throws RegistryError, RootfsError as `resolve`
   */
  referrers(
    target: Descriptor,
    artifactType?: string,
    options: CallOptions = {},
  ): AsyncGenerator<Descriptor, void, undefined> {
    requireVerifiable(target.digest);
    const subject = this.#subject('referrers', `${this.place}@${target.digest}`);
    const readTag = (tag: string): Promise<Buffer | undefined> => this.#manifests.readTag(tag, options);
    return listReferrers(this.#session, target.digest, artifactType, subject, readTag, options);
  }

  /**
   * Removes content. A bare digest is looked for among the manifests, then among the blobs. Not there is success. A
   * manifest with a `subject` is taken out of the list of referrers where the registry does not do that itself.
   *
   * @throws RegistryError `ERR_UNSUPPORTED` where the registry does not allow deletion; as `resolve`
   */
  async delete(target: Descriptor | Digest, options: CallOptions = {}): Promise<void> {
    const digest = typeof target === 'string' ? target : target.digest;
    requireVerifiable(digest);
    const isBlob = typeof target !== 'string' && !isManifestContent(target.mediaType);
    if (!isBlob && (await this.#manifests.delete(digest, options))) return;
    const subject = this.#subject('blob', `${this.place}@${digest}`);
    if (isBlob || typeof target === 'string') await deleteContent(this.#session, 'blobs', digest, subject, options);
  }

  #tagList(): NamesRequest {
    return {
      path: (endpoint) => `${endpoint.repository}/tags/list`,
      scopes: (endpoint) => [repositoryScope(endpoint.repository, 'pull')],
      subject: this.#subject('tags', this.place),
    };
  }

  /** What messages call it: `registry/repository`. */
  get place(): string {
    return `${this.registry}/${this.repository}`;
  }

  #upload(digest: Digest): UploadContext {
    return { session: this.#session, subject: this.#subject('upload', `${this.place}@${digest}`) };
  }

  #subject(kind: Subject['kind'], name: string): Subject {
    return { kind, name, registry: this.registry, repository: this.place };
  }
}
