/**
 * Whether a blob is there.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#checking-if-content-exists-in-the-registry
 */
import type { CallOptions } from '../content/content.js';
import { RegistryError, RootfsError } from '../errors.js';
import type { Digest } from '../spec/digest.js';
import type { Subject } from './answer-error.js';
import type { Endpoint } from './endpoint.js';
import type { RegistrySession } from './registry-session.js';
import { isTransient } from './retry-budget.js';
import { repositoryScope } from './scopes.js';
import type { WireResponse } from './wire.js';

/** HEAD refusals after which GET is tried. */
export const HEAD_REFUSED = [204, 400, 403, 405, 406, 415, 500, 501, 502, 504];

/** The HEAD requests of one call. Some servers hang up on all of them: the next attempt is by GET. */
export class Heads {
  readonly #unanswered = new Set<string>();

  /**
   * Sends one, unless the last one was not answered.
   *
   * @param send Takes `HEAD_REFUSED` for answers.
   * @returns `undefined` where GET has to say
   */
  async ask({ baseUrl }: Endpoint, send: () => Promise<WireResponse>): Promise<WireResponse | undefined> {
    if (this.#unanswered.has(baseUrl)) return undefined;
    try {
      const response = await send();
      response.body.discard();
      return response.status === 200 ? response : undefined;
    } catch (error) {
      const isAnswer = error instanceof RegistryError || !(error instanceof RootfsError);
      if (!isAnswer && isTransient(error)) this.#unanswered.add(baseUrl);
      throw error;
    }
  }
}

/** `false` for content that is not there; every other failure is thrown. */
export function falseIfAbsent(error: unknown): false {
  if (error instanceof RegistryError && error.code === 'ERR_NOT_FOUND') return false;
  throw error;
}

/**
 * Asks by one HEAD, by GET where that is refused or not answered. Where a push would go, the answer decides; mirrors are
 * asked where there is none.
 *
 * @param beforePush Whether it is asked for a push: nowhere else, and without queueing, for what is to be uploaded may be
 *   open already.
 * @throws RegistryError, RootfsError as `RegistrySession.request`, but never `ERR_NOT_FOUND`
 */
export function blobExists(
  session: RegistrySession,
  digest: Digest,
  asked: Subject,
  call: CallOptions,
  beforePush: boolean,
): Promise<boolean> {
  const subject: Subject = { ...asked, beforePush: true };
  const heads = new Heads();
  const ask = async (endpoint: Endpoint): Promise<boolean> => {
    const path = `${endpoint.repository}/blobs/${digest}`;
    const scopes = [repositoryScope(endpoint.repository, 'pull')];
    const request = { path, scopes, subject, atOnce: beforePush } as const;
    const head = { ...request, method: 'HEAD', accept: [200, ...HEAD_REFUSED] } as const;
    if ((await heads.ask(endpoint, () => session.request(endpoint, head, call))) !== undefined) return true;
    const get = { ...request, method: 'GET', headers: { range: 'bytes=0-0' }, accept: [200, 206, 416] } as const;
    (await session.request(endpoint, get, call)).body.cancel();
    return true;
  };
  return session
    .onEndpoints(
      beforePush ? 'push' : 'pull',
      subject.name,
      call,
      (endpoint) => (endpoint.capabilities.includes('push') ? ask(endpoint).catch(falseIfAbsent) : ask(endpoint)),
      { pushedFirst: true },
    )
    .catch(falseIfAbsent);
}
