/**
 * Whole errands at registries, by the names of images: what people do with a registry besides pulling layers.
 *
 * This room puts registries and images together behind one interface. It must not know output forms of root file
 * systems, nor the command line.
 */
import type { Readable } from 'node:stream';
import type { CallOptions } from '../content/content.js';
import { fetchVerified } from '../content/fetch-verified.js';
import { RootfsError } from '../errors.js';
import { fetchDescriptor } from '../image/fetch-descriptor.js';
import { fetchImage } from '../image/fetch-image.js';
import { type FetchedManifest, fetchManifest } from '../image/fetch-manifest.js';
import { findReferrers } from '../image/find-referrers.js';
import type { ImageDocument } from '../image/image.js';
import { type DownloadImageOptions, downloadImage, packageImage, removeImageDir } from '../image/image-folder.js';
import { type PullOptions, pull } from '../image/pull.js';
import { getToken } from '../registry/get-token.js';
import type { Instance } from '../registry/listed-instances.js';
import { machineOptions, type OpenRegistryOptions, openRepository } from '../registry/open-repository.js';
import { createRegistry } from '../registry/registry.js';
import type { RegistryRepository } from '../registry/repository.js';
import type { RegistryToken } from '../registry/token-request.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isDigest } from '../spec/digest.js';
import type { ImageConfig } from '../spec/image-config.js';
import { hostPlatform, type Platform } from '../spec/platform.js';
import { formatReference, parseReference, type Reference, splitImage } from '../spec/reference.js';
import { type ListInstancesOptions, listInstances } from './list-instances.js';
import { type ValidateImageOptions, type ValidImage, validateImage } from './validate-image.js';

/** What `execute` pulls, in parts. */
export interface ExecuteOptions extends Omit<PullOptions, 'platform'> {
  /** `alpine`, `ghcr.io/org/app`, with or without a tag or digest. */
  readonly image: string;
  /** A tag or a digest, where `image` has none. Default `latest`. */
  readonly tag?: string | undefined;
  /** Default: the host's. */
  readonly arch?: string | undefined;
  /** Default: `linux` (`windows` on Windows). */
  readonly os?: string | undefined;
  /** A file ending in `.tar` or `.tar.gz`, or a folder. Default: the working folder. */
  readonly path?: string | undefined;
}

/** Errands at registries. Images and repositories are named as people name them; every call may be made at once. */
export interface RegistryClient {
  /** A bearer token for a repository, `undefined` where the registry wants none; see `getToken`. */
  getToken(
    image: string,
    options?: CallOptions & { readonly actions?: readonly string[] | undefined },
  ): Promise<RegistryToken | undefined>;
  /** What a name points at, index or manifest, verified, with its bytes. */
  getManifest(image: string, options?: CallOptions): Promise<FetchedManifest>;
  /** The same by digest, in the repository of `image`. */
  getManifestByDigest(image: string, digest: string, options?: CallOptions): Promise<FetchedManifest>;
  /** The config of an image for one platform. */
  getConfig(
    image: string,
    options?: CallOptions & { readonly platform?: Platform | string | undefined },
  ): Promise<ImageDocument<ImageConfig>>;
  /** What a name points at: HEAD first, computed from the bytes where the registry does not say. */
  getDigest(image: string, options?: CallOptions): Promise<Digest>;
  /** A blob of a repository, verified as it is read; the caller owns the stream. */
  getBlob(image: string, target: Descriptor, options?: CallOptions): Promise<Readable>;
  /** The tags of a repository, in the registry's order. */
  listTags(repository: string, options?: CallOptions): AsyncIterable<string>;
  /** The repositories of a registry. Many public registries do not tell. */
  listRepositories(registry: string, options?: CallOptions): AsyncIterable<string>;
  /** The manifests of a repository with size, tags and times; see `listInstances`. */
  listInstances(repository: string, options?: ListInstancesOptions): Promise<ReadonlyMap<Digest, Instance>>;
  /** Gives an image another tag in its repository: the same bytes, the same media type. */
  setTag(image: string, tag: string, options?: CallOptions): Promise<Descriptor>;
  /** Deletes the manifest that a name points at, and so every tag of it. @returns what was deleted */
  deleteManifest(image: string, options?: CallOptions): Promise<Descriptor>;
  /** The manifests whose subject is an image: signatures, attestations, bills of material; see `findReferrers`. */
  referrers(
    image: string,
    options?: CallOptions & { readonly artifactType?: string | undefined },
  ): AsyncIterable<Descriptor>;
  /** Reads and checks every byte of an image; see `validateImage`. */
  validate(image: string, options?: ValidateImageOptions): Promise<ValidImage>;
  /** Fetches an image into a new folder; see the function of this name. */
  downloadImage(image: string, options?: DownloadImageOptions): Promise<string>;
  /** Packs such a folder; see the function of this name. */
  packageImage(folder: string, path: string, options?: Pick<CallOptions, 'signal'>): Promise<string>;
  /** Removes such a folder; see the function of this name. */
  removeImageDir(folder: string): Promise<void>;
  /** Pulls an image into an archive in one go; see `pull`. @returns the archive's absolute path */
  execute(options: ExecuteOptions): Promise<string>;
}

/**
 * Makes a client. Credentials, mirrors and certificates are looked up on this machine unless they are given;
 * `dispatcher` is an undici dispatcher that every request goes through. Nothing is asked of a registry yet, and nothing
 * needs to be closed.
 *
 * Its calls throw what the functions they stand for throw; `ERR_REFERENCE_INVALID` for a name that is none.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` from the first call
 */
export function createRegistryClient(options: OpenRegistryOptions = {}): RegistryClient {
  return new Client(options);
}

interface Named {
  readonly repository: RegistryRepository;
  readonly reference: string;
  /** In full, where it has a tag and a digest: the digest is asked for, and archives have the tag. */
  readonly called: string | undefined;
}

class Client implements RegistryClient {
  readonly #options: OpenRegistryOptions;
  readonly #repositories = new Map<string, Promise<RegistryRepository>>();

  constructor(options: OpenRegistryOptions) {
    this.#options = options;
  }

  async getToken(
    image: string,
    options: CallOptions & { readonly actions?: readonly string[] | undefined } = {},
  ): Promise<RegistryToken | undefined> {
    const reference = parseReference(image);
    return getToken(reference, { ...(await machineOptions(reference.registry, this.#options)), ...options });
  }

  async getManifest(image: string, options: CallOptions = {}): Promise<FetchedManifest> {
    const { repository, reference } = await this.#open(image);
    return fetchManifest(repository, reference, options);
  }

  async getManifestByDigest(image: string, digest: string, options: CallOptions = {}): Promise<FetchedManifest> {
    if (!isDigest(digest)) {
      throw new RootfsError('ERR_DIGEST_INVALID', `${JSON.stringify(digest)}: not a digest; give sha256:<hex>`);
    }
    const { repository } = await this.#open(image);
    return fetchManifest(repository, digest, options);
  }

  async getConfig(
    image: string,
    options: CallOptions & { readonly platform?: Platform | string | undefined } = {},
  ): Promise<ImageDocument<ImageConfig>> {
    const { repository, reference } = await this.#open(image);
    return (await fetchImage(repository, reference, options)).config;
  }

  async getDigest(image: string, options: CallOptions = {}): Promise<Digest> {
    const { repository, reference } = await this.#open(image);
    return (await repository.resolve(reference, options)).digest;
  }

  async getBlob(image: string, target: Descriptor, options: CallOptions = {}): Promise<Readable> {
    const { repository } = await this.#open(image);
    return fetchVerified(repository, target, options);
  }

  async *listTags(repository: string, options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    yield* (await this.#open(repository)).repository.tags(options);
  }

  async *listRepositories(registry: string, options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    yield* createRegistry(registry, await machineOptions(registry, this.#options)).repositories(options);
  }

  async listInstances(repository: string, options: ListInstancesOptions = {}): Promise<ReadonlyMap<Digest, Instance>> {
    return listInstances((await this.#open(repository)).repository, options);
  }

  async setTag(image: string, tag: string, options: CallOptions = {}): Promise<Descriptor> {
    const { repository, reference } = await this.#open(image, { mirrors: false });
    const target = bareDescriptor(await fetchDescriptor(repository, reference, options));
    await repository.tag(target, tag, options);
    return target;
  }

  async deleteManifest(image: string, options: CallOptions = {}): Promise<Descriptor> {
    const { repository, reference } = await this.#open(image, { mirrors: false });
    // What a tag means is read; what is named by its digest may be damaged, and is to go all the same.
    const descriptor = isDigest(reference)
      ? await repository.resolve(reference, options)
      : await fetchDescriptor(repository, reference, options);
    await repository.delete(descriptor, options);
    return descriptor;
  }

  async *referrers(
    image: string,
    options: CallOptions & { readonly artifactType?: string | undefined } = {},
  ): AsyncGenerator<Descriptor, void, undefined> {
    const { repository, reference } = await this.#open(image);
    yield* findReferrers(repository, reference, options);
  }

  async validate(image: string, options: ValidateImageOptions = {}): Promise<ValidImage> {
    const { repository, reference } = await this.#open(image);
    return validateImage(repository, reference, options);
  }

  async downloadImage(image: string, options: DownloadImageOptions = {}): Promise<string> {
    const { repository, reference, called } = await this.#open(image);
    return downloadImage(repository, reference, { ...options, name: options.name ?? called });
  }

  packageImage(folder: string, path: string, options?: Pick<CallOptions, 'signal'>): Promise<string> {
    return packageImage(folder, path, options);
  }

  removeImageDir(folder: string): Promise<void> {
    return removeImageDir(folder);
  }

  async execute(given: ExecuteOptions): Promise<string> {
    const { image, tag, arch, os, path, ...options } = required(given);
    const { repository, reference, called } = await this.#open(withTag(image, tag));
    const host = hostPlatform();
    const platform =
      arch === undefined && os === undefined ? undefined : `${os ?? host.os}/${arch ?? host.architecture}`;
    const name = options.name ?? called;
    return (await pull(repository, reference, path, { ...options, name, platform })).path;
  }

  /** @param only `mirrors: false` for what is to be changed: it is read where it is changed. */
  async #open(image: string, only: Pick<OpenRegistryOptions, 'mirrors'> = {}): Promise<Named> {
    const reference = parseReference(image);
    return {
      repository: await this.#repository(reference, image, only),
      reference: reference.digest ?? reference.tag ?? 'latest',
      called: reference.digest === undefined || reference.tag === undefined ? undefined : formatReference(reference),
    };
  }

  /** One repository is opened once: its tokens and connections serve every call. */
  #repository(
    { registry, repository }: Reference,
    image: string,
    only: Pick<OpenRegistryOptions, 'mirrors'>,
  ): Promise<RegistryRepository> {
    const key = `${registry}/${repository} ${only.mirrors}`;
    const known = this.#repositories.get(key);
    if (known !== undefined) return known;
    const opened = openRepository(image, { ...this.#options, ...only }).then((found) => found.repository);
    this.#repositories.set(key, opened);
    opened.catch(() => this.#repositories.delete(key));
    if (this.#repositories.size > MAX_OPEN) {
      for (const oldest of this.#repositories.keys()) {
        this.#repositories.delete(oldest);
        break;
      }
    }
    return opened;
  }
}

/** Callers without a type checker call it with nothing, or with a name alone. */
function required(options: ExecuteOptions | null | undefined): ExecuteOptions {
  if (typeof options === 'object' && options !== null) return options;
  const found = options === null ? 'null' : typeof options;
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `execute: expected an object that says which image, found ${found}; give { image: 'alpine' }`,
    { detail: { option: 'execute', value: found } },
  );
}

/** How many repositories are kept open. */
const MAX_OPEN = 100;

function withTag(image: string, tag: string | undefined): string {
  if (tag === undefined) return image;
  const named = splitImage(image);
  if (named.tag !== undefined || named.digest !== undefined) {
    throw new RootfsError('ERR_OPTION_INVALID', `tag: ${image} has one already; give it once`, {
      detail: { option: 'tag' },
    });
  }
  return isDigest(tag) ? `${image}@${tag}` : `${image}:${tag}`;
}
