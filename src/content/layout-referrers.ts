/**
 * Which manifests in an OCI layout name another one as their subject: those that its `index.json` and the indexes below
 * it list are read. A list kept under the tag that stands in for the API (`sha256-<hex>`) is such an index.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#image-manifest-property-descriptions
 */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { warn } from '../progress.js';
import { type ArtifactManifest, parseArtifactManifest } from '../spec/artifact-manifest.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { type ManifestOrIndex, parseManifestOrIndex } from '../spec/image-document.js';
import { isIndexType, isManifestType, MediaType } from '../spec/media-types.js';
import type { CallOptions, Fetcher } from './content.js';
import { readVerified } from './fetch-verified.js';
import { type LayoutIndex, MAX_INDEX_DEPTH } from './layout-index.js';

/** How many manifests and indexes of a layout are read for the referrers of one image. */
export const MAX_READ_DOCUMENTS = 10_000;

/** What may name a subject: a manifest, an index, or a manifest of the form that was given up. */
type Referring = ManifestOrIndex | { readonly kind: 'artifact'; readonly value: ArtifactManifest };

/** What is no referrer, and hides none: a manifest that was not copied with its index, or something else. */
const NO_REFERRER: ReadonlySet<string> = new Set(['ERR_NOT_FOUND', 'ERR_NOT_AN_IMAGE', 'ERR_SCHEMA1_UNSUPPORTED']);

/** What may have been one. Wrong bytes are not passed over: they end the search. */
const TOLD: ReadonlySet<string> = new Set([
  'ERR_MANIFEST_INVALID',
  'ERR_LIMIT_EXCEEDED',
  'ERR_DIGEST_UNSUPPORTED',
  // A blob that is a pipe or a circle of links.
  'ERR_LAYOUT_INVALID',
  'ERR_ARCHIVE_INVALID',
]);

/**
 * Yields each referrer of `target` once, in the order of the lists, only those of `artifactType` where one is given. A
 * document that cannot be read is passed over with a warning.
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
      if (seen.has(entry.digest) || !isDocument(entry)) continue;
      if (seen.size >= MAX_READ_DOCUMENTS) throw tooMany(target);
      seen.add(entry.digest);
      const document = await readDocument(source, entry, call);
      if (document === undefined) continue;
      if (document.value.subject?.digest === target.digest) {
        const referrer = described(entry, document);
        if (artifactType === undefined || referrer.artifactType === artifactType) yield referrer;
      }
      if (document.kind !== 'index' || document.value.manifests.length === 0) continue;
      if (depth < MAX_INDEX_DEPTH) yield* below(document.value.manifests, depth + 1);
      else
        warn(
          call.onProgress,
          `${entry.digest}: over ${MAX_INDEX_DEPTH} deep in other indexes; what it lists is left out`,
        );
    }
  }
  throwIfAborted(call.signal);
  yield* below((await readIndex()).value.manifests, 0);
}

function isDocument({ mediaType }: Descriptor): boolean {
  return isManifestType(mediaType) || isIndexType(mediaType) || mediaType === MediaType.ociArtifact;
}

/** As the API describes a referrer: the type it says it has, else that of its config, and its own annotations. */
function described({ mediaType, digest, size }: Descriptor, document: Referring): Descriptor {
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

async function readDocument(source: Fetcher, entry: Descriptor, call: CallOptions): Promise<Referring | undefined> {
  try {
    const bytes = await readVerified(source, entry, call);
    if (entry.mediaType === MediaType.ociArtifact) {
      return { kind: 'artifact', value: parseArtifactManifest(bytes, { subject: entry.digest }) };
    }
    return parseManifestOrIndex(bytes, { subject: entry.digest, mediaType: entry.mediaType });
  } catch (error) {
    throwIfAborted(call.signal);
    if (!(error instanceof RootfsError) || !(NO_REFERRER.has(error.code) || TOLD.has(error.code))) throw error;
    if (TOLD.has(error.code)) warn(call.onProgress, `${error.message}; it may be a referrer, and is left out`);
    return undefined;
  }
}

function tooMany(target: Descriptor): RootfsError {
  return new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${target.digest}: over ${MAX_READ_DOCUMENTS} manifests would have to be read for its referrers; copy the image and what refers to it into a layout of their own`,
    { detail: { limit: MAX_READ_DOCUMENTS } },
  );
}
