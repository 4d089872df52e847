/** Removes one manifest or blob from a repository. */
import type { CallOptions } from '../content/content.js';
import type { Digest } from '../spec/digest.js';
import type { Subject } from './answer-error.js';
import type { RegistrySession } from './registry-session.js';
import { repositoryScope } from './scopes.js';

/**
 * Asks the registry to remove content.
 *
 * @returns false where it was not there
 * @throws RegistryError `ERR_UNSUPPORTED` where the registry does not allow deletion; as the session's requests
 */
export async function deleteContent(
  session: RegistrySession,
  place: 'manifests' | 'blobs',
  digest: Digest,
  subject: Subject,
  call: CallOptions,
): Promise<boolean> {
  return session.onEndpoints('push', subject.name, call, async (endpoint) => {
    const path = `${endpoint.repository}/${place}/${digest}`;
    const scopes = [repositoryScope(endpoint.repository, 'pull', 'push', 'delete')];
    const accept = [200, 202, 204, 404];
    const response = await session.request(endpoint, { method: 'DELETE', path, scopes, subject, accept }, call);
    response.body.discard();
    return response.status !== 404;
  });
}
