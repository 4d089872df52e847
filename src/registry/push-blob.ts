/**
 * Uploads a blob: small ones in one PUT, larger ones streamed, or in pieces where that is asked for.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
 */
import type { CallOptions } from '../content/content.js';
import type { Descriptor } from '../spec/descriptor.js';
import { isTransient } from './retry-budget.js';
import { Upload } from './upload.js';
import { ContentFailure, UploadContent } from './upload-content.js';
import { cancelUpload, type OpenedUpload, type UploadContext, uploadLocation } from './upload-place.js';
import { uploadTurn } from './upload-turn.js';

/** Blobs up to this size are held in memory and sent in one PUT, in bytes. */
const SMALL_BYTES = 4 * 1024 * 1024;

/**
 * Stores a blob. Nothing becomes visible unless digest and size were right here and at the registry.
 *
 * A broken connection goes on from what the registry confirms; a session that the registry lost starts again where
 * the content can be read again.
 *
 * @param opened An upload that is open already: it is used where its endpoint is asked, else cancelled.
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_UNSUPPORTED` (read-only), `ERR_LIMIT_EXCEEDED`
 * (413), `ERR_UNAUTHORIZED`, `ERR_DENIED`, `ERR_NETWORK`, `ERR_TIMEOUT`, `ERR_TLS`, `ERR_REGISTRY`
 */
export async function pushBlob(
  target: Descriptor,
  source: AsyncIterable<Uint8Array>,
  context: UploadContext,
  call: CallOptions,
  opened?: OpenedUpload,
): Promise<void> {
  const { session, subject } = context;
  let unused = opened;
  const content = new UploadContent(source, target, subject.name, call.signal);
  const piece = session.settings.uploadChunkBytes;
  const whole = target.size <= Math.min(SMALL_BYTES, piece ?? SMALL_BYTES);
  let endTurn = (): void => undefined;
  try {
    endTurn = await uploadTurn(subject.registry, session.settings.maxConnectionsPerHost, source, call.signal);
    if (whole) await content.verify();
    const budget = session.budget(subject.name, call);
    await session.onEndpoints(
      'push',
      subject.name,
      call,
      async (endpoint) => {
        const upload = new Upload(endpoint, target, content, context, call);
        if (unused?.endpoint.baseUrl === endpoint.baseUrl) {
          upload.goOn(unused.response);
          unused = undefined;
        }
        try {
          await upload.send(whole, piece ?? target.size, budget);
        } catch (error) {
          if (!isTransient(error) && call.signal?.aborted !== true) await upload.cancel();
          throw error;
        }
      },
      { budget },
    );
  } catch (error) {
    throw error instanceof ContentFailure ? error.cause : error;
  } finally {
    await content.close();
    endTurn();
    if (unused !== undefined) {
      await cancelUpload(uploadLocation(unused.response, subject), unused.endpoint, context, call);
    }
  }
}
