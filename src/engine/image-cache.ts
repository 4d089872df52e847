/**
 * Images that are fetched once: a source of images that keeps what it gives.
 *
 * This room puts registries, stores, images and layers together as an engine does. It knows all of them; it must not
 * know output forms, text that names transports, or the command line.
 */
import type { Readable } from 'node:stream';
import type {
  BlobLocation,
  BlobPath,
  CallOptions,
  Distruster,
  FetchOptions,
  ReadOnlyTarget,
  Target,
} from '../content/content.js';
import { RootfsError } from '../errors.js';
import { fetchImage } from '../image/fetch-image.js';
import { throwIfAborted, untilAborted } from '../io/abort.js';
import { mapConcurrently } from '../io/concurrency.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { isConfigType, isIndexType, isManifestType } from '../spec/media-types.js';
import { type Platform, parsePlatform } from '../spec/platform.js';
import { formatReference, parseReference, type Reference } from '../spec/reference.js';
import { bringImage } from './bring-image.js';
import { type Meaning, nameOf, referenceOf, resolveIn, stamped } from './cache-names.js';
import { defaultCacheStore } from './cache-store.js';
import { CachedContent } from './cached-content.js';
import { defaultRepository } from './default-repository.js';
import {
  checkImageCacheOptions,
  type ImageCacheOptions,
  type ImageKeeper,
  type PullPolicy,
} from './image-cache-options.js';
import { firstAnswer, isAbsence, placeOf, Remotes, type RepositoryFactory } from './remotes.js';

/**
 * A read-only target over a local store: names and content come from there where it has them, from the registry where
 * it has not, and stay in the store then. Safe for concurrent use, also by several processes.
 *
 * References are full ones (`docker.io/library/debian:12`, or as people type them). A digest that is in the store
 * touches no network, whatever `pull` says. A store that cannot be written serves what it holds; a warning says so.
 */
export class ImageCache implements ReadOnlyTarget, BlobPath, Distruster, AsyncDisposable {
  /** Where images are kept. */
  readonly localStore: Target | null;
  /** The platform that indexes are resolved to. */
  readonly targetPlatform: Platform | undefined;
  /** Opens a repository. */
  readonly remoteRepository: RepositoryFactory;
  readonly #pull: PullPolicy;
  readonly #fill: 'image' | 'content';
  readonly #jobs: number;
  readonly #content: CachedContent | undefined;
  readonly #keeper: ImageKeeper | undefined;
  readonly #remotes: Remotes;
  /** The repository that brought a document, for what hangs below it. */
  readonly #homes = new Map<Digest, string>();
  /** What names were resolved to last. */
  readonly #meant = new Map<string, Meaning>();

  /** @throws RootfsError `ERR_OPTION_INVALID`, `ERR_PLATFORM_INVALID` */
  constructor(options: ImageCacheOptions = {}) {
    checkImageCacheOptions(options);
    const { targetPlatform, pull = 'missing', fill = 'image', jobs = 6 } = options;
    const store = options.localStore === undefined ? defaultCacheStore(pull !== 'never') : options;
    this.localStore = store.localStore ?? null;
    this.targetPlatform = typeof targetPlatform === 'string' ? parsePlatform(targetPlatform) : targetPlatform;
    this.remoteRepository = options.remoteRepository ?? defaultRepository;
    this.#remotes = new Remotes(this.remoteRepository);
    this.#pull = pull;
    this.#fill = fill;
    this.#jobs = jobs;
    this.#keeper = store.keeper;
    this.#content =
      this.localStore === null ? undefined : new CachedContent(this.localStore, { jobs, lockFolder: store.lockFolder });
  }

  /**
   * What a reference means. The descriptor carries the full reference in `org.opencontainers.image.ref.name`, by which
   * `fetch` finds the way back to the registry.
   *
   * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_NOT_FOUND` (under `'never'`: not in the store),
   *   `ERR_PLATFORM_NOT_FOUND`; what store and registry throw; the signal's reason
   */
  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    throwIfAborted(options.signal);
    const parsed = parseReference(reference);
    const name = formatReference(parsed);
    if (this.targetPlatform === undefined) return stamped(await this.#resolve(parsed, options), name);
    const whole: ReadOnlyTarget & Distruster = {
      resolve: (_reference, call) => this.#resolve(parsed, { ...options, ...call }),
      fetch: (target, call) => this.#open(stamped(target, name), { ...options, ...call }),
      exists: (target, call) => this.exists(target, { ...options, ...call }),
      distrust: (target) => this.distrust(target),
    };
    const image = await fetchImage(whole, name, { ...options, platform: this.targetPlatform });
    const meant = this.#meant.get(name);
    if (meant?.root.digest === image.target.digest) meant.targets.add(image.manifest.descriptor.digest);
    return stamped(image.manifest.descriptor, name);
  }

  /**
   * Opens content, from the store where it is there. What is missing is fetched first and kept: with a resolved
   * descriptor the whole image, else the one blob. The stream is not verified; what is kept was.
   *
   * @throws RootfsError `ERR_NOT_FOUND`, `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`; what store and registry throw;
   *   the signal's reason
   */
  async fetch(target: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    throwIfAborted(options.signal);
    await this.#complete(target, options);
    return this.#open(target, options);
  }

  /** Whether content is in the store or, unless nobody may be asked, in its repository. */
  async exists(target: Descriptor, options: CallOptions = {}): Promise<boolean> {
    throwIfAborted(options.signal);
    if (await this.#content?.has(target, options)) return true;
    if (this.#pull === 'never') return false;
    const ask = async (remote: ReadOnlyTarget): Promise<true | undefined> =>
      (await remote.exists(target, options)) || undefined;
    return (await firstAnswer(this.#origins(target), ask, options.signal)) ?? false;
  }

  /** Where content lies on this machine, fetched first where it is missing; `undefined` where the store has no files. */
  async blobPath(target: Descriptor, options: CallOptions = {}): Promise<BlobLocation | undefined> {
    throwIfAborted(options.signal);
    if (this.#content === undefined || !('blobPath' in (this.localStore ?? {}))) return undefined;
    await this.#complete(target, options);
    return (await this.#bring(target, options)) ? this.#content.blobPath(target, options) : undefined;
  }

  /** Hears that content was wrong: it is fetched anew the next time. @returns false where that cannot help */
  distrust(target: Descriptor): boolean {
    if (this.#pull === 'never') return false;
    const asksElsewhere = this.#remotes.distrust(target);
    return this.#content?.distrust(target) === true || asksElsewhere;
  }

  /**
   * Tells that what was resolved here is not used any more, and waits until aborted transfers have let go of their
   * files. Needed only for a cache that others may prune, or a folder that is to be removed.
   */
  async close(): Promise<void> {
    await this.#content?.settled();
    await this.#keeper?.close();
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #resolve(parsed: Reference, options: CallOptions): Promise<Descriptor> {
    const name = formatReference(parsed);
    const local =
      this.#pull === 'always' && parsed.digest === undefined ? undefined : await this.#find(parsed, options);
    if (local !== undefined) {
      this.#remotes.open(parsed);
      return local;
    }
    if (this.#pull === 'never') throw this.#absent(name, name);
    const remote = await untilAborted(this.#remotes.open(parsed), options.signal);
    const found = await remote.resolve(parsed.digest ?? parsed.tag ?? 'latest', options, this.#content);
    await untilAborted(this.#keeper?.use(found.digest), options.signal);
    this.#homes.set(found.digest, placeOf(parsed));
    const meant = this.#meant.get(name);
    if (meant?.root.digest === found.digest) meant.isHere = false;
    else this.#meant.set(name, { root: found, targets: new Set([found.digest]), isHere: false });
    return found;
  }

  /** What the store knows of a name. */
  async #find(parsed: Reference, options: CallOptions): Promise<Descriptor | undefined> {
    const { localStore } = this;
    if (localStore === null) return undefined;
    try {
      const found = await untilAborted(resolveIn(localStore, parsed, options), options.signal);
      await untilAborted(this.#keeper?.use(found.digest), options.signal);
      return (await this.#content?.has(found, options)) ? found : undefined;
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw error;
    }
  }

  /** Brings the rest of an image that was resolved at a registry, and then gives it its name in the store. */
  async #complete(target: Descriptor, options: CallOptions): Promise<void> {
    const name = nameOf(target);
    const content = this.#content;
    if (name === undefined || content === undefined || this.#pull === 'never') return;
    if (!isIndexType(target.mediaType) && !isManifestType(target.mediaType)) return;
    const parsed = referenceOf(name);
    if (parsed === undefined) return;
    const meant = this.#meant.get(name);
    if (meant?.isHere !== false && (await content.has(target, options))) return;
    if (this.#fill === 'image' && !(await this.#bringBelow(target, parsed, content, options))) return;
    // What the name does not mean any more is served, and has no name.
    if (meant?.targets.has(target.digest) === false) return;
    const root = meant?.root ?? target;
    if (!(await this.#bring(root, options)) || this.#meant.get(name) !== meant) return;
    await this.#name(root, parsed, options);
    if (meant !== undefined) meant.isHere = true;
  }

  /** @returns false where it is not kept */
  async #bringBelow(
    target: Descriptor,
    parsed: Reference,
    content: CachedContent,
    options: CallOptions,
  ): Promise<boolean> {
    const origin = await untilAborted(this.#remotes.open(parsed), options.signal);
    const below = await bringImage(target, (document, call) => content.read(document, origin, call), options);
    if (below === undefined) return false;
    for (const digest of below.documents) this.#homes.set(digest, placeOf(parsed));
    const kept = await mapConcurrently(
      below.blobs,
      (blob, signal) => content.bring(blob, origin, { ...options, signal }),
      { concurrency: this.#jobs, signal: options.signal },
    );
    return kept.every(Boolean);
  }

  async #name(root: Descriptor, parsed: Reference, options: CallOptions): Promise<void> {
    try {
      const { annotations: _annotations, ...plain } = root;
      await this.localStore?.tag(plain, parsed.digest ?? formatReference(parsed), options);
    } catch (error) {
      throwIfAborted(options.signal);
      if (!(error instanceof RootfsError)) throw error;
      this.#content?.tellNotKept(error, options);
    }
  }

  /** Makes content be in the store. @returns false where it is served and not kept */
  async #bring(target: Descriptor, options: CallOptions): Promise<boolean> {
    const content = this.#content;
    if (content === undefined) return false;
    if (await content.has(target, options)) return true;
    if (this.#pull === 'never') throw this.#absent(target.digest, nameOf(target));
    return this.#fromOrigins(target, options, (remote) => content.bring(target, remote, options));
  }

  async #open(target: Descriptor, options: FetchOptions): Promise<Readable> {
    const content = this.#content;
    if (content !== undefined && isDocument(target) && options.range === undefined) {
      // Documents are small: a damaged one is healed here, where it is noticed.
      const origins = this.#pull === 'never' ? [] : this.#origins(target);
      // What is here needs nobody who might be asked.
      const opening = origins[0]?.catch(() => undefined);
      const origin = await untilAborted(opening, options.signal);
      const bytes = await content.read(target, origin, options).catch((error: unknown) => {
        throwIfAborted(options.signal);
        if (origins.length > 1) return undefined;
        throw error;
      });
      if (bytes !== undefined) return content.fetch(target, options);
    }
    if (await this.#bring(target, options)) {
      if (content !== undefined) return content.fetch(target, options);
    }
    return this.#fromOrigins(target, options, (remote) => remote.fetch(target, options));
  }

  async #fromOrigins<T>(target: Descriptor, call: CallOptions, ask: (at: ReadOnlyTarget) => Promise<T>): Promise<T> {
    const answer = await firstAnswer(this.#origins(target), ask, call.signal);
    if (answer === undefined) throw this.#absent(target.digest, nameOf(target));
    return answer;
  }

  /** The repositories to ask for content, the likeliest first. */
  #origins(target: Descriptor): readonly Promise<ReadOnlyTarget>[] {
    const name = nameOf(target);
    const parsed = name === undefined ? undefined : referenceOf(name);
    if (parsed !== undefined) return [this.#remotes.open(parsed)];
    const home = this.#remotes.at(this.#homes.get(target.digest));
    return home === undefined ? this.#remotes.latestFirst() : [home];
  }

  #absent(subject: string, name: string | undefined): RootfsError {
    const place = (this.localStore as { readonly place?: unknown } | null)?.place;
    const where = typeof place === 'string' ? `the cache ${place}` : 'the cache';
    const offline = this.#pull === 'never';
    const detail = { ...(name === undefined ? {} : { reference: name }), subject, ...(offline && { offline }) };
    const advice = offline
      ? '; run once without --offline but with --cache to fetch it'
      : ', and nobody said which repository has it; resolve its image first';
    return new RootfsError('ERR_NOT_FOUND', `${subject}: not in ${where}${advice}`, { detail });
  }
}

function isDocument({ mediaType }: Descriptor): boolean {
  return isIndexType(mediaType) || isManifestType(mediaType) || isConfigType(mediaType);
}
