/** The token of a registry, for those who want to speak to it themselves. */
import type { CallOptions } from '../content/content.js';
import { partError } from '../io/part-error.js';
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
  const actions = checkActions(options.actions ?? ['pull']);
  const { registry, repository } = reference;
  const session = new RegistrySession(registry, repository, registrySettings(options));
  const named = `${registry}/${repository}`;
  const subject = { kind: 'registry', registry, repository: named, name: named } as const;
  return session.onEndpoints(
    'pull',
    named,
    options,
    async (endpoint) => {
      const scopes = [repositoryScope(endpoint.repository, ...actions)];
      const request = { method: 'GET', path: '', scopes, subject, accept: [200, 403, 404] } as const;
      const response = await session.request(endpoint, request, options);
      response.body.discard();
      return session.currentToken(endpoint, request);
    },
    { registryFirst: true },
  );
}

/** A text would be asked for letter by letter, and what holds a separator as something else than it says. */
function checkActions(actions: readonly string[]): readonly string[] {
  const isAction = (action: unknown): boolean =>
    typeof action === 'string' && /^[\x21-\x7e]+$/.test(action) && !/[,:]/.test(action);
  if (Array.isArray(actions) && actions.length > 0 && actions.every(isAction)) return actions;
  throw partError('actions', 'a list of words', actions, "give for example ['pull', 'push']");
}
