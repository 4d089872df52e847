/** The repository that a reference names, opened as this machine is configured: what engines and the cache start from. */
import type { ReadOnlyTarget } from '../content/content.js';
import type { RegistryOptions } from '../registry/registry-options.js';
import type { Reference } from '../spec/reference.js';

/**
 * Makes a factory that opens repositories with the credentials, mirrors and certificates found on this machine, or
 * those that `options` give instead. Nothing is loaded before it is called.
 */
export function defaultRepository(options: RegistryOptions = {}): (reference: Reference) => Promise<ReadOnlyTarget> {
  return async (reference) => {
    const [{ createRepository }, { createCredentialSearch }, { createEndpointSearch }] = await Promise.all([
      import('../registry/repository.js'),
      import('../registry/credential-search.js'),
      import('../registry/endpoint-search.js'),
    ]);
    return createRepository(reference, {
      ...options,
      credentials: options.credentials ?? createCredentialSearch(),
      endpoints: options.endpoints ?? createEndpointSearch(options),
    });
  };
}
