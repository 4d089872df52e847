/**
 * A blob of one repository becomes a blob of another without moving.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#mounting-a-blob-from-another-repository
 */
import type { CallOptions } from '../content/content.js';
import { RegistryError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';
import { cancelUpload, pushScopes, type UploadContext, uploadLocation } from './push-blob.js';
import { repositoryScope } from './scopes.js';

/** Refusals that only mean: not this way. */
const NOT_THIS_WAY = new Set([400, 401, 403, 404, 405, 501]);

/**
 * Asks the registry to mount a blob.
 *
 * @param from The other repository's path at the registry.
 * @returns Whether it did; an upload that it opened instead is cancelled.
 */
export async function mountBlob(
  target: Descriptor,
  from: string,
  context: UploadContext,
  call: CallOptions,
): Promise<boolean> {
  const { session, subject } = context;
  try {
    return await session.onEndpoints('push', subject.name, call, async (endpoint) => {
      const query = `mount=${encodeURIComponent(target.digest)}&from=${encodeURIComponent(from)}`;
      const response = await session.request(
        endpoint,
        {
          method: 'POST',
          path: `${endpoint.repository}/blobs/uploads/?${query}`,
          scopes: [...pushScopes(endpoint), repositoryScope(from, 'pull')],
          subject,
          accept: [201, 202],
        },
        call,
      );
      response.body.discard();
      if (response.status === 201) return true;
      await cancelUpload(uploadLocation(response, subject), endpoint, context, call.onProgress);
      return false;
    });
  } catch (error) {
    if (error instanceof RegistryError && NOT_THIS_WAY.has(error.status)) return false;
    throw error;
  }
}
