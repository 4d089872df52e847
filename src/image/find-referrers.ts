/** What names an image as its subject: signatures, attestations, bills of material. */
import type { CallOptions, ReadOnlyTarget, Referrers } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { eachUntilAborted } from '../io/abort.js';
import type { Descriptor } from '../spec/descriptor.js';
import { isDigest } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';
import { fetchDescriptor } from './fetch-descriptor.js';

/** Options of `findReferrers`. */
export interface FindReferrersOptions extends CallOptions {
  /** Only referrers of this type. */
  readonly artifactType?: string | undefined;
}

/**
 * Yields the manifests whose subject is what a reference points at; none where the source keeps no such list.
 *
 * A referrer may come before its subject and stay after it: of a digest that is not there, those that name it are
 * yielded all the same.
 *
 * @throws RootfsError `ERR_NOT_FOUND` (nothing is there, nor refers to it); as `fetchDescriptor`, and what the source
 *   throws
 */
export async function* findReferrers(
  source: ReadOnlyTarget,
  reference: string,
  options: FindReferrersOptions = {},
): AsyncGenerator<Descriptor, void, undefined> {
  const { signal, onProgress, artifactType } = options;
  const call = { signal, onProgress };
  const lister: Partial<Referrers> = source as ReadOnlyTarget & Partial<Referrers>;
  let missing: RootfsError | undefined;
  const target = await fetchDescriptor(source, reference, call).catch((error: unknown): Descriptor => {
    if (!(error instanceof RootfsError) || error.code !== 'ERR_NOT_FOUND' || !isDigest(reference)) throw error;
    missing = error;
    return { mediaType: MediaType.ociManifest, digest: reference, size: 0 };
  });
  const wanted = missing === undefined ? artifactType : undefined;
  let found = false;
  for await (const referrer of eachUntilAborted(lister.referrers?.(target, wanted, call) ?? [], signal)) {
    found = true;
    if (artifactType === undefined || referrer.artifactType === artifactType) yield referrer;
  }
  if (missing !== undefined && !found) throw missing;
}
