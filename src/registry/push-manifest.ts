/**
 * Stores manifests, by digest or under a tag.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests
 */
import { setTimeout } from 'node:timers/promises';
import type { CallOptions } from '../content/content.js';
import { RegistryError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Descriptor } from '../spec/descriptor.js';
import { checkStored, pushScopes, type UploadContext } from './upload-place.js';

/**
 * Puts verified bytes under a tag or their digest, with their media type.
 *
 * @param key A tag, or the digest of `target`.
 * @returns Whether the registry said that it keeps the manifest's `subject` (`OCI-Subject`).
 * @throws RootfsError `ERR_DIGEST_MISMATCH` when the registry says that it stored something else; RegistryError
 */
export async function putManifest(
  target: Descriptor,
  bytes: Uint8Array,
  key: string,
  context: UploadContext,
  call: CallOptions,
): Promise<boolean> {
  for (const pauseMs of UNKNOWN_BLOB_PAUSES_MS) {
    try {
      return await putOnce(target, bytes, key, context, call);
    } catch (error) {
      if (!(error instanceof RegistryError) || !isUnknownBlob(error)) throw error;
      // A registry may need a moment to see blobs that somebody else pushes at the same time.
      await setTimeout(pauseMs, undefined, { signal: call.signal }).catch(() => throwIfAborted(call.signal));
    }
  }
  return putOnce(target, bytes, key, context, call);
}

/** Pauses before a manifest whose blobs the registry does not know yet is put again, in milliseconds. */
const UNKNOWN_BLOB_PAUSES_MS = [100, 400];

/** A failure from 500 on was tried again already, and stands for more than a moment. */
function isUnknownBlob({ status, errors }: RegistryError): boolean {
  return status < 500 && errors.some(({ code }) => code === 'MANIFEST_BLOB_UNKNOWN');
}

async function putOnce(
  target: Descriptor,
  bytes: Uint8Array,
  key: string,
  { session, subject }: UploadContext,
  call: CallOptions,
): Promise<boolean> {
  return session.onEndpoints('push', subject.name, call, async (endpoint) => {
    const response = await session.request(
      endpoint,
      {
        method: 'PUT',
        path: `${endpoint.repository}/manifests/${key}`,
        headers: { 'content-type': target.mediaType, 'content-length': String(bytes.byteLength) },
        body: () => bytes,
        scopes: pushScopes(endpoint),
        subject,
        accept: [200, 201, 202, 204],
      },
      call,
    );
    response.body.discard();
    checkStored(response, target.digest, subject);
    return response.headers.get('oci-subject') !== undefined;
  });
}
