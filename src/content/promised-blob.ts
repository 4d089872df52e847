/** Whether what an archive holds names a blob: one that is not there was lost, and not left out. */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { type ManifestOrIndex, parseManifestOrIndex } from '../spec/image-document.js';
import { isForeignLayer, isIndexType, isManifestType } from '../spec/media-types.js';
import type { CallOptions, ReadOnlyStorage } from './content.js';
import { readVerified } from './fetch-verified.js';

/** How many documents are read in search of who names a blob. */
const MAX_SEARCHED_DOCUMENTS = 256;

/**
 * Whether `index.json` lists the digest, or a manifest that is here names it as its config or as a layer. Two things may
 * honestly be missing: platforms that an index below `index.json` lists and nobody saved, and layers that must not be
 * handed on.
 *
 * @param roots What `index.json` lists.
 */
export async function isPromised(
  digest: Digest,
  roots: readonly Descriptor[],
  archive: ReadOnlyStorage,
  options: CallOptions = {},
): Promise<boolean> {
  const isNamedBy = (named: readonly Descriptor[]): boolean =>
    named.some((one) => one.digest === digest && !isElsewhere(one));
  if (isNamedBy(roots)) return true;
  const pending = [...roots];
  const seen = new Set<Digest>();
  for (const entry of pending) {
    if (seen.size >= MAX_SEARCHED_DOCUMENTS) return false;
    if (seen.has(entry.digest) || !(isManifestType(entry.mediaType) || isIndexType(entry.mediaType))) continue;
    seen.add(entry.digest);
    const document = await readPresent(archive, entry, options);
    if (document?.kind === 'index') {
      const room = Math.max(0, MAX_SEARCHED_DOCUMENTS - pending.length);
      pending.push(...document.value.manifests.slice(0, room));
    } else if (document !== undefined && isNamedBy([document.value.config, ...document.value.layers])) return true;
  }
  return false;
}

/** Whether content may be had elsewhere, or from nobody: archives do without it. */
function isElsewhere(descriptor: Descriptor): boolean {
  return (descriptor.urls ?? []).length > 0 || isForeignLayer(descriptor);
}

/** A document that is here and can be read. Whatever is wrong with another is told to those who ask for it. */
async function readPresent(
  archive: ReadOnlyStorage,
  entry: Descriptor,
  options: CallOptions,
): Promise<ManifestOrIndex | undefined> {
  try {
    if (!(await archive.exists(entry, options))) return undefined;
    const bytes = await readVerified(archive, entry, options);
    return parseManifestOrIndex(bytes, { subject: entry.digest, mediaType: entry.mediaType });
  } catch (error) {
    throwIfAborted(options.signal);
    if (!(error instanceof RootfsError)) throw error;
    return undefined;
  }
}
