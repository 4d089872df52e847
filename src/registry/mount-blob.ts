/**
 * A blob of one repository becomes a blob of another without moving.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#mounting-a-blob-from-another-repository
 */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Descriptor } from '../spec/descriptor.js';
import { requireVerifiable } from '../spec/digest.js';
import { parseReference } from '../spec/reference.js';
import type { Endpoint } from './endpoint.js';
import { RetryBudget } from './retry-budget.js';
import { repositoryScope } from './scopes.js';
import {
  cancelUpload,
  checkStored,
  type OpenedUpload,
  pushScopes,
  type UploadContext,
  uploadLocation,
} from './upload-place.js';

/**
 * Asks the registry to mount a blob, once. It saves work and nothing depends on it: whatever goes wrong, the blob is
 * pushed instead, and what does not pass fails there.
 *
 * @param fromRepository The other repository's path at the registry.
 * @param goesOn Whether the caller goes on with an upload that the registry opens instead; else it is cancelled.
 * @throws RootfsError `ERR_REFERENCE_INVALID` for a repository name that is none
 * @returns Whether it did, or the upload to go on with.
 */
export async function mountBlob(
  target: Descriptor,
  fromRepository: string,
  context: UploadContext,
  call: CallOptions,
  goesOn = false,
): Promise<boolean | OpenedUpload> {
  const { session, subject } = context;
  requireVerifiable(target.digest);
  const from = parseReference(`${subject.registry}/${fromRepository}`).repository;
  const mount = async (endpoint: Endpoint): Promise<boolean | OpenedUpload> => {
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
    if (response.status === 201) {
      // Another blob than was asked for is none.
      checkStored(response, target.digest, subject);
      return true;
    }
    const location = uploadLocation(response, subject);
    if (goesOn) return { endpoint, response };
    await cancelUpload(location, endpoint, context, call);
    throwIfAborted(call.signal);
    return false;
  };
  const budget = new RetryBudget({ ...session.settings, retry: 0 }, subject.name, call, false);
  try {
    return await session.onEndpoints('push', subject.name, call, mount, { budget });
  } catch (error) {
    throwIfAborted(call.signal);
    if (error instanceof RootfsError) return false;
    throw error;
  }
}
