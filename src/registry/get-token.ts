/** The token of a registry, for those who want to speak to it themselves. */
import type { CallOptions } from '../content/content.js';
import { type Reference, refuseReserved } from '../spec/reference.js';
import { readReference } from './read-reference.js';
import { type RegistryOptions, registrySettings } from './registry-options.js';
import { RegistrySession } from './registry-session.js';
import { repositoryScope } from './scopes.js';
import type { RegistryToken } from './token-request.js';

/** Options of `getToken`. */
export interface GetTokenOptions extends RegistryOptions, CallOptions {
  /** What the token is to be good for: `pull` (default), `push`, `delete`. */
  readonly actions?: readonly string[] | undefined;
}

/**
 * Gets a bearer token for a repository: the registry is asked for its challenge, the realm for the token, with the
 * credentials that `options.credentials` finds, or anonymously.
 *
 * @returns `undefined` when the registry wants no bearer token: it is open, or asks for a user name and password.
 * @throws RegistryError `ERR_UNAUTHORIZED`, `ERR_DENIED`, `ERR_REGISTRY`, `ERR_RATE_LIMITED`
 * @throws RootfsError `ERR_REFERENCE_INVALID` (also for `scratch`), `ERR_OPTION_INVALID`, `ERR_NETWORK`, `ERR_TIMEOUT`, `ERR_TLS`
 */
export async function getToken(
  name: string | Reference,
  options: GetTokenOptions = {},
): Promise<RegistryToken | undefined> {
  const reference = readReference(name);
  refuseReserved(reference);
  const { registry, repository } = reference;
  const session = new RegistrySession(registry, repository, registrySettings(options));
  const named = `${registry}/${repository}`;
  const subject = { kind: 'registry', registry, repository: named, name: named } as const;
  return session.onEndpoints(
    'pull',
    named,
    options,
    async (endpoint) => {
      const scopes = [repositoryScope(endpoint.repository, ...(options.actions ?? ['pull']))];
      const request = { method: 'GET', path: '', scopes, subject, accept: [200, 403, 404] } as const;
      const response = await session.request(endpoint, request, options);
      response.body.discard();
      return session.currentToken(endpoint, request);
    },
    { registryFirst: true },
  );
}
