/** Which of a repository's endpoints answers as a registry. */
import type { CallOptions } from '../content/content.js';
import type { Endpoint } from './endpoint.js';
import { type RegistryOptions, registrySettings } from './registry-options.js';
import { RegistrySession } from './registry-session.js';
import { repositoryScope } from './scopes.js';

/**
 * Asks the endpoints of a repository in order whether they speak the registry API to us, and returns the first that
 * does. Nothing is asked of the repository itself.
 *
 * @throws RegistryError, RootfsError: the failure of the registry itself; `detail.mirrors` names those of the others
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#determining-support
 */
export async function pingEndpoint(
  host: string,
  repository: string,
  options: RegistryOptions = {},
  call: CallOptions = {},
): Promise<Endpoint> {
  const session = new RegistrySession(host, repository, registrySettings(options));
  return session.onEndpoints('pull', host, call, async (endpoint) => {
    const subject = { kind: 'catalog', registry: host, repository: host, name: host } as const;
    const scopes = [repositoryScope(endpoint.repository, 'pull')];
    const response = await session.request(endpoint, { method: 'GET', path: '', scopes, subject, accept: [200] }, call);
    response.body.discard();
    return endpoint;
  });
}
