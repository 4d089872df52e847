/** A repository as an engine works with it: one endpoint that answered, and its manifests, blobs and tags. */
import type { CallOptions, FetchOptions } from '../content/content.js';
import { readVerified } from '../content/fetch-verified.js';
import { throwIfAborted } from '../io/abort.js';
import type { Endpoint, EndpointResolver } from '../registry/endpoint.js';
import type { RegistryRepository } from '../registry/repository.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { parseReference } from '../spec/reference.js';
import { type RegistryConfig, requireParts } from './engine-config.js';
import { engineRepository } from './engine-repository.js';
import type { RepositoryInfo } from './registry-resolver.js';

/** A manifest or an index, with its verified bytes. */
export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** A repository at one endpoint. */
export interface OpenedRepository {
  readonly info: RepositoryInfo;
  /** The endpoint that answered; everything below is asked of it alone. */
  readonly endpoint: Endpoint;
  /** Manifests and indexes, by tag or digest. */
  readonly manifests: {
    resolve(reference: string, options?: CallOptions): Promise<Descriptor>;
    get(reference: string, options?: CallOptions): Promise<FetchedManifest>;
    exists(target: Descriptor, options?: CallOptions): Promise<boolean>;
    put(target: Descriptor, content: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<void>;
    delete(digest: Digest, options?: CallOptions): Promise<void>;
  };
  readonly blobs: {
    exists(target: Descriptor, options?: CallOptions): Promise<boolean>;
    /** Not verified: see `fetchVerified`. */
    open(target: Descriptor, options?: FetchOptions): ReturnType<RegistryRepository['fetch']>;
    put(target: Descriptor, content: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<void>;
    mount(target: Descriptor, fromRepository: string, options?: CallOptions): Promise<boolean>;
    delete(target: Descriptor, options?: CallOptions): Promise<void>;
  };
  readonly tags: {
    all(options?: CallOptions): AsyncIterable<string>;
    get(tag: string, options?: CallOptions): Promise<Descriptor>;
    tag(target: Descriptor, tag: string, options?: CallOptions): Promise<void>;
  };
}

/**
 * Opens the repository of a reference: the resolver's endpoints are asked in order whether they speak the registry API
 * to us, and the first that does is taken. Plain http is not tried at a host that spoke TLS.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_REFERENCE_INVALID`; when no endpoint answers, the failure of the registry itself;
 *   `ERR_TIMEOUT` and `ERR_INTERNAL` naming the part that hangs or throws; the signal's reason
 */
export async function getRepository(reference: string, config: RegistryConfig = {}): Promise<OpenedRepository> {
  requireParts(config);
  const { signal, onProgress } = config;
  throwIfAborted(signal);
  const parsed = parseReference(reference);
  const { info, options } = await engineRepository(parsed, config, 'pull');
  const [{ pingEndpoint }, { createRepository }] = await Promise.all([
    import('../registry/ping-endpoint.js'),
    import('../registry/repository.js'),
  ]);
  const endpoint = await pingEndpoint(info.host, info.path, options, { signal, onProgress });
  const whole: Endpoint = { ...endpoint, capabilities: ['pull', 'resolve', 'push'] };
  const endpoints: EndpointResolver = {
    async endpoints(host, path, call) {
      // It may have been configured that nobody is to be asked for this tag.
      if (call?.reference !== undefined) await options.endpoints.endpoints(host, path, call);
      return [whole];
    },
  };
  const repository = createRepository(
    { ...parsed, registry: info.host, repository: info.path },
    { ...options, endpoints },
  );
  return {
    info,
    endpoint,
    manifests: {
      resolve: (name, call) => repository.resolve(name, call),
      async get(name, call = {}) {
        const { descriptor, content } = await repository.fetchReference(name, call);
        return { descriptor, bytes: await readVerified({ fetch: async () => content }, descriptor, call) };
      },
      exists: (target, call) => repository.exists(target, call),
      put: (target, content, call) => repository.push(target, content, call),
      delete: (digest, call) => repository.delete(digest, call),
    },
    blobs: {
      exists: (target, call) => repository.exists(target, call),
      open: (target, call) => repository.fetch(target, call),
      put: (target, content, call) => repository.push(target, content, call),
      mount: (target, from, call) => repository.mount(target, from, call),
      delete: (target, call) => repository.delete(target, call),
    },
    tags: {
      all: (call) => repository.tags(call),
      get: (tag, call) => repository.resolve(tag, call),
      tag: (target, tag, call) => repository.tag(target, tag, call),
    },
  };
}
