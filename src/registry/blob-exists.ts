/**
 * Whether a blob is there.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#checking-if-content-exists-in-the-registry
 */
import type { CallOptions } from '../content/content.js';
import type { Digest } from '../spec/digest.js';
import type { Subject } from './answer-error.js';
import { falseIfAbsent, HEAD_REFUSED } from './manifest-client.js';
import type { RegistrySession } from './registry-session.js';
import { repositoryScope } from './scopes.js';

/**
 * Asks by one HEAD, by GET where that is refused.
 *
 * @param atOnce Whether it must not queue: what is to be uploaded may be open already.
 * @throws RegistryError, RootfsError as `RegistrySession.request`, but never `ERR_NOT_FOUND`
 */
export function blobExists(
  session: RegistrySession,
  digest: Digest,
  asked: Subject,
  call: CallOptions,
  atOnce: boolean,
): Promise<boolean> {
  const subject: Subject = { ...asked, beforePush: true };
  return session
    .onEndpoints('pull', subject.name, call, async (endpoint) => {
      const path = `${endpoint.repository}/blobs/${digest}`;
      const scopes = [repositoryScope(endpoint.repository, 'pull')];
      const request = { path, scopes, subject, atOnce } as const;
      const head = { ...request, method: 'HEAD', accept: [200, ...HEAD_REFUSED] } as const;
      const response = await session.request(endpoint, head, call);
      response.body.discard();
      if (response.status === 200) return true;
      const get = { ...request, method: 'GET', headers: { range: 'bytes=0-0' }, accept: [200, 206, 416] } as const;
      (await session.request(endpoint, get, call)).body.cancel();
      return true;
    })
    .catch(falseIfAbsent);
}
