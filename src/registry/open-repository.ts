/** A registry with everything this machine knows about it: credentials, mirrors and certificates looked up as people expect. */
import type { CallOptions } from '../content/content.js';
import { parseReference, type Reference, refuseReserved } from '../spec/reference.js';
import type { ExplicitCredential } from './credential-search.js';
import { type Credential, type CredentialProvider, GIVEN_CREDENTIAL, requireCredential } from './credentials.js';
import type { EndpointResolver } from './endpoint.js';
import { flag, type RegistryOptions } from './registry-options.js';
import type { RegistryRepository } from './repository.js';

/** How a registry is reached, and where this machine's knowledge of it is looked for. */
export interface OpenRegistryOptions extends RegistryOptions, CallOptions {
  /** Who we are: before anything that is found in files. Ignored where `credentials` is given. */
  readonly credential?: Credential | undefined;
  /** Auth file to read instead of the usual places. Ignored where `credentials` is given. */
  readonly authFile?: string | undefined;
  /** `false`: no credentials are looked for in files or helpers. Default true. */
  readonly findCredentials?: boolean | undefined;
  /** `false`: mirrors and certificates configured on this machine are not looked for. Default true. */
  readonly findEndpoints?: boolean | undefined;
  /**
   * `false`: no mirror is asked, only what takes pushes. For what is changed there: a mirror may have kept it as it was.
   * Default true.
   */
  readonly mirrors?: boolean | undefined;
}

/**
 * The options of `createRepository` and `createRegistry` for a host, with credentials and endpoints looked up on this
 * machine unless the caller gives them.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export async function machineOptions(host: string, options: OpenRegistryOptions): Promise<RegistryOptions> {
  // Taken for true, a 0 or 'false' would show a credential that was not to be looked for.
  for (const name of ['findCredentials', 'findEndpoints', 'mirrors'] as const) flag(name, options[name]);
  if (options.credential !== undefined) requireCredential(options.credential);
  const [{ createCredentialSearch }, { createEndpointSearch }] = await Promise.all([
    import('./credential-search.js'),
    import('./endpoint-search.js'),
  ]);
  const credentials =
    options.credentials ??
    (options.findCredentials === false
      ? explicitOnly(host, options.credential)
      : createCredentialSearch({
          explicit: explicit(host, options.credential),
          authFile: options.authFile,
          onProgress: options.onProgress,
        }));
  const found = options.endpoints ?? (options.findEndpoints === false ? undefined : createEndpointSearch(options));
  const endpoints = found === undefined || options.mirrors !== false ? found : withoutMirrors(found);
  return { ...options, credentials, endpoints };
}

/** Where nothing takes pushes all are told: what is to be pushed is refused by name then. */
function withoutMirrors(resolver: EndpointResolver): EndpointResolver {
  return {
    async endpoints(...asked) {
      const all = await resolver.endpoints(...asked);
      const taking = Array.isArray(all) ? all.filter(({ capabilities }) => capabilities.includes('push')) : [];
      return taking.length > 0 ? taking : all;
    },
  };
}

/**
 * Reads a reference and opens its repository with what this machine knows of its registry. Nothing is asked of the
 * registry yet.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID` (also for `scratch`, which no registry has), `ERR_OPTION_INVALID`
 */
export async function openRepository(
  text: string,
  options: OpenRegistryOptions = {},
): Promise<{ readonly repository: RegistryRepository; readonly reference: Reference }> {
  const reference = parseReference(text);
  refuseReserved(reference);
  const { createRepository } = await import('./repository.js');
  return {
    repository: createRepository(reference, await machineOptions(reference.registry, options)),
    reference,
  };
}

function explicit(host: string, credential: Credential | undefined): ExplicitCredential[] {
  return credential === undefined ? [] : [{ host, credential }];
}

function explicitOnly(host: string, credential: Credential | undefined): CredentialProvider | undefined {
  if (credential === undefined) return undefined;
  const found = { credential, source: GIVEN_CREDENTIAL };
  return { credential: async (scope) => (scope.host === host ? found : undefined) };
}
