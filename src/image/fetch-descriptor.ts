/** What a reference points at, by its bytes. */
import type { CallOptions, ReadOnlyTarget } from '../content/content.js';
import { readVerified } from '../content/fetch-verified.js';
import { throwIfAborted, untilAborted } from '../io/abort.js';
import { discard } from '../io/discard.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import { canFetchReference } from './document-reader.js';
import { imageFailure } from './image-failure.js';
import { imageName } from './image-name.js';
import { requireSource } from './require-source.js';

/**
 * Says what a reference points at. `resolve` believes what a registry says of its manifest; this reads the manifest,
 * of whatever kind, and computes: one request more for the registry's count of pulls, and no digest that is a lie.
 *
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_DIGEST_MISMATCH`, `ERR_LIMIT_EXCEEDED` (over 4 MiB), `ERR_OPTION_INVALID`,
 *   `ERR_REFERENCE_INVALID`, what the source throws; or the signal's own reason
 */
export async function fetchDescriptor(
  source: ReadOnlyTarget,
  reference: string,
  options: CallOptions = {},
): Promise<Descriptor> {
  const { signal, onProgress } = options;
  const call = { signal, onProgress };
  requireSource(source, reference);
  throwIfAborted(signal);
  try {
    if (!canFetchReference(source)) return await untilAborted(source.resolve(reference, call), signal);
    const { descriptor, content } = await untilAborted(source.fetchReference(reference, call), signal, (late) =>
      discard(late.content),
    );
    try {
      await readVerified({ fetch: async () => content }, bareDescriptor(descriptor), call);
      return descriptor;
    } finally {
      discard(content);
    }
  } catch (error) {
    throw imageFailure(error, imageName(source, reference), signal);
  }
}
