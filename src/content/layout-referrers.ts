/**
 * Which manifests in an OCI layout name another one as their subject: those that its `index.json` and the indexes below
 * it list are read. A list kept under the tag that stands in for the API (`sha256-<hex>`) is such an index.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#image-manifest-property-descriptions
 */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { type ManifestOrIndex, parseManifestOrIndex } from '../spec/image-document.js';
import { isIndexType, isManifestType } from '../spec/media-types.js';
import type { CallOptions, Fetcher } from './content.js';
import { readVerified } from './fetch-verified.js';
import { type LayoutIndex, MAX_INDEX_DEPTH } from './layout-index.js';

/** How many manifests and indexes of a layout are read for the referrers of one image. */
export const MAX_READ_DOCUMENTS = 10_000;

/** What does not hide the rest: a document that is not here, or is none. Wrong bytes are told. */
const PASSED_OVER: ReadonlySet<string> = new Set(['ERR_NOT_FOUND', 'ERR_MANIFEST_INVALID', 'ERR_NOT_AN_IMAGE']);

/**
 * Yields each referrer of `target` once, only those of `artifactType` where one is given.
 *
 * @param readIndex Reads `index.json`.
 * @throws RootfsError `ERR_LIMIT_EXCEEDED` (over `MAX_READ_DOCUMENTS`), `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, and
 *   as `readVerified`; or the signal's own reason
 */
export async function* layoutReferrers(
  readIndex: () => Promise<LayoutIndex> | LayoutIndex,
  source: Fetcher,
  target: Descriptor,
  artifactType: string | undefined,
  call: CallOptions,
): AsyncGenerator<Descriptor, void, undefined> {
  const seen = new Set<Digest>();
  // One list of each depth at a time: all of those that indexes may bring together would not fit into memory.
  async function* below(entries: readonly Descriptor[], depth: number): AsyncGenerator<Descriptor, void, undefined> {
    for (const entry of entries) {
      if (seen.has(entry.digest) || !(isManifestType(entry.mediaType) || isIndexType(entry.mediaType))) continue;
      if (seen.size >= MAX_READ_DOCUMENTS) throw tooMany(target);
      seen.add(entry.digest);
      const document = await readDocument(source, entry, call);
      if (document === undefined) continue;
      if (document.value.subject?.digest === target.digest) {
        const referrer = described(entry, document);
        if (artifactType === undefined || referrer.artifactType === artifactType) yield referrer;
      }
      if (document.kind === 'index' && depth < MAX_INDEX_DEPTH) yield* below(document.value.manifests, depth + 1);
    }
  }
  throwIfAborted(call.signal);
  yield* below((await readIndex()).value.manifests, 0);
}

/** As the API describes a referrer: the type it says it has, else that of its config, and its own annotations. */
function described({ mediaType, digest, size }: Descriptor, document: ManifestOrIndex): Descriptor {
  const { annotations } = document.value;
  const config = document.kind === 'manifest' ? document.value.config.mediaType : undefined;
  // An empty type says as little as none.
  const artifactType = document.value.artifactType || config;
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

async function readDocument(
  source: Fetcher,
  entry: Descriptor,
  call: CallOptions,
): Promise<ManifestOrIndex | undefined> {
  try {
    return parseManifestOrIndex(await readVerified(source, entry, call), { subject: entry.digest });
  } catch (error) {
    throwIfAborted(call.signal);
    if (error instanceof RootfsError && PASSED_OVER.has(error.code)) return undefined;
    throw error;
  }
}

function tooMany(target: Descriptor): RootfsError {
  return new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${target.digest}: over ${MAX_READ_DOCUMENTS} manifests would have to be read for its referrers; copy the image and what refers to it into a layout of their own`,
    { detail: { limit: MAX_READ_DOCUMENTS } },
  );
}
