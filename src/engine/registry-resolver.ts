/** Where an engine asks for a repository: endpoints in order, mirrors first. */
import type { CallOptions } from '../content/content.js';
import { wrongAnswer } from '../io/part-error.js';
import type { Endpoint, EndpointOptions, EndpointResolver } from '../registry/endpoint.js';
import type { EndpointSearchOptions } from '../registry/endpoint-search.js';
import { familiarReference, type Reference } from '../spec/reference.js';
import { callPart } from './call-part.js';

/** A repository, and what is known of it before anybody is asked. */
export interface RepositoryInfo {
  /** The registry's host as in a reference: `docker.io`, `localhost:5000`. */
  readonly host: string;
  /** The repository's path at the registry. */
  readonly path: string;
  /** `docker.io/library/debian` */
  readonly name: string;
  /** As people write it: `debian`. */
  readonly familiarName: string;
  /** One of Docker Hub's own images. */
  readonly official: boolean;
}

/** Says which endpoints serve a repository. */
export interface RegistryResolver {
  /** Splits a reference as this resolver's engine names things. */
  resolveRepository(reference: Reference, options?: CallOptions): Promise<RepositoryInfo> | RepositoryInfo;
  /**
   * Endpoints to pull from, in order: mirrors first. Each has its own TLS settings. At least one. Asked anew for each
   * tag or digest (`reference`): some of them may be for one of the two only, or an image may be blocked.
   */
  lookupPullEndpoints(repository: RepositoryInfo, options?: EndpointOptions): Promise<readonly Endpoint[]>;
  /** Endpoints to push to, in order; no mirrors. At least one. */
  lookupPushEndpoints(repository: RepositoryInfo, options?: EndpointOptions): Promise<readonly Endpoint[]>;
}

/**
 * The resolver of this machine's configuration: `hosts.toml`, `registries.conf`, folders of certificates, and what
 * `options` say.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`; the lookups throw as `createEndpointSearch` says
 */
export async function createRegistryResolver(options: EndpointSearchOptions = {}): Promise<RegistryResolver> {
  const { createEndpointSearch } = await import('../registry/endpoint-search.js');
  const search = createEndpointSearch(options);
  return {
    resolveRepository: repositoryInfo,
    async lookupPullEndpoints({ host, path }, call) {
      const found = await search.endpoints(host, path, call);
      return found.filter(({ capabilities }) => capabilities.includes('pull') || capabilities.includes('resolve'));
    },
    async lookupPushEndpoints({ host, path }, call) {
      const found = await search.endpoints(host, path, call);
      return found.filter(({ capabilities, mirrorOf }) => mirrorOf === undefined && capabilities.includes('push'));
    },
  };
}

/** What a reference says of its repository. Pure. */
export function repositoryInfo(reference: Reference): RepositoryInfo {
  const { registry, repository } = reference;
  return {
    host: registry,
    path: repository,
    name: `${registry}/${repository}`,
    familiarName: familiarReference({ registry, repository, given: '' }),
    official: registry === 'docker.io' && repository.startsWith('library/'),
  };
}

/**
 * A resolver's answers in the words of the registry client. For a push, questions go to the push endpoints only: what a
 * mirror has says nothing about what is missing at the registry.
 */
export function resolverEndpoints(
  resolver: RegistryResolver,
  info: RepositoryInfo,
  use: 'pull' | 'push',
  timeoutMs: number,
): EndpointResolver {
  return {
    endpoints: (_host, _path, call = {}) =>
      callPart(
        'the registry resolver',
        async (signal) => {
          const options = { signal, onProgress: call.onProgress, reference: call.reference };
          const found = await (use === 'pull'
            ? resolver.lookupPullEndpoints(info, options)
            : resolver.lookupPushEndpoints(info, options));
          if (!Array.isArray(found) || !found.every(isEndpoint))
            throw wrongAnswer('the registry resolver', 'a list of endpoints', found);
          if (use === 'pull') return found;
          return found.map((endpoint) => ({ ...endpoint, capabilities: ['pull', 'resolve', 'push'] as const }));
        },
        { signal: call.signal, timeoutMs },
      ),
  };
}

/** Whether an answer has what is asked of every endpoint. */
function isEndpoint(found: Partial<Endpoint> | null): boolean {
  const { baseUrl, repository, capabilities } = found ?? {};
  return URL.canParse(String(baseUrl)) && typeof repository === 'string' && Array.isArray(capabilities);
}
